/** Variables that profiles declare, read once for every list of profiles; and what an inventory sets that no profile knows. */
import { isAbsolute, resolve } from 'node:path';
import { withPlace } from '../../errors.js';
import { readWithParents } from '../../profile/files.js';
import { suggestion } from '../../profile/nearest.js';
import type { Declaration, Declarations } from '../../profile/variables.js';
import type { Draft } from './draft.js';
import type { Given, Group, Host, HostsAndGroups } from './hosts-and-groups.js';
import { KNOWN_VARIABLES } from './mapping.js';
import type { MergedHost } from './merge.js';
import { problem, quoted } from './problem.js';

const PREFIX = 'rockberry_';

/** Where a profile is not found, the error names the place that asks for it. */
export type DeclaredBy = (profiles: readonly string[], where: string) => Declarations;

export function declarationsReader(): DeclaredBy {
  const known = new Map<string, Declarations>();
  return (profiles, where) => {
    const key = profiles.join('\0');
    const before = known.get(key);
    if (before) return before;
    const declared = new Map<string, Declaration>();
    for (const { form } of withPlace(where, () => readWithParents(profiles, process.cwd()))) {
      for (const [name, own] of Object.entries(form.variables ?? {})) declared.set(name, { ...declared.get(name), ...own });
    }
    known.set(key, declared);
    return declared;
  };
}

/** A profile as FleetNode has it: a shipped name, or an absolute path. */
export function profileReference(text: string, directory: string): string {
  return /[/\\]|\.ya?ml$/.test(text) && !isAbsolute(text) ? resolve(directory, text) : text;
}

/**
 * Refuses variables that are meant for profiles and that no profile of their nodes declares: rockberry_NAME in any inventory, every name in our own YAML.
 * Errors: `profile` with place and nearest name.
 */
export function refuseUnknown({ data, hosts, own }: Draft, declaredOf: (host: string) => Declarations): void {
  const sources = new Set([...KNOWN_VARIABLES, ...Object.values(own?.form.map ?? {}).flat()]);
  const everyone = [...new Set(hosts.map(({ host }) => declaredOf(host.name)))];
  for (const { vars } of hosts) for (const [name, given] of vars) if (name.startsWith(PREFIX) && !sources.has(name)) requireDeclared(name.slice(PREFIX.length), given, everyone);
  if (!own) return;
  for (const name of Object.keys(own.form.map ?? {})) requireDeclared(name, { where: own.where(['map', name]) }, everyone);
  for (const [owner, declared] of declaredByOwner(data, hosts, declaredOf)) {
    for (const [name, given] of owner.vars) if (!/^(rockberry|ansible)_/.test(name) && !sources.has(name)) requireDeclared(name, given, [...declared], sources);
  }
}

/** For "all", every group and every host: what the profiles of its nodes declare. */
function declaredByOwner(data: HostsAndGroups, hosts: readonly MergedHost[], declaredOf: (host: string) => Declarations): Map<Group | Host, Set<Declarations>> {
  const found = new Map<Group | Host, Set<Declarations>>();
  for (const { host, groups } of hosts) {
    for (const owner of [data.groups.get('all')!, ...groups, host]) found.set(owner, (found.get(owner) ?? new Set()).add(declaredOf(host.name)));
  }
  return found;
}

function requireDeclared(name: string, { where }: Pick<Given, 'where'>, declared: readonly Declarations[], others: Iterable<string> = []): void {
  if (declared.some((one) => one.has(name))) return;
  const names = [...new Set(declared.flatMap((one) => [...one.keys()]))];
  throw problem('profile', where, `expected a variable of the node's profiles, found ${quoted(name)}${suggestion(name, [...names, ...others])}`, `known variables: ${names.join(', ')}`);
}
