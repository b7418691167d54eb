/** What nodes are built with: profiles and variables from groups, names, addresses and the names that Kubespray and others use. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readInventory } from '../../../src/fleet/inventory.js';
import type { FleetNode, Inventory, Value } from '../../../src/fleet/model.js';
import { listProfiles } from '../../../src/profile.js';
import { valueFor } from '../../../src/profile/variables.js';
import { folderOf, type Files } from './oracle.js';
import { SAMPLES } from './samples.js';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDIhz2GK/XCUj4i6Q5yQJNL1MKHK+8qaONzfOh3QSRZV pi@desk';

/** Of the first file, with what lies beside it. */
function read(files: Files): Promise<Inventory> {
  return readInventory(join(folderOf(files), Object.keys(files)[0]!));
}

async function firstNode(text: string, name = 'hosts.ini'): Promise<FleetNode> {
  return (await read({ [name]: text })).nodes[0]!;
}

function byName<T>({ nodes }: Inventory, pick: (node: FleetNode) => T): Record<string, T> {
  return Object.fromEntries(nodes.map((node) => [node.name, pick(node)]));
}

/** What --set would check: that the profiles know the variables and take the values. */
function checkValues({ nodes }: Inventory): void {
  const shipped = new Map(listProfiles().map((profile) => [profile.name, profile.variables]));
  for (const { variables, profiles, where } of nodes) {
    for (const [name, value] of Object.entries(variables)) valueFor(name, shipped.get(profiles[0]!)![name]!, { value, where });
  }
}

test('Kubespray: profiles, roles, addresses, versions, networks', async () => {
  const inventory = await read(SAMPLES['kubespray, INI']!);
  const cluster: Record<string, Value> = { dns: ['192.0.2.53'], kubernetes_version: '1.34', cluster_networks: ['10.233.0.0/18', '10.233.64.0/18'] };
  expect(inventory.kind).toBe('ansible-ini');
  expect(byName(inventory, ({ profiles, variables, address }) => [profiles, variables, address])).toEqual({
    node1: [['kubespray-node'], { hostname: 'node1', role: 'control-plane', ...cluster }, '192.0.2.11'],
    node2: [['kubespray-node'], { hostname: 'node2', role: 'control-plane', ...cluster }, '192.0.2.12'],
    node3: [['kubespray-node'], { hostname: 'node3', role: 'control-plane', user: 'pi', ...cluster }, '192.0.2.13'],
    node4: [['kubespray-node'], { hostname: 'node4', role: 'worker', ...cluster }, '192.0.2.14'],
    node5: [['kubespray-node'], { hostname: 'node5', role: 'worker', ...cluster }, '192.0.2.15'],
  });
  expect(inventory.nodes[0]!.groups).toEqual(['etcd', 'k8s_cluster', 'kube_control_plane']);
  expect([...inventory.groups]).toEqual([
    ['kube_control_plane', ['node1', 'node2', 'node3']], ['etcd', ['node1', 'node2', 'node3']], ['kube_node', ['node4', 'node5']], ['k8s_cluster', ['node1', 'node2', 'node3', 'node4', 'node5']], ['calico_rr', []],
  ]);
  expect([inventory.networks, inventory.vips]).toEqual([{ nodes: [], pods: ['10.233.64.0/18'], services: ['10.233.0.0/18'] }, ['192.0.2.10']]);
  expect(inventory.nodes[4]!.where).toMatch(/inventory\.ini:13$/);
  checkValues(inventory);
});

test('k3s-ansible: its own sample, whose endpoint is a template of the first server', async () => {
  const inventory = await read(SAMPLES['k3s-ansible, YAML']!);
  const common = { user: 'debian', token: 'changeme!', k3s_version: 'v1.34.1+k3s1' };
  expect(byName(inventory, ({ profiles, variables, address }) => [profiles, variables, address])).toEqual({
    '192.0.2.11': [['k3s-server'], { hostname: '192.0.2.11', role: 'control-plane', ...common }, '192.0.2.11'],
    '192.0.2.12': [['k3s-agent'], { hostname: '192.0.2.12', role: 'worker', server: 'https://192.0.2.11:6443', ...common }, '192.0.2.12'],
    '192.0.2.13': [['k3s-agent'], { hostname: '192.0.2.13', role: 'worker', server: 'https://192.0.2.11:6443', ...common }, '192.0.2.13'],
  });
  checkValues(inventory);
});

test('k3s with several servers: the first starts the cluster, the others join', async () => {
  const inventory = await read(SAMPLES['k3s-ansible, INI with group_vars']!);
  expect(byName(inventory, ({ variables: { server, cluster_init } }) => [server, cluster_init])).toEqual({
    '192.0.2.11': [undefined, true], '192.0.2.12': ['https://192.0.2.10:6443', undefined], '192.0.2.13': ['https://192.0.2.10:6443', undefined], '192.0.2.14': ['https://192.0.2.10:6443', undefined],
  });
  expect(inventory.networks).toEqual({ nodes: [], pods: ['10.52.0.0/16'], services: [] });
  checkValues(inventory);
});

test.each([
  ['no endpoint: the first server\'s address', '[server]\na ansible_host=192.0.2.1\n[agent]\nb\n', 'https://192.0.2.1:6443'],
  ['no address either: its name', '[server]\na\n[agent]\nb\n', 'https://a:6443'],
  ['IPv6', '[server]\na ip=2001:db8::1\n[agent]\nb\n', 'https://[2001:db8::1]:6443'],
  ['a port', '[server]\na\n[agent]\nb api_endpoint=k3s.example.com api_port=7443\n', 'https://k3s.example.com:7443'],
  ['a URL', '[server]\na\n[agent]\nb api_endpoint=https://k3s.example.com:1\n', 'https://k3s.example.com:1'],
  ['rockberry_server wins, and the endpoint may be what it likes', '[server]\na\n[agent]\nb rockberry_server=https://x:1 api_endpoint="{{ q | w }}"\n', 'https://x:1'],
  ['RKE2', '[masters]\na ansible_host=192.0.2.1\n[workers]\nb rke2_version=v1.34.1+rke2r1\n', 'https://192.0.2.1:9345'],
])('agents join: %s', async (_title, text, server) => {
  const inventory = await read({ 'hosts.ini': text });
  expect(byName(inventory, ({ variables }) => variables.server)).toEqual({ a: undefined, b: server });
});

test.each([
  ['[kube-master]\nh', 'kubespray-node', 'control-plane'], ['[kube_node]\nh\n[kube_control_plane]\nh', 'kubespray-node', 'control-plane'], ['[etcd]\nh', 'kubespray-node', 'worker'],
  ['[top:children]\nagent\n[agent]\nh', 'k3s-agent', 'worker'], ['[rke2_servers]\nh', 'rke2-server', 'control-plane'], ['[rke2_agents]\nh', 'rke2-agent', 'worker'], ['[web]\nh', 'node', undefined], ['h', 'node', undefined],
])('groups decide: %j is %s', async (text, profile, role) => {
  const { profiles, variables } = await firstNode(text);
  expect([profiles, variables.role]).toEqual([[profile], role]);
});

test.each([
  ['ip=192.0.2.1 access_ip=192.0.2.2 ansible_host=192.0.2.3', '192.0.2.1'], ['access_ip=192.0.2.2 ansible_host=192.0.2.3', '192.0.2.2'], ['ansible_host=192.0.2.3', '192.0.2.3'], ['ansible_host=pi.example.com', undefined],
  ['ansible_host=pi ip="{{ real }}" real=192.0.2.4', '192.0.2.4'], ['ip="{{ inventory_hostname }}"', 'error'], ['rockberry_address=192.0.2.9 ip=192.0.2.1', '192.0.2.9'], ['', undefined],
])('the address of %j is %s', async (variables, address) => {
  const found = firstNode(`h ${variables}\n`);
  if (address === 'error') await expect(found).rejects.toThrow('expected an IP address for "ip" of the node "h", found "h"');
  else expect((await found).address).toBe(address);
});

test.each([
  ['rockberry_prefix=26 netmask=255.255.0.0', '192.0.2.1/26'], ['netmask=255.255.255.0', '192.0.2.1/24'], ['prefix=/20', '192.0.2.1/20'], ['prefix=20', '192.0.2.1/20'], ['prefix=prod- netmask=255.0.0.0', '192.0.2.1/8'],
  ['rockberry_address=192.0.2.7/25', '192.0.2.7/25'], ['', undefined],
])('the prefix by %j: %s', async (variables, address) => {
  const node = await firstNode(`h ip=192.0.2.1 gateway=192.0.2.254 ${variables}\n`);
  expect([node.variables.address, node.variables.gateway]).toEqual([address, address && '192.0.2.254']); // without an address there is no use for a gateway
  expect(node.address).toBe(address?.split('/')[0] ?? '192.0.2.1'); // lint sees that there is one
});

test('a gateway without an address: of a group it is for others, of a node it is a mistake that the build sees', async () => {
  const inventory = await read({ 'hosts.ini': 'a\nb gateway=192.0.2.254\n[all:vars]\ngateway=192.0.2.253\n' });
  expect(byName(inventory, ({ variables }) => variables.gateway)).toEqual({ a: undefined, b: '192.0.2.254' });
});

test('the prefix of the one network that has the address', async () => {
  const text = 'networks: {nodes: [192.0.2.0/24, 198.51.100.0/25, 198.51.100.0/26, "2001:db8::/64"]}\nnodes:\n  a: {variables: {ip: 192.0.2.7}}\n  b: {variables: {ip: 198.51.100.7}}\n  c: {variables: {ip: 203.0.113.7}}\n  d: {variables: {ip: "2001:db8::7"}}\n';
  expect(byName(await read({ 'fleet.yaml': text }), ({ variables }) => variables.address)).toEqual({ a: '192.0.2.7/24', b: undefined, c: undefined, d: '2001:db8::7/64' });
});

test('only what the profiles declare is set; rockberry_NAME is the strongest', async () => {
  const text = '[web]\na token=t k3s_version=v1 nameservers=[] gateway=192.0.2.254 ip=192.0.2.1/24\n[agent]\nb token=t rockberry_token=u rockberry_hostname=other rockberry_firewall=open rockberry_dns=192.0.2.53,192.0.2.54\n[server]\nc\n';
  const inventory = await read({ 'hosts.ini': text });
  expect(byName(inventory, ({ variables }) => variables)).toEqual({
    a: { hostname: 'a', address: '192.0.2.1/24', gateway: '192.0.2.254', dns: [] },
    b: { hostname: 'other', dns: ['192.0.2.53', '192.0.2.54'], role: 'worker', firewall: 'open', token: 'u', server: 'https://c:6443' },
    c: { hostname: 'c', role: 'control-plane' },
  });
});

test('profiles by name and by path, and the image, from the inventory itself', async () => {
  const folder = folderOf({
    'inv/hosts.ini': 'a\nb rockberry_profiles=k3s-agent,./mine.yaml rockberry_own=1 rockberry_place=files/x\n[all:vars]\nrockberry_image=../base.img.xz\nrockberry_profiles=[\'kubernetes-node\']\n',
    'inv/mine.yaml': 'name: mine\ndescription: mine\nvariables:\n  own: {description: own}\n  place: {description: place, type: path}\nsteps: []\n',
  });
  const inventory = await readInventory(join(folder, 'inv/hosts.ini'));
  expect(byName(inventory, ({ profiles }) => profiles)).toEqual({ a: ['kubernetes-node'], b: ['k3s-agent', join(folder, 'inv/mine.yaml')] });
  expect([inventory.nodes[1]!.variables.own, inventory.nodes[1]!.variables.place]).toEqual([1, join(folder, 'inv/files/x')]);
  expect(inventory.image).toBe(join(folder, 'base.img.xz'));
  expect((await readInventory(join(folder, 'inv/hosts.ini'), { image: 'other.img' })).image).toBe(join(process.cwd(), 'other.img'));
});

test('the public key beside the private one', async () => {
  const folder = folderOf({ 'hosts.ini': 'a ansible_ssh_private_key_file=keys/id\nb ansible_ssh_private_key_file=keys/none\nc ansible_ssh_private_key_file="{{ key }}/x" rockberry_ssh_keys="ssh-ed25519 BBBB x"\n', 'keys/id.pub': `# mine\n${KEY}\n`, 'keys/id': 'PRIVATE' });
  const inventory = await readInventory(join(folder, 'hosts.ini'));
  expect(byName(inventory, ({ variables }) => variables.ssh_keys)).toEqual({ a: [KEY], b: undefined, c: ['ssh-ed25519 BBBB x'] });
  expect(inventory.files.map(({ path }) => path)).toEqual([join(folder, 'hosts.ini'), join(folder, 'keys/id.pub')]);
});

test('MAC address, serial number and board, however they are written', async () => {
  const yaml = 'all:\n  hosts:\n    a: {mac: 52:54:00:12:34:56, serial: 10000000e1234567, board: pi4-4gb}\n    b: {mac_address: DC-A6-32-AB-CD-EF, board_serial: 1000000012345678}\n    c: {mac: dca632abcdef, serial: "0x00000000D1234567"}\n    d: {rockberry_mac: dca6.32ab.cdef, mac: wrong, serial: 0000000012345670, board: 5}\n';
  const ini = 'a mac=52:54:00:12:34:56 serial=10000000e1234567 board=pi4-4gb\nb mac_address=DC-A6-32-AB-CD-EF board_serial=1000000012345678\nc mac=dca632abcdef serial=0x00000000D1234567\nd rockberry_mac=dca6.32ab.cdef mac=wrong serial=0000000012345670 board=5\n';
  const own = 'nodes:\n  a: {mac: "52:54:00:12:34:56", serial: 10000000e1234567, board: pi4-4gb}\n  b: {mac: DC-A6-32-AB-CD-EF, serial: 1000000012345678}\n  c: {mac: dca632abcdef, serial: "0x00000000D1234567"}\n  d: {mac: dca6.32ab.cdef, serial: 0000000012345670, board: "5"}\n';
  const expected = { a: ['52:54:00:12:34:56', '10000000e1234567', 'pi4-4gb'], b: ['dc:a6:32:ab:cd:ef', '1000000012345678', undefined], c: ['dc:a6:32:ab:cd:ef', '00000000d1234567', undefined], d: ['dc:a6:32:ab:cd:ef', '0000000012345670', '5'] };
  for (const [name, text] of [['hosts.yaml', yaml], ['hosts.ini', ini], ['fleet.yaml', own]] as const) expect(byName(await read({ [name]: text }), ({ mac, serial, board }) => [mac, serial, board]), name).toEqual(expected);
});

test('networks as k3s and RKE2 are told them; dual stack only where it is on', async () => {
  const networks = async (text: string): Promise<unknown> => (await read({ 'hosts.yml': `all:\n  hosts: {h: }\n  vars:\n${text.replace(/^/gm, '    ')}\n` })).networks;
  expect(await networks('extra_server_args: "--disable x --cluster-cidr 10.1.0.0/16,2001:db8:1::/56 --service-cidr=10.2.0.0/16"')).toEqual({ nodes: [], pods: ['10.1.0.0/16', '2001:db8:1::/56'], services: ['10.2.0.0/16'] });
  expect(await networks('server_config_yaml: |\n  cluster-cidr: 10.1.0.0/16\n  service-cidr: "10.2.0.0/16"')).toEqual({ nodes: [], pods: ['10.1.0.0/16'], services: ['10.2.0.0/16'] });
  expect(await networks('k3s_server: {cluster-cidr: 10.1.0.0/16}\nrke2_service_cidr: [10.2.0.0/16]')).toEqual({ nodes: [], pods: ['10.1.0.0/16'], services: ['10.2.0.0/16'] });
  const dual = 'kube_pods_subnet: 10.1.0.0/16\nkube_pods_subnet_ipv6: 2001:db8:1::/56\nkube_service_addresses: "{{ x }}"\n';
  expect(await networks(dual)).toEqual({ nodes: [], pods: ['10.1.0.0/16'], services: [] });
  expect(await networks(`${dual}ipv6_stack: true`)).toEqual({ nodes: [], pods: ['10.1.0.0/16', '2001:db8:1::/56'], services: [] });
});

test('nothing in a name or a value changes what objects are', async () => {
  const { nodes } = await read(SAMPLES['names that are odd']!);
  expect(Object.hasOwn(nodes[0]!.hostVars, '__proto__')).toBe(true);
  expect([({} as { polluted?: unknown }).polluted, nodes[0]!.hostVars.toString]).toEqual([undefined, 3]);
});

test('the same files give the same inventory', async () => {
  const folder = folderOf(SAMPLES['kubespray, YAML']!);
  const once = async (): Promise<string> => JSON.stringify(await readInventory(join(folder, 'hosts.yaml')), (_key, value: unknown) => (value instanceof Map ? [...value as Map<string, unknown>] : value));
  expect(await once()).toBe(await once());
  expect(readFileSync(join(folder, 'hosts.yaml'), 'utf8')).toBe(Object.values(SAMPLES['kubespray, YAML']!)[0]);
});
