/** Where an inode's blocks are, whichever way it keeps them: read, and stored after a change with blocks of the tree reused, taken or freed. */
import { RockberryError } from '../../errors.js';
import { mapBlocksNeeded, maximumMapBlock, readBlockMap, writeBlockMap } from './blockmap.js';
import { extentBlocksNeeded, MAXIMUM_EXTENT_BLOCK, readExtents, writeExtents } from './extents.js';
import { INODE_FLAG, type Inode } from './inode.js';
import { blocksOf, EMPTY_MAPPING, gaps, joinRuns, sameRuns, type Mapping, type Run, type Span } from './runs.js';
import { setLargeFile } from './superblock.js';
import type { Volume } from './volume.js';

/** Whether a link's text is in the inode itself (kernel: ext4_inode_is_fast_symlink: it owns no block but the attributes'). */
export function isFastLink(inode: Inode): boolean {
  return inode.type === 'symlink' && inode.blockCount === (inode.xattrBlock === 0 ? 0 : 1);
}

/** Fast links, devices, fifos and sockets have no blocks. */
export function hasMapping(inode: Inode): boolean {
  return inode.type === 'file' || inode.type === 'directory' || (inode.type === 'symlink' && !isFastLink(inode));
}

export function readMapping(volume: Volume, inode: Inode): Mapping {
  if (!hasMapping(inode)) return EMPTY_MAPPING;
  return inode.usesExtents ? readExtents(volume, inode) : readBlockMap(volume, inode);
}

/** A new inode's empty mapping: extents where the filesystem has them. */
export function initMapping(volume: Volume, inode: Inode): void {
  if (!volume.sb.incompat('extent')) return;
  inode.flags = (inode.flags | INODE_FLAG.extents) >>> 0;
  writeExtents(volume, inode, [], []);
}

function checkEnd(volume: Volume, inode: Inode, blocks: number): void {
  const limit = inode.usesExtents ? MAXIMUM_EXTENT_BLOCK : maximumMapBlock(volume);
  if (blocks > limit) throw new RockberryError('unsupported', `ext4 inode ${inode.number}: expected a file of at most ${limit} blocks, found ${blocks}`);
}

/** Sets the size in bytes; throws when it is more than the inode's kind of mapping can hold. From 2 GiB on the filesystem has large_file. */
export function setSize(volume: Volume, inode: Inode, size: number): void {
  checkEnd(volume, inode, Math.ceil(size / volume.sb.blockSize));
  if (size >= 2 ** 31 && inode.type === 'file' && !volume.sb.roCompat('large_file')) setLargeFile(volume.groups.editSuperblock());
  inode.size = size;
}

/** The block that a file's next one should follow. */
export function lastBlock(runs: readonly Run[]): number | undefined {
  const last = runs.at(-1);
  return last && last.physical + last.length - 1;
}

/** Adds blocks for every part of the spans that has none; the new ones count as written, since the caller writes them. */
export function fillRuns(volume: Volume, inode: Inode, runs: readonly Run[], spans: readonly Span[]): Run[] {
  checkEnd(volume, inode, spans.at(-1)?.to ?? 0);
  const missing = gaps(runs, spans);
  const total = missing.reduce((sum, gap) => sum + gap.to - gap.from, 0);
  if (total === 0) return [...runs];
  const before = lastBlock(runs.filter((run) => run.logical < missing[0]!.from));
  const taken = volume.allocator.allocate(total, volume.groups.groupOfInode(inode.number), before);
  const added: Run[] = [];
  let [piece, used] = [0, 0];
  for (const gap of missing) {
    for (let at = gap.from; at < gap.to; ) {
      const run = taken[piece]!;
      const length = Math.min(gap.to - at, run.length - used);
      added.push({ logical: at, physical: run.start + used, length, unwritten: false });
      at += length;
      used += length;
      if (used === run.length) [piece, used] = [piece + 1, 0];
    }
  }
  return joinRuns([...runs, ...added]);
}

export function freeRuns(volume: Volume, runs: readonly Run[]): void {
  for (const run of runs) volume.allocator.free(run.physical, run.length);
}

/** Sets i_blocks to what the runs, the tree and the attribute block come to. */
function countBlocks(inode: Inode, mapping: Mapping): void {
  inode.blockCount = blocksOf(mapping.runs) + mapping.tree.length + (inode.xattrBlock === 0 ? 0 : 1);
}

/** Stores runs that replace the old mapping, in the inode (which the caller saves) and in tree blocks; nothing happens when they are the same. */
export function storeRuns(volume: Volume, inode: Inode, old: Mapping, runs: readonly Run[]): Mapping {
  if (sameRuns(old.runs, runs)) return old;
  const needed = inode.usesExtents ? extentBlocksNeeded(volume, runs) : mapBlocksNeeded(volume, runs);
  const tree = old.tree.slice(0, needed);
  for (const block of old.tree.slice(needed)) volume.allocator.free(block, 1);
  if (tree.length < needed) {
    const taken = volume.allocator.allocate(needed - tree.length, volume.groups.groupOfInode(inode.number), lastBlock(runs));
    for (const run of taken) for (let at = 0; at < run.length; at++) tree.push(run.start + at);
  }
  if (!inode.usesExtents && runs.some((run) => run.physical + run.length > 2 ** 32)) {
    throw new RockberryError('unsupported', `ext4 inode ${inode.number}: expected blocks below 2^32 for a block map, found more`);
  }
  const used = inode.usesExtents ? writeExtents : writeBlockMap;
  used(volume, inode, runs, tree);
  const mapping = { runs, tree };
  countBlocks(inode, mapping);
  return mapping;
}

