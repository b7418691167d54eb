/** Our own YAML: what it may say, how it becomes nodes, and its JSON Schema. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { fleetSchema, readInventory } from '../../../src/fleet/inventory.js';
import { hasProgram, needs } from '../../support/oracle.js';
import { askAnsiblesPython, folderOf } from './oracle.js';

const FLEET = `# Four nodes of a shelf.
image: images/rocky.img.xz
profiles: [kubernetes-node]
variables:
  user: pi
  dns: [192.0.2.53, 192.0.2.54]
  gateway: 192.0.2.254
groups:
  kube_control_plane:
    profiles: [kubespray-node]
    nodes: [cp1]
  shelf:
    children: [workers]
    variables: { interface: eth0, firewall: open }
    nodes: ["worker[1:2]"]
  workers:
    profiles: [./worker.yaml, kubeadm-node]
    variables: { firewall: "off" }
networks: { nodes: 192.0.2.0/24, pods: [10.1.0.0/16], services: 10.2.0.0/16 }
vip: 192.0.2.10
vips: [192.0.2.11]
nodes:
  cp1:
    board: pi5-8gb
    mac: DC:A6:32:00:00:01
    serial: 10000000e1234567
    variables: { ip: 192.0.2.21, etcd_member_name: etcd1, ansible_port: 22, rockberry_hostname: first }
  worker[1:2]:
    groups: [workers]
  spare:
    profiles: [node]
    groups: [kube_node]
    variables: { address: 192.0.2.40/25, user: rocky }
`;
const WORKER = 'name: worker\ndescription: worker\nextends: [kubernetes-node]\nvariables:\n  token: {description: token, secret: true}\nsteps: []\n';

test('groups, profiles, variables, networks, ranges', async () => {
  const folder = folderOf({ 'fleet.yaml': FLEET.replace(' etcd_member_name: etcd1,', ''), 'worker.yaml': WORKER, 'group_vars/all.yml': 'user: not read\n' });
  const inventory = await readInventory(join(folder, 'fleet.yaml'));
  const { nodes, ...rest } = inventory;
  const shared = { user: 'pi', dns: ['192.0.2.53', '192.0.2.54'], cluster_networks: ['10.2.0.0/16', '10.1.0.0/16'] };
  expect(nodes.map(({ hostVars, ...node }) => [node, Object.keys(hostVars).length])).toEqual([
    [{
      name: 'cp1', groups: ['kube_control_plane'], profiles: ['kubespray-node'], address: '192.0.2.21', mac: 'dc:a6:32:00:00:01', serial: '10000000e1234567', board: 'pi5-8gb', where: `${folder}/fleet.yaml:23`,
      variables: { hostname: 'first', ...shared, address: '192.0.2.21/24', gateway: '192.0.2.254', role: 'control-plane' },
    }, 10],
    ...['worker1', 'worker2'].map((name) => [{
      name, groups: ['shelf', 'workers'], profiles: [join(folder, 'worker.yaml'), 'kubeadm-node'], address: undefined, mac: undefined, serial: undefined, board: undefined, where: `${folder}/fleet.yaml:28`,
      variables: { hostname: name, ...shared, interface: 'eth0', role: 'worker', firewall: 'off' },
    }, 6]),
    [{
      name: 'spare', groups: ['kube_node'], profiles: ['node'], address: '192.0.2.40', mac: undefined, serial: undefined, board: undefined, where: `${folder}/fleet.yaml:30`,
      variables: { hostname: 'spare', user: 'rocky', dns: shared.dns, address: '192.0.2.40/25', gateway: '192.0.2.254' },
    }, 5],
  ]);
  expect(rest).toEqual({
    path: join(folder, 'fleet.yaml'), kind: 'rockberry', secretNames: new Set(), image: join(folder, 'images/rocky.img.xz'), files: [{ path: join(folder, 'fleet.yaml'), encrypted: false }],
    networks: { nodes: ['192.0.2.0/24'], pods: ['10.1.0.0/16'], services: ['10.2.0.0/16'] }, vips: ['192.0.2.10', '192.0.2.11'],
    groups: new Map([['kube_control_plane', ['cp1']], ['shelf', ['worker1', 'worker2']], ['workers', ['worker1', 'worker2']], ['kube_node', ['spare']]]),
  });
  expect(readdirSync(folder).sort()).toEqual(['fleet.yaml', 'group_vars', 'worker.yaml']);
});

test('a variable that no profile of its nodes knows is refused; one that some of them know is not', async () => {
  const folder = folderOf({ 'a.yaml': FLEET, 'b.yaml': 'variables: {k3s_version: v1.34.1+k3s1}\nnodes:\n  a: {profiles: [k3s-server]}\n  b: {profiles: [node]}\n', 'worker.yaml': WORKER });
  await expect(readInventory(join(folder, 'a.yaml'))).rejects.toThrow(`${folder}/a.yaml:27:34: expected a variable of the node's profiles, found "etcd_member_name"`);
  expect((await readInventory(join(folder, 'b.yaml'))).nodes.map(({ variables }) => variables.k3s_version)).toEqual(['v1.34.1+k3s1', undefined]);
});

test('"map" says where the values of a profile\'s variables are', async () => {
  const folder = folderOf({ 'fleet.yaml': 'map: {address: [lan, backup], dns: resolver, hostname: label}\nvariables: {resolver: 192.0.2.53, prefix: 24}\nnodes:\n  a: {variables: {backup: 192.0.2.1, ip: 198.51.100.1, label: aa}}\n  b: {variables: {lan: 192.0.2.2, backup: 192.0.2.3}}\n' });
  expect((await readInventory(join(folder, 'fleet.yaml'))).nodes.map(({ variables }) => variables)).toEqual([
    { hostname: 'aa', address: '192.0.2.1/24', dns: ['192.0.2.53'] }, { hostname: 'b', address: '192.0.2.2/24', dns: ['192.0.2.53'] },
  ]);
});

test('told by content: our own YAML and Ansible\'s', async () => {
  const folder = folderOf({
    'own1.yaml': 'nodes:\n  hosts1:\n', 'own2.yml': '{"nodes": {"a": {}}}', 'own3.yaml': 'image: x\nnodes: {all: }\n', own4: 'nodes: {a: }\n',
    'ansible1.yaml': 'nodes:\n  hosts: {a: }\n', 'ansible2.yml': 'all: {hosts: {a: }}\nnodes: {vars: {x: 1}}\n', 'ansible3.json': '{"groups": {"hosts": {"a": null}}}', 'ini1.yml': '# x\n[nodes]\na\n', 'ini2.conf': 'nodes\n', ini3: 'a\n',
    'csv1.txt': 'Name,x\na,1\n', csv2: 'board,"hostname"\n,a\n', 'csv3.CSV': 'name\na\n',
  });
  const kinds = await Promise.all(readdirSync(folder).sort().map(async (name) => [name.replace(/\d.*/, ''), (await readInventory(join(folder, name))).kind]));
  expect(kinds).toEqual([...Array(3).fill(['ansible', 'ansible-yaml']), ...Array(3).fill(['csv', 'csv']), ...Array(3).fill(['ini', 'ansible-ini']), ...Array(4).fill(['own', 'rockberry'])]);
});

const VALIDATE = `
import json, sys
from jsonschema import Draft7Validator
asked = json.load(sys.stdin)
Draft7Validator.check_schema(asked["schema"])
print(json.dumps([[error.json_path for error in Draft7Validator(asked["schema"]).iter_errors(one)] for one in asked["documents"]]))
`;

needs('ansible-inventory', 'ansible-lint')('the JSON Schema takes what we take, and names what we refuse', () => {
  if (!hasProgram('ansible-lint')) throw new Error('expected python3-jsonschema, which ansible-lint brings');
  const documents = [FLEET, 'nodes: {a: }', 'nodes: {a: {gruops: [x]}}', 'nods: {}', 'nodes: {a: {variables: {x: {y: 1}}}}', 'vip: 1\nnodes: {}'].map((text) => parse(text) as unknown);
  (documents[0] as { nodes: { cp1: { serial: string } } }).nodes.cp1.serial = '10000000e1234567'; // YAML 1.2 reads a float, as an editor does
  expect(askAnsiblesPython(VALIDATE, { schema: fleetSchema(), documents })).toEqual([[], [], ['$.nodes.a'], ['$', '$'], ['$.nodes.a'], ['$.vip']]);
  expect(fleetSchema()).toMatchObject({ $schema: 'http://json-schema.org/draft-07/schema#', title: 'rockberry fleet', required: ['nodes'], additionalProperties: false });
});
