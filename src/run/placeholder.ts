/**
 * A mount needs something to be mounted on. What the image lacks is made for the run and taken away after it, by a process that waits for the end of a pipe: so
 * it goes when rockberry is killed, too. That process stands in the parent directory, and removes one name in it and only what is empty: whatever the command has
 * made of the path that leads there, no link is followed.
 */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { hostError } from '../device/host.js';
import type { Place } from './inside.js';
import { PLAIN } from './programs.js';

/** A word means that the innermost is removed already; without one all of them begin at once, and a directory has to wait for what is in it. */
const REMOVE = {
  directory: 'read -r _ && tries=1 || tries=50; until rmdir -- "$1" || [ "$tries" = 1 ]; do tries=$((tries - 1)); sleep 0.1; done',
  file: 'read -r _; [ -s "$1" ] || rm -f -- "$1"',
} as const;

/** Takes the placeholder away. */
export type Remove = () => Promise<void>;

/** Makes what is missing of the place; `made` gets what takes it away again, to be called from the last to the first. */
export function makePlace(root: string, place: Place, kind: 'directory' | 'file', made: Remove[]): void {
  const names = place.path.split('/').slice(1);
  for (let count = names.length - place.missing + 1; count <= names.length; count++) {
    made.push(makeOne(join(root, ...names.slice(0, count)), count === names.length ? kind : 'directory'));
  }
}

function makeOne(path: string, kind: 'directory' | 'file'): Remove {
  const name = path.slice(dirname(path).length + 1);
  const remover = execa('sh', ['-c', REMOVE[kind], 'sh', `./${name}`], { // begun before there is something to remove; in a session of its own, where Ctrl-C does not reach
    cwd: dirname(path), env: PLAIN, extendEnv: false, reject: false, detached: true, cleanup: false, stdin: 'pipe', stdout: 'ignore', stderr: 'ignore',
  });
  remover.stdin.on('error', () => undefined); // someone has killed it
  try {
    if (kind === 'directory') mkdirSync(path);
    else writeFileSync(path, '', { flag: 'wx' });
    chmodSync(path, kind === 'directory' ? 0o755 : 0o644);
  } catch (error) {
    remover.stdin.end('now\n');
    throw hostError(error, 'make', path);
  }
  return async () => {
    remover.stdin.end('now\n');
    await remover;
  };
}
