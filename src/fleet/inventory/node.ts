/** One node of a fleet, from what the inventory says of it. */
import type { Declarations } from '../../profile/variables.js';
import type { FleetNode, Value } from '../model.js';
import type { DeclaredBy } from './declared.js';
import { profileReference } from './declared.js';
import type { Given } from './hosts-and-groups.js';
import { BOARD_VARIABLES, MAC_VARIABLES, mapVariables, SERIAL_VARIABLES, type MappingContext } from './mapping.js';
import type { MergedHost } from './merge.js';
import { problem, quoted } from './problem.js';
import { DEFAULT_PROFILE, roleOf } from './roles.js';
import { valueOf, type Scope } from './templates.js';
import type { ClusterNode } from './cluster.js';

/** A host with its profiles, before its variables are mapped. */
export interface PreparedNode extends ClusterNode {
  readonly merged: MergedHost;
  readonly profiles: readonly string[];
  readonly declared: Declarations;
}

/** Errors: `profile` for profiles that are not there or not named as such. */
export function prepareNode(merged: MergedHost, scope: Pick<Scope, 'firstOf'>, { directory, declaredBy }: { directory: string; declaredBy: DeclaredBy }): PreparedNode {
  const { host, vars } = merged;
  const groups = merged.groups.map(({ name }) => name).filter((name) => name !== 'ungrouped');
  const node: ClusterNode = { name: host.name, vars, groups, firstOf: scope.firstOf };
  const given = valueOf(node, 'rockberry_profiles');
  const profiles = given ? profileNames(node, given).map((name) => profileReference(name, directory)) : [roleOf(groups)?.profile ?? DEFAULT_PROFILE];
  return { ...node, merged, profiles, declared: declaredBy(profiles, given?.where ?? host.where) };
}

/** A list, or a text of names with commas or blanks between. */
function profileNames({ name }: Scope, { value, where }: Given): string[] {
  const names = typeof value === 'string' ? value.split(/[,\s]+/).filter((one) => one !== '') : value;
  if (Array.isArray(names) && names.length > 0 && names.every((one): one is string => typeof one === 'string')) return names;
  throw problem('profile', where, `expected the names of profiles for the node ${quoted(name)}, found something else`);
}

export async function finishNode(node: PreparedNode, context: MappingContext): Promise<FleetNode> {
  const { name, merged, groups, profiles, declared, vars } = node;
  const { variables, address } = await mapVariables({ ...node, isOwn: (variable) => merged.host.vars.has(variable) || merged.host.vars.has(`rockberry_${variable}`) }, declared, context);
  return {
    name, groups, profiles, variables, address,
    hostVars: Object.fromEntries([...vars].map(([key, { value }]): [string, Value] => [key, value])),
    mac: textOf(node, MAC_VARIABLES, macOf, 'a MAC address, as "dc:a6:32:00:00:01"'),
    serial: textOf(node, SERIAL_VARIABLES, serialOf, 'a serial number of 16 hexadecimal digits'),
    board: textOf(node, BOARD_VARIABLES, (text) => text, 'a kind of board'),
    where: merged.host.where.replace(/:\d+$/, ''),
  };
}

/** The first of the variables, as it is written: YAML reads some of these as numbers. */
function textOf(node: Scope, variables: readonly string[], read: (text: string) => string | undefined, expected: string): string | undefined {
  for (const variable of variables) {
    const given = valueOf(node, variable);
    if (!given) continue;
    const text = given.text === undefined ? undefined : read(given.text.trim());
    if (text !== undefined) return text;
    throw problem('profile', given.where, `expected ${expected} for ${quoted(variable)} of the node ${quoted(node.name)}, found ${given.secret || given.text === undefined ? 'something else' : quoted(given.text)}`);
  }
  return undefined;
}

/** dc:a6:32:00:00:01, DC-A6-32-00-00-01, dca632000001, dca6.3200.0001 */
function macOf(text: string): string | undefined {
  const isMac = /^[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}$|^[0-9A-Fa-f]{12}$|^(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}$/.test(text);
  return isMac ? text.replace(/[:.-]/g, '').toLowerCase().match(/../g)!.join(':') : undefined;
}

function serialOf(text: string): string | undefined {
  return /^(?:0x)?[0-9A-Fa-f]{16}$/.test(text) ? text.slice(-16).toLowerCase() : undefined;
}
