/** An inventory of any kind, read and merged, before it is mapped to profiles. */
import { dirname } from 'node:path';
import type { Inventory } from '../model.js';
import { openAnsibleYaml } from './ansible-yaml.js';
import { readCsvInventory } from './csv-inventory.js';
import { addGroup, ancestorFinder, completeInventory, joined, membership, type HostsAndGroups } from './hosts-and-groups.js';
import { readIniInventory } from './ini-inventory.js';
import { kindOf, type Kind } from './kind.js';
import { mergeHosts, type MergedHost } from './merge.js';
import { readOwnInventory, type OwnInventory } from './own-inventory.js';
import type { Source, Sources } from './source.js';
import { hasGroupVars, NO_VARS_FILES, readVarsFiles } from './vars-files.js';
import { readYamlInventory } from './yaml-inventory.js';

export interface Draft {
  readonly kind: Inventory['kind'];
  readonly source: Source;
  readonly data: HostsAndGroups;
  /** In the inventory's order. */
  readonly hosts: readonly MergedHost[];
  /** What only our own YAML has. */
  readonly own: OwnInventory | undefined;
}

export async function readDraft(sources: Sources, path: string): Promise<Draft> {
  const source = await sources.read(path);
  const kind = kindOf(source);
  const own = kind.kind === 'rockberry' ? await readOwnInventory(sources, source) : undefined;
  const data = own?.data ?? await readOthers(sources, source, kind);
  completeInventory(data);
  if (own || kind.kind === 'csv') return { kind: kind.kind, source, data, own, hosts: mergeHosts(data, NO_VARS_FILES) };
  const directory = dirname(path);
  if (hasGroupVars(directory, CLUSTER_GROUP)) addClusterGroup(data);
  const files = await readVarsFiles(sources, directory, { groups: data.groups.keys(), hosts: data.hosts.keys() });
  return { kind: kind.kind, source, data, own, hosts: mergeHosts(data, files) };
}

async function readOthers(sources: Sources, source: Source, kind: Kind): Promise<HostsAndGroups> {
  if (kind.kind === 'csv') return readCsvInventory(source);
  return kind.kind === 'ansible-yaml' ? readYamlInventory(source, await openAnsibleYaml(sources, source, kind.file)) : readIniInventory(source);
}

const CLUSTER_GROUP = 'k8s_cluster';
const CLUSTER_PARTS = ['kube_control_plane', 'kube_node', 'calico_rr', 'kube-master', 'kube-node', 'calico-rr'];

/** Kubespray's role dynamic_groups makes this group at the start of a run where the inventory has none; its group_vars hold most of the cluster's settings. */
function addClusterGroup(data: HostsAndGroups): void {
  if (data.groups.has(CLUSTER_GROUP)) return;
  const all = data.groups.get('all')!;
  const ancestorsOf = ancestorFinder();
  const members = [...data.hosts.values()].filter((host) => [...membership(host, ancestorsOf)].some(({ name }) => CLUSTER_PARTS.includes(name)));
  if (members.length === 0) return;
  const group = addGroup(data, CLUSTER_GROUP, all.where);
  group.depth = 1;
  group.parents.add(all);
  for (const host of members) joined(host, group);
}
