/**
 * Directories with a hash tree: leaves are ordinary blocks of entries, each holding the names of one range of hashes. Where names of equal hash do
 * not fit one leaf, the next leaf's entry has the lowest bit of its hash set: "continue here" (Linux: fs/ext4/namei.c dx_probe, do_split,
 * ext4_dx_add_entry).
 */
import { u16 } from '../../bytes/fields.js';
import { RockberryError } from '../../errors.js';
import { broken, insertRecord, leafEntries, packLeaf, readLeaf, recordSize, sealLeaf, verifyLeaf, type DirectoryEntry, type DirectoryFile,
  type DirectoryFormat } from './dirent.js';
import { nameHash } from './dxhash.js';
import { addEntry, deepenRoot, entryBlock, entryHash, findEntry, looksLikeNode, makeNode, makeRoot, maximumLevels, nodeCount, nodeLimit, readNode,
  readRoot, setNodeCount, writeNode, type IndexNode } from './dxnode.js';

export interface Leaf {
  readonly block: number;
  readonly data: Uint8Array;
}

interface Path {
  readonly hash: number;
  readonly hashVersion: number;
  /** From the root down; never empty. */
  readonly nodes: IndexNode[];
}

function hashOf(format: DirectoryFormat, version: number, name: Uint8Array): number {
  return nameHash(name, { version, seed: format.hashSeed, unsigned: format.unsignedHash });
}

function probe(file: DirectoryFile, format: DirectoryFormat, name: Uint8Array): Path {
  const root = readRoot(file, format);
  const hash = hashOf(format, root.hashVersion, name);
  const nodes: IndexNode[] = [];
  for (let node: IndexNode = root; ; node = readNode(file, format, entryBlock(file, node, node.at))) {
    node.at = findEntry(node, hash);
    nodes.push(node);
    if (nodes.length === root.levels) return { hash, hashVersion: root.hashVersion, nodes };
  }
}

/** Reads a block of entries of a hashed directory and verifies it. */
export function readHashedLeaf(file: DirectoryFile, format: DirectoryFormat, block: number): Leaf {
  const data = file.read(block);
  if (looksLikeNode(format, data)) throw broken(file, block, 'expected a block of entries below the hash tree, found an index block');
  verifyLeaf(file, format, block, data);
  return { block, data };
}

/** Moves `nodes` to the next leaf if that one continues the same hash; false: there is none. */
function advance(file: DirectoryFile, format: DirectoryFormat, nodes: IndexNode[], hash: number): boolean {
  let level = nodes.length - 1;
  while (level >= 0 && nodes[level]!.at + 1 >= nodeCount(nodes[level]!)) level--;
  const turn = nodes[level];
  if (!turn) return false;
  turn.at++;
  if (entryHash(turn, turn.at) !== hash + 1) return false;
  for (let below = level + 1; below < nodes.length; below++) {
    const above = nodes[below - 1]!;
    nodes[below] = readNode(file, format, entryBlock(file, above, above.at));
  }
  return true;
}

/** The leaves that may hold the name: one, or more where equal hashes overflowed. */
export function* candidateLeaves(file: DirectoryFile, format: DirectoryFormat, name: Uint8Array): Iterable<Leaf> {
  const { nodes, hash } = probe(file, format, name);
  for (let visited = 0; visited < file.blocks; visited++) {
    const last = nodes[nodes.length - 1]!;
    yield readHashedLeaf(file, format, entryBlock(file, last, last.at));
    if (!advance(file, format, nodes, hash)) return;
  }
  throw broken(file, 0, 'expected a hash tree that leads to each block once, found one that leads round in a loop');
}

/** The entries of any block of a hashed directory; index blocks below the root have none. */
export function hashedBlockEntries(file: DirectoryFile, format: DirectoryFormat, block: number): DirectoryEntry[] {
  const data = file.read(block);
  if (looksLikeNode(format, data)) return [];
  verifyLeaf(file, format, block, data);
  return leafEntries(file, format, block, data);
}

/** Appends empty blocks for a split before anything is changed: when one does not fit, the directory is left as it was. */
function reserve(file: DirectoryFile, format: DirectoryFormat, count: number): number[] {
  const before = file.blocks;
  try {
    return Array.from({ length: count }, () => file.append(sealLeaf(file, format, packLeaf(format, []))));
  } catch (error) {
    if (file.blocks > before) file.truncate(before);
    throw error;
  }
}

interface Hashed extends DirectoryEntry {
  readonly hash: number;
}

interface Halves {
  readonly lower: Hashed[];
  readonly upper: Hashed[];
  /** What the index says of the upper half: its first hash, plus 1 when the lower half ends with the same. */
  readonly hash: number;
}

function totalSize(entries: readonly DirectoryEntry[]): number {
  return entries.reduce((sum, entry) => sum + recordSize(entry.name.length), 0);
}

/** Sorts by hash and divides where both halves take about the same space. */
function divide(format: DirectoryFormat, version: number, entries: readonly DirectoryEntry[]): Halves {
  const sorted = entries.map((entry) => ({ ...entry, hash: hashOf(format, version, entry.name) })).sort((a, b) => a.hash - b.hash);
  const half = totalSize(sorted) / 2;
  let split = 0;
  for (let size = 0; size < half && split < sorted.length - 1; split++) size += recordSize(sorted[split]!.name.length);
  const hash = sorted[split]!.hash;
  return { lower: sorted.slice(0, split), upper: sorted.slice(split), hash: hash === sorted[split - 1]!.hash ? hash + 1 : hash };
}

function writeLeaf(file: DirectoryFile, format: DirectoryFormat, block: number, entries: readonly DirectoryEntry[]): void {
  file.write(block, sealLeaf(file, format, packLeaf(format, entries)));
}

/** Adds a name that is not there yet. A tree that is full at its greatest depth is 'no-space'. */
export function insertHashed(file: DirectoryFile, format: DirectoryFormat, entry: DirectoryEntry): void {
  const { nodes, hashVersion } = probe(file, format, entry.name);
  const last = nodes[nodes.length - 1]!;
  const leaf = readHashedLeaf(file, format, entryBlock(file, last, last.at));
  if (insertRecord(file, format, leaf.block, leaf.data, entry)) {
    file.write(leaf.block, sealLeaf(file, format, leaf.data));
    return;
  }
  const halves = divide(format, hashVersion, [...leafEntries(file, format, leaf.block, leaf.data), entry]);
  const fresh = reserve(file, format, 1 + fullLevels(file, format, nodes));
  const upper = fresh.pop()!;
  writeLeaf(file, format, upper, halves.upper);
  writeLeaf(file, format, leaf.block, halves.lower);
  index(file, format, nodes, nodes.length - 1, halves.hash, upper, fresh);
}

/** How many index blocks, from the lowest up, have no room: each needs one more block. */
function fullLevels(file: DirectoryFile, format: DirectoryFormat, nodes: readonly IndexNode[]): number {
  let full = 0;
  while (full < nodes.length && nodeCount(nodes[nodes.length - 1 - full]!) === nodeLimit(nodes[nodes.length - 1 - full]!)) full++;
  if (full === nodes.length && nodes.length === maximumLevels(format)) {
    throw new RockberryError('no-space', `expected room in the hash tree of directory inode ${file.inode}, found its ${nodes.length} levels full`,
      { hint: 'put fewer files into this directory' });
  }
  return full;
}

/** Enters a new block into the index at `level`, splitting upwards with the reserved blocks; a full root gets another level below it. */
function index(file: DirectoryFile, format: DirectoryFormat, nodes: readonly IndexNode[], level: number, hash: number, block: number,
  fresh: number[]): void {
  const node = nodes[level]!;
  if (nodeCount(node) < nodeLimit(node)) {
    addEntry(node, hash, block);
    writeNode(file, format, node);
  } else if (level === 0) {
    const child = makeNode(format, fresh.pop()!, node, 0);
    child.at = node.at;
    addEntry(child, hash, block);
    writeNode(file, format, child);
    deepenRoot(node, child.block);
    writeNode(file, format, node);
  } else {
    const middle = nodeCount(node) >> 1;
    const middleHash = entryHash(node, middle);
    const upper = makeNode(format, fresh.pop()!, node, middle);
    setNodeCount(node, middle);
    upper.at = node.at - middle;
    addEntry(node.at >= middle ? upper : node, hash, block);
    writeNode(file, format, upper);
    writeNode(file, format, node);
    index(file, format, nodes, level - 1, middleHash, upper.block, fresh);
  }
}

/** Turns a linear directory of one full block into a tree of one level and two leaves, with one name more. */
export function convertToHashed(file: DirectoryFile, format: DirectoryFormat, entry: DirectoryEntry): void {
  const first = readLeaf(file, format, 0);
  const [dot, dotDot, ...names] = leafEntries(file, format, 0, first);
  if (dot?.name.length !== 1 || dotDot?.name.length !== 2 || u16(first, 4) !== 12) {
    throw broken(file, 0, 'expected "." and ".." as the first entries, found others');
  }
  const halves = divide(format, format.hashVersion, [...names, entry]);
  const [lower, upper] = reserve(file, format, 2) as [number, number];
  const root = makeRoot(format, first, format.hashVersion, lower);
  addEntry(root, halves.hash, upper);
  writeLeaf(file, format, lower, halves.lower);
  writeLeaf(file, format, upper, halves.upper);
  writeNode(file, format, root);
  file.setHashed(true);
}
