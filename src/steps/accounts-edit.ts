/**
 * Changes to /etc/passwd, shadow, group, gshadow, subuid and subgid as useradd(8) and usermod(8) of shadow-utils make them: one line each, the others keep
 * their order and bytes, the files keep their modes and owners.
 */
import { RockberryError } from '../errors.js';
import type { Tree } from '../fs/filesystem.js';
import { readAccounts, readGroups } from './accounts.js';
import { readText, writeText } from './content.js';

const MODES: Record<string, number> = { '/etc/shadow': 0, '/etc/gshadow': 0 }; // of files that have to be made, as EL has them

/** Changes the record of that name, or appends what `edit` gives for none. */
export function editRecord(tree: Tree, path: string, name: string, edit: (fields: readonly string[] | undefined) => readonly string[]): void {
  const text = readText(tree, path) ?? '';
  const lines = text.split('\n');
  const at = lines.findIndex((line) => line.startsWith(`${name}:`));
  const record = edit(at < 0 ? undefined : lines[at]!.split(':')).join(':');
  const edited = at < 0 ? `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${record}\n` : lines.with(at, record).join('\n');
  if (edited !== text) writeText(tree, path, edited, tree.stat(path) ? {} : { mode: MODES[path] ?? 0o644 });
}

/** The fields of a record, or undefined. */
export function findRecord(tree: Tree, path: string, name: string): string[] | undefined {
  return (readText(tree, path) ?? '').split('\n').find((line) => line.startsWith(`${name}:`))?.split(':');
}

/** login.defs(5): the last line of a name counts. */
export function loginDefinitions(tree: Tree): Map<string, string> {
  const lines = (readText(tree, '/etc/login.defs') ?? '').split('\n').map((line) => /^\s*([A-Z_]+)\s+(\S+)/.exec(line));
  return new Map(lines.filter((line) => line !== null).map((line) => [line[1]!, line[2]!]));
}

export function numberOf(definitions: ReadonlyMap<string, string>, key: string, otherwise: number): number {
  const value = definitions.get(key);
  return value !== undefined && /^(0x[\da-fA-F]+|\d+)$/.test(value) ? (/^0\d/.test(value) ? parseInt(value, 8) : Number(value)) : otherwise;
}

/** As useradd: one above the highest in use between UID_MIN and UID_MAX; where that is beyond the end, the first that is free. */
export function freeUid(tree: Tree): number {
  const definitions = loginDefinitions(tree);
  return freeId(readAccounts(tree).map(({ uid }) => uid), numberOf(definitions, 'UID_MIN', 1000), numberOf(definitions, 'UID_MAX', 60000), 'user');
}

/** As useradd for a user's own group: the user's number where it is free. */
export function freeGid(tree: Tree, preferred: number): number {
  const used = readGroups(tree).map(({ gid }) => gid);
  if (!used.includes(preferred)) return preferred;
  const definitions = loginDefinitions(tree);
  return freeId(used, numberOf(definitions, 'GID_MIN', 1000), numberOf(definitions, 'GID_MAX', 60000), 'group');
}

function freeId(used: readonly number[], least: number, most: number, kind: string): number {
  const inRange = new Set(used.filter((id) => id >= least && id <= most));
  const next = [...inRange].reduce((highest, id) => Math.max(highest, id + 1), least);
  if (next <= most) return next;
  for (let id = least; id <= most; id++) if (!inRange.has(id)) return id;
  throw new RockberryError('no-space', `expected a free ${kind} number between ${least} and ${most} (/etc/login.defs), found none`);
}

/** Adds the user to the group's members, in group(5) and, where there is one, gshadow(5). */
export function addMember(tree: Tree, group: string, user: string): void {
  for (const path of ['/etc/group', '/etc/gshadow']) {
    if (!findRecord(tree, path, group)) continue;
    editRecord(tree, path, group, (fields) => {
      const members = fields![3]?.split(',').filter((member) => member !== '') ?? [];
      return members.includes(user) ? fields! : [...fields!.slice(0, 3), [...members, user].join(',')];
    });
  }
}

/** Where the image has subuid(5) and subgid(5), gives the user a range of subordinate numbers: the first gap that is wide enough. */
export function addSubordinateIds(tree: Tree, user: string): void {
  const definitions = loginDefinitions(tree);
  for (const [path, kind] of [['/etc/subuid', 'UID'], ['/etc/subgid', 'GID']] as const) {
    const text = readText(tree, path);
    if (text === undefined || findRecord(tree, path, user)) continue;
    const count = numberOf(definitions, `SUB_${kind}_COUNT`, 65536);
    const ranges = text.split('\n').map((line) => line.split(':').slice(1).map(Number)).filter(([start, length]) => start! >= 0 && length! > 0);
    let start = numberOf(definitions, `SUB_${kind}_MIN`, 100000);
    for (const [first, length] of ranges.sort((a, b) => a[0]! - b[0]!)) if (first! < start + count && first! + length! > start) start = first! + length!;
    editRecord(tree, path, user, () => [user, String(start), String(count)]);
  }
}
