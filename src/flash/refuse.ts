/**
 * Why a disk must not be written: rules as data, each with one sentence of what was found. `fixed` is the only one that a user can lift (--allow-fixed); for all others
 * the disk itself has to change, which the hint says how. Peers that picked or allowed such disks wiped them (etcher#3588, #2498, #4353, #3874).
 */
import type { Disk, DiskPart, Refusal, RefusalId } from './disk.js';
import { SWAP } from './mounts.js';

/** A disk as it was found, before it is judged. */
export interface FoundDisk {
  readonly disk: Omit<Disk, 'refusals' | 'removable' | 'parts'>;
  /** All that lies on it, itself included when something lies on it without partitions. */
  readonly parts: readonly FoundPart[];
  /** Why it is not a disk that images are for; '' when it is. */
  readonly notDisk: string;
  /** Why its medium counts as fixed, as a sentence; '' when it can be taken out. */
  readonly fixed: string;
  readonly platform: NodeJS.Platform;
}

export interface FoundPart extends DiskPart {
  /** "whole" (the disk itself), "part", and what uses it: "lvm", "crypt", "raid1", "mpath", "dm"… */
  readonly kind: string;
}

/** Where the running system lives: not to be unmounted, so no hint. Below /System/Volumes macOS has its own parts. */
const SYSTEM = /^\/(?:boot(?:\/(?:efi|firmware))?|efi|usr|usr\/local|var|var\/log|var\/lib|home|root|etc|opt|srv|nix|nix\/store|sysroot|private\/var\/vm|System\/Volumes\/.*)?$/;

interface Broken {
  readonly path: string;
  /** For people: the path, and what is wrong with it. */
  readonly what: string;
}

interface Rule {
  readonly id: RefusalId;
  readonly says: string;
  readonly find: (parts: readonly FoundPart[]) => readonly Broken[];
  readonly hint?: (found: readonly Broken[], { disk, platform }: FoundDisk) => string;
}

const pathsOf = (found: readonly Broken[]): string => found.map(({ path }) => path).join(' ');

const mountedAt = (isOne: (place: string) => boolean) => (parts: readonly FoundPart[]): Broken[] => parts.flatMap(({ path, mountpoints }) => {
  const places = mountpoints.filter(isOne);
  return places.length === 0 ? [] : [{ path, what: `${path} at ${places.join(' and ')}` }];
});

/** A rule of what a part holds (names of libblkid, and of Apple) or, where that is unknown, of what uses it now (kinds of lsblk). */
function member(id: RefusalId, says: string, holds: RegExp, kinds: RegExp = /^\b$/): Rule {
  const holding = (parts: readonly FoundPart[]): Broken[] => parts.flatMap((part) => (holds.test(part.holds) ? [{ path: part.path, what: `${part.path} (${part.holds})` }] : []));
  const using = (parts: readonly FoundPart[]): Broken[] => parts.flatMap(({ path, kind }) => (kinds.test(kind) ? [{ path, what: `${path} (${kind})` }] : []));
  return {
    id, says, find: (parts) => (holding(parts).length > 0 ? holding(parts) : using(parts)),
    hint: (found, { disk, platform, parts }) => {
      if (platform === 'darwin') return `if nothing on it is needed, erase it: diskutil eraseDisk free none ${disk.path}`;
      return `if nothing on it is needed, take it out of use${holding(parts).length > 0 ? ` and remove its signatures: wipefs --all ${pathsOf(found)}` : ''}`;
    },
  };
}

const KNOWN_KIND = /^(?:whole|part|volume|raid.*|md|linear|dmraid|lvm|crypt|bcache|mpath)$/;

const RULES: readonly Rule[] = [
  { id: 'system', says: 'it holds the running system', find: mountedAt((place) => SYSTEM.test(place)) },
  {
    id: 'swap', says: 'it has swap in use', hint: (found) => `swapoff ${pathsOf(found)}`,
    find: (parts) => parts.flatMap(({ path, mountpoints }) => (mountpoints.includes(SWAP) ? [{ path, what: path }] : [])),
  },
  {
    id: 'mounted', says: 'it is mounted', find: mountedAt((place) => place !== SWAP && !SYSTEM.test(place)),
    hint: (found, { disk, platform }) => (platform === 'darwin' ? `diskutil unmountDisk ${disk.path}` : `umount ${pathsOf(found)}`),
  },
  member('raid', 'it belongs to a RAID array', /_raid_member$|^Apple_RAID/, /^(?:raid|md$|linear$|dmraid$)/),
  member('lvm', 'it holds a part of a volume group', /^LVM[12]_member$|^Apple_CoreStorage$/, /^lvm$/),
  member('luks', 'it holds encrypted data', /^crypto_LUKS$|^BitLocker$/, /^crypt$/),
  member('zfs', 'it belongs to a ZFS pool', /^zfs_member$/),
  member('bcache', 'it belongs to a bcache', /^bcache$/, /^bcache$/),
  member('multipath', 'it is one path of several to the same disk', /^mpath_member$/, /^mpath$/),
  member('pool', 'it belongs to a storage pool', /^(?:ceph_bluestore|stratis|drbd|VMFS(?:_volume_member)?|DM_snapshot_cow|vdo|bcachefs)$/),
  // what lies on a disk and is no partition uses it, whatever it is: opened exclusively, it would be busy
  { id: 'held', says: 'another device uses it', find: (parts) => parts.flatMap(({ path, kind }) => (KNOWN_KIND.test(kind) ? [] : [{ path, what: `${path} (${kind})` }])) },
];

const SHOWN = 3;

function judged(rule: Rule, disk: FoundDisk): Refusal[] {
  const found = rule.find(disk.parts);
  if (found.length === 0) return [];
  const more = found.length > SHOWN ? ` and ${found.length - SHOWN} more` : '';
  const hint = rule.hint?.(found, disk);
  return [{ id: rule.id, message: `${rule.says}: ${found.slice(0, SHOWN).map(({ what }) => what).join(', ')}${more}`, ...(hint === undefined ? {} : { hint }) }];
}

/** Bytes. No SDXC card has more (SD Physical Layer 3.01), but some USB bridges call the hard disk behind them removable. */
const LARGEST_CARD = 2 ** 41;

/** Judges a disk. The weightiest reason comes first, `fixed` last. */
export function judge(found: FoundDisk): Disk {
  const { disk, parts, notDisk } = found;
  const fixed = found.fixed || (disk.size > LARGEST_CARD ? 'it has more than 2 TiB, as no card has' : '');
  const refusals: Refusal[] = RULES.flatMap((rule) => judged(rule, found));
  if (notDisk !== '') refusals.push({ id: 'not-a-disk', message: notDisk });
  else if (disk.size === 0) refusals.push(fixed === '' ? { id: 'no-medium', message: 'no card is in it', hint: 'put one in, and look again' } : { id: 'no-medium', message: 'it has no medium: its size is 0' });
  if (disk.readOnly && disk.size > 0) refusals.push({ id: 'read-only', message: 'it is read-only', hint: 'look for the write-protect switch of the card or its adapter' });
  if (fixed !== '' && notDisk === '') refusals.push({ id: 'fixed', message: fixed, hint: 'if it is the one, allow it with --allow-fixed' });
  return {
    ...disk, removable: fixed === '' && notDisk === '', refusals,
    parts: parts.map(({ path, size, holds, label, mountpoints }) => ({ path, size, holds, label, mountpoints })),
  };
}
