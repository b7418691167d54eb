/** What is in a mounted directory tree, before and after something else wrote to it. */
import { lstatSync, readdirSync } from 'node:fs';
import { decodeText } from '../fs/names.js';

/** By path in the tree ("/etc/hosts"): what tells whether it was changed. */
export type Snapshot = ReadonlyMap<string, string>;

const SLASH = Buffer.from('/');

/** Other filesystems that are mounted below are left out. Inode and change time tell: nobody can set the latter. */
export function snapshot(directory: string): Snapshot {
  const found = new Map<string, string>();
  const { dev } = lstatSync(directory);
  const pending: { readonly at: Buffer; readonly path: string }[] = [{ at: Buffer.from(directory), path: '' }];
  for (let next = pending.pop(); next; next = pending.pop()) {
    for (const entry of readdirSync(next.at, { withFileTypes: true, encoding: 'buffer' })) {
      const at = Buffer.concat([next.at, SLASH, entry.name]);
      const path = `${next.path}/${decodeText(entry.name)}`;
      const stats = lstatSync(at, { bigint: true });
      if (Number(stats.dev) !== dev) continue;
      const directoryHere = stats.isDirectory();
      // Of a directory the change time moves with every entry: what is asked of it is its own owner and mode.
      found.set(path, directoryHere ? `${stats.ino} ${stats.mode} ${stats.uid}:${stats.gid}` : `${stats.ino} ${stats.ctimeNs}`);
      if (directoryHere) pending.push({ at, path });
    }
  }
  return found;
}

export interface Difference {
  readonly path: string;
  readonly existed: boolean;
  readonly exists: boolean;
}

/** Sorted by path. */
export function differences(before: Snapshot, after: Snapshot): Difference[] {
  const changed = [...after].filter(([path, state]) => before.get(path) !== state).map(([path]) => ({ path, existed: before.has(path), exists: true }));
  const gone = [...before.keys()].filter((path) => !after.has(path)).map((path) => ({ path, existed: true, exists: false }));
  return [...changed, ...gone].sort((a, b) => (a.path < b.path ? -1 : 1));
}
