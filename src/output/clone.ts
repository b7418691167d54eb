/** A new file that shares its blocks with another one until either is written to, where the filesystem can (btrfs, XFS, APFS): ioctl_ficlonerange(2). */
import { chmodSync, closeSync, constants, copyFileSync, fstatSync, openSync } from 'node:fs';
import type { Range } from '../bytes/ranges.js';

export interface CloneOf {
  /** The file on the host that the output is nearly the same as. */
  readonly path: string;
  /** Where it is not, in bytes: sorted, disjoint. Only these are written. */
  readonly changed: readonly Range[];
}

/** Makes the empty file `part`, open as `fd`, a clone of another. Gives the open file, and whether it is one: a filesystem that cannot leaves it empty. */
export function cloneInto(part: string, fd: number, { path }: CloneOf): { fd: number; cloned: boolean } {
  const { mode } = fstatSync(fd);
  closeSync(fd);
  try {
    copyFileSync(path, part, constants.COPYFILE_FICLONE_FORCE);
    chmodSync(part, mode & 0o777); // the copy has its original's, which may be read-only
    return { fd: openSync(part, 'r+'), cloned: true };
  } catch {
    return { fd: openSync(part, 'w+', 0o666), cloned: false }; // whatever is wrong with the file itself, writing it will tell
  }
}
