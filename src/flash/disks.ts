/** The disks of this machine, and the one that a path names. */
import { RockberryError } from '../errors.js';
import type { Disk } from './disk.js';
import { macDisks } from './diskutil.js';
import { linuxDisks } from './linux.js';
import { type Machine, resolved, thisMachine } from './machine.js';

export { type Disk, type DiskPart, REFUSAL_IDS, type Refusal, type RefusalId } from './disk.js';

export interface DiskOptions {
  /** Who answers about disks: this machine; in tests, one that was captured. */
  readonly machine?: Machine;
}

const byPath = (a: Disk, b: Disk): number => a.path.localeCompare(b.path, 'en', { numeric: true });

/**
 * All whole disks, by path: removable or not, readers without a card, and loop devices in use. Not: unused loop and network block devices, optical drives, memory
 * (zram, ram), floppies, and the boot areas of an eMMC. Errors: `unsupported` (neither Linux nor macOS), `missing-program`, `io`.
 */
export async function listDisks({ machine = thisMachine }: DiskOptions = {}): Promise<readonly Disk[]> {
  const disks = machine.platform === 'darwin' ? await macDisks(machine) : (await linuxDisks(supported(machine))).filter(({ isListed }) => isListed);
  return disks.map(({ disk }) => disk).sort(byPath);
}

/**
 * The disk that `path` names, by itself or by any symbolic link (/dev/disk/by-id/…); on macOS by /dev/rdisk4 too. Errors: as listDisks; `io` when it is not there or
 * is no disk, `refused` when it is a part of a disk.
 */
export async function findDisk(path: string, { machine = thisMachine }: DiskOptions = {}): Promise<Disk> {
  const isMac = supported(machine).platform === 'darwin';
  const real = resolved(machine, path);
  if (isMac) {
    const name = real.replace(/^\/dev\/r?/, '');
    const disks = await macDisks(machine);
    return disks.find(({ disk }) => disk.path === `/dev/${name}`)?.disk ?? partOf(path, disks.filter(({ inside }) => inside.includes(name)).map(({ disk }) => disk));
  }
  const disks = await linuxDisks(machine);
  return disks.find(({ kernelPath }) => kernelPath === real)?.disk ?? partOf(path, disks.filter(({ inside }) => inside.has(real)).map(({ disk }) => disk));
}

function supported(machine: Machine): Machine {
  if (machine.platform === 'linux' || machine.platform === 'darwin') return machine;
  throw new RockberryError('unsupported', `expected Linux or macOS to look for disks, found ${machine.platform}`, { hint: 'write a file instead, and put it on a card with another program' });
}

/** `path` is none of the disks; `on` are those that it lies on. */
function partOf(path: string, on: readonly Disk[]): never {
  if (on.length === 0) throw new RockberryError('io', `expected a disk, found that ${path} is none`, { hint: 'see: rockberry devices' });
  const names = on.map((disk) => disk.ids[0] ?? disk.path).join(' and ');
  throw new RockberryError('refused', `expected a whole disk, found ${path}, a part of ${on.map((disk) => disk.path).join(' and ')}`, { hint: `the whole is ${names}; all that is on it would be lost` });
}
