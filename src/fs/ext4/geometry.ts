/**
 * Where a group's own structures lie, told from a superblock alone: for filesystems whose groups are not on disk yet, or no longer. Numbers are blocks.
 * Sources: kernel fs/ext4/balloc.c (ext4_num_base_meta_clusters), fs/ext4/super.c (descriptor_loc); e2fsprogs lib/ext2fs/closefs.c (ext2fs_super_and_bgd_loc2).
 */
import { setU16, setU32, u16, u32 } from '../../bytes/fields.js';
import type { ReadableDevice } from '../../device/device.js';
import { bitmapChecksum, descriptorChecksum } from './checksums.js';
import { hasSuperblock, type Superblock } from './superblock.js';

export function groupFirst(sb: Superblock, group: number): number {
  return sb.firstDataBlock + group * sb.blocksPerGroup;
}

export function groupLength(sb: Superblock, group: number): number {
  return Math.min(sb.blocksPerGroup, sb.blocksCount - groupFirst(sb, group));
}

export function tableBlocks(sb: Superblock): number {
  return Math.ceil((sb.inodesPerGroup * sb.inodeSize) / sb.blockSize);
}

export function descriptorsPerBlock(sb: Superblock): number {
  return sb.blockSize / sb.descriptorSize;
}

export function descriptorBlocks(sb: Superblock): number {
  return Math.ceil(sb.groupCount / descriptorsPerBlock(sb));
}

/** Blocks kept free after the descriptors, for more of them (s_reserved_gdt_blocks). */
export function reservedDescriptorBlocks(sb: Superblock): number {
  return u16(sb.raw, 0xce);
}

/** The first block of descriptors that lies with its groups, and not behind every superblock; Infinity without meta_bg. */
export function firstMetaGroup(sb: Superblock): number {
  return sb.incompat('meta_bg') ? u32(sb.raw, 0x104) : Number.POSITIVE_INFINITY;
}

/** Groups other than the first with a copy of the superblock, ascending. */
export function backupGroups(sb: Superblock): number[] {
  const found: number[] = [];
  for (let group = 1; group < sb.groupCount; group++) if (hasSuperblock(sb, group)) found.push(group);
  return found;
}

/** Blocks at the start of a group taken by the superblock, descriptors and their reserve. */
export function baseBlocks(sb: Superblock, group: number): number {
  const holder = hasSuperblock(sb, group);
  const perBlock = descriptorsPerBlock(sb);
  if (Math.floor(group / perBlock) < firstMetaGroup(sb)) {
    return holder ? 1 + Math.min(firstMetaGroup(sb), descriptorBlocks(sb)) + reservedDescriptorBlocks(sb) : 0;
  }
  const place = group % perBlock;
  return (holder ? 1 : 0) + (place === 0 || place === 1 || place === perBlock - 1 ? 1 : 0);
}

/** All places of the index-th block of descriptors; the first is the one that is used. */
export function descriptorPlaces(sb: Superblock, index: number): number[] {
  const perBlock = descriptorsPerBlock(sb);
  if (index >= firstMetaGroup(sb)) {
    const groups = [index * perBlock, index * perBlock + 1, (index + 1) * perBlock - 1].filter((group) => group < sb.groupCount);
    return groups.map((group) => groupFirst(sb, group) + (hasSuperblock(sb, group) ? 1 : 0));
  }
  const holders = [0, ...backupGroups(sb)].filter((group) => Math.floor(group / perBlock) < firstMetaGroup(sb));
  return holders.map((group) => groupFirst(sb, group) + 1 + index);
}

/** All descriptors, in blocks of their own; not checked. */
export function readDescriptors(device: ReadableDevice, sb: Superblock): Uint8Array {
  const table = new Uint8Array(descriptorBlocks(sb) * sb.blockSize);
  for (let index = 0; index < descriptorBlocks(sb); index++) {
    table.set(device.read(descriptorPlaces(sb, index)[0]! * sb.blockSize, sb.blockSize), index * sb.blockSize);
  }
  return table;
}

/** Flags, counts of unused inodes and checksums are in use (kernel: ext4_has_group_desc_csum). */
export function hasDescriptorChecksums(sb: Superblock): boolean {
  return sb.checksumSeed !== undefined || sb.roCompat('uninit_bg');
}

/** Brings bg_checksum up to date (kernel: ext4_group_desc_csum). */
export function sealDescriptor(sb: Superblock, group: number, raw: Uint8Array): void {
  if (hasDescriptorChecksums(sb)) setU16(raw, 0x1e, descriptorChecksum(sb, group, raw));
}

/** Stores a bitmap's checksum in its descriptor (kernel: fs/ext4/bitmap.c); nothing without metadata_csum. */
export function sealBitmap(sb: Superblock, raw: Uint8Array, kind: 'block' | 'inode', bitmap: Uint8Array): void {
  if (sb.checksumSeed === undefined) return;
  const sum = bitmapChecksum(sb, sb.checksumSeed, bitmap, kind);
  const [low, high] = kind === 'block' ? [0x18, 0x38] : [0x1a, 0x3a];
  setU16(raw, low, sum & 0xffff);
  if (sb.descriptorSize >= 64) setU16(raw, high, sum >>> 16);
}

const FIELD = {
  blockBitmap: [0x00, 0x20, 4], inodeBitmap: [0x04, 0x24, 4], inodeTable: [0x08, 0x28, 4], freeBlocks: [0x0c, 0x2c, 2], freeInodes: [0x0e, 0x2e, 2],
  usedDirectories: [0x10, 0x30, 2], inodesUnused: [0x1c, 0x32, 2],
} as const;

export type DescriptorField = keyof typeof FIELD;

/** A field of a descriptor, both halves of it (struct ext4_group_desc). */
export function descriptorField(sb: Superblock, raw: Uint8Array, name: DescriptorField): number {
  const [low, high, size] = FIELD[name];
  const half = size === 4 ? u32 : u16;
  return half(raw, low) + (sb.descriptorSize >= 64 ? half(raw, high) * 256 ** size : 0);
}

export function setDescriptorField(sb: Superblock, raw: Uint8Array, name: DescriptorField, value: number): void {
  const [low, high, size] = FIELD[name];
  const half = size === 4 ? setU32 : setU16;
  half(raw, low, value % 256 ** size);
  if (sb.descriptorSize >= 64) half(raw, high, Math.floor(value / 256 ** size));
}
