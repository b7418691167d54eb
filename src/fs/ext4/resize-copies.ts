/** Superblocks and descriptors as they are written when a filesystem changes its size: the ones that are used, and their copies in other groups. */
import { setU16, u16 } from '../../bytes/fields.js';
import type { BlockDevice } from '../../device/device.js';
import { backupGroups, descriptorBlocks, descriptorPlaces, groupFirst } from './geometry.js';
import { seal, SUPERBLOCK_OFFSET, type Superblock } from './superblock.js';

const STATE = { valid: 1, error: 2 } as const;

function changed(sb: Superblock, change: (raw: Uint8Array) => void): Uint8Array {
  const copy: Superblock = { ...sb, raw: sb.raw.slice() };
  change(copy.raw);
  seal(copy);
  return copy.raw;
}

/** The superblock that is used. `unfinished` adds "has errors": neither the kernel nor we take such a filesystem for sound before e2fsck was there. */
export function writePrimary(device: BlockDevice, sb: Superblock, unfinished: boolean): void {
  const state = u16(sb.raw, 0x3a);
  device.write(SUPERBLOCK_OFFSET, changed(sb, (raw) => setU16(raw, 0x3a, unfinished ? state | STATE.error : state)));
  device.flush();
}

/** Descriptors, and copies of the superblock, in the groups that are meant; the superblock of the first group is not among them. */
export function writeCopies(device: BlockDevice, sb: Superblock, table: Uint8Array, meant: (group: number) => boolean): void {
  const groupOf = (block: number): number => Math.floor((block - sb.firstDataBlock) / sb.blocksPerGroup);
  for (let index = 0; index < descriptorBlocks(sb); index++) {
    const data = table.subarray(index * sb.blockSize, (index + 1) * sb.blockSize);
    for (const block of descriptorPlaces(sb, index)) if (meant(groupOf(block))) device.write(block * sb.blockSize, data);
  }
  for (const group of backupGroups(sb).filter(meant)) device.write(groupFirst(sb, group) * sb.blockSize, backupOf(sb, group));
  device.flush();
}

/** Copies know their group, and are not "valid" (e2fsprogs lib/ext2fs/closefs.c, ext2fs_flush2). */
function backupOf(sb: Superblock, group: number): Uint8Array {
  return changed(sb, (raw) => {
    setU16(raw, 0x5a, group); // s_block_group_nr
    setU16(raw, 0x3a, u16(raw, 0x3a) & ~STATE.valid);
  });
}
