/**
 * A partition that the kernel cannot mount (vfat, on many CI hosts), for programs that run in the image: its files stand in memory at its place, and what the
 * programs changed is brought back through our own driver. Owners and modes, which FAT has none of, are left.
 */
import { chmodSync, lstatSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { equalBytes } from '../bytes/fields.js';
import { RockberryError } from '../errors.js';
import type { FileSystem } from '../fs/filesystem.js';
import type { Difference } from './snapshot.js';

const LIMIT = 2 ** 30; // bytes of files: they are held in memory

export interface CopiedPart {
  /** Writes back what changed in the directory. */
  bringBack(): Difference[];
}

/** `directory`: an empty one, in memory. */
export function copyOut(filesystem: FileSystem, directory: string, name: string): CopiedPart {
  let bytes = 0;
  const known = new Map<string, Uint8Array | undefined>(); // undefined: a directory
  const copy = (path: string): void => {
    for (const entry of filesystem.list(path === '' ? '/' : path)) {
      if (/^\.{0,2}$|[/\0]/.test(entry.name)) throw new RockberryError('corrupt', `${name}: expected the name of a file in ${path || '/'}, found ${JSON.stringify(entry.name)}`); // it would be made elsewhere
      const inner = `${path}/${entry.name}`;
      if (entry.type === 'directory') {
        mkdirSync(join(directory, inner));
        known.set(inner, undefined);
        copy(inner);
        continue;
      }
      const data = filesystem.read(inner);
      bytes += data.length;
      if (bytes > LIMIT) throw new RockberryError('unsupported', `${name}: expected at most ${LIMIT} bytes of files to hold in memory, found more`, { hint: 'use a kernel that has this filesystem' });
      writeFileSync(join(directory, inner), data);
      chmodSync(join(directory, inner), 0o755);
      known.set(inner, data);
    }
  };
  copy('');
  return { bringBack: () => bringBack(filesystem, directory, known) };
}

function bringBack(filesystem: FileSystem, directory: string, known: ReadonlyMap<string, Uint8Array | undefined>): Difference[] {
  const found: Difference[] = [];
  const seen = new Set<string>();
  const compare = (path: string): void => {
    for (const name of readdirSync(join(directory, path)).sort()) {
      const inner = `${path}/${name}`;
      const stats = lstatSync(join(directory, inner));
      if (!stats.isDirectory() && !stats.isFile()) continue; // FAT has no links, devices and sockets
      seen.add(inner);
      if (stats.isDirectory()) {
        if (!known.has(inner)) {
          filesystem.makeDirectory(inner);
          found.push({ path: inner, existed: false, exists: true });
        }
        compare(inner);
        continue;
      }
      const data = readFileSync(join(directory, inner));
      const before = known.get(inner);
      if (before && equalBytes(before, data)) continue;
      filesystem.write(inner, data);
      found.push({ path: inner, existed: known.has(inner), exists: true });
    }
  };
  compare('');
  for (const path of [...known.keys()].filter((each) => !seen.has(each)).sort().reverse()) {
    filesystem.remove(path);
    found.push({ path, existed: true, exists: false });
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}
