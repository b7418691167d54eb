/** Addresses and networks against Python's ipaddress module: one process answers all random cases. */
import { execaSync } from 'execa';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { capacity, formatIp, formatNetwork, holds, networkOf, parseIp, parseNetwork, parseRange, rangeFinder, reservedUse, type Ip, type IpRange, type Network } from '../../../src/fleet/lint/networks.js';
import { needs, oracleEnvironment } from '../../support/oracle.js';

const SEED = Number(process.env.ROCKBERRY_SEED ?? 20_261_123);
const oracle = needs('python3');

/** Answers a list of [function, texts] with what ipaddress says, null where it raises. Zones are refused by us and taken by Python. */
const PROGRAM = `
import ipaddress, json, sys
def net(text):
    if '/' not in text: raise ValueError
    return ipaddress.ip_network(text, strict=False)
def address(text):
    if '%' in text: raise ValueError
    ip = ipaddress.ip_address(text)
    return [ip.version, str(int(ip)), ip.exploded]
def network(text):
    if '%' in text: raise ValueError
    n = net(text)
    return [n.version, str(int(n.network_address)), str(int(n.broadcast_address)), n.prefixlen]
def overlaps(a, b): return net(a).overlaps(net(b))
def inside(a, b): return ipaddress.ip_address(a) in net(b)
def fit(a, prefix):
    n = net(a)
    return str(0 if int(prefix) < n.prefixlen else 2 ** (int(prefix) - n.prefixlen))
def subnets(a, prefix):
    n = net(a)
    return sum(1 for _ in n.subnets(new_prefix=int(prefix)))
def answer(name, texts):
    try: return globals()[name](*texts)
    except ValueError: return None
print(json.dumps([answer(name, texts) for name, texts in json.load(sys.stdin)]))
`;

type Case = readonly [name: string, texts: readonly string[]];

function askPython(cases: readonly Case[]): unknown[] {
  return JSON.parse(execaSync('python3', ['-c', PROGRAM], { env: oracleEnvironment, input: JSON.stringify(cases), maxBuffer: 1 << 28 }).stdout) as unknown[];
}

const ipv4 = fc.ipV4();
/** Few bits, so that networks meet. */
const near4 = fc.tuple(fc.constantFrom('10.0', '10.1', '192.0', '0.0', '255.255'), fc.nat(3), fc.nat(255)).map(([head, c, d]) => `${head}.${c}.${d}`);
const ipv6 = fc.oneof(fc.ipV6(), fc.array(fc.constantFrom('0', '0', '0', '1', 'fd00', 'ABCD', '0db8', 'ffff'), { minLength: 8, maxLength: 8 }).map((groups) => groups.join(':')));
const near6 = fc.tuple(fc.constantFrom('fd00::', 'fd00::1:', '::', '2001:db8:0:1::', 'fd00:0:0:'), fc.constantFrom('1', 'a:1', '0', 'ffff')).map((parts) => parts.join('')).filter((text) => parseIp(text) !== undefined);
const prefix4 = fc.nat(34);
const prefix6 = fc.nat(130);
const network = fc.oneof(fc.tuple(fc.oneof(ipv4, near4), prefix4), fc.tuple(fc.oneof(ipv6, near6), prefix6)).map(([address, prefix]) => `${address}/${prefix}`);
const sound = network.filter((text) => parseNetwork(text) !== undefined);
const soundNear = fc.oneof(fc.tuple(near4, fc.nat(32)), fc.tuple(near6, fc.nat(128))).map(([address, prefix]) => `${address}/${prefix}`);
const broken = fc.oneof(
  fc.string(), fc.string({ unit: fc.constantFrom(...'0123456789abcdefF:./%- ') }), fc.tuple(fc.oneof(ipv4, ipv6), fc.nat(20), fc.constantFrom('', ':', '.', '0', 'g', '/', '::', '%1')).map(([text, at, with_]) => text.slice(0, at) + with_ + text.slice(at + 1)),
  fc.constantFrom('010.0.0.1', '1.2.3', '1.2.3.4.5', '256.1.1.1', '::', ':::', '1::2::3', '::ffff:192.0.2.1', '1:2:3:4:5:6:192.0.2.1', '::192.0.2', 'fe80::1%eth0', '10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/8/8', '١.2.3.4', '12345::', ''),
);
const sample = <T>(arbitrary: fc.Arbitrary<T>, count: number): T[] => fc.sample(arbitrary, { numRuns: count, seed: SEED });
const version = ({ family }: { family: string }): number => (family === 'ipv4' ? 4 : 6);

oracle('addresses: the same are taken, with the same numbers, and written so that they are the same again', () => {
  const texts = [...sample(fc.oneof(ipv4, ipv6, near4, near6), 3000), ...sample(broken, 3000)];
  const ours = texts.map((text) => parseIp(text));
  const written = ours.map((ip) => (ip ? formatIp(ip) : ''));
  const answers = askPython([...texts, ...written].map((text): Case => ['address', [text]]));
  expect(ours.filter((ip) => ip).length, `seed ${SEED}`).toBeGreaterThan(3000);
  expect(ours.filter((ip) => !ip).length).toBeGreaterThan(1000);
  expect(texts.map((text, at) => [text, ours[at] ? [version(ours[at]), String(ours[at].value)] : null])).toEqual(texts.map((text, at) => [text, (answers[at] as unknown[] | null)?.slice(0, 2) ?? null]));
  expect(answers.slice(texts.length)).toEqual(answers.slice(0, texts.length));
});

oracle('addresses are written as Python compresses them', () => {
  const texts = sample(fc.oneof(ipv6, near6), 2000).filter((text) => !/^(0*:)*:?:?ffff:/i.test(text) && !text.includes('.')); // IPv4-mapped ones Python writes by its version
  const compressed = execaSync('python3', ['-c', 'import ipaddress, json, sys; print(json.dumps([ipaddress.ip_address(t).compressed for t in json.load(sys.stdin)]))'], { env: oracleEnvironment, input: JSON.stringify(texts) });
  expect(texts.length).toBeGreaterThan(1000);
  expect(texts.map((text) => formatIp(parseIp(text)!))).toEqual(JSON.parse(compressed.stdout));
});

oracle('networks: first and last address and prefix', () => {
  const texts = [...sample(network, 3000), ...sample(broken, 1500)].filter((text) => !/\/\d*\D|\/0\d/.test(text)); // netmasks as "/255.0.0.0" are Python's own
  const answers = askPython(texts.map((text): Case => ['network', [text]]));
  const ours = texts.map((text) => parseNetwork(text));
  expect(ours.filter((one) => one).length, `seed ${SEED}`).toBeGreaterThan(2000);
  expect(texts.map((text, at) => [text, ours[at] ? [version(ours[at]), String(ours[at].first), String(ours[at].last), ours[at].prefix] : null])).toEqual(texts.map((text, at) => [text, answers[at] ?? null]));
  expect(ours.map((one) => one && parseNetwork(formatNetwork(one)))).toEqual(ours);
});

oracle('what overlaps, what is inside, how many fit', () => {
  const pairs = sample(fc.tuple(fc.oneof(sound, soundNear, soundNear), fc.oneof(soundNear, soundNear, sound)), 4000);
  const sizes = sample(fc.tuple(sound, fc.nat(128)), 1000);
  const cases: Case[] = [
    ...pairs.map((pair): Case => ['overlaps', pair]), ...pairs.map(([a, b]): Case => ['inside', [a.split('/')[0]!, b]]), ...sizes.map(([a, prefix]): Case => ['fit', [a, String(prefix)]]),
    ['subnets', ['10.0.0.0/18', '24']],
  ];
  const answers = askPython(cases);
  const ours = [
    ...pairs.map(([a, b]) => rangeFinder([parseNetwork(b)!])(parseNetwork(a)!) !== undefined), ...pairs.map(([a, b]) => holds(parseNetwork(b)!, parseIp(a.split('/')[0]!)!)),
    ...sizes.map(([a, prefix]) => String(capacity(parseNetwork(a)!, prefix))), Number(capacity(parseNetwork('10.0.0.0/18')!, 24)),
  ];
  expect(answers.slice(0, pairs.length).filter(Boolean).length, `seed ${SEED}`).toBeGreaterThan(300);
  expect(cases.map((one, at) => [one, ours[at]])).toEqual(cases.map((one, at) => [one, answers[at]]));
});

test('a finder of many ranges finds one exactly when a plain search does', () => {
  const range = fc.tuple(fc.constantFrom('ipv4' as const, 'ipv6' as const), fc.nat(300), fc.nat(20)).map(([family, first, length]): IpRange => ({ family, first: BigInt(first), last: BigInt(first + length) }));
  fc.assert(fc.property(fc.array(range, { maxLength: 12 }), fc.array(range, { minLength: 1, maxLength: 30 }), (ranges, asked) => {
    const find = rangeFinder(ranges);
    for (const one of asked) {
      const meets = (other: IpRange): boolean => other.family === one.family && other.first <= one.last && one.first <= other.last;
      const found = find(one);
      expect(found !== undefined).toBe(ranges.some(meets));
      if (found) expect(meets(found) && ranges.includes(found)).toBe(true);
    }
  }), { seed: SEED });
});

test.each<[string, string, ReturnType<typeof reservedUse>]>([
  ['192.0.2.0', '192.0.2.0/24', 'network'], ['192.0.2.255', '192.0.2.0/24', 'broadcast'], ['192.0.2.1', '192.0.2.0/24', undefined], ['192.0.2.1', '192.0.2.0/30', undefined],
  ['192.0.2.3', '192.0.2.0/30', 'broadcast'], ['192.0.2.0', '192.0.2.0/31', undefined], ['192.0.2.0', '192.0.2.0/32', undefined], ['fd00::', 'fd00::/64', 'anycast'],
  ['fd00::ffff:ffff:ffff:ffff', 'fd00::/64', undefined], ['fd00::', 'fd00::/127', undefined],
])('%s in %s: %s', (address, net, use) => {
  expect(reservedUse(parseNetwork(net)!, parseIp(address)!)).toBe(use);
});

test('ranges as load balancers take them', () => {
  const ends = (text: string): string | undefined => {
    const range = parseRange(text);
    return range && [range.first, range.last].map((value) => formatIp({ family: range.family, value } satisfies Ip)).join(' ');
  };
  expect(ends('192.0.2.240-192.0.2.250')).toBe('192.0.2.240 192.0.2.250');
  expect(ends('192.0.2.240 - 192.0.2.250')).toBe('192.0.2.240 192.0.2.250');
  expect(ends('192.0.2.240/28')).toBe('192.0.2.240 192.0.2.255');
  expect(ends('fd00::1')).toBe('fd00::1 fd00::1');
  expect(['', '-', '192.0.2.9-192.0.2.1', '192.0.2.1-fd00::1', '1-2-3', '192.0.2.0/24-192.0.2.9', 'a'].map(ends)).toEqual(Array(7).fill(undefined));
});

test('the network of an address', () => {
  expect(formatNetwork(networkOf(parseIp('192.0.2.77')!, 26) satisfies Network)).toBe('192.0.2.64/26');
  expect(formatNetwork(networkOf(parseIp('2001:db8::5')!, 0))).toBe('::/0');
});
