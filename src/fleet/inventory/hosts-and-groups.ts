/**
 * Hosts, groups and their variables while an inventory is read: what Ansible's InventoryData, Group and Host hold (inventory/data.py, group.py, host.py). Depth
 * and membership are worked out at the end: there they depend on nothing but who is whose child, and here they cost one pass.
 */
import type { Value, Where } from '../model.js';
import { HOST_LIMIT } from './host-pattern.js';
import { problem, quoted } from './problem.js';

/** A variable's value, as somebody wrote it. */
export interface Given {
  readonly value: Value;
  /** A scalar's own text, before it became a number or a boolean. */
  readonly text: string | undefined;
  readonly where: Where;
  /** It was decrypted: it may not be shown. */
  readonly secret: boolean;
}

export type Vars = ReadonlyMap<string, Given>;

export interface Host {
  readonly name: string;
  readonly where: Where;
  readonly vars: Map<string, Given>;
  /** Those that name it themselves. */
  readonly groups: Set<Group>;
}

export interface Group {
  readonly name: string;
  readonly where: Where;
  readonly vars: Map<string, Given>;
  readonly hosts: Set<Host>;
  readonly children: Map<Group, Where>;
  readonly parents: Set<Group>;
  priority: number;
  /** Steps from "all", by the longest way. */
  depth: number;
}

export interface HostsAndGroups {
  readonly hosts: Map<string, Host>;
  readonly groups: Map<string, Group>;
}

const GROUP_LIMIT = 10_000;
const DEPTH_LIMIT = 100; // groups inside each other
const WORK_LIMIT = 20_000_000; // steps from a host or a group to those around it

export function emptyInventory(where: Where): HostsAndGroups {
  const data: HostsAndGroups = { hosts: new Map(), groups: new Map() };
  addChild(addGroup(data, 'all', where), addGroup(data, 'ungrouped', where), where);
  return data;
}

export function addGroup(data: HostsAndGroups, name: string, where: Where): Group {
  const known = data.groups.get(name);
  if (known) return known;
  if (name === '') throw problem('corrupt', where, 'expected the name of a group, found an empty one');
  if (data.groups.size >= GROUP_LIMIT) throw problem('unsupported', where, `expected at most ${GROUP_LIMIT} groups, found more`);
  const group: Group = { name, where, vars: new Map(), hosts: new Set(), children: new Map(), parents: new Set(), priority: 1, depth: 0 };
  data.groups.set(name, group);
  return group;
}

/** Only the first mention of a host may give it a port. */
export function addHost(data: HostsAndGroups, name: string, group: Group, { port, given }: { port?: number | undefined; given: Omit<Given, 'value' | 'text'> }): Host {
  const known = data.hosts.get(name);
  if (known) return joined(known, group);
  if (name === '') throw problem('corrupt', given.where, 'expected the name of a host, found an empty one');
  if (data.hosts.size >= HOST_LIMIT) throw problem('unsupported', given.where, `expected at most ${HOST_LIMIT} hosts, found more`);
  const host: Host = { name, where: given.where, vars: new Map(), groups: new Set() };
  if (port !== undefined && port > 0) host.vars.set('ansible_port', { ...given, value: port, text: String(port) });
  data.hosts.set(name, host);
  return joined(host, group);
}

/** Puts the host into the group. */
export function joined(host: Host, group: Group): Host {
  group.hosts.add(host);
  host.groups.add(group);
  return host;
}

export function addChild(group: Group, child: Group, where: Where): void {
  if (!group.children.has(child)) group.children.set(child, where);
  child.parents.add(group);
}

/** Sets it for the group or the host of that name; where there are both, Ansible takes the group. */
export function setVariable(data: HostsAndGroups, name: string, key: string, given: Given): void {
  const group = data.groups.get(name);
  if (group && key === 'ansible_group_priority') group.priority = wholeNumber(given);
  else (group ?? data.hosts.get(name))?.vars.set(key, given);
}

function wholeNumber({ value, where }: Given): number {
  const number = typeof value === 'string' ? (/^\s*[-+]?\d{1,15}\s*$/.test(value) ? Number(value) : NaN) : Math.trunc(Number(value));
  if (value !== null && typeof value !== 'object' && Number.isFinite(number)) return number;
  throw problem('profile', where, 'expected a whole number for ansible_group_priority, found something else');
}

/** Puts every group below "all" and every host without a group into "ungrouped", and works out the depths. Errors: `corrupt` for groups in a circle. */
export function completeInventory(data: HostsAndGroups): void {
  const all = data.groups.get('all')!;
  const ungrouped = data.groups.get('ungrouped')!;
  for (const group of data.groups.values()) if (group !== all && group.parents.size === 0) addChild(all, group, group.where);
  setDepths(data);
  const ancestorsOf = ancestorFinder();
  for (const host of data.hosts.values()) {
    const others = [...membership(host, ancestorsOf)].some((group) => group !== all && group !== ungrouped);
    if (others && ungrouped.hosts.delete(host)) host.groups.delete(ungrouped);
    else if (!others && !host.groups.has(ungrouped)) joined(host, ungrouped);
  }
}

/** Kahn's order: parents before children. What is left over is in a circle. */
function setDepths({ groups }: HostsAndGroups): void {
  const waiting = new Map([...groups.values()].map((group) => [group, group.parents.size]));
  const ready = [...waiting].filter(([, parents]) => parents === 0).map(([group]) => group);
  for (let group = ready.pop(); group; group = ready.pop()) {
    waiting.delete(group);
    for (const child of group.children.keys()) {
      child.depth = Math.max(child.depth, group.depth + 1);
      if (child.depth > DEPTH_LIMIT) throw problem('unsupported', child.where, `expected at most ${DEPTH_LIMIT} groups inside each other, found more`);
      const parents = waiting.get(child)! - 1;
      waiting.set(child, parents);
      if (parents === 0) ready.push(child);
    }
  }
  const [left] = waiting.keys();
  if (left) throw circle(left, waiting);
}

function circle(start: Group, waiting: ReadonlyMap<Group, number>): Error {
  const way: Group[] = [];
  let group = start;
  while (!way.includes(group)) {
    way.push(group);
    group = [...group.parents].find((parent) => waiting.has(parent))!; // it waits, so one of its parents does
  }
  const round = [group, ...way.slice(way.indexOf(group)).reverse()];
  return problem('corrupt', round[0]!.children.get(round[1]!)!, `expected groups that do not contain each other in a circle, found ${round.map(({ name }) => quoted(name)).join(' → ')}`);
}

type AncestorFinder = (group: Group) => ReadonlySet<Group>;

/** Every group above a group; each is worked out once. Errors: `unsupported` when there is too much to follow. */
export function ancestorFinder(): AncestorFinder {
  const known = new Map<Group, ReadonlySet<Group>>();
  let left = WORK_LIMIT;
  const find = (group: Group): ReadonlySet<Group> => {
    const before = known.get(group);
    if (before) return before;
    const found = new Set<Group>();
    for (const parent of group.parents) {
      for (const one of [parent, ...find(parent)]) {
        if (--left < 0) throw problem('unsupported', group.where, 'expected groups inside each other within reason, found too many');
        found.add(one);
      }
    }
    known.set(group, found);
    return found;
  };
  return find;
}

/** The groups that a host is in, also through their children. */
export function membership(host: Host, ancestorsOf: AncestorFinder): Set<Group> {
  return new Set([...host.groups].flatMap((group) => [group, ...ancestorsOf(group)]));
}
