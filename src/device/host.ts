/** The host's own files: what its errors mean, and reads and writes that are complete or throw. */
import { mkdtempSync, openSync, readSync, rmdirSync, unlinkSync, writeSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { RockberryError } from '../errors.js';

const REASONS: Record<string, string> = {
  ENOENT: 'it does not exist', EACCES: 'permission denied', EPERM: 'permission denied', EISDIR: 'it is a directory', ENOTDIR: 'a part of the path is not a directory',
  EROFS: 'the filesystem is read-only', EIO: 'the device reports an input/output error', EMFILE: 'too many open files', EBUSY: 'it is in use',
  ELOOP: 'too many symbolic links', ENAMETOOLONG: 'the name is too long',
};
const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** The code of a Node system error ("ENOENT"), or '' for anything else. */
export function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/**
 * A system error as one sentence: "cannot <doing> PATH: <reason>". A full disk, quota or file size limit is `no-space`, all else `io`.
 * A RockberryError passes through.
 */
export function hostError(error: unknown, doing: string, path: string, needed?: number): RockberryError {
  if (error instanceof RockberryError) return error;
  const code = systemCode(error);
  if (FULL.has(code)) {
    const need = needed === undefined ? '' : ` (${needed} bytes are needed)`;
    const why = code === 'EFBIG' ? 'the file would be larger than is allowed' : 'no space left on the disk';
    return new RockberryError('no-space', `cannot ${doing} ${path}: ${why}${need}`, { hint: 'free some space there, or use another directory', cause: error });
  }
  const reason = REASONS[code] ?? (error instanceof Error ? error.message : String(error));
  return new RockberryError('io', `cannot ${doing} ${path}: ${reason}`, { cause: error });
}

/** Whether there is a process of that number; it need not be the one that had it. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) !== 'ESRCH'; // EPERM: it runs, as somebody else
  }
}

/** PATH with sbin, where mount, losetup and blkid are: an ordinary user's may lack it. */
export const systemPath = (): string => `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;

/** Fills `target` from the file's `offset` on, in bytes; false when the file ends before. System errors pass through. */
export function readFully(fd: number, target: Uint8Array, offset: number): boolean {
  let done = 0;
  while (done < target.length) {
    const count = readSync(fd, target, done, target.length - done, offset + done);
    if (count === 0) return false;
    done += count;
  }
  return true;
}

/** Writes all of `data` at `offset`, in bytes. System errors pass through. */
export function writeFully(fd: number, data: Uint8Array, offset: number): void {
  for (let done = 0; done < data.length;) done += writeSync(fd, data, done, data.length - done, offset + done);
}

const HOME: Readonly<Record<'cache' | 'state', readonly [variable: string, below: string]>> = { cache: ['XDG_CACHE_HOME', '.cache'], state: ['XDG_STATE_HOME', '.local/state'] };

/** Ours among the user's: `$XDG_CACHE_HOME/rockberry`, else ~/.cache/rockberry; a relative one is to be ignored (XDG base directory specification). */
export function userDirectory(kind: 'cache' | 'state'): string {
  const [variable, below] = HOME[kind];
  const given = process.env[variable];
  return join(given?.startsWith('/') ? given : join(homedir(), below), 'rockberry');
}

/** Opens an empty file for reading and writing that has no name any more: it is gone when it is closed, however the process ends. */
export function openUnlinked(directory = tmpdir()): number {
  try {
    const home = mkdtempSync(join(directory, 'rockberry-'));
    const path = join(home, 'pages');
    const fd = openSync(path, 'wx+', 0o600);
    unlinkSync(path);
    rmdirSync(home);
    return fd;
  } catch (error) {
    throw hostError(error, 'create a temporary file in', directory);
  }
}
