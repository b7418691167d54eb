/**
 * From the variables of an inventory to those of a node's profiles. Only what the profiles declare is set. The strongest is rockberry_NAME, then (in our own YAML
 * and CSV) NAME itself, then what "map:" or this table names, then what follows from the node's name, groups and addresses.
 */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import type { Declaration, Declarations } from '../../profile/variables.js';
import type { Inventory, Value } from '../model.js';
import { ADDRESS_VARIABLES, addressOf, PREFIX_VARIABLES, type NodeAddress } from './addresses.js';
import { CLUSTER_VARIABLES, joiningOf, type ClusterNode } from './cluster.js';
import type { Given } from './hosts-and-groups.js';
import { NETWORK_VARIABLES } from './networks.js';
import { roleOf } from './roles.js';
import type { Sources } from './source.js';
import { plainValueOf, valueOf } from './templates.js';

export interface MappingContext {
  readonly kind: Inventory['kind'];
  /** The inventory's folder: paths in it are relative to this. */
  readonly directory: string;
  /** Our own form's "map". */
  readonly map: ReadonlyMap<string, readonly string[]>;
  readonly networks: Inventory['networks'];
  readonly sources: Sources;
  membersOf(group: string): readonly ClusterNode[];
}

export interface Mapped {
  readonly variables: Record<string, Value>;
  readonly address: string | undefined;
}

/** Variable of a profile → variables of the inventory, the first that has a value. */
const SOURCES: Readonly<Record<string, readonly string[]>> = {
  address: ADDRESS_VARIABLES,
  gateway: ['gateway'],
  dns: ['nameservers', 'upstream_dns_servers'],
  user: ['ansible_user', 'ansible_ssh_user'],
  token: ['rke2_token', 'k3s_token', 'token'],
  k3s_version: ['k3s_version'],
  rke2_version: ['rke2_version'],
  kubernetes_version: ['kube_version'],
};
const KEY_FILES = ['ansible_ssh_private_key_file', 'ansible_private_key_file'];
export const MAC_VARIABLES = ['rockberry_mac', 'mac', 'mac_address'];
export const SERIAL_VARIABLES = ['rockberry_serial', 'serial', 'board_serial'];
export const BOARD_VARIABLES = ['rockberry_board', 'board'];
/** What may stand in an inventory without being a variable of a profile. */
export const KNOWN_VARIABLES: ReadonlySet<string> = new Set([
  ...Object.values(SOURCES).flat(), ...PREFIX_VARIABLES, ...MAC_VARIABLES, ...SERIAL_VARIABLES, ...BOARD_VARIABLES, ...CLUSTER_VARIABLES, ...NETWORK_VARIABLES,
  'rockberry_profiles', 'rockberry_image',
]);

/** `isOwn`: whether the inventory gives the variable to this node, and not to its groups. */
export type MappedNode = ClusterNode & { isOwn(variable: string): boolean };

/**
 * A gateway is set beside a fixed address only: without one it would stop the build. Where the address is known and only its prefix is not, lint can say so; and
 * a gateway that was given to this very node without an address is a mistake that the build has to see.
 */
export async function mapVariables(node: MappedNode, declared: Declarations, context: MappingContext): Promise<Mapped> {
  const address = addressOf(node, [...explicitNames('address', context), ...(sourcesOf('address', context))], context.networks.nodes);
  const derived = await derive(node, declared, context, address);
  const variables: Record<string, Value> = {};
  for (const [name, declaration] of declared) {
    const given = name === 'address' ? undefined : first(node, explicitNames(name, context)) ?? first(node, sourcesOf(name, context));
    const value = given ? converted(name, given, declaration, context) : derived.get(name);
    if (value !== undefined) variables[name] = value;
  }
  if (variables.address === undefined && (address || !node.isOwn('gateway'))) delete variables.gateway;
  return { variables, address: address?.address };
}

/** In our own YAML and in tables a variable of that very name counts too. */
function explicitNames(name: string, { kind }: MappingContext): string[] {
  return kind === 'rockberry' || kind === 'csv' ? [`rockberry_${name}`, name] : [`rockberry_${name}`];
}

function sourcesOf(name: string, { map }: MappingContext): readonly string[] {
  return map.get(name) ?? SOURCES[name] ?? [];
}

function first(node: ClusterNode, names: readonly string[]): Given | undefined {
  for (const name of names) {
    const given = valueOf(node, name);
    if (given) return given;
  }
  return undefined;
}

/** What nobody wrote down, but follows. */
async function derive(node: ClusterNode, declared: Declarations, context: MappingContext, address: NodeAddress | undefined): Promise<Map<string, Value | undefined>> {
  const { pods, services } = context.networks;
  const joins = declared.has('server') && !first(node, explicitNames('server', context));
  const { server, starts } = joins ? joiningOf(node, declared, context.membersOf) : { server: undefined, starts: false };
  return new Map<string, Value | undefined>([
    ['hostname', node.name],
    ['address', address?.prefix === undefined ? undefined : `${address.address}/${address.prefix}`],
    ['role', roleOf(node.groups)?.role],
    ['server', server],
    ['cluster_init', starts || undefined],
    ['cluster_networks', pods.length > 0 && services.length > 0 ? [...services, ...pods] : undefined],
    ['ssh_keys', declared.has('ssh_keys') ? await publicKeys(node, context) : undefined],
  ]);
}

/** The public half beside the key that Ansible logs in with. */
async function publicKeys(node: ClusterNode, { directory, sources }: MappingContext): Promise<string[] | undefined> {
  const given = KEY_FILES.map((name) => plainValueOf(node.vars, name)).find((one) => typeof one?.value === 'string');
  if (!given) return undefined;
  const key = String(given.value).replace(/^~(?=\/)/, homedir());
  const path = [resolve(`${key}.pub`), resolve(directory, `${key}.pub`)].find((one) => existsSync(one));
  if (path === undefined) return undefined;
  const { text } = await sources.read(path);
  return lines(text);
}

function converted(name: string, { value, text }: Given, { type }: Declaration, { kind, directory }: MappingContext): Value {
  if (name === 'kubernetes_version') return /^v?(\d+\.\d+)/.exec(text ?? '')?.[1] ?? value;
  if (typeof value === 'string' && type === 'path') return resolve(directory, value);
  if (typeof value === 'string' && type === 'list') return name === 'ssh_keys' ? lines(value) : items(value, kind);
  return typeof value === 'number' && text !== undefined && !Number.isSafeInteger(value) && type !== 'number' ? text : value;
}

/** "a,b" as --set takes it; in a cell of a table also "a;b". */
function items(text: string, kind: Inventory['kind']): string[] {
  return text.split(kind === 'csv' ? /[;,\n]/ : ',').map((item) => item.trim()).filter((item) => item !== '');
}

function lines(text: string): string[] {
  return text.split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'));
}
