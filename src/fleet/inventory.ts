/**
 * The inventory of a fleet: our own YAML, CSV, and Ansible's INI and YAML with group_vars and host_vars, merged as Ansible merges them and mapped to the
 * variables of profiles. Nothing in it is run; ansible-vault and sops are called for what they encrypted.
 */
import { dirname, resolve } from 'node:path';
import type { ClusterNode } from './inventory/cluster.js';
import { declarationsReader, refuseUnknown } from './inventory/declared.js';
import type { DecryptOptions } from './inventory/decrypt.js';
import { readDraft, type Draft } from './inventory/draft.js';
import { refuseFolder } from './inventory/kind.js';
import type { MappingContext } from './inventory/mapping.js';
import { networksOf, vipsOf } from './inventory/networks.js';
import { finishNode, prepareNode, type PreparedNode } from './inventory/node.js';
import { problem } from './inventory/problem.js';
import { openSources, type Sources } from './inventory/source.js';
import { valueOf } from './inventory/templates.js';
import type { Inventory } from './model.js';

export { fleetSchema } from './inventory/own-form.js';

export interface InventoryOptions extends DecryptOptions {
  /** Instead of the inventory's own; relative to the current directory. */
  readonly image?: string;
}

/**
 * Reads an inventory with everything beside it. Errors: `corrupt` for a file that breaks the rules of its format, `profile` for a name, a key or a value that
 * does not fit, `unsupported` for too much and for other kinds, `io` for what cannot be read or decrypted, `missing-program`; all with file, line and column.
 */
export async function readInventory(path: string, options: InventoryOptions = {}): Promise<Inventory> {
  refuseFolder(path);
  const sources = openSources(path, options);
  const draft = await readDraft(sources, resolve(path));
  const prepared = prepareNodes(draft);
  const members = membersByGroup(draft, prepared);
  const context = contextOf(draft, sources, members);
  const nodes = [];
  for (const node of prepared) nodes.push(await finishNode(node, context));
  const secretNames = new Set(prepared.flatMap(({ vars }) => [...vars].filter(([, { secret }]) => secret).map(([name]) => name)));
  return {
    path, kind: draft.kind, nodes, secretNames, networks: context.networks, vips: vipsOf(draft.hosts, draft.own?.form), files: sources.files(),
    image: options.image === undefined ? imageOf(draft, prepared) : resolve(options.image),
    groups: new Map([...members].map(([group, nodesOfGroup]) => [group, nodesOfGroup.map(({ name }) => name)])),
  };
}

function prepareNodes(draft: Draft): PreparedNode[] {
  const { hosts, source } = draft;
  if (hosts.length === 0) throw problem('profile', `${source.name}:1:1`, 'expected at least one node, found none');
  const declaredBy = declarationsReader();
  const firsts = new Map<string, { name: string; vars: PreparedNode['vars'] }>();
  for (const { host, groups, vars } of hosts) for (const { name } of groups) if (!firsts.has(name)) firsts.set(name, { name: host.name, vars });
  const prepared = hosts.map((merged) => prepareNode(merged, { firstOf: (group) => firsts.get(group) }, { directory: source.directory, declaredBy }));
  const declared = new Map(prepared.map((node) => [node.name, node.declared]));
  refuseUnknown(draft, (name) => declared.get(name)!);
  return prepared;
}

/** Every group with its nodes, in the inventory's order; without "all" and "ungrouped". */
function membersByGroup({ data }: Draft, nodes: readonly PreparedNode[]): Map<string, PreparedNode[]> {
  const members = new Map<string, PreparedNode[]>([...data.groups.keys()].filter((name) => name !== 'all' && name !== 'ungrouped').map((name) => [name, []]));
  for (const node of nodes) for (const group of node.groups) members.get(group)!.push(node);
  return members;
}

function contextOf({ kind, source, hosts, own }: Draft, sources: Sources, members: ReadonlyMap<string, readonly ClusterNode[]>): MappingContext {
  const map = new Map(Object.entries(own?.form.map ?? {}).map(([name, from]) => [name, [from].flat()]));
  return { kind, directory: source.directory, map, networks: networksOf(hosts, own?.form.networks), sources, membersOf: (group) => members.get(group) ?? [] };
}

/** Our own "image", or rockberry_image of an Ansible inventory, which has to be the same for all nodes. */
function imageOf({ source, own }: Draft, nodes: readonly PreparedNode[]): string | undefined {
  if (own) return own.form.image === undefined ? undefined : resolve(source.directory, own.form.image);
  const given = nodes.map((node) => valueOf(node, 'rockberry_image')).filter((one) => one !== undefined);
  const [first] = given;
  if (!first) return undefined;
  if (typeof first.value !== 'string') throw problem('profile', first.where, 'expected the path of an image for "rockberry_image", found something else');
  const other = given.find(({ value }) => value !== first.value);
  if (other) throw problem('unsupported', other.where, 'expected one base image for the whole fleet, found another one than for the first node', 'make one inventory for each base image');
  return resolve(dirname(source.path), first.value);
}
