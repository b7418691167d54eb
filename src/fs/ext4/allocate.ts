/**
 * Which blocks and inodes are taken next. First fit and deterministic; what one session writes lands in one compact region, so that few
 * compressed blocks of the image change. Blocks reserved for root (s_r_blocks_count) may be used: whoever builds an image is root there.
 */
import { RockberryError } from '../../errors.js';
import { findBit, setBits, testBit } from './bits.js';
import type { BlockCache } from './cache.js';
import type { Groups } from './groups.js';
import { freeBlocks, freeInodes, type Superblock } from './superblock.js';
import type { UndoLog } from './undo.js';

/** Blocks in a row. */
export interface BlockRun {
  readonly start: number;
  readonly length: number;
}

/** A region that is worth starting in when nothing was written yet, in bytes. */
const REGION = 4 * 1024 * 1024;

export class Allocator {
  private cursor: number | undefined; // where the last allocation ended

  constructor(private readonly sb: Superblock, private readonly groups: Groups, private readonly cache: BlockCache, private readonly undo: UndoLog) {}

  /**
   * Takes `count` blocks, in as few runs as can be. `after` is the block the file ends with: the next one is taken when it is free;
   * else the session's region is continued; else a region is started in group `near`. Throws 'no-space' before anything is taken.
   */
  allocate(count: number, near: number, after?: number): BlockRun[] {
    if (count === 0) return [];
    this.groups.settleTotals();
    if (count > freeBlocks(this.sb)) {
      throw new RockberryError('no-space', `expected ${count} free blocks of ${this.sb.blockSize} bytes, found ${freeBlocks(this.sb)}`, { hint: 'grow the filesystem or write less' });
    }
    const runs: BlockRun[] = [];
    let missing = count;
    for (let least = Math.min(count, this.sb.blocksPerGroup); missing > 0; least = least >>> 1) {
      if (least === 0) throw new RockberryError('corrupt', `expected ${missing} more free blocks in the bitmaps, as the counters say, found none`);
      missing = this.take(missing, least, this.goal(near, after, count), runs);
    }
    const last = runs.at(-1)!;
    this.setCursor(last.start + last.length);
    return runs;
  }

  private setCursor(value: number): void {
    this.undo.before('cursor', () => {
      const before = this.cursor;
      return () => { this.cursor = before; };
    });
    this.cursor = value;
  }

  private goal(near: number, after: number | undefined, count: number): number {
    if (after !== undefined && after + 1 < this.sb.blocksCount) {
      const group = this.groups.groupOfBlock(after + 1);
      if (!testBit(this.groups.blockBitmap(group), after + 1 - this.groups.firstBlock(group))) return after + 1;
    }
    return this.cursor ?? this.startOfRegion(near, Math.max(count, REGION / this.sb.blockSize));
  }

  private startOfRegion(near: number, size: number): number {
    for (let step = 0; step < this.groups.count; step++) {
      const group = (near + step) % this.groups.count;
      const run = this.nextRun(group, 0, this.groups.blocksIn(group), Math.min(size, this.sb.blocksPerGroup / 2));
      if (run) return run.start;
    }
    return this.groups.firstBlock(near);
  }

  /** The first free run of at least `least` blocks within bits [from, end) of a group. */
  private nextRun(group: number, from: number, end: number, least: number): BlockRun | undefined {
    if (this.groups.descriptor(group).freeBlocks < least) return undefined;
    const bitmap = this.groups.blockBitmap(group);
    for (let start = findBit(bitmap, from, end, false); start < end; ) {
      const stop = findBit(bitmap, start, end, true);
      if (stop - start >= least) return { start: this.groups.firstBlock(group) + start, length: stop - start };
      start = findBit(bitmap, stop, end, false);
    }
    return undefined;
  }

  /** One pass over all groups from the goal on, taking runs of at least `least` blocks; returns how many are still missing. */
  private take(count: number, least: number, goal: number, runs: BlockRun[]): number {
    let missing = count;
    const home = Math.min(this.groups.groupOfBlock(goal), this.groups.count - 1);
    for (let step = 0; step <= this.groups.count && missing > 0; step++) {
      const group = (home + step) % this.groups.count;
      const offset = goal - this.groups.firstBlock(home);
      let from = step === 0 ? offset : 0;
      const end = step === this.groups.count ? Math.min(offset, this.groups.blocksIn(group)) : this.groups.blocksIn(group);
      while (missing > 0) {
        const run = this.nextRun(group, from, end, Math.min(least, missing));
        if (!run) break;
        const length = Math.min(run.length, missing);
        this.mark(group, run.start, length);
        runs.push({ start: run.start, length });
        missing -= length;
        from = run.start + length - this.groups.firstBlock(group);
      }
    }
    return missing;
  }

  private mark(group: number, start: number, length: number): void {
    setBits(this.groups.editBlockBitmap(group), start - this.groups.firstBlock(group), length, true);
    this.groups.addFreeBlocks(group, -length);
  }

  /** Gives blocks back; their contents stay. Blocks that are free already, or not a file's, are 'corrupt'. */
  free(start: number, length: number): void {
    if (!this.groups.isDataRange(start, length)) throw new RockberryError('corrupt', `expected a file's blocks, found ${start}+${length}, which belong to the filesystem itself`);
    for (let at = start; at < start + length; ) {
      const group = this.groups.groupOfBlock(at);
      const from = at - this.groups.firstBlock(group);
      const count = Math.min(start + length - at, this.groups.blocksIn(group) - from);
      const bitmap = this.groups.editBlockBitmap(group);
      if (findBit(bitmap, from, from + count, false) < from + count) throw new RockberryError('corrupt', `expected blocks ${at}+${count} in use, found some of them free in the bitmap of group ${group}`);
      setBits(bitmap, from, count, false);
      this.groups.addFreeBlocks(group, count);
      at += count;
    }
    for (let block = start; block < start + length; block++) this.cache.forget(block);
  }

  /** Takes the first free inode from the parent's group on. */
  allocateInode(parentGroup: number, directory: boolean): number {
    this.groups.settleTotals();
    if (freeInodes(this.sb) === 0) throw new RockberryError('no-space', 'expected a free inode, found none', { hint: 'make the filesystem with more inodes or write fewer files' });
    for (let step = 0; step < this.groups.count; step++) {
      const group = (parentGroup + step) % this.groups.count;
      if (this.groups.descriptor(group).freeInodes === 0) continue;
      const reserved = group === 0 ? this.sb.firstInode - 1 : 0;
      const index = findBit(this.groups.inodeBitmap(group), reserved, this.sb.inodesPerGroup, false);
      if (index === this.sb.inodesPerGroup) continue;
      setBits(this.groups.editInodeBitmap(group), index, 1, true);
      this.groups.addFreeInodes(group, -1);
      this.groups.useInode(group, index);
      if (directory) this.groups.addDirectories(group, 1);
      return group * this.sb.inodesPerGroup + index + 1;
    }
    throw new RockberryError('corrupt', 'expected a free inode in the bitmaps, as the counters say, found none');
  }

  freeInode(inode: number, directory: boolean): void {
    const group = this.groups.groupOfInode(inode);
    const index = (inode - 1) % this.sb.inodesPerGroup;
    const bitmap = this.groups.editInodeBitmap(group);
    if (!testBit(bitmap, index)) throw new RockberryError('corrupt', `expected inode ${inode} in use, found it free in the bitmap of group ${group}`);
    setBits(bitmap, index, 1, false);
    this.groups.addFreeInodes(group, 1);
    if (directory) this.groups.addDirectories(group, -1);
  }
}
