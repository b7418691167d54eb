/**
 * What Ansible merges for a host, from the weakest to the strongest: "all" and then the other groups as the inventory has them, group_vars/all, group_vars of
 * the other groups, the host as the inventory has it, host_vars. Groups go by depth, then ansible_group_priority, then name; a later value replaces an earlier
 * one whole (vars/manager.py, inventory/helpers.py; the default of DEFAULT_HASH_BEHAVIOUR).
 */
import { ancestorFinder, membership, type Given, type Group, type Host, type HostsAndGroups, type Vars } from './hosts-and-groups.js';
import type { VarsFiles } from './vars-files.js';

export interface MergedHost {
  readonly host: Host;
  /** In the order of merging, without "all". */
  readonly groups: readonly Group[];
  readonly vars: Vars;
}

/** Every host, in the inventory's order. */
export function mergeHosts(data: HostsAndGroups, files: VarsFiles): MergedHost[] {
  const ancestorsOf = ancestorFinder();
  const all = data.groups.get('all')!;
  const shared = new Map<string, Vars>();
  return [...data.hosts.values()].map((host) => {
    const groups = [...membership(host, ancestorsOf)].filter((group) => group !== all).sort(inOrder);
    const key = groups.map(({ name }) => name).join('\0');
    const groupVars = shared.get(key) ?? merged([all, ...groups].map(({ vars }) => vars), [all, ...groups].map(({ name }) => files.group(name)));
    shared.set(key, groupVars);
    return { host, groups, vars: merged([groupVars, host.vars], [files.host(host.name)]) };
  });
}

function inOrder(a: Group, b: Group): number {
  return a.depth - b.depth || a.priority - b.priority || (a.name < b.name ? -1 : 1);
}

function merged(...layers: readonly (readonly Vars[])[]): Vars {
  const vars = new Map<string, Given>();
  for (const layer of layers.flat()) for (const [name, given] of layer) vars.set(name, given);
  return vars;
}
