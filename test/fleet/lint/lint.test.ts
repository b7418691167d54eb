/** Fleet lint: each id by fleets that trigger it and fleets that do not, whatever the order of the nodes, also for large and hostile inventories. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { FleetNode, Inventory, Value } from '../../../src/fleet/model.js';
import { FLEET_RULES, lintFleet } from '../../../src/fleet/lint.js';
import { boardOf } from '../../../src/fleet/lint/board-names.js';
import { lintText } from '../../../src/fleet/lint/text.js';
import type { Finding } from '../../../src/report.js';
import { ALONE, findingsOf, testCases } from './cases.js';
import { clusterQuiet, clusterTriggers } from './cluster-cases.js';
import { fleet, k3s, KEY, kubespray, NETWORKS, node, plain } from './fleet.js';
import { nodeQuiet, nodeTriggers } from './node-cases.js';

const SEED = Number(process.env.ROCKBERRY_SEED ?? 20_261_123);
const TRIGGERS = [...nodeTriggers, ...clusterTriggers];
const QUIET = [...nodeQuiet, ...clusterQuiet];
/** Those that need a repository: secrets.test.ts has their cases. */
const IN_REPOSITORIES = ['fleet-secret-tracked', 'fleet-vault-password-tracked', 'fleet-git-silent'];

testCases(TRIGGERS, QUIET);

test('every id has a fleet that triggers it and one that does not, a title and a source', () => {
  const ids = FLEET_RULES.map(({ id }) => id).filter((id) => !IN_REPOSITORIES.includes(id));
  expect(ids.filter((id) => !TRIGGERS.some((one) => one.id === id))).toEqual([]);
  expect(ids.filter((id) => !QUIET.some((one) => one.id === id))).toEqual([]);
  expect(new Set(FLEET_RULES.map(({ id }) => id)).size).toBe(FLEET_RULES.length);
  expect(FLEET_RULES.filter(({ id, title, source }) => !/^fleet-[a-z0-9-]+$/.test(id) || title === '' || !/^(https:\/\/\S+|README\.md#[a-z-]+)$/.test(source))).toEqual([]);
  expect([...TRIGGERS, ...QUIET].filter(({ id }) => !ids.includes(id))).toEqual([]);
});

test('sound fleets: nothing is found', async () => {
  expect(await findingsOf(kubespray)).toEqual([]);
  expect(await findingsOf(k3s)).toEqual([]);
  expect(await findingsOf(() => plain())).toEqual([]);
});

/** A fleet with much that is wrong, made of all cases that are nodes only. */
async function wrongFleet(): Promise<Inventory> {
  const fleets = await Promise.all(TRIGGERS.map(({ fleet: make }) => make()));
  const nodes = fleets.flatMap(({ nodes: some }, at) => some.map((one) => ({ ...one, where: `${at}/${one.where}` })));
  return fleet(nodes, { networks: { nodes: fleets.flatMap(({ networks }) => networks.nodes), pods: fleets.flatMap(({ networks }) => networks.pods), services: fleets.flatMap(({ networks }) => networks.services) }, vips: fleets.flatMap(({ vips }) => vips) });
}

test('the order of nodes, networks and virtual addresses does not matter, and findings are sorted', async () => {
  const wrong = await wrongFleet();
  const expected = await lintFleet(wrong, ALONE);
  expect(new Set(expected.map(({ id }) => id)).size).toBeGreaterThan(35);
  const ranks = expected.map(({ severity }) => ['error', 'warning', 'info'].indexOf(severity));
  expect(ranks).toEqual([...ranks].sort());
  const shuffled = <T>(list: readonly T[]): fc.Arbitrary<T[]> => fc.shuffledSubarray([...list], { minLength: list.length });
  await fc.assert(fc.asyncProperty(shuffled(wrong.nodes), shuffled([...new Set(wrong.networks.pods)]), shuffled(wrong.vips), async (nodes, pods, vips) => {
    expect(await lintFleet({ ...wrong, ...fleet(nodes, { networks: { ...wrong.networks, pods }, vips }) }, ALONE)).toEqual(expected);
  }), { seed: SEED, numRuns: 3 });
});

test('names are in the order of their numbers', async () => {
  const found = await findingsOf(() => plain(...['n10', 'n9', 'N2', 'n1'].map((name) => [name, { hostVars: { ip: 'x' } }] as const)));
  expect(found.filter(({ id }) => id === 'fleet-address-invalid').map(({ subject }) => subject)).toEqual(['node N2', 'node n1', 'node n9', 'node n10']);
});

/** A node of a large fleet; everything that must be its own is another's too when `same`. */
function oneOfMany(at: number, same: boolean, count: (field: string) => void): FleetNode {
  const number = same ? 0 : at;
  const address = `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`;
  const variables = { hostname: `n${at}`, address: `${address}/8`, gateway: '10.255.255.254', dns: ['10.255.255.254'] };
  const counted = <T extends object>(value: T, what: string): T => new Proxy(value, { get: (target, field, receiver) => { count(`${what}.${String(field)}`); return Reflect.get(target, field, receiver) as unknown; } });
  return counted(node(`n${at}`, {
    groups: at < 3 ? ['kube_control_plane', 'etcd'] : ['kube_node'], address, mac: `02:00:00:${number.toString(16)}`, serial: number.toString(16), board: 'pi5 8gb', where: `nodes.yaml:${at}`, variables: counted(variables, 'variables'),
    hostVars: counted({ ip: address, ansible_host: address, machine_id: number.toString(16).padStart(32, '0'), timezone: 'UTC', metallb_ip_range: '172.16.0.1-172.16.0.9', ssh_host_key_file: `keys/${number}` }, 'hostVars'),
  }), 'node');
}

describe('large fleets', () => {
  test.each([['all sound', false], ['all the same', true]])('%s: what is asked of a node does not grow with the fleet', async (_, same) => {
    const reads = await Promise.all([100, 200].map(async (size) => {
      let reads = 0;
      const nodes = Array.from({ length: size }, (_, at) => oneOfMany(at, same, () => { reads++; }));
      await lintFleet(fleet(nodes, { networks: { nodes: ['10.0.0.0/8'], pods: ['172.20.0.0/16'], services: ['172.21.0.0/16'] }, vips: ['10.9.9.9'] }), ALONE);
      return reads / size;
    }));
    expect(reads[1]! / reads[0]!).toBeLessThan(1.05);
  });

  test('10,000 nodes that are all the same are told of each, with three others', async () => {
    const found = await lintFleet(fleet(Array.from({ length: 10_000 }, (_, at) => oneOfMany(at, true, () => undefined))), ALONE);
    const addresses = found.filter(({ id }) => id === 'fleet-duplicate-address');
    expect(addresses).toHaveLength(10_000);
    expect(addresses.at(-1)).toMatchObject({ subject: 'node n9999', message: 'expected an address of its own, found 10.0.0.0 also at n0 (nodes.yaml:0), n1 (nodes.yaml:1), n2 (nodes.yaml:2) and 9996 more' });
  });

  test('10,000 nodes with profiles, one with a key that is none', async () => {
    const nodes = Array.from({ length: 10_000 }, (_, at) => node(`n${at}`, { profiles: ['cgroups'], variables: {}, address: undefined, where: `nodes.yaml:${at}` }));
    expect(await lintFleet(fleet([...nodes, node('bad', { profiles: ['node'], variables: { ssh_keys: [KEY, 'x'] } })]), ALONE)).toEqual([expect.objectContaining({ id: 'fleet-step', subject: 'node bad' })]);
  });
});

const STRANGE = ['', ' ', '\0', '\n', '__proto__', 'constructor', 'toString', '{{', '$&', '../../etc/passwd', '%s', '\u202e', '\ud800', '☃', 'a'.repeat(70_000), '0'.repeat(5000), '1'.repeat(400), '::'.repeat(500), '/'.repeat(100), '192.0.2.1/', '-', '192.0.2.1-', 'https://', 'https://[', 'ssh-ed25519', 'AAAA', '<script>', "'\"`"];
const strange = fc.oneof(fc.constantFrom(...STRANGE), fc.string(), fc.ipV4(), fc.ipV6());
const value: fc.Arbitrary<Value> = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof({ depthSize: 'small' }, strange, fc.double(), fc.boolean(), fc.constant(null), fc.array(tie('value'), { maxLength: 3 }), fc.dictionary(strange, tie('value'), { maxKeys: 3 })),
})).value;
const NAMES = ['hostname', 'address', 'gateway', 'dns', 'user', 'ssh_keys', 'role', 'server', 'token', 'ip', 'ip6', 'access_ip', 'ansible_host', 'ansible_port', 'ansible_user', 'machine_id', 'ssh_host_rsa_key', 'timezone', 'kube_version', 'kube_network_node_prefix', 'metallb_config', 'metallb_ip_range', '__proto__', 'constructor'];
const record = fc.array(fc.tuple(fc.constantFrom(...NAMES), value), { maxLength: 8 }).map((entries) => Object.fromEntries(entries));
const maybe = fc.option(strange, { nil: undefined });
const strangeNode: fc.Arbitrary<FleetNode> = fc.record({
  name: strange, groups: fc.array(fc.oneof(strange, fc.constantFrom('etcd', 'kube_node', 'kube_control_plane', 'k3s_cluster', 'server')), { maxLength: 4 }), variables: record, hostVars: record, address: maybe, mac: maybe, serial: maybe,
  profiles: fc.array(fc.oneof(strange, fc.constantFrom('node', 'kubespray-node', 'k3s-agent')), { maxLength: 2 }), board: fc.option(fc.oneof(strange, fc.constantFrom('pi3', 'pi4 1gb')), { nil: undefined }), where: strange,
});
const texts = fc.array(strange, { maxLength: 3 });

test('strange values do not throw, and every finding has a form', async () => {
  await fc.assert(fc.asyncProperty(fc.array(strangeNode, { maxLength: 4 }), texts, texts, texts, texts, async (nodes, networkNodes, pods, services, vips) => {
    const found = await lintFleet(fleet(nodes, { networks: { nodes: networkNodes, pods, services }, vips }), { ...ALONE, identities: nodes.map(({ name }) => ({ name, fingerprints: ['SHA256:a'] })) });
    expect(found.filter(({ subject, hint, message }) => !/^(node |group |fleet$)/.test(subject) || !hint || !/expected [^]*found/.test(message))).toEqual([]);
    lintText(found);
  }), { seed: SEED, numRuns: 150 });
});

test('no secret is shown, wherever it also stands', async () => {
  const secret = 'sEcReT-of-the-cluster';
  const found = await findingsOf(() => k3s({ a1: { variables: { token: secret, interface: `${secret} x`, server: secret } }, s1: { variables: { token: [secret, secret] } }, s2: { variables: { hostname: secret.toLowerCase(), token: secret.toLowerCase() } } }));
  expect(found.map(({ id }) => id).sort()).toEqual(['fleet-hostname-differs', 'fleet-step', 'fleet-variable', 'fleet-variable']);
  expect(JSON.stringify(found)).not.toMatch(/secret-of/i);
  expect(found[0]!.message).toContain('***');
});

test('values that are given beside the inventory go over its own; wrong ones are told', async () => {
  const given = (...set: string[]) => ({ given: { set, varsFiles: [], environment: {} } });
  expect(await findingsOf(() => kubespray({ w1: { variables: { gateway: '198.51.100.1' } } }), given('gateway=192.0.2.1'))).toEqual([]);
  const found = await findingsOf(kubespray, given('nonsense=1'));
  expect(found.map(({ id, subject }) => `${id} ${subject}`)).toEqual(['cp1', 'cp2', 'cp3', 'w1'].map((name) => `fleet-profile node ${name}`));
  expect(found[0]!.message).toMatch(/--set nonsense: expected a variable of the profile, found "nonsense"/);
});

test.each<[string, string | undefined, boolean, number | undefined]>([
  ['pi3', 'Pi 3', true, 1024], ['Raspberry Pi 3 Model A+', 'Pi 3A+', true, 512], ['pi4-2gb', 'Pi 4', true, 2048], ['pi5 8GB', 'Pi 5', true, 8192], ['Raspberry Pi 4 Model B Rev 1.4', 'Pi 4', true, undefined], ['rpi4b_8g', 'Pi 4', true, 8192],
  ['CM4 (8 GiB)', 'Compute Module 4', true, 8192], ['Compute Module 5', 'Compute Module 5', true, undefined], ['cm3', 'Compute Module 3', true, 1024], ['pi400', 'Pi 400', true, 4096], ['Raspberry Pi 500+', 'Pi 500+', true, 16384], ['pi 500', 'Pi 500', true, 8192],
  ['Zero 2 W', 'Zero 2 W', true, 512], ['pi-zero-2w', 'Zero 2 W', true, 512], ['pi zero w', 'Zero', false, 512], ['pi2', 'Pi 2', false, 1024], ['pi2 v1.2', 'Pi 2 (v1.2)', true, 1024], ['pi1', 'Pi 1', false, 512], ['Pi B+', 'Pi 1', false, 512],
  ['pi4 1024MB', 'Pi 4', true, 1024], ['4gb pi5', 'Pi 5', true, 4096], ['rock64 4gb', undefined, true, undefined], ['', undefined, true, undefined], ['pi5-16gb', 'Pi 5', true, 16384], ['pi 4gb', undefined, true, undefined],
])('board %s', (text, name, is64, memory) => {
  expect(boardOf(text)).toEqual(name === undefined ? undefined : { name, is64, memory });
});

describe('as text', () => {
  const finding = (subject: string, parts: Partial<Finding> = {}): Finding => ({ severity: 'error', id: 'fleet-variable', subject, message: 'expected a value, found none', hint: 'set it', ...parts });

  test('the same problem of many nodes is told once', () => {
    const found = ['node a', 'node b', 'node c', 'node d', 'node e'].map((subject) => finding(subject));
    expect(lintText([...found, finding('node a', { severity: 'warning', id: 'fleet-dns-missing', message: 'expected b,\nfound c', hint: 'd' })])).toBe(`  error: node a, node b, node c and 2 more: expected a value, found none [fleet-variable]
    hint: set it
  warning: node a: expected b, found c [fleet-dns-missing]
    hint: d

5 errors, 1 warning, 0 notes`);
  });

  test('two, and nothing', () => {
    expect(lintText([finding('node a'), finding('node b')])).toContain('  error: node a and node b: expected');
    expect(lintText([finding('fleet', { severity: 'info' })])).toContain('  note: fleet: expected');
    expect(lintText([])).toBe('nothing found');
  });

  test('of a real fleet', async () => {
    const found = await findingsOf(() => kubespray({ cp2: { hostVars: { ip: '192.0.2.13' } } }, { networks: { ...NETWORKS, pods: ['10.233.0.0/16'] } }));
    expect(lintText(found).split('\n').at(-1)).toBe('3 errors, 1 warning, 0 notes');
  });
});
