/**
 * The classic block map of ext2 and ext3 (kernel Documentation/filesystems/ext4/blockmap.rst): i_block holds twelve blocks, then one block each
 * of single, double and triple indirection. Pointers are 32 bits, zero is a hole, and a map block that would hold only zeros is left out.
 */
import { setU32, u32 } from '../../bytes/fields.js';
import { RockberryError } from '../../errors.js';
import type { Inode } from './inode.js';
import { cutRuns, joinRuns, runEnd, type Mapping, type Run } from './runs.js';
import type { Volume } from './volume.js';

const DIRECT = 12;

interface Subtree {
  /** Place in i_block, and how many levels of map blocks hang there. */
  readonly slot: number;
  readonly level: number;
  /** First logical block, and how many there are. */
  readonly first: number;
  readonly span: number;
}

function subtrees(volume: Volume): Subtree[] {
  const per = volume.sb.blockSize / 4;
  return [
    { slot: DIRECT, level: 1, first: DIRECT, span: per },
    { slot: DIRECT + 1, level: 2, first: DIRECT + per, span: per ** 2 },
    { slot: DIRECT + 2, level: 3, first: DIRECT + per + per ** 2, span: per ** 3 },
  ];
}

/** The first logical block that a block map cannot hold. */
export function maximumMapBlock(volume: Volume): number {
  const last = subtrees(volume)[2]!;
  return Math.min(last.first + last.span, 2 ** 32 - 1);
}

class Reader {
  readonly runs: Run[] = [];
  readonly tree: number[] = [];
  private readonly seen = new Set<number>();

  constructor(private readonly volume: Volume, private readonly inode: Inode) {}

  private check(block: number): void {
    if (!this.volume.groups.isDataRange(block, 1)) {
      throw new RockberryError('corrupt', `ext4 inode ${this.inode.number}: block map: expected a block for data, found ${block}`, { hint: 'run `e2fsck -f` on the partition, or take a sound image' });
    }
  }

  data(logical: number, physical: number): void {
    if (physical === 0) return;
    this.check(physical);
    const last = this.runs.at(-1);
    if (last && runEnd(last) === logical && last.physical + last.length === physical) this.runs[this.runs.length - 1] = { ...last, length: last.length + 1 };
    else this.runs.push({ logical, physical, length: 1, unwritten: false });
  }

  map(block: number, level: number, first: number): void {
    if (block === 0) return;
    this.check(block);
    if (this.seen.has(block)) throw new RockberryError('corrupt', `ext4 inode ${this.inode.number}: block map: expected map blocks of its own, found block ${block} twice`);
    this.seen.add(block);
    this.tree.push(block);
    const per = this.volume.sb.blockSize / 4;
    const node = this.volume.cache.get(block);
    for (let at = 0; at < per; at++) {
      const pointer = u32(node, at * 4);
      if (level === 1) this.data(first + at, pointer);
      else this.map(pointer, level - 1, first + at * per ** (level - 1));
    }
  }
}

export function readBlockMap(volume: Volume, inode: Inode): Mapping {
  const reader = new Reader(volume, inode);
  for (let at = 0; at < DIRECT; at++) reader.data(at, u32(inode.blockArea, at * 4));
  for (const { slot, level, first } of subtrees(volume)) reader.map(u32(inode.blockArea, slot * 4), level, first);
  return { runs: joinRuns(reader.runs), tree: reader.tree };
}

/** How many map blocks these runs need: those that would hold a pointer, on every level. */
export function mapBlocksNeeded(volume: Volume, runs: readonly Run[]): number {
  const per = volume.sb.blockSize / 4;
  let total = 0;
  for (const { first, span, level } of subtrees(volume)) {
    const inside = cutRuns(runs, first, first + span);
    for (let unit = per; unit <= per ** level; unit *= per) {
      let last = -1;
      for (const run of inside) {
        const from = Math.max(Math.floor((run.logical - first) / unit), last + 1);
        const to = Math.floor((runEnd(run) - 1 - first) / unit);
        if (to >= from) total += to - from + 1;
        last = Math.max(last, to);
      }
    }
  }
  return total;
}

/** Writes the map over the runs into i_block and the given blocks, of which there are as many as mapBlocksNeeded says. */
export function writeBlockMap(volume: Volume, inode: Inode, runs: readonly Run[], blocks: readonly number[]): void {
  const per = volume.sb.blockSize / 4;
  let next = 0;
  const build = (level: number, first: number, inside: readonly Run[]): number => {
    if (inside.length === 0) return 0;
    const block = blocks[next++]!;
    const node = new Uint8Array(volume.sb.blockSize);
    if (level === 1) {
      for (const run of inside) for (let at = 0; at < run.length; at++) setU32(node, (run.logical + at - first) * 4, run.physical + at);
    } else buildChildren(node, level, first, inside);
    volume.cache.put(block, node);
    return block;
  };
  const buildChildren = (node: Uint8Array, level: number, first: number, inside: readonly Run[]): void => {
    const unit = per ** (level - 1);
    for (let at = 0; at < per; at++) setU32(node, at * 4, build(level - 1, first + at * unit, cutRuns(inside, first + at * unit, first + (at + 1) * unit)));
  };
  inode.blockArea.fill(0);
  for (const run of cutRuns(runs, 0, DIRECT)) for (let at = 0; at < run.length; at++) setU32(inode.blockArea, (run.logical + at) * 4, run.physical + at);
  for (const { slot, level, first, span } of subtrees(volume)) setU32(inode.blockArea, slot * 4, build(level, first, cutRuns(runs, first, first + span)));
}
