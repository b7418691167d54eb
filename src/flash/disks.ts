/** The disks of this machine, and the one that a path names. */
import type { Disk } from './disk.js';
import { RockberryError } from '../errors.js';

export type { Disk, DiskPart, Refusal, RefusalId } from './disk.js';
export { REFUSAL_IDS } from './disk.js';

/** Where the listing comes from; tests give what was captured elsewhere. */
export interface DiskOptions {
  readonly platform?: NodeJS.Platform;
}

/** All whole disks, by path. Errors: `missing-program`, `unsupported` (neither Linux nor macOS), `io`. */
export async function listDisks(_options: DiskOptions = {}): Promise<readonly Disk[]> {
  throw new RockberryError('unsupported', 'not built yet');
}

/** The disk that `path` names, by itself or by any symbolic link. Errors: as listDisks; `io` when it is not there, `refused` when it is a part of a disk. */
export async function findDisk(path: string, _options: DiskOptions = {}): Promise<Disk> {
  throw new RockberryError('unsupported', `${path}: not built yet`);
}
