/**
 * Block groups: descriptors, bitmaps, their counters and checksums (kernel Documentation/filesystems/ext4/group_descr.rst, bitmaps.rst;
 * fs/ext4/balloc.c, ialloc.c, bitmap.c). Bitmaps live in the block cache; descriptors in one table. Checksums are brought up to date by flush.
 *
 * A group with BLOCK_UNINIT or INODE_UNINIT has no bitmap on disk yet: it is computed when looked at, and written when it is first changed.
 */
import { setU16, u16, u32 } from '../../bytes/fields.js';
import type { Range } from '../../bytes/ranges.js';
import { coalesce } from '../../bytes/ranges.js';
import type { BlockDevice } from '../../device/device.js';
import { RockberryError } from '../../errors.js';
import { setBits } from './bits.js';
import type { BlockCache } from './cache.js';
import { bitmapChecksum, descriptorChecksum } from './checksums.js';
import { freeBlocks, freeInodes, hasSuperblock, setFreeBlocks, setFreeInodes, type Superblock } from './superblock.js';
import type { UndoLog } from './undo.js';

export const GROUP_FLAG = { inodeUninit: 1, blockUninit: 2, inodeZeroed: 4 } as const;

/** A group descriptor as it stands; block numbers are absolute. */
export interface GroupDescriptor {
  readonly blockBitmap: number;
  readonly inodeBitmap: number;
  readonly inodeTable: number;
  readonly freeBlocks: number;
  readonly freeInodes: number;
  readonly usedDirectories: number;
  readonly flags: number;
  /** Inodes at the end of the table that were never used. */
  readonly inodesUnused: number;
}

type Counter = 'freeBlocks' | 'freeInodes' | 'usedDirectories' | 'inodesUnused';
const COUNTER_AT: Record<Counter, readonly [number, number]> = {
  freeBlocks: [0x0c, 0x2c], freeInodes: [0x0e, 0x2e], usedDirectories: [0x10, 0x30], inodesUnused: [0x1c, 0x32],
};

function corrupt(group: number, what: string): RockberryError {
  return new RockberryError('corrupt', `ext4 group ${group}: ${what}`, { hint: 'run `e2fsck -f` on the partition, or take a sound image' });
}

export class Groups {
  readonly count: number;
  private readonly table: Uint8Array;
  private readonly wide: boolean;
  private settled = false;
  private readonly stale = new Set<number>(); // groups whose checksums on disk wait for flush
  private readonly verified = new Set<string>(); // bitmaps whose checksum was right, or that are ours: it is stale until flush
  private zones: Range[] | undefined;

  constructor(private readonly device: BlockDevice, private readonly sb: Superblock, private readonly cache: BlockCache, private readonly undo: UndoLog) {
    this.count = sb.groupCount;
    this.wide = sb.descriptorSize >= 64;
    this.table = this.readTable();
    for (let group = 0; group < this.count; group++) this.validate(group);
  }

  // Where things are

  firstBlock(group: number): number {
    return this.sb.firstDataBlock + group * this.sb.blocksPerGroup;
  }

  blocksIn(group: number): number {
    return Math.min(this.sb.blocksPerGroup, this.sb.blocksCount - this.firstBlock(group));
  }

  groupOfBlock(block: number): number {
    return Math.floor((block - this.sb.firstDataBlock) / this.sb.blocksPerGroup);
  }

  groupOfInode(inode: number): number {
    return Math.floor((inode - 1) / this.sb.inodesPerGroup);
  }

  /** Byte offset of an inode on the device. */
  inodeOffset(inode: number): number {
    const index = (inode - 1) % this.sb.inodesPerGroup;
    return this.descriptor(this.groupOfInode(inode)).inodeTable * this.sb.blockSize + index * this.sb.inodeSize;
  }

  /** Blocks of one group's inode table. */
  get tableBlocks(): number {
    return Math.ceil((this.sb.inodesPerGroup * this.sb.inodeSize) / this.sb.blockSize);
  }

  private get perBlock(): number {
    return this.sb.blockSize / this.sb.descriptorSize;
  }

  private get descriptorBlocks(): number {
    return Math.ceil(this.count / this.perBlock);
  }

  private get firstMetaGroup(): number {
    return this.sb.incompat('meta_bg') ? u32(this.sb.raw, 0x104) : Number.POSITIVE_INFINITY;
  }

  /** Block that holds the index-th block of descriptors; from s_first_meta_bg on each lies in the first of its own groups. */
  private descriptorBlock(index: number): number {
    if (index < this.firstMetaGroup) return this.sb.firstDataBlock + 1 + index;
    const group = index * this.perBlock;
    return this.firstBlock(group) + (hasSuperblock(this.sb, group) ? 1 : 0);
  }

  /** Blocks at the start of a group taken by the superblock, descriptors and their reserve (kernel: ext4_num_base_meta_clusters). */
  baseBlocks(group: number): number {
    const holder = hasSuperblock(this.sb, group);
    const metaGroup = Math.floor(group / this.perBlock);
    if (metaGroup < this.firstMetaGroup) {
      if (!holder) return 0;
      return 1 + Math.min(this.firstMetaGroup, this.descriptorBlocks) + u16(this.sb.raw, 0xce);
    }
    const place = group % this.perBlock;
    return (holder ? 1 : 0) + (place === 0 || place === 1 || place === this.perBlock - 1 ? 1 : 0);
  }

  /** Every block that holds the filesystem's own structures, sorted, in blocks: no file may map them. */
  systemZones(): readonly Range[] {
    if (this.zones) return this.zones;
    const ranges: Range[] = [{ offset: 0, length: this.sb.firstDataBlock }];
    for (let group = 0; group < this.count; group++) {
      const at = this.descriptor(group);
      ranges.push({ offset: this.firstBlock(group), length: this.baseBlocks(group) }, { offset: at.blockBitmap, length: 1 },
        { offset: at.inodeBitmap, length: 1 }, { offset: at.inodeTable, length: this.tableBlocks });
    }
    this.zones = coalesce(ranges);
    return this.zones;
  }

  /** Whether files may own these blocks: inside the filesystem and none of its own structures. */
  isDataRange(block: number, length: number): boolean {
    if (length < 1 || block < this.sb.firstDataBlock || block + length > this.sb.blocksCount) return false;
    const zones = this.systemZones();
    let [low, high] = [0, zones.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (zones[middle]!.offset + zones[middle]!.length <= block) low = middle + 1;
      else high = middle;
    }
    return low === zones.length || zones[low]!.offset >= block + length;
  }

  // Descriptors

  private readTable(): Uint8Array {
    const { blockSize } = this.sb;
    const table = new Uint8Array(this.descriptorBlocks * blockSize);
    const plain = Math.min(this.firstMetaGroup, this.descriptorBlocks);
    if (plain > 0) table.set(this.device.read(this.descriptorBlock(0) * blockSize, plain * blockSize));
    for (let index = plain; index < this.descriptorBlocks; index++) {
      table.set(this.device.read(this.descriptorBlock(index) * blockSize, blockSize), index * blockSize);
    }
    return table;
  }

  private raw(group: number): Uint8Array {
    if (group < 0 || group >= this.count) throw corrupt(group, `expected a group below ${this.count}`);
    return this.table.subarray(group * this.sb.descriptorSize, (group + 1) * this.sb.descriptorSize);
  }

  descriptor(group: number): GroupDescriptor {
    const raw = this.raw(group);
    const block = (low: number, high: number): number => u32(raw, low) + (this.wide ? u32(raw, high) * 2 ** 32 : 0);
    const count = (name: Counter): number => u16(raw, COUNTER_AT[name][0]) + (this.wide ? u16(raw, COUNTER_AT[name][1]) * 65536 : 0);
    return {
      blockBitmap: block(0x00, 0x20), inodeBitmap: block(0x04, 0x24), inodeTable: block(0x08, 0x28), flags: this.hasFlags ? u16(raw, 0x12) : 0,
      freeBlocks: count('freeBlocks'), freeInodes: count('freeInodes'), usedDirectories: count('usedDirectories'), inodesUnused: this.hasFlags ? count('inodesUnused') : 0,
    };
  }

  /** Flags, unused counts and checksums mean something only with uninit_bg or metadata_csum (kernel: ext4_has_group_desc_csum). */
  get hasFlags(): boolean {
    return this.sb.checksumSeed !== undefined || this.sb.roCompat('uninit_bg');
  }

  private validate(group: number): void {
    const found = this.descriptor(group);
    const inside = (block: number, length: number): boolean => block >= this.sb.firstDataBlock && block + length <= this.sb.blocksCount;
    if (!inside(found.blockBitmap, 1) || !inside(found.inodeBitmap, 1) || !inside(found.inodeTable, this.tableBlocks)) {
      throw corrupt(group, 'expected bitmaps and inode table inside the filesystem, found them outside');
    }
    if (found.freeBlocks > this.blocksIn(group) || found.freeInodes > this.sb.inodesPerGroup || found.inodesUnused > this.sb.inodesPerGroup) {
      throw corrupt(group, `expected counters within the group, found ${found.freeBlocks} free blocks, ${found.freeInodes} free and ${found.inodesUnused} unused inodes`);
    }
    if (this.hasFlags && this.checksum(group) !== u16(this.raw(group), 0x1e)) {
      throw corrupt(group, `expected descriptor checksum 0x${this.checksum(group).toString(16)}, found 0x${u16(this.raw(group), 0x1e).toString(16)}`);
    }
  }

  /** What bg_checksum must be (kernel: ext4_group_desc_csum); 0 without checksums. */
  checksum(group: number): number {
    return descriptorChecksum(this.sb, group, this.raw(group));
  }

  private edit(group: number): Uint8Array {
    this.undo.before(`group ${group}`, () => {
      const before = this.raw(group).slice();
      return () => this.raw(group).set(before);
    });
    this.stale.add(group);
    return this.raw(group);
  }

  private setCounter(group: number, name: Counter, value: number): void {
    const [low, high] = COUNTER_AT[name];
    const raw = this.edit(group);
    setU16(raw, low, value & 0xffff);
    if (this.wide) setU16(raw, high, value >>> 16);
  }

  private clearFlag(group: number, flag: number): void {
    const raw = this.edit(group);
    setU16(raw, 0x12, u16(raw, 0x12) & ~flag);
  }

  /** The superblock's totals may be stale in a sound filesystem: Linux and e2fsck go by the groups' sums. So do we, from before the first change on. */
  settleTotals(): void {
    if (this.settled) return;
    this.settled = true;
    const all = Array.from({ length: this.count }, (_, group) => this.descriptor(group));
    setFreeBlocks(this.sb, all.reduce((sum, descriptor) => sum + descriptor.freeBlocks, 0));
    setFreeInodes(this.sb, all.reduce((sum, descriptor) => sum + descriptor.freeInodes, 0));
  }

  /** The superblock, to change. */
  editSuperblock(): Superblock {
    this.settleTotals();
    this.undo.before('superblock', () => {
      const before = this.sb.raw.slice();
      return () => this.sb.raw.set(before);
    });
    return this.sb;
  }

  addFreeBlocks(group: number, delta: number): void {
    this.settleTotals(); // before the group's own counter changes
    this.setCounter(group, 'freeBlocks', this.within(group, this.descriptor(group).freeBlocks + delta, this.blocksIn(group), 'free blocks'));
    setFreeBlocks(this.editSuperblock(), this.within(group, freeBlocks(this.sb) + delta, this.sb.blocksCount, 'free blocks of the filesystem'));
  }

  addFreeInodes(group: number, delta: number): void {
    this.settleTotals();
    this.setCounter(group, 'freeInodes', this.within(group, this.descriptor(group).freeInodes + delta, this.sb.inodesPerGroup, 'free inodes'));
    setFreeInodes(this.editSuperblock(), this.within(group, freeInodes(this.sb) + delta, this.sb.inodesCount, 'free inodes of the filesystem'));
  }

  addDirectories(group: number, delta: number): void {
    this.setCounter(group, 'usedDirectories', this.within(group, this.descriptor(group).usedDirectories + delta, this.sb.inodesPerGroup, 'directories'));
  }

  /** Keeps itable_unused below an inode that is now in use; `index` counts from 0 within the group. */
  useInode(group: number, index: number): void {
    if (!this.hasFlags) return;
    const limit = this.sb.inodesPerGroup - index - 1;
    if (this.descriptor(group).inodesUnused > limit) this.setCounter(group, 'inodesUnused', limit);
  }

  private within(group: number, value: number, limit: number, what: string): number {
    if (value < 0 || value > limit) throw corrupt(group, `expected a count of ${what} that matches the bitmap, found one that is ${Math.abs(value < 0 ? value : value - limit)} off`);
    return value;
  }

  // Bitmaps

  /** The block bitmap, to look at; bits past the end of the group are set. */
  blockBitmap(group: number): Uint8Array {
    const { flags, blockBitmap } = this.descriptor(group);
    return (flags & GROUP_FLAG.blockUninit) !== 0 ? this.freshBlockBitmap(group) : this.readBitmap(group, 'block', blockBitmap);
  }

  inodeBitmap(group: number): Uint8Array {
    const { flags, inodeBitmap } = this.descriptor(group);
    return (flags & GROUP_FLAG.inodeUninit) !== 0 ? this.freshInodeBitmap() : this.readBitmap(group, 'inode', inodeBitmap);
  }

  /** The block bitmap, to change; a group that had none gets one. */
  editBlockBitmap(group: number): Uint8Array {
    const { flags, blockBitmap } = this.descriptor(group);
    if ((flags & GROUP_FLAG.blockUninit) !== 0) {
      this.cache.put(blockBitmap, this.freshBlockBitmap(group));
      this.verified.add(`block ${group}`);
      this.clearFlag(group, GROUP_FLAG.blockUninit);
    } else this.readBitmap(group, 'block', blockBitmap);
    this.stale.add(group);
    return this.cache.edit(blockBitmap);
  }

  editInodeBitmap(group: number): Uint8Array {
    const { flags, inodeBitmap } = this.descriptor(group);
    if ((flags & GROUP_FLAG.inodeUninit) !== 0) {
      this.cache.put(inodeBitmap, this.freshInodeBitmap());
      this.verified.add(`inode ${group}`);
      this.clearFlag(group, GROUP_FLAG.inodeUninit);
    } else this.readBitmap(group, 'inode', inodeBitmap);
    this.stale.add(group);
    return this.cache.edit(inodeBitmap);
  }

  /** What a group that was never used has in its bitmap: the structures that lie in it, its own and (flex_bg) those of other groups. */
  private freshBlockBitmap(group: number): Uint8Array {
    const bitmap = new Uint8Array(this.sb.blockSize);
    const [first, length] = [this.firstBlock(group), this.blocksIn(group)];
    for (const zone of this.systemZones()) {
      const from = Math.max(zone.offset, first);
      const to = Math.min(zone.offset + zone.length, first + length);
      if (from < to) setBits(bitmap, from - first, to - from, true);
    }
    setBits(bitmap, length, this.sb.blockSize * 8 - length, true);
    return bitmap;
  }

  private freshInodeBitmap(): Uint8Array {
    const bitmap = new Uint8Array(this.sb.blockSize);
    setBits(bitmap, this.sb.inodesPerGroup, this.sb.blockSize * 8 - this.sb.inodesPerGroup, true);
    return bitmap;
  }

  private readBitmap(group: number, kind: 'block' | 'inode', block: number): Uint8Array {
    const bitmap = this.cache.get(block);
    const key = `${kind} ${group}`;
    if (this.sb.checksumSeed === undefined || this.verified.has(key)) return bitmap;
    const [low, high] = kind === 'block' ? [0x18, 0x38] : [0x1a, 0x3a];
    const found = u16(this.raw(group), low) + (this.wide ? u16(this.raw(group), high) * 65536 : 0);
    const expected = this.bitmapChecksum(bitmap, kind);
    if (found !== expected) throw corrupt(group, `expected ${kind} bitmap checksum 0x${expected.toString(16)}, found 0x${found.toString(16)}`);
    this.verified.add(key);
    return bitmap;
  }

  private bitmapChecksum(bitmap: Uint8Array, kind: 'block' | 'inode'): number {
    const sum = bitmapChecksum(this.sb, this.sb.checksumSeed!, bitmap, kind);
    return this.wide ? sum : sum & 0xffff;
  }

  // Flush

  /** Brings checksums up to date and writes the descriptors that changed; bitmaps are in the cache, which is flushed after. */
  flush(): void {
    const blocks = new Set<number>();
    for (const group of [...this.stale].sort((a, b) => a - b)) {
      this.sealBitmaps(group);
      if (this.hasFlags) setU16(this.raw(group), 0x1e, this.checksum(group));
      blocks.add(Math.floor(group / this.perBlock));
    }
    for (const index of blocks) {
      const { blockSize } = this.sb;
      this.device.write(this.descriptorBlock(index) * blockSize, this.table.subarray(index * blockSize, (index + 1) * blockSize));
    }
    this.stale.clear();
  }

  /** Only bitmaps that were looked at: a new checksum over one that is broken would hide it. */
  private sealBitmaps(group: number): void {
    if (this.sb.checksumSeed === undefined) return;
    const { flags, blockBitmap, inodeBitmap } = this.descriptor(group);
    const store = (low: number, high: number, sum: number): void => {
      setU16(this.raw(group), low, sum & 0xffff);
      if (this.wide) setU16(this.raw(group), high, sum >>> 16);
    };
    if (this.verified.has(`block ${group}`) && (flags & GROUP_FLAG.blockUninit) === 0) store(0x18, 0x38, this.bitmapChecksum(this.cache.get(blockBitmap), 'block'));
    if (this.verified.has(`inode ${group}`) && (flags & GROUP_FLAG.inodeUninit) === 0) store(0x1a, 0x3a, this.bitmapChecksum(this.cache.get(inodeBitmap), 'inode'));
  }
}
