import fc from 'fast-check';
import { expect, test } from 'vitest';
import { keyfileString, networkStep } from '../../src/steps/network.js';
import { memoryTree, textOf } from '../support/memory-tree.js';
import { applyTwice } from './support.js';

const manager = { '/usr/lib/systemd/system/NetworkManager.service': '[Unit]\n' };
const path = '/etc/NetworkManager/system-connections/rockberry.nmconnection';
const head = (type: string): string => `[connection]\nid=rockberry\nuuid=UUID\ntype=${type}\nautoconnect-priority=100\n`;
const match = '\n[match]\ninterface-name=end0;eth0;\n';

test.each([
  ['DHCP', {}, `${head('ethernet')}${match}\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n`],
  ['static', { address: '192.0.2.11/24', gateway: '192.0.2.1', dns: ['192.0.2.1', '2001:db8::53'], search: ['example.org'] },
    `${head('ethernet')}${match}\n[ipv4]\nmethod=manual\naddress1=192.0.2.11/24,192.0.2.1\ndns=192.0.2.1;\ndns-search=example.org;\n\n[ipv6]\nmethod=auto\ndns=2001:db8::53;\n`],
  ['two families', { address: ['192.0.2.11/24', '198.51.100.7/25', '2001:db8::11/64'], gateway: ['192.0.2.1', 'fe80::1'] },
    `${head('ethernet')}${match}\n[ipv4]\nmethod=manual\naddress1=192.0.2.11/24,192.0.2.1\naddress2=198.51.100.7/25\n\n[ipv6]\nmethod=manual\naddress1=2001:db8::11/64,fe80::1\n`],
  ['IPv6 only', { address: '2001:db8::11/64', gateway: '2001:db8::1', search: ['a.example'] },
    `${head('ethernet')}${match}\n[ipv4]\nmethod=disabled\n\n[ipv6]\nmethod=manual\naddress1=2001:db8::11/64,2001:db8::1\ndns-search=a.example;\n`],
  ['fixed and DHCP', { address: '192.0.2.11/24', dhcp: true }, `${head('ethernet')}${match}\n[ipv4]\nmethod=auto\naddress1=192.0.2.11/24\n\n[ipv6]\nmethod=auto\n`],
  ['by hardware address', { mac: 'dc:a6:32:00:00:01', mtu: 9000 }, `${head('ethernet')}\n[ethernet]\nmac-address=DC:A6:32:00:00:01\nmtu=9000\n\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n`],
  ['by name', { interface: 'eth1' }, `${head('ethernet').replace('autoconnect', 'interface-name=eth1\nautoconnect')}\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n`],
  ['Wi-Fi', { wifi: { ssid: 'My Net', psk: ' pass\\word', country: 'DE', hidden: true } },
    `${head('wifi')}\n[wifi]\nmode=infrastructure\nssid=My Net\nhidden=true\n\n[wifi-security]\nkey-mgmt=wpa-psk\npsk=\\spass\\\\word\n\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n`],
])('%s', async (_, options, text) => {
  const tree = memoryTree(manager);
  expect(await applyTwice(networkStep, tree, options)).toEqual([]);
  expect(textOf(tree, path)!.replace(/(uuid=)[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\n/, '$1UUID\n')).toBe(text);
  expect(tree.stat(path)).toMatchObject({ mode: 0o600, uid: 0, gid: 0 });
  expect(tree.stat('/etc/NetworkManager/system-connections')).toMatchObject({ mode: 0o700 });
});

test('two names, two uuids, always the same', async () => {
  const uuid = async (name: string): Promise<string> => {
    const tree = memoryTree(manager);
    await applyTwice(networkStep, tree, { name });
    return /uuid=(.*)/.exec(textOf(tree, `/etc/NetworkManager/system-connections/${name}.nmconnection`)!)![1]!;
  };
  expect(await uuid('a')).toBe(await uuid('a'));
  expect(await uuid('a')).not.toBe(await uuid('b'));
});

test.each([['Café ☕', '67;97;102;195;169;32;226;152;149;'], ['1;2;3', '49;59;50;59;51;'], ['12', '49;50;'], ['a;b', '97;59;98;'], [' a', '32;97;'], ['a\\b', '97;92;98;']])('ssid %j', async (ssid, value) => {
  const tree = memoryTree(manager);
  expect(await applyTwice(networkStep, tree, { wifi: { ssid, psk: 'x'.repeat(8) } })).toMatchObject([{ id: 'network-country' }]);
  expect(textOf(tree, path)).toContain(`\nssid=${value}\n`);
});

test('the country goes to the kernel', async () => {
  const tree = memoryTree(manager);
  await applyTwice(networkStep, tree, { wifi: { ssid: 'a', psk: 'x'.repeat(8), country: 'DE' } });
  expect(textOf(tree, '/etc/modprobe.d/rockberry-wifi.conf')).toBe('options cfg80211 ieee80211_regdom=DE\n');
});

test('a keyfile string is read back by the rules of GKeyFile', () => {
  const seed = Number(process.env.ROCKBERRY_SEED ?? 1);
  const read = (line: string): string => line.replace(/^\s+/, '').replace(/\s+$/, '').replace(/\\(.)/g, (_, letter: string) => ({ s: ' ', '\\': '\\' })[letter]!);
  fc.assert(fc.property(fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)), maxLength: 63 }), (text) => { expect(read(keyfileString(text))).toBe(text); }), { seed });
});

test.each([
  ['gateway elsewhere', { address: '192.0.2.11/24', gateway: '192.0.3.1' }, 'inside the network'],
  ['gateway of another family', { address: '192.0.2.11/24', gateway: '2001:db8::1' }, 'family'],
  ['gateway with DHCP', { gateway: '192.0.2.1' }, 'family'],
  ['two gateways of one family', { address: '192.0.2.11/24', gateway: ['192.0.2.1', '192.0.2.2'] }, 'one ipv4 gateway'],
  ['nothing', { dhcp: false }, 'dhcp is false'],
  ['network address', { address: '192.0.2.0/24' }, 'network address'],
  ['broadcast address', { address: '10.0.1.255/23' }, 'broadcast address'],
  ['IPv4 name server without IPv4', { address: '2001:db8::1/64', dns: ['192.0.2.1'] }, 'IPv4 is off'],
])('%s is an error', (_, options, message) => {
  const tree = memoryTree(manager);
  expect(() => networkStep.apply(tree, networkStep.schema.parse(options), { directory: '/' })).toThrow(expect.objectContaining({ code: 'profile', message: expect.stringContaining(message) }));
  expect(tree.stat('/etc')).toBeUndefined();
});

test('an image without NetworkManager is told', async () => {
  expect(await applyTwice(networkStep, memoryTree({}), {})).toMatchObject([{ severity: 'warning', id: 'network-manager' }]);
});

test.each([
  { address: '192.0.2.11' }, { address: '192.0.2.11/33' }, { address: '192.0.2.011/24' }, { address: 'fe80::1%eth0/64' }, { address: '192.0.2.11/0' }, { gateway: 'router' }, { name: '../x' }, { name: 'x~' },
  { interface: 'a/b' }, { interface: 'sixteen-letters-' }, { wifi: { ssid: 'a', psk: 'short' } }, { wifi: { ssid: '', psk: 'x'.repeat(8) } }, { wifi: { ssid: 'é'.repeat(17), psk: 'x'.repeat(8) } }, { search: ['a b'] }, { adress: 'x' },
])('refuses %j', (options) => expect(networkStep.schema.safeParse(options).success).toBe(false));
