/**
 * The extent tree (kernel Documentation/filesystems/ext4/ifork.rst, fs/ext4/ext4_extents.h). A node is a header and entries of 12 bytes each;
 * the root is in i_block (four entries), other nodes fill a block and end with a checksum. A tree is read whole into runs; when the runs
 * changed it is built anew, packed full, from the leaves up.
 */
import { crc32c } from '../../bytes/crc.js';
import { setU16, setU32, u16, u32 } from '../../bytes/fields.js';
import { RockberryError } from '../../errors.js';
import type { Inode } from './inode.js';
import { joinRuns, runEnd, type Mapping, type Run } from './runs.js';
import type { Volume } from './volume.js';

const MAGIC = 0xf30a;
const ENTRY = 12; // bytes, and also the header's
const ROOT_ENTRIES = 4;
const MAXIMUM_DEPTH = 5;
const LONGEST = 32768; // blocks of one extent; a length above it marks an unwritten one
export const MAXIMUM_EXTENT_BLOCK = 2 ** 32 - 1; // logical blocks are 32 bits

interface Reader {
  readonly volume: Volume;
  readonly inode: Inode;
  readonly runs: Run[];
  readonly tree: number[];
  readonly seen: Set<number>;
}

function broken(inode: Inode, what: string): RockberryError {
  return new RockberryError('corrupt', `ext4 inode ${inode.number}: extent tree: ${what}`, { hint: 'run `e2fsck -f` on the partition, or take a sound image' });
}

function entriesPerBlock(volume: Volume): number {
  return Math.floor((volume.sb.blockSize - ENTRY) / ENTRY);
}

function checksumAt(node: Uint8Array): number {
  return ENTRY + ENTRY * u16(node, 4);
}

/** Checks a node's header against the depth its parent promised; returns the number of entries. */
function readHeader({ inode }: Reader, node: Uint8Array, depth: number | undefined, capacity: number): { entries: number; depth: number } {
  const [magic, entries, maximum, found] = [u16(node, 0), u16(node, 2), u16(node, 4), u16(node, 6)];
  if (magic !== MAGIC) throw broken(inode, `expected magic 0xf30a, found 0x${magic.toString(16)}`);
  if (maximum > capacity || entries > maximum) throw broken(inode, `expected at most ${capacity} entries, found ${entries} of ${maximum}`);
  if (found > MAXIMUM_DEPTH || (depth !== undefined && found !== depth)) throw broken(inode, `expected depth ${depth ?? `up to ${MAXIMUM_DEPTH}`}, found ${found}`);
  return { entries, depth: found };
}

function readLeaf({ volume, inode, runs }: Reader, node: Uint8Array, entries: number): void {
  for (let at = 1; at <= entries; at++) {
    const offset = at * ENTRY;
    const stored = u16(node, offset + 4);
    const unwritten = stored > LONGEST;
    const run = { logical: u32(node, offset), physical: u16(node, offset + 6) * 2 ** 32 + u32(node, offset + 8), length: unwritten ? stored - LONGEST : stored, unwritten };
    const last = runs.at(-1);
    if (run.length === 0 || (last && run.logical < runEnd(last)) || runEnd(run) > MAXIMUM_EXTENT_BLOCK + 1) throw broken(inode, `expected extents in order, found block ${run.logical}+${run.length}`);
    if (!volume.groups.isDataRange(run.physical, run.length)) throw broken(inode, `expected blocks for data, found ${run.physical}+${run.length}`);
    runs.push(run);
  }
}

function readChild(reader: Reader, block: number, depth: number): void {
  const { volume, inode, tree, seen } = reader;
  if (!volume.groups.isDataRange(block, 1) || seen.has(block)) throw broken(inode, `expected a node of its own, found block ${block}`);
  seen.add(block);
  tree.push(block);
  const node = volume.cache.get(block);
  const header = readHeader(reader, node, depth, entriesPerBlock(volume));
  const { seed } = inode;
  if (seed !== undefined) {
    const at = checksumAt(node);
    if (u32(node, at) !== crc32c(seed, node.subarray(0, at))) throw broken(inode, `expected a right checksum in block ${block}, found 0x${u32(node, at).toString(16)}`);
  }
  readEntries(reader, node, header.entries, depth);
}

function readEntries(reader: Reader, node: Uint8Array, entries: number, depth: number): void {
  if (depth === 0) {
    readLeaf(reader, node, entries);
    return;
  }
  for (let at = 1; at <= entries; at++) readChild(reader, u16(node, at * ENTRY + 8) * 2 ** 32 + u32(node, at * ENTRY + 4), depth - 1);
}

export function readExtents(volume: Volume, inode: Inode): Mapping {
  const reader: Reader = { volume, inode, runs: [], tree: [], seen: new Set() };
  const root = inode.blockArea;
  const header = readHeader(reader, root, undefined, ROOT_ENTRIES);
  readEntries(reader, root, header.entries, header.depth);
  return { runs: joinRuns(reader.runs), tree: reader.tree };
}

/** Runs cut to what one extent can say. */
function toExtents(runs: readonly Run[]): Run[] {
  return runs.flatMap((run) => {
    const longest = run.unwritten ? LONGEST - 1 : LONGEST;
    return Array.from({ length: Math.ceil(run.length / longest) }, (_, part) => ({
      ...run, logical: run.logical + part * longest, physical: run.physical + part * longest, length: Math.min(longest, run.length - part * longest),
    }));
  });
}

/** How many blocks a tree over these runs needs besides the root. */
export function extentBlocksNeeded(volume: Volume, runs: readonly Run[]): number {
  let total = 0;
  for (let level = toExtents(runs).length; level > ROOT_ENTRIES; ) {
    level = Math.ceil(level / entriesPerBlock(volume));
    total += level;
  }
  return total;
}

interface Entry {
  readonly logical: number;
  readonly write: (node: Uint8Array, offset: number) => void;
}

function leafEntry(run: Run): Entry {
  return {
    logical: run.logical,
    write(node, offset) {
      setU16(node, offset + 4, run.unwritten ? run.length + LONGEST : run.length);
      setU16(node, offset + 6, Math.floor(run.physical / 2 ** 32));
      setU32(node, offset + 8, run.physical % 2 ** 32);
    },
  };
}

function indexEntry(logical: number, block: number): Entry {
  return {
    logical,
    write(node, offset) {
      setU32(node, offset + 4, block % 2 ** 32);
      setU16(node, offset + 8, Math.floor(block / 2 ** 32));
    },
  };
}

function fillNode(node: Uint8Array, entries: readonly Entry[], maximum: number, depth: number): void {
  setU16(node, 0, MAGIC);
  setU16(node, 2, entries.length);
  setU16(node, 4, maximum);
  setU16(node, 6, depth);
  entries.forEach((entry, at) => {
    setU32(node, (at + 1) * ENTRY, entry.logical);
    entry.write(node, (at + 1) * ENTRY);
  });
}

/** Writes the tree over the runs into i_block and the given blocks, of which there are as many as extentBlocksNeeded says. */
export function writeExtents(volume: Volume, inode: Inode, runs: readonly Run[], blocks: readonly number[]): void {
  const capacity = entriesPerBlock(volume);
  let entries = toExtents(runs).map(leafEntry);
  let depth = 0;
  let next = 0;
  while (entries.length > ROOT_ENTRIES) {
    const parents: Entry[] = [];
    for (let at = 0; at < entries.length; at += capacity) {
      const block = blocks[next++]!;
      const node = new Uint8Array(volume.sb.blockSize);
      fillNode(node, entries.slice(at, at + capacity), capacity, depth);
      if (inode.seed !== undefined) setU32(node, checksumAt(node), crc32c(inode.seed, node.subarray(0, checksumAt(node))));
      volume.cache.put(block, node);
      parents.push(indexEntry(entries[at]!.logical, block));
    }
    entries = parents;
    depth++;
  }
  inode.blockArea.fill(0);
  fillNode(inode.blockArea, entries, ROOT_ENTRIES, depth);
}
