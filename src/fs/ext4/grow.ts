/**
 * Makes an ext4 larger where it is, as resize2fs does with one that is not mounted, and as far as nothing has to move. Sources: e2fsprogs resize/resize2fs.c, kernel fs/ext4/resize.c.
 *
 * In three steps, with a flush after each. First what lies past the old end, which nobody reads yet: new inode tables, bitmaps, copies of the superblock. Then what
 * changes in the old part: the last group's bitmap, the descriptors, the resize inode, the copies; the superblock says "has errors" meanwhile, so that whoever finds the
 * work cut off runs e2fsck, which brings it back to the old size. The superblock itself comes last.
 */
import { u16 } from '../../bytes/fields.js';
import type { BlockDevice, ReadableDevice } from '../../device/device.js';
import { RockberryError } from '../../errors.js';
import { setBits } from './bits.js';
import { BlockCache } from './cache.js';
import { baseBlocks, descriptorBlocks, descriptorField, groupLength, readDescriptors, sealBitmap, sealDescriptor, setDescriptorField } from './geometry.js';
import { addGroups } from './grow-groups.js';
import { fittingBlocks, largestBlocks, resizedSuperblock } from './grow-limits.js';
import { Groups, GROUP_FLAG } from './groups.js';
import { writeCopies, writePrimary } from './resize-copies.js';
import { RESIZE_INODE, writeResizeInode } from './resize-inode.js';
import { hasSuperblock, readSuperblock, setFreeBlocks, setFreeInodes, type Superblock } from './superblock.js';
import { UndoLog } from './undo.js';

export interface Resized {
  /** Filesystem blocks. */
  readonly before: number;
  readonly after: number;
}

/** Errors: 'unsupported' without an ext4, and those of readSuperblock. */
export function openSuperblock(device: ReadableDevice): Superblock {
  const sb = readSuperblock(device);
  if (!sb) throw new RockberryError('unsupported', 'expected an ext2, ext3 or ext4 filesystem, found none (no magic 0xef53 at byte 1080)');
  return sb;
}

/** The size in filesystem blocks that an ext4 could be grown to without moving any of its blocks, on a device that is large enough. Errors: those of opening it. */
export function largestGrowth(device: ReadableDevice): number {
  return largestBlocks(openSuperblock(device));
}

/**
 * Grows a clean ext4 that nobody has mounted to `blocks` filesystem blocks, in place. A last group that would be too small for its own structures and some files is left
 * out, as resize2fs does: `after` says what came of it. Errors: 'refused' when it is larger already, or not clean; 'no-space' when the device is too small; 'unsupported' when
 * blocks would have to move (the message has the largest size) and for features that are not handled (bigalloc); 'corrupt' for wrong checksums.
 */
export function growExt4(device: BlockDevice, blocks: number): Resized {
  const sb = openSuperblock(device);
  const before = sb.blocksCount;
  const after = checkTarget(device, sb, blocks);
  if (after <= before) return { before, after: before };
  const undo = new UndoLog();
  const groups = new Groups(device, sb, new BlockCache(device, sb.blockSize, undo), undo);
  new Growth(device, sb, resizedSuperblock(sb, after), groups).run();
  return { before, after };
}

function checkTarget(device: BlockDevice, sb: Superblock, blocks: number): number {
  if (!Number.isSafeInteger(blocks) || blocks < sb.blocksCount) {
    throw new RockberryError('refused', `expected a size of at least ${sb.blocksCount} blocks of ${sb.blockSize} bytes, as large as the filesystem is, found ${blocks}`, { hint: 'a filesystem is made smaller by shrinking it' });
  }
  const largest = largestBlocks(sb);
  if (blocks > largest && fittingBlocks(sb, blocks) > largest) {
    throw new RockberryError('unsupported', `expected a size of at most ${largest} blocks of ${sb.blockSize} bytes, for which there is room for group descriptors, found ${blocks}`,
      { hint: `grow it to ${largest} blocks, or use \`resize2fs\`, which moves what is in the way` });
  }
  if (blocks * sb.blockSize > device.size) {
    throw new RockberryError('no-space', `expected a device of at least ${blocks * sb.blockSize} bytes for ${blocks} blocks, found one of ${device.size} bytes`, { hint: 'grow the image and the partition first' });
  }
  return fittingBlocks(sb, blocks);
}

class Growth {
  private readonly table: Uint8Array;
  private readonly lastGroup: number;
  private lastBitmap: Uint8Array | undefined;

  constructor(private readonly device: BlockDevice, private readonly old: Superblock, private readonly sb: Superblock, private readonly groups: Groups) {
    this.table = new Uint8Array(descriptorBlocks(sb) * sb.blockSize);
    this.table.set(readDescriptors(device, old));
    this.lastGroup = old.groupCount - 1;
  }

  run(): void {
    const { device, sb, old, table } = this;
    this.extendLastGroup(); // looks at the old bitmap, and so comes before all writing
    addGroups(device, sb, old.groupCount, table);
    this.settleTotals();
    writeCopies(device, sb, table, (group) => group >= old.groupCount);
    writePrimary(device, old, true);
    this.changeOldPart();
    writeCopies(device, sb, table, (group) => group < old.groupCount);
    writePrimary(device, sb, false);
  }

  private raw(group: number): Uint8Array {
    return this.table.subarray(group * this.sb.descriptorSize, (group + 1) * this.sb.descriptorSize);
  }

  /** The last group may have been short; with sparse_super2 it may also have held a copy of the superblock, which now is in another. */
  private extendLastGroup(): void {
    const { sb, old, lastGroup: group } = this;
    const raw = this.raw(group);
    const [from, to] = [groupLength(old, group), groupLength(sb, group)];
    const kept = baseBlocks(sb, group);
    const released = group > 0 && hasSuperblock(old, group) && !hasSuperblock(sb, group) ? baseBlocks(old, group) - kept : 0;
    if (to === from && released === 0) return;
    setDescriptorField(sb, raw, 'freeBlocks', descriptorField(sb, raw, 'freeBlocks') + to - from + released);
    const uninit = (u16(raw, 0x12) & GROUP_FLAG.blockUninit) !== 0 && this.groups.hasFlags;
    if (!uninit) {
      this.lastBitmap = this.groups.blockBitmap(group).slice();
      setBits(this.lastBitmap, from, to - from, false);
      setBits(this.lastBitmap, kept, released, false);
      sealBitmap(sb, raw, 'block', this.lastBitmap);
    }
    sealDescriptor(sb, group, raw);
  }

  private settleTotals(): void {
    const all = Array.from({ length: this.sb.groupCount }, (_, group) => this.raw(group));
    setFreeBlocks(this.sb, all.reduce((sum, raw) => sum + descriptorField(this.sb, raw, 'freeBlocks'), 0));
    setFreeInodes(this.sb, all.reduce((sum, raw) => sum + descriptorField(this.sb, raw, 'freeInodes'), 0));
  }

  private changeOldPart(): void {
    const { sb, device } = this;
    if (sb.compat('resize_inode')) writeResizeInode(device, sb, this.groups.inodeOffset(RESIZE_INODE));
    if (this.lastBitmap) device.write(descriptorField(sb, this.raw(this.lastGroup), 'blockBitmap') * sb.blockSize, this.lastBitmap);
  }
}
