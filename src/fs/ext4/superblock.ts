/**
 * The ext4 superblock: 1024 bytes at byte 1024 (kernel Documentation/filesystems/ext4/super.rst, fs/ext4/ext4.h struct ext4_super_block).
 * Fields stay in `raw`, under their places; what never changes while we work is parsed once and validated.
 */
import { crc32c } from '../../bytes/crc.js';
import { setU32, u16, u32, u8 } from '../../bytes/fields.js';
import type { ReadableDevice } from '../../device/device.js';
import { RockberryError } from '../../errors.js';
import type { Time } from '../filesystem.js';
import { COMPAT, INCOMPAT, RO_COMPAT, refuseFeatures } from './features.js';

export const SUPERBLOCK_OFFSET = 1024;
const SUPERBLOCK_SIZE = 1024;
const MAGIC = 0xef53;
const CHECKSUM_AT = 0x3fc;
const STATE = { valid: 1, error: 2 } as const;

export interface Superblock {
  /** The 1024 bytes as they will be written; the checksum is brought up to date by `seal`. */
  readonly raw: Uint8Array;
  readonly blockSize: number;
  readonly blocksCount: number;
  readonly inodesCount: number;
  readonly firstDataBlock: number;
  readonly blocksPerGroup: number;
  readonly inodesPerGroup: number;
  readonly groupCount: number;
  /** Bytes: 128, 256 or more. */
  readonly inodeSize: number;
  /** Bytes of i_extra_isize that a new inode gets; 0 with 128-byte inodes. */
  readonly extraSize: number;
  /** Bytes of a group descriptor: 32, or 64 and more with 64bit. */
  readonly descriptorSize: number;
  /** First inode number that is not reserved. */
  readonly firstInode: number;
  readonly uuid: Uint8Array;
  /** Seed of all metadata checksums; undefined without metadata_csum. */
  readonly checksumSeed: number | undefined;
  readonly compat: (feature: keyof typeof COMPAT) => boolean;
  readonly incompat: (feature: keyof typeof INCOMPAT) => boolean;
  readonly roCompat: (feature: keyof typeof RO_COMPAT) => boolean;
}

function corrupt(what: string): RockberryError {
  return new RockberryError('corrupt', `ext4 superblock: ${what}`, { hint: 'run `e2fsck -f` on the partition, or take a sound image' });
}

function require(condition: boolean, what: string): void {
  if (!condition) throw corrupt(what);
}

/** The superblock's bytes, or undefined without the magic 0xEF53. */
export function readRawSuperblock(device: ReadableDevice): Uint8Array | undefined {
  if (device.size < SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE) return undefined;
  const raw = new Uint8Array(device.read(SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE)); // a copy: a Buffer's slice() would be none
  return u16(raw, 0x38) === MAGIC ? raw : undefined;
}

function wide(raw: Uint8Array, low: number, high: number, is64: boolean): number {
  return u32(raw, low) + (is64 ? u32(raw, high) * 2 ** 32 : 0);
}

export function freeBlocks(sb: Superblock): number {
  return wide(sb.raw, 0x0c, 0x158, sb.incompat('64bit'));
}

export function setFreeBlocks(sb: Superblock, value: number): void {
  setU32(sb.raw, 0x0c, value % 2 ** 32);
  if (sb.incompat('64bit')) setU32(sb.raw, 0x158, Math.floor(value / 2 ** 32));
}

export function freeInodes(sb: Superblock): number {
  return u32(sb.raw, 0x10);
}

export function setFreeInodes(sb: Superblock, value: number): void {
  setU32(sb.raw, 0x10, value);
}

export function setWriteTime(sb: Superblock, time: Time): void {
  setU32(sb.raw, 0x30, time.seconds % 2 ** 32);
  sb.raw[0x274] = Math.floor(time.seconds / 2 ** 32) & 0xff;
}

/** large_file is set by the first file of 2 GiB; revision 0 has no feature words. */
export function setLargeFile(sb: Superblock): void {
  if (u32(sb.raw, 0x4c) === 0) throw new RockberryError('unsupported', 'expected a file under 2 GiB on this revision 0 filesystem, found a larger one');
  setU32(sb.raw, 0x64, (u32(sb.raw, 0x64) | RO_COMPAT.large_file) >>> 0);
}

/** Brings the superblock's own checksum up to date (metadata_csum only). */
export function seal(sb: Superblock): void {
  if (sb.checksumSeed !== undefined) setU32(sb.raw, CHECKSUM_AT, crc32c(0xffffffff, sb.raw.subarray(0, CHECKSUM_AT)));
}

/** Whether a group holds a copy of the superblock and the descriptors (kernel: ext4_bg_has_super). */
export function hasSuperblock(sb: Superblock, group: number): boolean {
  if (group === 0) return true;
  if (sb.compat('sparse_super2')) return group === u32(sb.raw, 0x24c) || group === u32(sb.raw, 0x250);
  if (group === 1 || !sb.roCompat('sparse_super')) return true;
  return [3, 5, 7].some((base) => {
    let power = base;
    while (power < group) power *= base;
    return power === group;
  });
}

/** The newest of the times that a superblock remembers: s_wtime, s_mtime, s_mkfs_time, s_lastcheck. */
export function newestTime(raw: Uint8Array): Time {
  const times = [[0x30, 0x274], [0x2c, 0x275], [0x108, 0x276], [0x40, 0x277]] as const;
  return { seconds: Math.max(...times.map(([low, high]) => u32(raw, low) + u8(raw, high) * 2 ** 32)), nanoseconds: 0 };
}

function refuseUnclean(raw: Uint8Array): void {
  const state = u16(raw, 0x3a);
  const orphan = u32(raw, 0xe8);
  const hint = 'run `e2fsck -fy` on the partition, or boot the node and shut it down cleanly';
  if ((state & STATE.error) !== 0) throw new RockberryError('refused', 'expected a clean ext4 filesystem, found the error flag in s_state', { hint });
  if ((state & STATE.valid) === 0) throw new RockberryError('refused', 'expected a clean ext4 filesystem, found one that was not unmounted (s_state)', { hint });
  if (orphan !== 0) throw new RockberryError('refused', `expected no orphan inodes, found a list that starts at inode ${orphan}`, { hint });
}

function checksumSeed(raw: Uint8Array, roCompat: number, incompat: number): number | undefined {
  if ((roCompat & RO_COMPAT.metadata_csum) === 0) return undefined;
  require(u8(raw, 0x175) === 1, `expected checksum type 1 (crc32c), found ${u8(raw, 0x175)}`);
  const sum = crc32c(0xffffffff, raw.subarray(0, CHECKSUM_AT));
  require(sum === u32(raw, CHECKSUM_AT), `expected checksum 0x${sum.toString(16)}, found 0x${u32(raw, CHECKSUM_AT).toString(16)}`);
  return (incompat & INCOMPAT.metadata_csum_seed) !== 0 ? u32(raw, 0x270) : crc32c(0xffffffff, raw.subarray(0x68, 0x78));
}

function refuseUnsupported(raw: Uint8Array, features: { compat: number; incompat: number; roCompat: number }): void {
  refuseFeatures(features);
  if ((features.compat & COMPAT.has_journal) !== 0 && u32(raw, 0xe0) === 0) {
    throw new RockberryError('unsupported', 'expected the journal inside the filesystem, found an external journal device');
  }
  if (u32(raw, 0x18) > 2) throw new RockberryError('unsupported', `expected blocks of 1, 2 or 4 KiB, found s_log_block_size ${u32(raw, 0x18)}`);
  if (u32(raw, 0x4c) > 1) throw new RockberryError('unsupported', `expected ext4 revision 0 or 1, found ${u32(raw, 0x4c)}`);
  refuseUnclean(raw);
}

function inodeSizes(raw: Uint8Array, dynamic: boolean, blockSize: number): { inodeSize: number; extraSize: number; firstInode: number } {
  const inodeSize = dynamic ? u16(raw, 0x58) : 128;
  require(inodeSize >= 128 && inodeSize <= blockSize && (inodeSize & (inodeSize - 1)) === 0, `expected an inode size between 128 and the block size, found ${inodeSize}`);
  const firstInode = dynamic ? u32(raw, 0x54) : 11;
  require(firstInode >= 11, `expected a first inode of at least 11, found ${firstInode}`);
  const wanted = Math.max(u16(raw, 0x15e), u16(raw, 0x15c)) || 32; // 32: what today's struct ext4_inode has beyond 128 bytes
  require(inodeSize === 128 || (wanted % 4 === 0 && wanted <= inodeSize - 128), `expected s_want_extra_isize to fit an inode of ${inodeSize} bytes, found ${wanted}`);
  return { inodeSize, extraSize: inodeSize > 128 ? wanted : 0, firstInode };
}

function descriptorSize(raw: Uint8Array, is64: boolean, blockSize: number): number {
  if (!is64) return 32;
  const size = u16(raw, 0xfe);
  require(size >= 64 && size <= blockSize && (size & (size - 1)) === 0, `expected a descriptor size of at least 64, found ${size}`);
  return size;
}

/** Checks the counts against each other and against the device; returns the number of groups. */
function validateCounts(raw: Uint8Array, device: ReadableDevice, blockSize: number, blocksCount: number, inodeSize: number): number {
  const [first, perGroup, inodesPerGroup] = [u32(raw, 0x14), u32(raw, 0x20), u32(raw, 0x28)];
  require(first === (blockSize === 1024 ? 1 : 0), `expected first data block ${blockSize === 1024 ? 1 : 0}, found ${first}`);
  require(perGroup >= 256 && perGroup <= blockSize * 8 && perGroup % 8 === 0, `expected 256 to ${blockSize * 8} blocks per group, found ${perGroup}`);
  require(u32(raw, 0x1c) === u32(raw, 0x18), `expected clusters of one block, found s_log_cluster_size ${u32(raw, 0x1c)}`);
  const perBlock = blockSize / inodeSize;
  require(inodesPerGroup >= perBlock && inodesPerGroup <= blockSize * 8 && inodesPerGroup % 8 === 0, `expected 8 to ${blockSize * 8} inodes per group, found ${inodesPerGroup}`);
  require(blocksCount > first && blocksCount * blockSize <= device.size, `expected at most ${Math.floor(device.size / blockSize)} blocks, as many as the partition holds, found ${blocksCount}`);
  const groups = Math.ceil((blocksCount - first) / perGroup);
  require(u32(raw, 0) === groups * inodesPerGroup, `expected ${groups * inodesPerGroup} inodes (${groups} groups of ${inodesPerGroup}), found ${u32(raw, 0)}`);
  return groups;
}

/** undefined when there is no ext4 magic; throws 'corrupt', 'unsupported' (a feature by name) or 'refused' (not closed cleanly). */
export function readSuperblock(device: ReadableDevice): Superblock | undefined {
  const raw = readRawSuperblock(device);
  if (raw === undefined) return undefined;
  const dynamic = u32(raw, 0x4c) !== 0;
  const features = { compat: dynamic ? u32(raw, 0x5c) : 0, incompat: dynamic ? u32(raw, 0x60) : 0, roCompat: dynamic ? u32(raw, 0x64) : 0 };
  refuseUnsupported(raw, features);
  const seed = checksumSeed(raw, features.roCompat, features.incompat);
  const is64 = (features.incompat & INCOMPAT['64bit']) !== 0;
  const blockSize = 1024 << u32(raw, 0x18);
  const sizes = inodeSizes(raw, dynamic, blockSize);
  const blocksCount = wide(raw, 0x04, 0x150, is64);
  const groupCount = validateCounts(raw, device, blockSize, blocksCount, sizes.inodeSize);
  return {
    raw, blockSize, blocksCount, groupCount, ...sizes, inodesCount: u32(raw, 0), firstDataBlock: u32(raw, 0x14), blocksPerGroup: u32(raw, 0x20),
    inodesPerGroup: u32(raw, 0x28), descriptorSize: descriptorSize(raw, is64, blockSize), uuid: raw.slice(0x68, 0x78), checksumSeed: seed,
    compat: (name) => (features.compat & COMPAT[name]) !== 0,
    incompat: (name) => (features.incompat & INCOMPAT[name]) !== 0,
    roCompat: (name) => ((dynamic ? u32(raw, 0x64) : 0) & RO_COMPAT[name]) !== 0,
  };
}
