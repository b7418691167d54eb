/** A small file that only its owner may read: looked at before it is believed, and replaced at once or not at all. */
import { closeSync, constants, fchmodSync, fstatSync, fsyncSync, openSync, realpathSync, renameSync, rmSync, type Stats } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { hostError, readFully, systemCode, writeFully } from '../../device/host.js';
import { RockberryError } from '../../errors.js';

const LIMIT = 64 << 20; // bytes: of 10,000 nodes and more
const OTHERS = 0o077;

/** The absolute path with links followed, so that what a link leads to is replaced and not the link. Errors: `io` when its directory is not there. */
export function settledPath(path: string): string {
  const absolute = resolve(path);
  try {
    return realpathSync(absolute);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw hostError(error, 'read', path);
  }
  try {
    return join(realpathSync(dirname(absolute)), basename(absolute));
  } catch (error) {
    throw hostError(error, 'write to the directory', dirname(absolute));
  }
}

/**
 * The file's bytes; undefined when there is none. Errors: `refused` when it is no file, or `isOpen` is false and group or others may read or write it; `corrupt`
 * when it is larger than any such file; `io`.
 */
export function readPrivateFile(path: string, isOpen: boolean): Uint8Array | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK); // a pipe of that name does not hold us up
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw hostError(error, 'read', path);
  }
  try {
    const stat = fstatSync(fd);
    check(path, stat, isOpen);
    const bytes = new Uint8Array(stat.size);
    if (!readFully(fd, bytes, 0)) throw new RockberryError('io', `expected ${stat.size} bytes in ${path}, found fewer`);
    return bytes;
  } catch (error) {
    throw hostError(error, 'read', path);
  } finally {
    closeSync(fd);
  }
}

function check(path: string, stat: Stats, isOpen: boolean): void {
  if (!stat.isFile()) throw new RockberryError('refused', `expected a file at ${path}, found ${stat.isDirectory() ? 'a directory' : 'something else'}`);
  if (!isOpen && process.platform !== 'win32' && (stat.mode & OTHERS) !== 0) {
    throw new RockberryError('refused', `expected ${path} to be its owner's alone (mode 0600), found the mode ${(stat.mode & 0o7777).toString(8).padStart(4, '0')}`, {
      hint: `if nobody has read the keys in it: chmod 600 ${path}; otherwise move it away, and mint anew`,
    });
  }
  if (stat.size > LIMIT) throw new RockberryError('corrupt', `expected at most ${LIMIT} bytes in ${path}, found ${stat.size}`);
}

/** Writes all beside the file, flushes it, and gives it the name; the mode is 0600. Whoever calls holds the file's lock: what an earlier run left beside it goes. */
export function replacePrivateFile(path: string, data: Uint8Array): void {
  const part = join(dirname(path), `.${basename(path)}.part`);
  const fd = openPart(part, path);
  try {
    try {
      fchmodSync(fd, 0o600); // the umask may have taken more
      writeFully(fd, data, 0);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(part, path);
    syncDirectory(dirname(path));
  } catch (error) {
    rmSync(part, { force: true });
    throw hostError(error, 'write', path, data.length);
  }
}

function openPart(part: string, path: string): number {
  try {
    rmSync(part, { force: true });
    return openSync(part, 'wx', 0o600);
  } catch (error) {
    throw hostError(error, 'write', path);
  }
}

function syncDirectory(directory: string): void {
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
