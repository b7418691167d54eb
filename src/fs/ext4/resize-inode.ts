/**
 * Inode 7 owns the blocks that are kept free for more descriptors, by a map of a kind of its own (kernel fs/ext4/resize.c, e2fsprogs lib/ext2fs/res_gdt.c): its
 * double-indirect block names the reserved blocks behind the first superblock, at places modulo its length; each of them names the blocks at the same place behind the copies.
 */
import { setU32, u32 } from '../../bytes/fields.js';
import { RockberryError } from '../../errors.js';
import type { BlockDevice } from '../../device/device.js';
import { backupGroups, descriptorBlocks, reservedDescriptorBlocks } from './geometry.js';
import { Inode } from './inode.js';
import type { Superblock } from './superblock.js';

export const RESIZE_INODE = 7; // EXT4_RESIZE_INO
const DOUBLE_INDIRECT = 13; // place in i_block

/** Writes the map and the inode (at byte `offset` of the device) for a superblock that has its new counts. */
export function writeResizeInode(device: BlockDevice, sb: Superblock, offset: number): void {
  const inode = new Inode(sb, RESIZE_INODE, new Uint8Array(device.read(offset, sb.inodeSize)));
  inode.validate();
  const top = u32(inode.blockArea, DOUBLE_INDIRECT * 4);
  const [reserved, backups, perBlock] = [reservedDescriptorBlocks(sb), backupGroups(sb), sb.blockSize / 4];
  if (top === 0 && reserved === 0) return;
  if (top < sb.firstDataBlock || top >= sb.blocksCount) throw new RockberryError('corrupt', `ext4 inode 7: expected a map of the reserved descriptor blocks, found block ${top}`);
  if (backups.length > perBlock) throw new RockberryError('unsupported', `expected at most ${perBlock} copies of the superblock, found ${backups.length}`, { hint: 'grow it with `resize2fs`' });
  const map = new Uint8Array(sb.blockSize);
  for (let at = 0; at < reserved; at++) {
    const place = descriptorBlocks(sb) + at;
    const block = sb.firstDataBlock + 1 + place;
    setU32(map, (place % perBlock) * 4, block);
    const copies = new Uint8Array(sb.blockSize);
    backups.forEach((group, index) => setU32(copies, index * 4, block + group * sb.blocksPerGroup));
    device.write(block * sb.blockSize, copies);
  }
  device.write(top * sb.blockSize, map);
  inode.blockCount = 1 + reserved * (1 + backups.length);
  inode.seal();
  device.write(offset, inode.raw);
}
