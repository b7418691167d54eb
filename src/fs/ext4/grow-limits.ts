/** How large a filesystem can become, how large it really becomes when it is told to, and its superblock then. Numbers are blocks. Source: e2fsprogs resize/resize2fs.c (adjust_fs_info). */
import { setU16, setU32, u32 } from '../../bytes/fields.js';
import { descriptorBlocks, descriptorsPerBlock, firstMetaGroup, reservedDescriptorBlocks, tableBlocks } from './geometry.js';
import { hasSuperblock, type Superblock } from './superblock.js';

const HIGHEST_BLOCK = 2 ** 32 - 1; // what a descriptor of 32 bytes, a block map and the resize inode can name
/** Blocks for files that the last group must have besides its own structures: resize2fs's magic number. */
const WORTH_A_GROUP = 50;

export function groupsOf(sb: Superblock, blocks: number): number {
  return Math.ceil((blocks - sb.firstDataBlock) / sb.blocksPerGroup);
}

/** Groups whose descriptors fit where room for them is. */
function describableGroups(sb: Superblock): number {
  if (sb.incompat('meta_bg')) return firstMetaGroup(sb) <= descriptorBlocks(sb) ? Number.POSITIVE_INFINITY : descriptorBlocks(sb) * descriptorsPerBlock(sb);
  const reserve = sb.compat('resize_inode') ? reservedDescriptorBlocks(sb) : 0;
  return (descriptorBlocks(sb) + reserve) * descriptorsPerBlock(sb);
}

/** The largest size without moving anything, however large the device is. */
export function largestBlocks(sb: Superblock): number {
  const groups = Math.min(describableGroups(sb), Math.floor((2 ** 32 - 1) / sb.inodesPerGroup));
  return Math.max(sb.blocksCount, fittingBlocks(sb, Math.min(HIGHEST_BLOCK, sb.firstDataBlock + groups * sb.blocksPerGroup)));
}

/** As many blocks as asked for, without a last group that would be too small to be worth one. */
export function fittingBlocks(sb: Superblock, blocks: number): number {
  const rest = (blocks - sb.firstDataBlock) % sb.blocksPerGroup;
  const groups = groupsOf(sb, blocks);
  if (rest === 0 || groups === 1) return blocks;
  const copy = lastHasSuperblock(sb, groups) ? 1 + Math.ceil(groups / descriptorsPerBlock(sb)) + reservedDescriptorBlocks(sb) : 0;
  return rest < 2 + tableBlocks(sb) + copy + WORTH_A_GROUP ? fittingBlocks(sb, blocks - rest) : blocks;
}

function lastHasSuperblock(sb: Superblock, groups: number): boolean {
  if (!sb.compat('sparse_super2')) return hasSuperblock(sb, groups - 1);
  return u32(sb.raw, groups === 2 ? 0x24c : 0x250) !== 0;
}

/**
 * The superblock of the same filesystem with that many blocks: counts of blocks, inodes and groups, reserved blocks and copies; not yet what is free. Blocks stay reserved in the proportion
 * of `origin`, where the change is one step of several.
 */
export function resizedSuperblock(sb: Superblock, blocks: number, origin = sb): Superblock {
  const raw = sb.raw.slice();
  const groupCount = groupsOf(sb, blocks);
  const grown: Superblock = { ...sb, raw, blocksCount: blocks, groupCount, inodesCount: groupCount * sb.inodesPerGroup };
  setU32(raw, 0x00, grown.inodesCount);
  setWide(sb, raw, [0x04, 0x150], blocks);
  setWide(sb, raw, [0x08, 0x154], Math.trunc(((reservedBlocks(origin) * 100) / origin.blocksCount) * blocks / 100)); // in resize2fs's order, for the same rounding
  if (sb.compat('resize_inode')) setU16(raw, 0xce, Math.min(sb.blockSize / 4, Math.max(0, reservedDescriptorBlocks(sb) + descriptorBlocks(sb) - descriptorBlocks(grown))));
  setU32(raw, 0x248, 0); // s_overhead_clusters: the kernel counts anew
  if (sb.compat('sparse_super2')) moveBackups(sb, grown);
  return grown;
}

function reservedBlocks(sb: Superblock): number {
  return u32(sb.raw, 0x08) + (sb.incompat('64bit') ? u32(sb.raw, 0x154) * 2 ** 32 : 0);
}

function setWide(sb: Superblock, raw: Uint8Array, [low, high]: readonly [number, number], value: number): void {
  setU32(raw, low, value % 2 ** 32);
  if (sb.incompat('64bit')) setU32(raw, high, Math.floor(value / 2 ** 32));
}

/** sparse_super2 keeps its copies in the second and in the last group (s_backup_bgs). */
function moveBackups(sb: Superblock, resized: Superblock): void {
  const [last, oldLast] = [resized.groupCount - 1, sb.groupCount - 1];
  const [second, other] = [u32(sb.raw, 0x24c), u32(sb.raw, 0x250)];
  if (last > oldLast) {
    if (oldLast === 0) setU32(resized.raw, 0x24c, 1);
    if ((sb.groupCount < 3 && resized.groupCount > 2) || other !== 0) setU32(resized.raw, 0x250, last);
  } else if (last < oldLast) {
    if (second > last) setU32(resized.raw, 0x24c, 0);
    if (other > last) setU32(resized.raw, 0x250, last > 1 && other === oldLast ? last : 0);
  }
}
