/** Small fleets as values: a sound one by Kubespray, one by k3s, and what a test changes in them. */
import { generateKeyPairSync } from 'node:crypto';
import type { FleetNode, Inventory, Value } from '../../../src/fleet/model.js';

/** A line of a .pub file, of a key that was made for this run. */
export function publicKey(): string {
  const raw = generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
  const field = (data: Uint8Array): Buffer => Buffer.concat([Buffer.from([0, 0, 0, data.length]), data]);
  return `ssh-ed25519 ${Buffer.concat([field(Buffer.from('ssh-ed25519')), field(raw)]).toString('base64')} somebody@example.org`;
}
export const KEY = publicKey();

export type NodeParts = Partial<FleetNode>;

export function node(name: string, parts: NodeParts = {}): FleetNode {
  return { name, groups: [], profiles: [], variables: {}, hostVars: {}, address: undefined, mac: undefined, serial: undefined, board: undefined, where: `inventory.ini:${[...name].length}`, ...parts };
}

export type FleetParts = Partial<Omit<Inventory, 'networks'>> & { readonly networks?: Partial<Inventory['networks']> };

export function fleet(nodes: readonly FleetNode[], { networks, ...parts }: FleetParts = {}): Inventory {
  const groups = new Map<string, string[]>();
  for (const { name, groups: own } of nodes) for (const group of own) groups.set(group, [...(groups.get(group) ?? []), name]);
  return { path: '/fleet/inventory.ini', kind: 'ansible-ini', image: undefined, nodes, groups, vips: [], files: [], networks: { nodes: [], pods: [], services: [], ...networks }, ...parts };
}

/** A node of Kubespray's with all that it needs. Its number is the last byte of its address. */
export function kubesprayNode(name: string, number: number, groups: readonly string[], change: Changes = {}): FleetNode {
  const address = `192.0.2.${number}`;
  return changed({
    name, groups, profiles: ['kubespray-node'], address, mac: `dc:a6:32:00:00:${String(number).padStart(2, '0')}`, serial: `10000000000000${String(number).padStart(2, '0')}`, board: 'pi4-4gb', where: `inventory.ini:${number}`,
    variables: { hostname: name, address: `${address}/24`, gateway: '192.0.2.1', dns: ['192.0.2.1'], user: 'ansible', ssh_keys: [KEY] },
    hostVars: { ansible_host: address, ip: address, ansible_user: 'ansible' },
  }, change);
}

/** Fields of the node, and single variables; a variable that is undefined is taken out. */
export interface Changes {
  readonly parts?: NodeParts;
  readonly variables?: Readonly<Record<string, Value | undefined>>;
  readonly hostVars?: Readonly<Record<string, Value | undefined>>;
}

export function changed(one: FleetNode, { parts = {}, variables = {}, hostVars = {} }: Changes): FleetNode {
  return { ...one, ...parts, variables: without({ ...one.variables, ...parts.variables, ...variables }), hostVars: without({ ...one.hostVars, ...parts.hostVars, ...hostVars }) };
}

function without(record: Readonly<Record<string, Value | undefined>>): Record<string, Value> {
  return Object.fromEntries(Object.entries(record).filter((entry): entry is [string, Value] => entry[1] !== undefined));
}

const CONTROL = ['kube_control_plane', 'etcd'];
export const NETWORKS: Inventory['networks'] = { nodes: ['192.0.2.0/24'], pods: ['10.233.64.0/18'], services: ['10.233.0.0/18'] };

/** Three control planes, which are etcd too, and one worker: nothing is wrong. Changes by the node's name; null takes the node out. */
export function kubespray(changes: Readonly<Record<string, Changes | null>> = {}, parts: FleetParts = {}): Inventory {
  const nodes = ([['cp1', 11, CONTROL], ['cp2', 12, CONTROL], ['cp3', 13, CONTROL], ['w1', 14, ['kube_node']]] as const).map(([name, number, groups]) => kubesprayNode(name, number, groups));
  return fleet(nodes.filter(({ name }) => changes[name] !== null).map((one) => changed(one, changes[one.name] ?? {})), { networks: NETWORKS, vips: ['192.0.2.10'], ...parts });
}

/** Three servers and an agent of k3s. */
export function k3s(changes: Readonly<Record<string, Changes | null>> = {}, parts: FleetParts = {}): Inventory {
  const version = { k3s_version: 'v1.34.1+k3s1', token: 'kept-secret-kept' };
  const server = 'https://192.0.2.11:6443';
  const nodes = ([['s1', 11, 'k3s-server', {}], ['s2', 12, 'k3s-server', { server }], ['s3', 13, 'k3s-server', { server }], ['a1', 14, 'k3s-agent', { server }]] as const)
    .map(([name, number, profile, variables]) => changed(kubesprayNode(name, number, []), { parts: { profiles: [profile] }, variables: { ...version, ...variables } }));
  return fleet(nodes.filter(({ name }) => changes[name] !== null).map((one) => changed(one, changes[one.name] ?? {})), { networks: { nodes: ['192.0.2.0/24'], pods: ['10.42.0.0/16'], services: ['10.43.0.0/16'] }, ...parts });
}

/** Nodes without a cluster and without profiles. */
export function plain(...nodes: readonly (readonly [name: string, parts?: NodeParts])[]): Inventory {
  return fleet(nodes.map(([name, parts], at) => node(name, { where: `nodes.yaml:${at + 1}`, ...parts })), { path: '/fleet/nodes.yaml', kind: 'rockberry' });
}
