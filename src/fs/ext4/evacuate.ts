/**
 * Empties the part of an ext4 that is to be cut off: blocks of files, directories and attributes move to free blocks before it, inodes of groups that will not be there get other
 * numbers. Numbers are blocks. All of it is one operation over the driver's cache; nothing that is in use is overwritten: what moves is copied, whatever holds a checksum over an inode's
 * number is made anew beside the old one, and the old places are given free only with the cut. So the old filesystem is whole until its inodes are written.
 */
import { setU32, u32 } from '../../bytes/fields.js';
import { overlaps, rangeEnd, type Range } from '../../bytes/ranges.js';
import { RockberryError } from '../../errors.js';
import { findBit, setBits } from './bits.js';
import { mapBlocksNeeded, writeBlockMap } from './blockmap.js';
import { DOUBLE_INDIRECT_AT, isNameless, linkedInodes, RESIZE_INODE } from './check-inodes.js';
import { entries, type DirectoryFormat } from './directory.js';
import { InodeDirectory } from './directory-file.js';
import { extentBlocksNeeded, writeExtents } from './extents.js';
import { Inode } from './inode.js';
import { lastBlock, readMapping } from './mapping.js';
import { Namespace } from './namespace.js';
import { blocksOf, joinRuns, type Mapping, type Run } from './runs.js';
import { renumberDirectory } from './shrink-names.js';
import type { Superblock } from './superblock.js';
import type { Volume } from './volume.js';
import { withReferences, xattrBlockReferences } from './xattr.js';

const BAD_BLOCKS_INODE = 1;
const JOURNAL_INODE = 8;
const ORPHAN_FILE_AT = 0x280; // s_orphan_file_inum
const JOURNAL_BACKUP_AT = 0x10c; // s_jnl_blocks: i_block, then i_size_high and i_size
const COPY = 1 << 20; // bytes at a time

/** What came of it, for the cut. */
export interface Evacuated {
  /** Blocks that nothing uses any more, before the cut and after it. */
  readonly released: readonly Range[];
  /** Structures of groups that stay and lay where they cannot stay: group → field → new block. The old contents are still in their place. */
  readonly moved: readonly MovedStructure[];
}

export interface MovedStructure {
  readonly group: number;
  readonly field: 'blockBitmap' | 'inodeBitmap' | 'inodeTable';
  readonly to: number;
  readonly length: number;
}

export class Evacuation {
  private readonly numbers = new Map<number, number>();
  private readonly attributes = new Map<number, number>();
  private readonly directories: number[] = [];
  private readonly released: Range[] = [];
  private readonly moved: MovedStructure[] = [];
  /** Blocks with metadata that is new: on the device before any inode that leads to them. */
  private readonly fresh: number[] = [];
  private readonly format: DirectoryFormat;

  /** `forbidden` is sorted and without overlaps. */
  constructor(private readonly volume: Volume, private readonly small: Superblock, private readonly forbidden: readonly Range[]) {
    this.format = new Namespace(volume).format;
  }

  run(): Evacuated {
    const { volume } = this;
    volume.operate(() => {
      this.refuseBadBlocks();
      this.reserve();
      this.moveStructures();
      for (const inode of linkedInodes(volume)) this.visit(inode);
      this.renameIn((number) => this.numbers.has(number));
      this.readAll();
      for (const block of this.fresh) volume.device.write(block * volume.sb.blockSize, volume.cache.get(block));
    });
    volume.device.flush();
    volume.flush();
    volume.operate(() => this.renameIn((number) => !this.numbers.has(number))); // entries in place come last: what they name is there now
    volume.flush();
    return { released: this.released, moved: this.moved };
  }

  private get blockSize(): number {
    return this.volume.sb.blockSize;
  }

  private isForbidden(offset: number, length: number): boolean {
    return this.forbidden.some((range) => overlaps(range, { offset, length }));
  }

  private refuseBadBlocks(): void {
    if (this.volume.load(BAD_BLOCKS_INODE).blockCount !== 0) throw unsupported('expected no list of bad blocks, found one in inode 1');
  }

  // Free blocks and inodes where nothing may go are as good as taken

  private reserve(): void {
    const { groups, sb } = this.volume;
    groups.settleTotals();
    for (let group = 0; group < groups.count; group++) {
      if (group >= this.small.groupCount) {
        groups.addFreeInodes(group, -groups.descriptor(group).freeInodes);
        groups.addFreeBlocks(group, -groups.descriptor(group).freeBlocks);
      } else for (const range of this.forbidden) this.reservePart(group, Math.max(range.offset, groups.firstBlock(group)), Math.min(rangeEnd(range), groups.firstBlock(group) + sb.blocksPerGroup, sb.blocksCount));
    }
  }

  private reservePart(group: number, from: number, to: number): void {
    const { groups } = this.volume;
    const [first, end] = [groups.firstBlock(group), to - groups.firstBlock(group)];
    for (let at = findBit(groups.blockBitmap(group), from - first, end, false); at < end;) {
      const stop = findBit(groups.blockBitmap(group), at, end, true);
      setBits(groups.editBlockBitmap(group), at, stop - at, true);
      groups.addFreeBlocks(group, at - stop);
      at = findBit(groups.blockBitmap(group), stop, end, false);
    }
  }

  // Bitmaps and inode tables

  private moveStructures(): void {
    const { groups } = this.volume;
    for (let group = 0; group < this.small.groupCount; group++) {
      const descriptor = groups.descriptor(group);
      for (const [field, length] of [['blockBitmap', 1], ['inodeBitmap', 1], ['inodeTable', groups.tableBlocks]] as const) {
        if (!this.isForbidden(descriptor[field], length)) continue;
        this.moved.push({ group, field, to: this.takeRow(group, length), length });
        this.released.push({ offset: descriptor[field], length });
      }
    }
  }

  /** Free blocks in a row: in the group itself, with flex_bg in any that stays. */
  private takeRow(home: number, length: number): number {
    const { groups, sb } = this.volume;
    for (let step = 0; step < (sb.incompat('flex_bg') ? this.small.groupCount : 1); step++) {
      const group = (home + step) % this.small.groupCount;
      const bitmap = groups.blockBitmap(group);
      const end = groups.blocksIn(group);
      for (let at = findBit(bitmap, 0, end, false); at < end;) {
        const stop = findBit(bitmap, at, end, true);
        if (stop - at >= length) {
          setBits(groups.editBlockBitmap(group), at, length, true);
          groups.addFreeBlocks(group, -length);
          return groups.firstBlock(group) + at;
        }
        at = findBit(bitmap, stop, end, false);
      }
    }
    throw new RockberryError('no-space', `expected ${length} free blocks in a row for the structures of ext4 group ${home}, found none`, { hint: 'choose a larger size' });
  }

  // Inodes and their blocks

  private visit(inode: Inode): void {
    inode.validate();
    if (inode.number === RESIZE_INODE) {
      this.moveResizeInode(inode);
      return;
    }
    if (inode.mode === 0 && isNameless(this.volume, inode.number)) return;
    const directory = inode.type === 'directory';
    const target = this.withNumber(inode, directory);
    if (directory) this.directories.push(inode.number);
    const changed = this.moveBlocks(inode, target, directory);
    const attributes = this.moveAttributes(target);
    if (!changed && !attributes && target === inode) return;
    this.refuseOrphanFile(inode.number);
    this.volume.save(target);
    if (inode.number === JOURNAL_INODE) this.backUpJournal(target);
  }

  /** The inode itself, or a copy under a number that stays. */
  private withNumber(inode: Inode, directory: boolean): Inode {
    const { volume } = this;
    if (inode.number <= this.small.inodesCount) return inode;
    this.refuseOrphanFile(inode.number);
    const number = volume.allocator.allocateInode(volume.groups.groupOfInode(inode.number) % this.small.groupCount, directory);
    this.numbers.set(inode.number, number);
    return new Inode(volume.sb, number, inode.raw.slice());
  }

  private refuseOrphanFile(number: number): void {
    const { sb } = this.volume;
    if (sb.compat('orphan_file') && number === u32(sb.raw, ORPHAN_FILE_AT)) throw unsupported('expected the orphan file to stay where it is, found it in the part to be cut off');
  }

  /** Gives `target` a mapping without forbidden blocks; true when it has another than `inode`. A directory with a new number gets new blocks all through: each holds a checksum over the number. */
  private moveBlocks(inode: Inode, target: Inode, directory: boolean): boolean {
    const old = readMapping(this.volume, inode);
    const renumbered = inode !== target;
    const runs = this.moveRuns(old.runs, target, directory && renumbered);
    if (runs === undefined && !old.tree.some((block) => this.isForbidden(block, 1)) && !(renumbered && old.tree.length > 0)) return false;
    if (directory) for (const run of runs ?? []) for (let at = 0; at < run.length; at++) if (!isMapped(old.runs, run.logical + at, run.physical + at)) this.fresh.push(run.physical + at);
    this.buildTree(target, old, runs ?? old.runs);
    return true;
  }

  /** The runs with copies in place of what is forbidden; undefined when nothing is. */
  private moveRuns(runs: readonly Run[], target: Inode, all: boolean): Run[] | undefined {
    const moved: Run[] = [];
    let changed = false;
    for (const part of runs.flatMap((run) => this.cut(run))) {
      if (!all && !this.isForbidden(part.physical, part.length)) moved.push(part);
      else {
        moved.push(...this.copyRun(part, target, lastBlock(moved)));
        this.released.push({ offset: part.physical, length: part.length });
        changed = true;
      }
    }
    return changed ? joinRuns(moved) : undefined;
  }

  /** A run in parts, each of them forbidden or not. */
  private cut(run: Run): Run[] {
    const end = run.physical + run.length;
    const edges = [run.physical, ...this.forbidden.flatMap((range) => [range.offset, rangeEnd(range)]).filter((edge) => edge > run.physical && edge < end), end];
    return edges.slice(1).map((to, at) => ({ ...run, logical: run.logical + edges[at]! - run.physical, physical: edges[at]!, length: to - edges[at]! }));
  }

  private copyRun(part: Run, target: Inode, after: number | undefined): Run[] {
    const { allocator, groups } = this.volume;
    let logical = part.logical;
    return allocator.allocate(part.length, groups.groupOfInode(target.number), after).map(({ start, length }) => {
      if (!part.unwritten) this.copy(part.physical + logical - part.logical, start, length);
      const run = { logical, physical: start, length, unwritten: part.unwritten };
      logical += length;
      return run;
    });
  }

  private copy(from: number, to: number, length: number): void {
    const { device } = this.volume;
    const bytes = length * this.blockSize;
    for (let at = 0; at < bytes; at += COPY) {
      device.write(to * this.blockSize + at, device.read(from * this.blockSize + at, Math.min(COPY, bytes - at)));
    }
  }

  /** In blocks of its own, all new: whoever still goes by the old inode finds the old tree. */
  private buildTree(target: Inode, old: Mapping, runs: readonly Run[]): void {
    const { volume } = this;
    const needed = target.usesExtents ? extentBlocksNeeded(volume, runs) : mapBlocksNeeded(volume, runs);
    const blocks = volume.allocator.allocate(needed, volume.groups.groupOfInode(target.number), lastBlock(runs))
      .flatMap(({ start, length }) => Array.from({ length }, (_, at) => start + at));
    (target.usesExtents ? writeExtents : writeBlockMap)(volume, target, runs, blocks);
    this.fresh.push(...blocks);
    this.released.push(...old.tree.map((offset) => ({ offset, length: 1 })));
    target.blockCount = blocksOf(runs) + blocks.length + (target.xattrBlock === 0 ? 0 : 1);
  }

  /** The attribute block, which inodes may share; its checksum is over its own place. */
  private moveAttributes(target: Inode): boolean {
    const { volume } = this;
    const block = target.xattrBlock;
    if (block === 0 || !this.isForbidden(block, 1)) return false;
    let to = this.attributes.get(block);
    if (to === undefined) {
      to = this.takeBlock(target.number, block);
      const data = volume.cache.get(block);
      volume.cache.put(to, withReferences(data, xattrBlockReferences(data), to, { blockSize: this.blockSize, checksumSeed: volume.sb.checksumSeed }));
      this.attributes.set(block, to);
    }
    target.xattrBlock = to;
    return true;
  }

  private takeBlock(inode: number, instead: number): number {
    const [run] = this.volume.allocator.allocate(1, this.volume.groups.groupOfInode(inode));
    this.fresh.push(run!.start);
    this.released.push({ offset: instead, length: 1 });
    return run!.start;
  }

  /** Its map is written with the cut; only the block for it has to be where it can stay. */
  private moveResizeInode(inode: Inode): void {
    const block = u32(inode.raw, DOUBLE_INDIRECT_AT);
    if (block === 0 || !this.isForbidden(block, 1)) return;
    const to = this.takeBlock(inode.number, block);
    this.volume.cache.put(to, this.volume.cache.get(block));
    setU32(inode.raw, DOUBLE_INDIRECT_AT, to);
    this.volume.save(inode);
  }

  private backUpJournal(inode: Inode): void {
    const { raw } = this.volume.groups.editSuperblock();
    if (raw[0xfd] !== 1) return; // s_jnl_backup_type
    raw.set(inode.blockArea, JOURNAL_BACKUP_AT);
    setU32(raw, JOURNAL_BACKUP_AT + 60, u32(inode.raw, 0x6c));
    setU32(raw, JOURNAL_BACKUP_AT + 64, u32(inode.raw, 0x04));
  }

  // Names

  private directory(number: number): InodeDirectory {
    return new InodeDirectory(this.volume, this.volume.load(number));
  }

  private renameIn(meant: (number: number) => boolean): void {
    if (this.numbers.size === 0) return;
    for (const number of this.directories.filter(meant)) {
      const now = this.numbers.get(number);
      const from = this.directory(number);
      renumberDirectory(from, now === undefined ? from : this.directory(now), this.format, this.numbers, now !== undefined);
    }
  }

  /** A broken directory is found before anything has changed on the device. */
  private readAll(): void {
    if (this.numbers.size === 0) return;
    for (const number of this.directories) for (const entry of entries(this.directory(number), this.format)) void entry;
  }
}

function isMapped(runs: readonly Run[], logical: number, physical: number): boolean {
  return runs.some((run) => logical >= run.logical && logical < run.logical + run.length && run.physical + logical - run.logical === physical);
}

function unsupported(message: string): RockberryError {
  return new RockberryError('unsupported', message, { hint: 'shrink it with `resize2fs`, or to a larger size' });
}
