/** The image's own accounts: /etc/passwd and /etc/group as passwd(5) and group(5) describe them. Never the host's. */
import { RockberryError } from '../errors.js';
import type { Tree } from '../fs/filesystem.js';
import { readText } from './content.js';

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly comment: string;
  readonly home: string;
  readonly shell: string;
}

export interface Group {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

export function readAccounts(tree: Tree): Account[] {
  return records(tree, '/etc/passwd', 7).map(([name, , uid, gid, comment, home, shell]) => ({
    name: name!, uid: Number(uid), gid: Number(gid), comment: comment!, home: home!, shell: shell!,
  }));
}

export function readGroups(tree: Tree): Group[] {
  return records(tree, '/etc/group', 4).map(([name, , gid, members]) => ({
    name: name!, gid: Number(gid), members: members!.split(',').filter((member) => member !== ''),
  }));
}

/** A user by name or number. A number need not be in /etc/passwd; an unknown name is an error that lists what there is. */
export function resolveUser(tree: Tree, user: string | number): number {
  return resolveId(user, '/etc/passwd', 'user', readAccounts(tree).map(({ name, uid }) => [name, uid]));
}

/** A group by name or number, as resolveUser. */
export function resolveGroup(tree: Tree, group: string | number): number {
  return resolveId(group, '/etc/group', 'group', readGroups(tree).map(({ name, gid }) => [name, gid]));
}

function resolveId(wanted: string | number, path: string, kind: string, known: readonly (readonly [string, number])[]): number {
  if (typeof wanted === 'number' || /^\d+$/.test(wanted)) return Number(wanted);
  const found = known.find(([name]) => name === wanted);
  if (found) return found[1];
  throw new RockberryError('profile', `expected a ${kind} of the image, found "${wanted}", which is not in its ${path}`, {
    hint: `create it with a user step before this one, or use one of: ${known.map(([name]) => name).join(', ')}`,
  });
}

function records(tree: Tree, path: string, fields: number): string[][] {
  const lines = (readText(tree, path) ?? '').split('\n').map((line) => line.split(':'));
  return lines.filter((line) => line.length === fields && line[0] !== '' && !line[0]!.startsWith('#'));
}
