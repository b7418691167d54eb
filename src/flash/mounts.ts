/**
 * What is mounted and swapped on, from the kernel itself. lsblk reads the same files, but old versions show one mountpoint of many, and what is a device of several
 * (btrfs) has none there. Formats: proc_pid_mountinfo(5), proc_swaps(5).
 */
import type { Block } from './lsblk.js';
import type { Machine } from './machine.js';

export interface Mount {
  /** "8:2"; filesystems that are not of one device (btrfs, overlay) have "0:N". */
  readonly number: string;
  readonly source: string;
  readonly at: string;
}

export const SWAP = '[SWAP]';

/** `\040` and its like, as the kernel writes blanks, tabs, line ends and backslashes in these files. */
const unescaped = (text: string): string => text.replace(/\\([0-7]{3})/g, (_all, octal: string) => String.fromCharCode(parseInt(octal, 8)));

export function parseMountinfo(text: string): readonly Mount[] {
  return text.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - '); // optional fields before it are of any number
    const [, , number, , at] = before.split(' ');
    const source = after.split(' ')[1];
    return number === undefined || at === undefined || source === undefined ? [] : [{ number, source: unescaped(source), at: unescaped(at) }];
  });
}

/** Paths of the devices and files in use as swap. */
export function parseSwaps(text: string): readonly string[] {
  return text.split('\n').slice(1).flatMap((line) => {
    const path = line.split(/\s+/)[0];
    return path ? [unescaped(path)] : [];
  });
}

/** Our own view, and that of init where we may read it: a shell in a mount namespace of its own (unshare, snap, a unit's PrivateMounts) does not see what is mounted. */
const VIEWS = ['/proc/self/mountinfo', '/proc/1/mountinfo'];

/** Where a block device is mounted: what lsblk says and what the kernel says. */
export function placesOf(machine: Machine, all: readonly Block[]): (block: Block) => readonly string[] {
  const mounts = VIEWS.flatMap((file) => parseMountinfo(machine.text(file)));
  const swaps = new Set(parseSwaps(machine.text('/proc/swaps')));
  const own = (block: Block): string[] => [
    ...block.mountpoints,
    ...mounts.filter(({ number, source }) => number === block.number || source === block.path || source === `/dev/${block.kernelName}`).map(({ at }) => at),
    ...(swaps.has(block.path) || swaps.has(`/dev/${block.kernelName}`) ? [SWAP] : []),
  ];
  const shared = sharedPlaces(machine, all, own);
  return (block) => [...new Set([...own(block), ...(shared.get(block.kernelName) ?? [])])];
}

/** Devices of a btrfs on several: the mount names one of them, and /sys/fs/btrfs/UUID/devices names all. */
function sharedPlaces(machine: Machine, all: readonly Block[], own: (block: Block) => readonly string[]): Map<string, readonly string[]> {
  const places = new Map<string, readonly string[]>();
  for (const block of all) {
    if (block.holds !== 'btrfs' || !/^[0-9a-f-]{36}$/i.test(block.uuid) || own(block).length === 0) continue;
    for (const name of machine.names(`/sys/fs/btrfs/${block.uuid.toLowerCase()}/devices`)) places.set(name, [...(places.get(name) ?? []), ...own(block)]);
  }
  return places;
}
