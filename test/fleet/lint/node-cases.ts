/** Names, duplicates, addresses and gateways. */
import { fleet, k3s, kubespray, node, plain, publicKey, type Changes } from './fleet.js';
import type { Quiet, Trigger } from './cases.js';

const LONG = 'a'.repeat(63);
const SECOND_KEY = publicKey();
const PEM = '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n';
const w1 = (change: Changes): (() => ReturnType<typeof kubespray>) => () => kubespray({ w1: change });
const both = (change: Changes): (() => ReturnType<typeof kubespray>) => () => kubespray({ cp3: change, w1: change });
const fixed = (variables: Changes['variables'], hostVars: Changes['hostVars'] = {}): Changes => ({ variables: { address: '192.0.2.14/24', ...variables }, hostVars });
const moved = (address: string, prefix = 24, more: Changes['variables'] = {}): Changes => ({
  parts: { address }, variables: { address: `${address}/${prefix}`, ...more }, hostVars: { ip: address, ansible_host: address },
});

export const nodeTriggers: readonly Trigger[] = [
  { id: 'fleet-name-invalid', name: 'capitals and "_"', fleet: () => plain(['Node_1']), severity: 'error', subject: 'node Node_1', message: /^name in the inventory: expected lower-case letters.*found "Node_1"$/ },
  { id: 'fleet-name-invalid', name: 'an empty label', fleet: () => plain(['node1..example']), severity: 'error', subject: 'node node1..example', message: /expected lower-case letters/ },
  { id: 'fleet-name-invalid', name: 'a label of 64', fleet: () => plain([`a${LONG}`]), severity: 'error', subject: `node a${LONG}`, message: /at most 63 characters between dots, found 64/ },
  { id: 'fleet-name-invalid', name: 'more than Linux takes', fleet: () => plain([`${LONG}.b`]), severity: 'error', subject: `node ${LONG}.b`, message: /at most 64 characters, which is Linux's limit, found 65/ },
  { id: 'fleet-name-invalid', name: '254 characters', fleet: () => plain([`${`${LONG}.`.repeat(3)}${'b'.repeat(62)}`]), severity: 'error', subject: `node ${`${LONG}.`.repeat(3)}${'b'.repeat(62)}`, message: /at most 253 characters, found 254/ },
  { id: 'fleet-name-invalid', name: 'localhost', fleet: () => plain(['localhost']), severity: 'error', subject: 'node localhost', message: /found localhost/ },
  { id: 'fleet-name-invalid', name: 'the variable hostname', fleet: () => plain(['node1', { variables: { hostname: 'node1-' } }]), severity: 'error', subject: 'node node1', message: /^variable hostname: expected .* found "node1-"/, also: ['fleet-hostname-differs'] },
  { id: 'fleet-name-number', name: 'digits', fleet: () => plain(['0012']), severity: 'warning', subject: 'node 0012', message: /found "0012"/ },
  { id: 'fleet-name-number', name: 'a truth value of YAML 1.1', fleet: () => plain(['no']), severity: 'warning', subject: 'node no', message: /found "no"/ },
  { id: 'fleet-name-number', name: 'an exponent', fleet: () => plain(['1e3']), severity: 'warning', subject: 'node 1e3', message: /found "1e3"/ },
  { id: 'fleet-hostname-differs', name: 'another name', fleet: w1({ variables: { hostname: 'worker1' } }), severity: 'warning', subject: 'node w1', message: /name "w1" as host name, found "worker1"/ },

  { id: 'fleet-duplicate-hostname', name: 'capitals', fleet: () => plain(['node1', { variables: { hostname: 'pi' } }], ['node2', { variables: { hostname: 'PI' } }]), severity: 'error', subject: 'node node1', message: /found "pi" also at node2 \(nodes\.yaml:2\)$/, count: 2, also: ['fleet-hostname-differs', 'fleet-name-invalid'] },
  { id: 'fleet-duplicate-hostname', name: 'one has the other\'s inventory name', fleet: () => plain(['node1', { variables: { hostname: 'node2' } }], ['node2']), severity: 'error', subject: 'node node2', message: /found "node2" also at node1/, count: 2, also: ['fleet-hostname-differs'] },
  { id: 'fleet-duplicate-hostname', name: 'the same line twice', fleet: () => plain(['node1'], ['node1']), severity: 'error', subject: 'node node1', message: /also at node1 \(nodes\.yaml:2\)/, count: 2 },
  { id: 'fleet-duplicate-hostname', name: 'many', fleet: () => plain(...Array.from({ length: 6 }, (_, at) => ['a', { where: `nodes.yaml:${at + 1}` }] as const)), severity: 'error', subject: 'node a', message: /also at a \(nodes\.yaml:\d\), a \(nodes\.yaml:\d\), a \(nodes\.yaml:\d\) and 2 more$/, count: 4 },
  { id: 'fleet-duplicate-address', name: 'ip', fleet: w1(moved('192.0.2.13')), severity: 'error', subject: 'node cp3', message: /found 192\.0\.2\.13 also at w1 \(inventory\.ini:14\)/, count: 2 },
  { id: 'fleet-duplicate-address', name: 'access_ip is another\'s ip', fleet: w1({ hostVars: { access_ip: '192.0.2.13' } }), severity: 'error', subject: 'node w1', message: /found 192\.0\.2\.13 also at cp3/, count: 2 },
  { id: 'fleet-duplicate-address', name: 'ansible_host is another\'s ip', fleet: w1({ hostVars: { ansible_host: '192.0.2.13' } }), severity: 'error', subject: 'node w1', message: /found 192\.0\.2\.13 also at cp3/, count: 2 },
  { id: 'fleet-duplicate-address', name: 'ip6 in two spellings', fleet: () => kubespray({ cp3: { hostVars: { ip6: '2001:db8::A' } }, w1: { hostVars: { ip6: '2001:db8:0:0:0:0:0:a' } } }), severity: 'error', subject: 'node w1', message: /found 2001:db8::A also at cp3/, count: 2 },
  { id: 'fleet-duplicate-address', name: 'one machine, one port', fleet: () => plain(['node1', { hostVars: { ansible_host: '192.0.2.1' } }], ['node2', { hostVars: { ansible_host: '192.0.2.1', ansible_port: 22 } }]), severity: 'error', subject: 'node node1', message: /192\.0\.2\.1 also at node2/, count: 2 },
  { id: 'fleet-duplicate-mac', name: 'two spellings', fleet: () => kubespray({ cp3: { parts: { mac: 'dc:a6:32:00:00:aa' } }, w1: { parts: { mac: 'DC-A6-32-00-00-AA' } } }), severity: 'error', subject: 'node cp3', message: /a MAC of its own, found "dc:a6:32:00:00:aa" also at w1/, count: 2 },
  { id: 'fleet-duplicate-serial', name: 'with and without zeros', fleet: () => kubespray({ cp3: { parts: { serial: '00000000abcdef12' } }, w1: { parts: { serial: 'ABCDEF12' } } }), severity: 'error', subject: 'node w1', message: /a serial of its own, found "00000000abcdef12" also at cp3/, count: 2 },
  { id: 'fleet-duplicate-host-key', name: 'a public key', fleet: both({ hostVars: { ssh_host_ed25519_key_pub: SECOND_KEY } }), severity: 'error', subject: 'node w1', message: /found "SHA256:[A-Za-z0-9+/]{43}" also at cp3/, count: 2 },
  { id: 'fleet-duplicate-host-key', name: 'a fact and a line', fleet: () => kubespray({ cp3: { hostVars: { ssh_host_ed25519_key_pub: SECOND_KEY } }, w1: { hostVars: { ansible_ssh_host_key_ed25519_public: SECOND_KEY.split(' ')[1]! } } }), severity: 'error', subject: 'node w1', message: /found "SHA256:/, count: 2 },
  { id: 'fleet-duplicate-host-key', name: 'a private key, which is not shown', fleet: both({ hostVars: { ssh_host_ed25519_key: PEM } }), severity: 'error', subject: 'node w1', message: /found the same private key also at cp3 \(inventory.ini:13\)$/, count: 2 },
  { id: 'fleet-duplicate-host-key', name: 'a file', fleet: () => kubespray({ cp3: { hostVars: { ssh_host_key_file: 'keys/host' } }, w1: { hostVars: { ssh_host_key_file: 'keys/./host' } } }), severity: 'error', subject: 'node w1', message: /found the file "keys\/host" also at cp3/, count: 2 },
  { id: 'fleet-duplicate-host-key', name: 'known fingerprints', fleet: kubespray, context: { identities: [{ name: 'cp3', fingerprints: ['SHA256:aaa', 'SHA256:bbb'] }, { name: 'w1', fingerprints: ['SHA256:bbb'] }] }, severity: 'error', subject: 'node w1', message: /found "SHA256:bbb" also at cp3/, count: 2 },
  { id: 'fleet-duplicate-host-key', name: 'of a node that is elsewhere', fleet: kubespray, context: { identities: [{ name: 'old', fingerprints: ['SHA256:aaa'] }, { name: 'w1', fingerprints: ['SHA256:aaa'] }] }, severity: 'error', subject: 'node w1', message: /found "SHA256:aaa" also at "old", which is not in this inventory/ },
  { id: 'fleet-duplicate-machine-id', name: 'with and without "-"', fleet: () => kubespray({ cp3: { hostVars: { machine_id: '0123456789abcdef0123456789abcdef' } }, w1: { hostVars: { ansible_machine_id: '01234567-89AB-CDEF-0123-456789abcdef' } } }), severity: 'error', subject: 'node w1', message: /found the same one also at cp3/, count: 2 },

  { id: 'fleet-address-invalid', name: 'ip with a prefix', fleet: w1({ hostVars: { ip: '192.0.2.14/24' } }), severity: 'error', subject: 'node w1', message: /an IP address without a prefix for ip, found "192\.0\.2\.14\/24"/ },
  { id: 'fleet-address-invalid', name: 'a byte too large', fleet: w1({ parts: { address: undefined }, variables: { address: '192.0.2.300/24' }, hostVars: { ip: undefined, ansible_host: 'w1.example.org' } }), severity: 'error', subject: 'node w1', message: /with its prefix, .* for address, found "192\.0\.2\.300\/24"/ },
  { id: 'fleet-address-invalid', name: 'a gateway that is a name', fleet: w1(fixed({ gateway: 'router' })), severity: 'error', subject: 'node w1', message: /for gateway, found "router"/ },
  { id: 'fleet-address-invalid', name: 'a name server', fleet: w1(fixed({ dns: ['192.0.2.1', 'dns.example.org'] })), severity: 'error', subject: 'node w1', message: /for dns, found "dns\.example\.org"/ },
  { id: 'fleet-address-special', name: 'loopback', fleet: () => plain(['node1', { address: '127.0.1.1' }]), severity: 'error', subject: 'node node1', message: /found 127\.0\.1\.1 \(address\), which is loopback/ },
  { id: 'fleet-address-special', name: 'link-local of IPv4', fleet: () => plain(['node1', { hostVars: { ip: '169.254.1.1' } }]), severity: 'error', subject: 'node node1', message: /169\.254\.1\.1 \(ip\), which is link-local/ },
  { id: 'fleet-address-special', name: 'link-local of IPv6', fleet: () => plain(['node1', { hostVars: { ip6: 'fe80::1' } }]), severity: 'error', subject: 'node node1', message: /which is link-local/ },
  { id: 'fleet-address-special', name: 'multicast', fleet: () => plain(['node1', { address: 'ff02::1' }], ['node2', { address: '224.0.0.1' }]), severity: 'error', subject: 'node node2', message: /which is multicast/, count: 2 },
  { id: 'fleet-address-reserved', name: 'the network address', fleet: w1(moved('192.0.2.0')), severity: 'error', subject: 'node w1', message: /found 192\.0\.2\.0 \(address\), which is the network address of 192\.0\.2\.0\/24/ },
  { id: 'fleet-address-reserved', name: 'the broadcast address, by the network of the nodes', fleet: () => fleet([node('node1', { address: '192.0.2.255' })], { networks: { nodes: ['192.0.2.0/24'] } }), severity: 'error', subject: 'node node1', message: /is the broadcast address of 192\.0\.2\.0\/24/ },
  { id: 'fleet-address-reserved', name: 'the routers\' address of IPv6', fleet: () => plain(['node1', { variables: { address: '2001:db8::/64', gateway: 'fe80::1', dns: ['2001:db8::1'] } }]), severity: 'error', subject: 'node node1', message: /the address of all routers of 2001:db8::\/64/ },
  { id: 'fleet-address-outside', name: 'another network', fleet: w1(moved('198.51.100.14', 24, { gateway: '198.51.100.1' })), severity: 'error', subject: 'node w1', message: /network of the nodes \(192\.0\.2\.0\/24\), found 198\.51\.100\.14 \(address\)/ },
  { id: 'fleet-address-outside', name: 'IPv6', fleet: () => fleet([node('node1', { hostVars: { ip: '192.0.2.11', ip6: '2001:db8:1::1' } })], { networks: { nodes: ['2001:db8::/64'] } }), severity: 'error', subject: 'node node1', message: /found 2001:db8:1::1 \(ip6\)/ },
  { id: 'fleet-address-differs', name: 'ip is another one', fleet: w1({ hostVars: { ip: '192.0.2.77' } }), severity: 'warning', subject: 'node w1', message: /to be 192\.0\.2\.77 \(ip\), found 192\.0\.2\.14\/24/ },
  { id: 'fleet-address-unset', name: 'the image asks DHCP', fleet: w1({ parts: { mac: undefined }, variables: { address: undefined, gateway: undefined, dns: undefined } }), severity: 'info', subject: 'node w1', message: /expected the address "192\.0\.2\.14" in the image/ },
  { id: 'fleet-address-dhcp', name: 'a control plane without an address', fleet: () => kubespray({ cp1: { parts: { address: undefined }, variables: { address: undefined, gateway: undefined, dns: undefined }, hostVars: { ip: undefined, ansible_host: 'cp1.local' } } }), severity: 'warning', subject: 'node cp1', message: /a fixed address for a control plane, found none/ },
  { id: 'fleet-prefix-mixed', name: '/24 and /25', fleet: w1(moved('192.0.2.14', 25)), severity: 'warning', subject: 'fleet', message: /found 192\.0\.2\.0\/24 at cp1 \(.*\), cp2 \(.*\) and cp3 \(.*\), and inside of it 192\.0\.2\.0\/25 at w1/ },
  { id: 'fleet-prefix-mixed', name: 'the upper half', fleet: w1(moved('192.0.2.200', 25, { gateway: '192.0.2.129' })), severity: 'warning', subject: 'fleet', message: /inside of it 192\.0\.2\.128\/25 at w1/ },

  { id: 'fleet-gateway-outside', name: 'of another network', fleet: w1(fixed({ gateway: '198.51.100.1' })), severity: 'error', subject: 'node w1', message: /in the network of 192\.0\.2\.14\/24, found 198\.51\.100\.1/ },
  { id: 'fleet-gateway-outside', name: 'of another family', fleet: w1(fixed({ gateway: '2001:db8::1' })), severity: 'error', subject: 'node w1', message: /found 2001:db8::1/ },
  { id: 'fleet-gateway-own', name: 'its own address', fleet: w1(fixed({ gateway: '192.0.2.14' })), severity: 'error', subject: 'node w1', message: /found 192\.0\.2\.14, which is the node's own/ },
  { id: 'fleet-gateway-missing', name: 'none', fleet: w1(fixed({ gateway: undefined })), severity: 'warning', subject: 'node w1', message: /a gateway for the fixed address 192\.0\.2\.14\/24, found none/ },
  { id: 'fleet-dns-missing', name: 'an empty list', fleet: w1(fixed({ dns: [] })), severity: 'warning', subject: 'node w1', message: /a name server for the fixed address 192\.0\.2\.14\/24, found none/ },
];

const forwarded = (name: string, port: number): readonly [string, object] => [name, { address: '192.0.2.1', hostVars: { ansible_host: '192.0.2.1', ansible_port: port } }];

export const nodeQuiet: readonly Quiet[] = [
  { id: 'fleet-name-invalid', name: 'the longest label, and dots', fleet: () => plain([LONG], ['a-1.b.c']) },
  { id: 'fleet-name-number', name: 'letters and digits', fleet: () => plain(['n0'], ['node-007'], ['10a'], ['nope'], ['1e']) },
  { id: 'fleet-hostname-differs', name: 'the same', fleet: () => plain(['node1', { variables: { hostname: 'node1' } }], ['node2']) },
  { id: 'fleet-duplicate-hostname', name: 'a name inside of another', fleet: () => plain(['node1'], ['node11'], ['node1.example.org']) },
  { id: 'fleet-duplicate-address', name: 'its own by four variables', fleet: w1({ hostVars: { access_ip: '192.0.2.14', ansible_ssh_host: '192.0.2.14' } }) },
  { id: 'fleet-duplicate-address', name: 'one machine that forwards its ports', fleet: () => plain(['node1', { hostVars: { ansible_host: '192.0.2.1', ansible_port: 2201 } }], ['node2', { hostVars: { ansible_host: '192.0.2.1', ansible_port: 2202 } }]) },
  { id: 'fleet-duplicate-address', name: 'the reader takes that machine for the address', fleet: () => plain(forwarded('node1', 2201), forwarded('node2', 2202)) },
  { id: 'fleet-duplicate-address', name: 'ansible_host is a name, or a template', fleet: () => plain(['node1', { hostVars: { ansible_host: 'gate', ip: '{{ a }}' } }], ['node2', { hostVars: { ansible_host: 'gate', ip: '{{ a }}' } }]) },
  { id: 'fleet-duplicate-mac', name: 'two, and none', fleet: () => kubespray({ cp1: { parts: { mac: undefined } }, cp2: { parts: { mac: undefined } } }) },
  { id: 'fleet-duplicate-serial', name: 'two, and none', fleet: () => kubespray({ cp1: { parts: { serial: undefined } }, cp2: { parts: { serial: undefined } } }) },
  { id: 'fleet-duplicate-host-key', name: 'a template, a setting, a kind of key, another file', fleet: () => kubespray({ cp3: { hostVars: { ssh_host_key_file: 'keys/cp3' } }, w1: { hostVars: { ssh_host_key_file: 'keys/w1' } } }) },
  { id: 'fleet-duplicate-host-key', name: 'what is no key', fleet: both({ hostVars: { ssh_host_key_file: 'keys/{{ inventory_hostname }}', ansible_ssh_host_key_checking: false, ansible_ssh_host_key_rsa_public_keytype: 'ssh-rsa', ssh_host_key_algorithms: 'a/b' } }) },
  { id: 'fleet-duplicate-host-key', name: 'fingerprints of their own', fleet: kubespray, context: { identities: [{ name: 'cp3', fingerprints: ['SHA256:a', 'SHA256:a'] }, { name: 'cp3', fingerprints: ['SHA256:a'] }, { name: 'w1', fingerprints: ['SHA256:b'] }, { name: 'old', fingerprints: ['SHA256:c'] }] } },
  { id: 'fleet-duplicate-machine-id', name: 'not made yet', fleet: both({ hostVars: { machine_id: 'uninitialized' } }) },
  { id: 'fleet-address-invalid', name: 'a template, and a name to connect to', fleet: w1({ parts: { address: undefined }, hostVars: { ip: '{{ ansible_host }}', ansible_host: 'w1.example.org' } }) },
  { id: 'fleet-address-invalid', name: 'our own inventories take a prefix', fleet: () => plain(['node1', { address: '192.0.2.11', hostVars: { ip: '192.0.2.11/24' } }]) },
  { id: 'fleet-address-special', name: 'the ends of what hosts have', fleet: () => plain(['a', { address: '1.0.0.0' }], ['b', { address: '126.255.255.255' }], ['c', { address: '128.0.0.0' }], ['d', { address: '169.253.255.255' }], ['e', { address: '223.255.255.255' }], ['f', { hostVars: { ip6: 'fec0::1' } }]) },
  { id: 'fleet-address-special', name: 'a tunnel to connect through', fleet: () => plain(['node1', { hostVars: { ansible_host: '127.0.0.1', ansible_port: 2222, ip: '192.0.2.11' } }]) },
  { id: 'fleet-address-reserved', name: 'a /31 has no such addresses', fleet: () => plain(['node1', { variables: { address: '192.0.2.0/31', gateway: '192.0.2.1', dns: ['192.0.2.1'] } }]) },
  { id: 'fleet-address-outside', name: 'one of two networks, and access_ip elsewhere', fleet: () => kubespray({ w1: { ...moved('198.51.100.14', 24, { gateway: '198.51.100.1' }) }, cp1: { hostVars: { access_ip: '203.0.113.11' } } }, { networks: { nodes: ['192.0.2.0/24', '198.51.100.0/24'] } }) },
  { id: 'fleet-address-differs', name: 'ip6 beside a fixed IPv4 address', fleet: w1({ hostVars: { ip6: '2001:db8::14' } }) },
  { id: 'fleet-address-unset', name: 'the DHCP server can know the MAC', fleet: w1({ variables: { address: undefined, gateway: undefined, dns: undefined } }) },
  { id: 'fleet-address-unset', name: 'no profile that would tell it', fleet: () => plain(['node1', { address: '192.0.2.11' }], ['node2', { address: '192.0.2.12', profiles: ['cgroups'] }]) },
  { id: 'fleet-address-dhcp', name: 'a worker without an address', fleet: w1({ parts: { address: undefined }, variables: { address: undefined, gateway: undefined, dns: undefined }, hostVars: { ip: undefined, ansible_host: 'w1.local' } }) },
  { id: 'fleet-prefix-mixed', name: 'two networks side by side, and two families', fleet: () => kubespray({ w1: moved('192.0.2.130', 25, { gateway: '192.0.2.129' }), ...Object.fromEntries(['cp1', 'cp2', 'cp3'].map((name, at) => [name, moved(`192.0.2.1${at + 1}`, 25)])) }) },
  { id: 'fleet-gateway-outside', name: 'a link-local one of IPv6', fleet: () => plain(['node1', { variables: { address: '2001:db8::5/64', gateway: 'fe80::1', dns: ['2001:db8::1'] } }]) },
  { id: 'fleet-gateway-own', name: 'another node of the fleet', fleet: w1(fixed({ gateway: '192.0.2.11' })) },
  { id: 'fleet-gateway-missing', name: 'DHCP brings it', fleet: w1({ variables: { address: undefined, gateway: undefined } }) },
  { id: 'fleet-dns-missing', name: 'DHCP brings it', fleet: w1({ variables: { address: undefined, gateway: undefined, dns: undefined } }) },
  { id: 'fleet-dns-missing', name: 'k3s', fleet: k3s },
];
