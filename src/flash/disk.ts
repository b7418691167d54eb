/** What a disk is to those who write it: where it is, what lies on it, and why it must not be written. */

/** A partition, or whatever else lies on a disk at any depth: LVM volumes, opened LUKS, RAID arrays. Names and labels are as found: hostile. */
export interface DiskPart {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** What is on it by the names of blkid or of Apple: "ext4", "LVM2_member", "Apple_APFS"; '' when it is unknown. */
  readonly holds: string;
  readonly label: string;
  /** Absolute paths; "[SWAP]" for swap in use. */
  readonly mountpoints: readonly string[];
}

/** Why a disk must not be written. Only `fixed` is a matter of the user's will (--allow-fixed). */
export interface Refusal {
  readonly id: RefusalId;
  /** One sentence of what was found, for people. */
  readonly message: string;
  /** What makes it go away; none where nothing does. */
  readonly hint?: string;
}

export const REFUSAL_IDS = [
  'system', 'swap', 'mounted', 'raid', 'lvm', 'luks', 'zfs', 'bcache', 'multipath', 'pool', 'held', 'not-a-disk', 'no-medium', 'read-only', 'fixed',
] as const;
export type RefusalId = (typeof REFUSAL_IDS)[number];

export interface Disk {
  /** /dev/sda, /dev/mmcblk0, /dev/loop3, /dev/disk4. */
  readonly path: string;
  /** The links of /dev/disk/by-id to it, the most telling first; none where there are none (macOS, loop devices, some containers). */
  readonly ids: readonly string[];
  /** Bytes. */
  readonly size: number;
  readonly model: string;
  readonly serial: string;
  /** 'usb', 'mmc', 'sata', 'nvme', 'virtio', 'loop'; '' when it is unknown. */
  readonly bus: string;
  /** A medium made to be taken out: a card, a stick. Not a disk in a USB enclosure (see refuse.ts). */
  readonly removable: boolean;
  readonly readOnly: boolean;
  /** Logical block size, bytes: what is written without the page cache is aligned to it. */
  readonly sector: number;
  /** Bytes; zeros where there is no discard. */
  readonly discard: { readonly granularity: number; readonly max: number };
  /** All that lies on it, at any depth, in the order of the listing. */
  readonly parts: readonly DiskPart[];
  /** Why it must not be written; empty: it may. */
  readonly refusals: readonly Refusal[];
}
