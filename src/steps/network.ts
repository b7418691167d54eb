/**
 * A connection of NetworkManager, as a keyfile (nm-settings-keyfile(5)): DHCP or fixed addresses, wired or Wi-Fi. NetworkManager ignores a keyfile that
 * others than root can read, so it is 0600. The uuid is made from the name: the same profile gives the same file.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { RockberryError } from '../errors.js';
import type { Finding } from '../report.js';
import type { Tree } from '../fs/filesystem.js';
import { familyOf, isReachable, parseAddress, requireHost, type NetworkAddress } from './addresses.js';
import { makeParents } from './content.js';
import { checkPlaced, place, type Placed } from './placed.js';
import type { Step } from './step.js';
import { isInstalled } from './systemd.js';

const DIRECTORY = '/etc/NetworkManager/system-connections';
const ONBOARD = 'end0;eth0;'; // the board's network port: end0 by systemd's naming, eth0 on EL9 and with net.ifnames=0
const NAMESPACE = Buffer.from('6f1f0b2c8a3d5c1e9b7a4e5d2c3b1a09', 'hex'); // any constant will do (RFC 9562 section 5.5)

const address = z.string().refine((text) => parseAddress(text) !== undefined, 'expected an address with its prefix, as "192.0.2.11/24" or "2001:db8::11/64"');
const plain = (what: string) => z.string().refine((text) => familyOf(text) !== undefined, 'expected an IP address').describe(what);
const oneOrMore = <T extends z.ZodType>(one: T) => z.union([one, z.array(one).min(1)]);
const wifi = z.strictObject({
  ssid: z.string().refine((text) => Buffer.byteLength(text) >= 1 && Buffer.byteLength(text) <= 32, 'expected a network name of 1 to 32 bytes').describe('Name of the network.'),
  psk: z.string().regex(/^([\x20-\x7e]{8,63}|[0-9A-Fa-f]{64})$/, 'expected a passphrase of 8 to 63 ASCII characters, or 64 hexadecimal digits').describe('WPA passphrase or key.'),
  country: z.string().regex(/^[A-Z]{2}$/, 'expected two capital letters (ISO 3166), as "DE"').describe('Country, for the radio\'s rules.').optional(),
  hidden: z.boolean().describe('The network does not announce its name.').optional(),
});
const schema = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9][\w.-]{0,62}[A-Za-z0-9]$|^[A-Za-z0-9]$/, 'expected a name of letters, digits, ".", "_" and "-"').describe('Name of the connection and its file; default "rockberry".').optional(),
  interface: z.string().regex(/^(?!\.{1,2}$)[A-Za-z0-9_.-]{1,15}$/, 'expected the name of an interface, as "eth0"')
    .describe('Interface; left out: the board\'s own port (end0 or eth0), or any Wi-Fi device.').optional(),
  mac: z.string().regex(/^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$/, 'expected a hardware address, as "dc:a6:32:00:00:01"').describe('Hardware address of the interface, instead of its name.').optional(),
  dhcp: z.boolean().describe('Ask DHCP for an IPv4 address; default true without address.').optional(),
  address: oneOrMore(address).describe('Fixed address with prefix, or a list of them, IPv4 and IPv6.').optional(),
  gateway: oneOrMore(plain('Address.')).describe('Default gateway, in the network of an address; one of each family at most.').optional(),
  dns: z.array(plain('Address.')).describe('Name servers.').optional(),
  search: z.array(z.string().regex(/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/, 'expected a domain').describe('Domain.')).describe('Domains to look up short names in.').optional(),
  mtu: z.int().min(68).max(65535).describe('Largest packet, in bytes.').optional(),
  wifi: wifi.describe('Wi-Fi network; left out: wired.').optional(),
});
export type NetworkOptions = z.infer<typeof schema>;
type Section = readonly [name: string, lines: readonly (string | undefined)[]];

export const networkStep: Step<NetworkOptions> = {
  key: 'network',
  summary: 'Sets up a network connection by a NetworkManager keyfile: DHCP, fixed addresses or Wi-Fi.',
  schema,
  describe: ({ name, address: addresses, interface: device, wifi: radio }) => [
    `network ${name ?? 'rockberry'}`, ...(device ? [`on ${device}`] : []), ...(radio ? ['Wi-Fi'] : []), addresses === undefined ? 'DHCP' : [addresses].flat().join(' '),
  ].join(', '),
  apply(tree, options) {
    const file = keyfile(options);
    if (!tree.stat(tree.resolve(DIRECTORY))) {
      makeParents(tree, DIRECTORY);
      tree.makeDirectory(DIRECTORY, { mode: 0o700 });
    }
    place(tree, file);
    for (const rules of radioRules(options)) place(tree, rules);
  },
  verify(tree, options) {
    return [keyfile(options), ...radioRules(options)].flatMap((file) => checkPlaced(tree, 'network', file)).concat(checkManager(tree, options));
  },
};

function keyfile(options: NetworkOptions): Placed {
  const { name = 'rockberry', interface: device, mac, mtu, wifi: radio } = options;
  const kind = radio ? 'wifi' : 'ethernet';
  const sections: Section[] = [
    ['connection', [`id=${name}`, `uuid=${uuidOf(name)}`, `type=${kind}`, device && `interface-name=${device}`, 'autoconnect-priority=100']],
    ['match', [device === undefined && mac === undefined && !radio ? `interface-name=${ONBOARD}` : undefined]],
    [kind, [mac && `mac-address=${mac.toUpperCase()}`, mtu === undefined ? undefined : `mtu=${mtu}`, ...(radio ? ['mode=infrastructure', `ssid=${ssidValue(radio.ssid)}`, radio.hidden ? 'hidden=true' : undefined] : [])]],
    ['wifi-security', radio ? ['key-mgmt=wpa-psk', `psk=${keyfileString(radio.psk)}`] : []],
    ...ipSections(options),
  ];
  const text = sections.map(([title, lines]) => [title, lines.filter((line) => line)] as const).filter(([, lines]) => lines.length > 0)
    .map(([title, lines]) => `[${title}]\n${lines.join('\n')}\n`).join('\n');
  return { path: `${DIRECTORY}/${name}.nmconnection`, text, mode: 0o600 };
}

function ipSections(options: NetworkOptions): Section[] {
  const addresses = [options.address ?? []].flat().map((text) => parseAddress(text)!);
  const gateways = [options.gateway ?? []].flat();
  requireSense(options, addresses, gateways);
  const methods = { ipv4: methodOf(options, addresses, 'ipv4'), ipv6: methodOf(options, addresses, 'ipv6') };
  const searchFamily = methods.ipv4 === 'disabled' ? 'ipv6' : 'ipv4';
  return (['ipv4', 'ipv6'] as const).map((family): Section => {
    const gateway = gateways.find((one) => familyOf(one) === family);
    const servers = (options.dns ?? []).filter((server) => familyOf(server) === family);
    return [family, [
      `method=${methods[family]}`,
      ...addresses.filter((one) => one.family === family).map((one, index) => `address${index + 1}=${one.address}/${one.prefix}${index === 0 && gateway !== undefined ? `,${gateway}` : ''}`),
      listLine('dns', servers),
      family === searchFamily ? listLine('dns-search', options.search ?? []) : undefined,
    ]];
  });
}

function listLine(key: string, values: readonly string[]): string | undefined {
  return values.length > 0 ? `${key}=${values.map((value) => `${value};`).join('')}` : undefined;
}

/** IPv6 always listens to routers; IPv4 asks DHCP unless there are fixed addresses and DHCP was not asked for as well. */
function methodOf({ dhcp }: NetworkOptions, addresses: readonly NetworkAddress[], family: 'ipv4' | 'ipv6'): string {
  const isFixed = addresses.some((one) => one.family === family);
  if (family === 'ipv6') return isFixed ? 'manual' : 'auto';
  if (dhcp ?? addresses.length === 0) return 'auto';
  return isFixed ? 'manual' : 'disabled';
}

function requireSense(options: NetworkOptions, addresses: readonly NetworkAddress[], gateways: readonly string[]): void {
  const fail = (message: string, hint: string): never => {
    throw new RockberryError('profile', `network ${options.name ?? 'rockberry'}: ${message}`, { hint });
  };
  addresses.forEach(requireHost);
  if (options.dhcp === false && addresses.length === 0) fail('expected an address because dhcp is false, found none', 'add address or leave dhcp out');
  for (const family of ['ipv4', 'ipv6']) {
    const own = gateways.filter((gateway) => familyOf(gateway) === family);
    if (own.length > 1) fail(`expected one ${family} gateway, found ${own.join(' and ')}`, 'keep one');
  }
  for (const gateway of gateways) {
    if (!addresses.some(({ family }) => family === familyOf(gateway))) fail(`expected an address of the gateway's family, found only the gateway ${gateway}`, 'DHCP brings its own gateway');
    if (!isReachable(gateway, addresses)) fail(`expected a gateway inside the network of an address, found ${gateway} outside of ${addresses.map((one) => `${one.address}/${one.prefix}`).join(', ')}`, 'check the prefix');
  }
  const server = options.dns?.find((one) => familyOf(one) === 'ipv4');
  if (methodOf(options, addresses, 'ipv4') === 'disabled' && server !== undefined) fail(`expected IPv6 name servers because IPv4 is off, found ${server}`, 'add an IPv4 address or "dhcp: true"');
}

/** UUID version 5 (RFC 9562 section 5.5). */
function uuidOf(name: string): string {
  const hash = createHash('sha1').update(NAMESPACE).update(name).digest().subarray(0, 16);
  hash[6] = (hash[6]! & 0x0f) | 0x50;
  hash[8] = (hash[8]! & 0x3f) | 0x80;
  return hash.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** A GKeyFile string: backslashes doubled, spaces at the ends as \s. */
export function keyfileString(text: string): string {
  return text.replaceAll('\\', '\\\\').replace(/^ +| +$/g, (spaces) => '\\s'.repeat(spaces.length));
}

/** Plain where nothing in it has a meaning, else the list of its bytes, which nm-settings-keyfile(5) takes as well. */
function ssidValue(ssid: string): string {
  if (/^[A-Za-z][A-Za-z0-9_.-]*( [A-Za-z0-9_.-]+)*$/.test(ssid)) return ssid;
  return [...Buffer.from(ssid)].map((byte) => `${byte};`).join('');
}

/** The kernel's own way to a country: cfg80211 asks for its rules when it is loaded. */
function radioRules({ wifi: radio }: NetworkOptions): Placed[] {
  if (radio?.country === undefined) return [];
  return [{ path: '/etc/modprobe.d/rockberry-wifi.conf', text: `options cfg80211 ieee80211_regdom=${radio.country}\n`, mode: 0o644 }];
}

function checkManager(tree: Tree, { wifi: radio }: NetworkOptions): Finding[] {
  if (!isInstalled(tree, 'NetworkManager.service')) {
    return [{ severity: 'warning', id: 'network-manager', subject: DIRECTORY, message: 'expected NetworkManager in the image, found no NetworkManager.service: nothing reads the connection' }];
  }
  if (!radio || radio.country !== undefined) return [];
  return [{ severity: 'info', id: 'network-country', subject: DIRECTORY, message: 'expected a country for Wi-Fi, found none: 5 GHz channels may stay unused', hint: 'add country, as "DE"' }];
}
