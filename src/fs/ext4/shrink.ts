/**
 * Makes an ext4 smaller where it is, as resize2fs does with one that is not mounted. Numbers are blocks. Sources: e2fsprogs resize/resize2fs.c, kernel fs/ext4/ext4.h.
 *
 * First the part to be cut off is emptied (evacuate.ts), in a filesystem that keeps its size. Then it is cut: bitmaps and descriptors of what stays, the superblock with the new size, the
 * resize inode and the copies; meanwhile the superblock says "has errors", so that whoever finds the work cut off runs e2fsck, which makes the old size of it or the new one.
 *
 * With flex_bg the inode tables of groups that go lie among what stays, and are in use until the cut: a large filesystem with little in it has more of them than files. So the empty end is
 * cut off first, and when there still is no room for the moving, it goes on in steps, each of which gives the tables of its groups free.
 */
import { setU16, u16 } from '../../bytes/fields.js';
import { coalesce, rangeEnd, type Range } from '../../bytes/ranges.js';
import type { BlockDevice } from '../../device/device.js';
import { RockberryError } from '../../errors.js';
import { findBit, setBits } from './bits.js';
import { Evacuation, type Evacuated } from './evacuate.js';
import { baseBlocks, descriptorBlocks, descriptorField, firstMetaGroup, groupFirst, groupLength, readDescriptors, sealBitmap, sealDescriptor, setDescriptorField, tableBlocks } from './geometry.js';
import { openSuperblock, type Resized } from './grow.js';
import { fittingBlocks, resizedSuperblock } from './grow-limits.js';
import { GROUP_FLAG } from './groups.js';
import { minimumBlocks } from './minimum.js';
import { writeCopies, writePrimary } from './resize-copies.js';
import { RESIZE_INODE, writeResizeInode } from './resize-inode.js';
import { setFreeBlocks, setFreeInodes, type Superblock } from './superblock.js';
import { Volume } from './volume.js';

/**
 * Shrinks a clean ext4 that nobody has mounted to `blocks` filesystem blocks, in place; the device keeps its size. A last group that would be too small is left out, as resize2fs does:
 * `after` says what came of it. Errors: 'refused' when it is smaller already, or not clean; 'no-space' when the contents need more (minimumBlocks; nothing has changed then), or when moving
 * them takes more (it may have become smaller on the way, and is sound); 'unsupported' for what cannot be moved (a list of bad blocks, an orphan file) and for features that are not handled; 'corrupt' for wrong checksums.
 */
export function shrinkExt4(device: BlockDevice, blocks: number): Resized {
  const sb = openSuperblock(device);
  const before = sb.blocksCount;
  const after = checkTarget(device, sb, blocks);
  const first = endOfContents(new Volume(device, openSuperblock(device)));
  if (first > after && first < before) shrinkOnce(device, sb, first);
  if (after < before) shrinkInSteps(device, sb, after);
  return { before, after };
}

function checkTarget(device: BlockDevice, sb: Superblock, blocks: number): number {
  if (!Number.isSafeInteger(blocks) || blocks > sb.blocksCount) {
    throw new RockberryError('refused', `expected a size of at most ${sb.blocksCount} blocks of ${sb.blockSize} bytes, as large as the filesystem is, found ${blocks}`, { hint: 'a filesystem is made larger by growing it' });
  }
  const least = minimumBlocks(device);
  const after = blocks >= least ? fittingBlocks(sb, blocks) : blocks;
  if (after < least) {
    throw new RockberryError('no-space', `expected a size of at least ${least} blocks of ${sb.blockSize} bytes, which the contents need, found ${blocks}`, { hint: 'choose a larger size, with some to spare' });
  }
  const small = resizedSuperblock(sb, after);
  if (firstMetaGroup(small) !== Number.POSITIVE_INFINITY && firstMetaGroup(small) > descriptorBlocks(small)) {
    throw new RockberryError('unsupported', `expected at least ${firstMetaGroup(small)} blocks of descriptors, which this meta_bg filesystem keeps in front, found ${descriptorBlocks(small)}`, { hint: 'shrink it with `resize2fs`' });
  }
  return after;
}

/** The end of the last group in which a file has an inode or a block. */
function endOfContents({ sb, groups }: Volume): number {
  const structures = groups.systemZones();
  for (let group = groups.count - 1; group > 0; group--) {
    const [first, length] = [groups.firstBlock(group), groups.blocksIn(group)];
    const own = structures.reduce((sum, zone) => sum + Math.max(0, Math.min(rangeEnd(zone), first + length) - Math.max(zone.offset, first)), 0);
    const { freeBlocks, freeInodes } = groups.descriptor(group);
    if (freeBlocks + own !== length || freeInodes !== sb.inodesPerGroup) return first + length;
  }
  return groups.firstBlock(1);
}

/** Half the way first, in whole groups, when all of it finds no room. */
function shrinkInSteps(device: BlockDevice, origin: Superblock, blocks: number): void {
  try {
    shrinkOnce(device, origin, blocks);
  } catch (error) {
    const { blocksCount, blocksPerGroup, firstDataBlock } = openSuperblock(device);
    const half = firstDataBlock + Math.ceil(((blocks + blocksCount) / 2 - firstDataBlock) / blocksPerGroup) * blocksPerGroup;
    if (!(error instanceof RockberryError) || error.code !== 'no-space' || half >= blocksCount || half <= blocks) throw error;
    shrinkInSteps(device, origin, half);
    shrinkInSteps(device, origin, blocks);
  }
}

function shrinkOnce(device: BlockDevice, origin: Superblock, blocks: number): void {
  const volume = new Volume(device, openSuperblock(device));
  const { sb } = volume;
  const small = resizedSuperblock(sb, blocks, origin);
  const evacuated = new Evacuation(volume, small, forbiddenBlocks(sb, small)).run();
  new Cut(device, volume, resizedSuperblock(sb, blocks, origin), evacuated).run();
}

/** Where nothing may stay: behind the new end, and (sparse_super2) where the new last group gets its copies. */
function forbiddenBlocks(sb: Superblock, small: Superblock): Range[] {
  const last = small.groupCount - 1;
  const [old, now] = [baseBlocks(sb, last), baseBlocks(small, last)];
  return coalesce([{ offset: groupFirst(small, last) + old, length: Math.max(0, now - old) }, { offset: small.blocksCount, length: sb.blocksCount - small.blocksCount }]);
}

class Cut {
  private readonly table: Uint8Array;
  private readonly bitmaps = new Map<number, Uint8Array>();

  constructor(private readonly device: BlockDevice, private readonly volume: Volume, private readonly sb: Superblock, private readonly evacuated: Evacuated) {
    this.table = readDescriptors(device, volume.sb);
  }

  run(): void {
    const { device, sb, volume, table } = this;
    const kept = table.subarray(0, descriptorBlocks(sb) * sb.blockSize);
    const primary = (group: number): boolean => group === 0;
    for (let group = 0; group < sb.groupCount; group++) this.settleGroup(group);
    this.settleTotals();
    writePrimary(device, volume.sb, true);
    this.copyStructures();
    this.writeBitmaps();
    writeCopies(device, sb, kept, (group) => primary(group) || sb.incompat('meta_bg'));
    writePrimary(device, sb, true);
    if (sb.compat('resize_inode')) writeResizeInode(device, sb, descriptorField(sb, this.raw(0), 'inodeTable') * sb.blockSize + (RESIZE_INODE - 1) * sb.inodeSize);
    kept.fill(0, sb.groupCount * sb.descriptorSize); // until here e2fsck could have gone back to the old size
    writeCopies(device, sb, kept, () => true);
    writePrimary(device, sb, false);
  }

  private raw(group: number): Uint8Array {
    return this.table.subarray(group * this.sb.descriptorSize, (group + 1) * this.sb.descriptorSize);
  }

  /** What a group that stays no longer holds: what was released, structures of groups that go, and room for descriptors that is too much. */
  private freedIn(group: number): Range[] {
    const { volume: { sb: old }, sb } = this;
    const ranges = [...this.evacuated.released];
    for (let gone = sb.groupCount; gone < old.groupCount; gone++) {
      const { blockBitmap, inodeBitmap, inodeTable } = this.volume.groups.descriptor(gone);
      ranges.push({ offset: blockBitmap, length: 1 }, { offset: inodeBitmap, length: 1 }, { offset: inodeTable, length: tableBlocks(sb) });
    }
    const [base, oldBase, first] = [baseBlocks(sb, group), baseBlocks(old, group), groupFirst(sb, group)];
    ranges.push({ offset: first + base, length: Math.max(0, oldBase - base) });
    const end = first + groupLength(sb, group);
    return ranges.filter((range) => range.offset < end && rangeEnd(range) > first).map((range) => {
      const [from, to] = [Math.max(range.offset, first), Math.min(rangeEnd(range), end)];
      return { offset: from - first, length: to - from };
    });
  }

  private settleGroup(group: number): void {
    const { sb, volume } = this;
    const raw = this.raw(group);
    const freed = this.freedIn(group).filter((range) => range.length > 0);
    const structures = this.evacuated.moved.filter((each) => each.group === group);
    const last = group === sb.groupCount - 1;
    for (const { field, to } of structures) setDescriptorField(sb, raw, field, to);
    if (freed.length > 0 || last) {
      const bitmap = volume.groups.blockBitmap(group).slice();
      for (const { offset, length } of freed) setBits(bitmap, offset, length, false);
      setBits(bitmap, 0, baseBlocks(sb, group), true);
      setBits(bitmap, groupLength(sb, group), sb.blockSize * 8 - groupLength(sb, group), true);
      if (volume.groups.hasFlags) setU16(raw, 0x12, u16(raw, 0x12) & ~GROUP_FLAG.blockUninit);
      setDescriptorField(sb, raw, 'freeBlocks', countFree(bitmap, groupLength(sb, group)));
      sealBitmap(sb, raw, 'block', bitmap);
      this.bitmaps.set(group, bitmap);
    } else if (structures.length === 0) return;
    sealDescriptor(sb, group, raw);
  }

  private settleTotals(): void {
    const all = Array.from({ length: this.sb.groupCount }, (_, group) => this.raw(group));
    setFreeBlocks(this.sb, all.reduce((sum, raw) => sum + descriptorField(this.sb, raw, 'freeBlocks'), 0));
    setFreeInodes(this.sb, all.reduce((sum, raw) => sum + descriptorField(this.sb, raw, 'freeInodes'), 0));
  }

  private copyStructures(): void {
    const { device, sb, volume } = this;
    for (const { group, field, to, length } of this.evacuated.moved) {
      device.write(to * sb.blockSize, new Uint8Array(device.read(volume.groups.descriptor(group)[field] * sb.blockSize, length * sb.blockSize)));
    }
    device.flush();
  }

  private writeBitmaps(): void {
    for (const [group, bitmap] of this.bitmaps) this.device.write(descriptorField(this.sb, this.raw(group), 'blockBitmap') * this.sb.blockSize, bitmap);
  }
}

function countFree(bitmap: Uint8Array, end: number): number {
  let free = 0;
  for (let at = findBit(bitmap, 0, end, false); at < end;) {
    const stop = findBit(bitmap, at, end, true);
    free += stop - at;
    at = findBit(bitmap, stop, end, false);
  }
  return free;
}
