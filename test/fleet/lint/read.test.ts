/** Inventories as people write them, read and then linted. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { readInventory } from '../../../src/fleet/inventory.js';
import { lintFleet } from '../../../src/fleet/lint.js';
import type { Finding } from '../../../src/report.js';
import { scratch } from '../../support/cli.js';
import { ALONE } from './cases.js';
import { KEY } from './fleet.js';

async function lint(files: Readonly<Record<string, string>>, path: string): Promise<Finding[]> {
  const folder = scratch();
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return lintFleet(await readInventory(join(folder, path)), ALONE);
}

const told = (findings: readonly Finding[]): string[] => findings.map(({ severity, id, subject }) => `${severity} ${id} ${subject}`);

const KUBESPRAY = {
  'inventory.ini': `[kube_control_plane]
node1 ansible_host=192.0.2.11 ip=192.0.2.11 etcd_member_name=etcd1
node2 ansible_host=192.0.2.12 ip=192.0.2.12 etcd_member_name=etcd2
node3 ansible_host=192.0.2.13 ip=192.0.2.13 etcd_member_name=etcd3
[etcd:children]
kube_control_plane
[kube_node]
node4 ansible_host=192.0.2.14 ip=192.0.2.14
[all:vars]
ansible_user=ansible
`,
  'group_vars/all.yml': `netmask: 255.255.255.0\ngateway: 192.0.2.1\nnameservers: [192.0.2.1]\nrockberry_ssh_keys: ["${KEY}"]\nkube_vip_address: 192.0.2.10\n`,
  'group_vars/k8s_cluster.yml': 'a: 1\n',
};

test('Kubespray\'s sample, with what a fixed address and a login need: nothing is found', async () => {
  expect(await lint(KUBESPRAY, 'inventory.ini')).toEqual([]);
});

test('the same with the mistakes of copied lines', async () => {
  const ini = KUBESPRAY['inventory.ini'].replace('node3 ansible_host=192.0.2.13 ip=192.0.2.13', 'Node2 ansible_host=192.0.2.12 ip=192.0.2.12').replace('node4 ansible_host=192.0.2.14 ip=192.0.2.14', 'node4 ansible_host=192.0.2.14 ip=192.0.2.14\nnode5 ansible_host=192.0.2.10 ip=192.0.2.10');
  const yaml = `${KUBESPRAY['group_vars/all.yml'].replace('nameservers: [192.0.2.1]\n', '')}kube_pods_subnet: 192.0.2.0/18\n`;
  expect(told(await lint({ ...KUBESPRAY, 'inventory.ini': ini, 'group_vars/all.yml': yaml }, 'inventory.ini'))).toEqual([
    'error fleet-name-invalid node Node2',
    'error fleet-duplicate-hostname node Node2',
    'error fleet-duplicate-hostname node node2',
    'error fleet-duplicate-address node Node2',
    'error fleet-duplicate-address node node2',
    'error fleet-network-overlap fleet',
    'error fleet-vip-node node node5',
    'warning fleet-dns-missing node Node2',
    'warning fleet-dns-missing node node1',
    'warning fleet-dns-missing node node2',
    'warning fleet-dns-missing node node4',
    'warning fleet-dns-missing node node5',
  ]);
});

test('our own inventory', async () => {
  const yaml = `image: base.img\nnetworks: { nodes: 192.0.2.0/24, pods: 10.42.0.0/16, services: 10.43.0.0/16 }\nvariables: { ssh_keys: ["${KEY}"], gateway: 192.0.2.1, dns: 192.0.2.1, k3s_version: v1.34.1+k3s1, token: kept-secret }
groups:
  server: { profiles: [k3s-server], nodes: ["s[1:3]"] }
  agent: { profiles: [k3s-agent], nodes: [a1] }
nodes:
  s[1:3]: {}
  a1: { variables: { ip: 192.0.2.21 }, board: pi zero }
`;
  expect(told(await lint({ 'fleet.yaml': yaml }, 'fleet.yaml'))).toEqual([
    'error fleet-board-32bit node a1',
    'warning fleet-address-dhcp node s1',
    'warning fleet-address-dhcp node s2',
    'warning fleet-address-dhcp node s3',
  ]);
});
