/**
 * The groups that a filesystem gets when it grows: where their bitmaps and inode tables go, and what is in them. Numbers are blocks unless said otherwise.
 *
 * With flex_bg the structures of all new groups of a flex group lie together at the start of the first of them (as mke2fs and the kernel put them), so that files
 * find long free runs in the others; where they do not fit, and without flex_bg, each group holds its own. A group of which nothing but its own structures is in
 * use has BLOCK_UNINIT and no bitmap; one with another group's has a bitmap, since the kernel would not know of them (fs/ext4/balloc.c, ext4_init_block_bitmap).
 */
import { isZero, setU16 } from '../../bytes/fields.js';
import type { Range } from '../../bytes/ranges.js';
import type { BlockDevice } from '../../device/device.js';
import { RockberryError } from '../../errors.js';
import { setBits } from './bits.js';
import { baseBlocks, groupFirst, groupLength, hasDescriptorChecksums, sealBitmap, sealDescriptor, setDescriptorField, tableBlocks } from './geometry.js';
import { GROUP_FLAG } from './groups.js';
import type { Superblock } from './superblock.js';

const ZEROS = 1 << 20; // bytes looked at, and cleared, at a time

interface Placement {
  readonly group: number;
  readonly blockBitmap: number;
  readonly inodeBitmap: number;
  readonly inodeTable: number;
}

/** Hands out blocks from the first group on, behind each group's base; undefined when the last one is full. */
function takeFrom(sb: Superblock, from: number, to: number): (length: number) => number | undefined {
  let [host, at] = [from, baseBlocks(sb, from)];
  return (length) => {
    while (host < to && at + length > groupLength(sb, host)) at = baseBlocks(sb, ++host);
    if (host >= to) return undefined;
    at += length;
    return groupFirst(sb, host) + at - length;
  };
}

/** All bitmaps first, then the tables; undefined when the groups from..to-1 have no room for that. */
function placeTogether(sb: Superblock, from: number, to: number): Placement[] | undefined {
  const take = takeFrom(sb, from, to);
  const each = (length: number): (number | undefined)[] => Array.from({ length: to - from }, () => take(length));
  const [blockBitmaps, inodeBitmaps, inodeTables] = [each(1), each(1), each(tableBlocks(sb))];
  const placed: Placement[] = [];
  for (let at = 0; at < to - from; at++) {
    const [blockBitmap, inodeBitmap, inodeTable] = [blockBitmaps[at], inodeBitmaps[at], inodeTables[at]];
    if (blockBitmap === undefined || inodeBitmap === undefined || inodeTable === undefined) return undefined;
    placed.push({ group: from + at, blockBitmap, inodeBitmap, inodeTable });
  }
  return placed;
}

function placeAll(sb: Superblock, from: number): Placement[] {
  const flex = sb.incompat('flex_bg') ? 2 ** sb.raw[0x174]! : 1; // s_log_groups_per_flex
  const placed: Placement[] = [];
  for (let group = from; group < sb.groupCount;) {
    const end = Math.min(sb.groupCount, (Math.floor(group / flex) + 1) * flex);
    placed.push(...placeTogether(sb, group, end) ?? Array.from({ length: end - group }, (_, at) => placeAlone(sb, group + at)));
    group = end;
  }
  return placed;
}

function placeAlone(sb: Superblock, group: number): Placement {
  const [alone] = placeTogether(sb, group, group + 1) ?? [];
  if (alone) return alone;
  throw new RockberryError('unsupported', `expected room for the structures of ext4 group ${group}, found only ${groupLength(sb, group)} blocks in it`,
    { hint: 'grow it with `resize2fs`, or to another size' });
}

/** Blocks in use in each new group, by group. */
function usage(sb: Superblock, placed: readonly Placement[]): Map<number, { used: Range[]; foreign: boolean }> {
  const found = new Map(placed.map(({ group }) => [group, { used: [{ offset: groupFirst(sb, group), length: baseBlocks(sb, group) }], foreign: false }]));
  const add = (owner: number, offset: number, length: number): void => {
    const group = Math.floor((offset - sb.firstDataBlock) / sb.blocksPerGroup);
    const entry = found.get(group)!;
    entry.used.push({ offset, length });
    if (owner !== group) entry.foreign = true;
  };
  for (const { group, blockBitmap, inodeBitmap, inodeTable } of placed) {
    add(group, blockBitmap, 1);
    add(group, inodeBitmap, 1);
    add(group, inodeTable, tableBlocks(sb));
  }
  return found;
}

/** Writes zeros where there are none yet: on a sparse file or a fresh overlay this writes nothing. */
function clear(device: BlockDevice, offset: number, length: number): void {
  for (let at = 0; at < length; at += ZEROS) {
    const piece = Math.min(ZEROS, length - at);
    if (!isZero(device.read(offset + at, piece))) device.write(offset + at, new Uint8Array(piece));
  }
}

function blockBitmapOf(sb: Superblock, group: number, used: readonly Range[]): Uint8Array {
  const bitmap = new Uint8Array(sb.blockSize);
  for (const { offset, length } of used) setBits(bitmap, offset - groupFirst(sb, group), length, true);
  setBits(bitmap, groupLength(sb, group), sb.blockSize * 8 - groupLength(sb, group), true);
  return bitmap;
}

function emptyInodeBitmap(sb: Superblock): Uint8Array {
  const bitmap = new Uint8Array(sb.blockSize);
  setBits(bitmap, sb.inodesPerGroup, sb.blockSize * 8 - sb.inodesPerGroup, true);
  return bitmap;
}

/**
 * Writes bitmaps and zeroed inode tables of the groups from `from` on, all of it past the old end, and fills in their descriptors (`table` has room for them). The
 * inode tables are read and, where they are not zero, cleared: INODE_ZEROED says the truth.
 */
export function addGroups(device: BlockDevice, sb: Superblock, from: number, table: Uint8Array): void {
  const placed = placeAll(sb, from);
  const usages = usage(sb, placed);
  const flags = hasDescriptorChecksums(sb);
  for (const { group, ...places } of placed) {
    const { used, foreign } = usages.get(group)!;
    const raw = table.subarray(group * sb.descriptorSize, (group + 1) * sb.descriptorSize);
    raw.fill(0);
    for (const name of ['blockBitmap', 'inodeBitmap', 'inodeTable'] as const) setDescriptorField(sb, raw, name, places[name]);
    setDescriptorField(sb, raw, 'freeBlocks', groupLength(sb, group) - used.reduce((sum, range) => sum + range.length, 0));
    setDescriptorField(sb, raw, 'freeInodes', sb.inodesPerGroup);
    clear(device, places.inodeTable * sb.blockSize, tableBlocks(sb) * sb.blockSize);
    const untouched = flags && !foreign && group < sb.groupCount - 1;
    if (flags) {
      setDescriptorField(sb, raw, 'inodesUnused', sb.inodesPerGroup);
      setU16(raw, 0x12, GROUP_FLAG.inodeUninit | GROUP_FLAG.inodeZeroed | (untouched ? GROUP_FLAG.blockUninit : 0));
    } else device.write(places.inodeBitmap * sb.blockSize, emptyInodeBitmap(sb));
    if (!untouched) {
      const bitmap = blockBitmapOf(sb, group, used);
      device.write(places.blockBitmap * sb.blockSize, bitmap);
      sealBitmap(sb, raw, 'block', bitmap);
    }
    sealDescriptor(sb, group, raw);
  }
}
