/**
 * The index blocks of a hashed directory. Block 0 is the root: "." and "..", then dx_root_info, then entries; to old kernels it looks like one ".."
 * that takes the rest of the block. Other index blocks look like one unused record. An entry is hash u32, block u32; in place of the first one's
 * hash stand limit and count, both u16. Under metadata_csum a tail after the last possible entry holds a CRC-32C (Linux: fs/ext4/namei.c dx_root,
 * dx_node, ext4_dx_csum).
 */
import { crc32c } from '../../bytes/crc.js';
import { setU16, setU32, u16, u32 } from '../../bytes/fields.js';
import { RockberryError } from '../../errors.js';
import { broken, directorySeed, type DirectoryFile, type DirectoryFormat } from './dirent.js';

const ROOT_INFO = 24;
const ROOT_INFO_LENGTH = 8;
const ROOT_ENTRIES = ROOT_INFO + ROOT_INFO_LENGTH;
const NODE_ENTRIES = 8;
const ENTRY = 8;
const INDEX_TAIL = 8;
/** Byte offset of ".." in the root; "." is at 0. */
export const DOT_DOT_AT = 12;
const BLOCK_MASK = 0x0fffffff;

/** An index block in memory. `at` is the entry that was followed. */
export interface IndexNode {
  readonly block: number;
  readonly data: Uint8Array;
  /** Byte offset of the first entry. */
  readonly base: number;
  at: number;
}

/** Index levels that a tree may have: 2, with large_dir 3. */
export function maximumLevels(format: DirectoryFormat): number {
  return format.largeDir ? 3 : 2;
}

function limitFor(format: DirectoryFormat, base: number): number {
  const tail = format.checksumSeed === undefined ? 0 : INDEX_TAIL;
  return Math.floor((format.blockSize - base - tail) / ENTRY);
}

export function nodeLimit(node: IndexNode): number {
  return u16(node.data, node.base);
}

export function nodeCount(node: IndexNode): number {
  return u16(node.data, node.base + 2);
}

export function setNodeCount(node: IndexNode, count: number): void {
  setU16(node.data, node.base + 2, count);
}

/** The hash at which entry `index` begins; the first has none and begins where its node does (0 in the root). */
export function entryHash(node: IndexNode, index: number): number {
  return index === 0 ? 0 : u32(node.data, node.base + index * ENTRY);
}

/** The block that entry `index` leads to, checked to be one of the directory's. */
export function entryBlock(file: DirectoryFile, node: IndexNode, index: number): number {
  const block = u32(node.data, node.base + index * ENTRY + 4) & BLOCK_MASK;
  if (block === 0 || block >= file.blocks) {
    throw broken(file, node.block, `expected index entry ${index} to lead to a block from 1 to ${file.blocks - 1}, found ${block}`);
  }
  return block;
}

/** Adds an entry behind `at`; there must be room. */
export function addEntry(node: IndexNode, hash: number, block: number): void {
  const count = nodeCount(node);
  const place = node.base + (node.at + 1) * ENTRY;
  node.data.copyWithin(place + ENTRY, place, node.base + count * ENTRY);
  setU32(node.data, place, hash);
  setU32(node.data, place + 4, block);
  setNodeCount(node, count + 1);
}

/** The index of the last entry that begins at or before `hash`. */
export function findEntry(node: IndexNode, hash: number): number {
  let low = 1;
  let high = nodeCount(node) - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (entryHash(node, middle) > hash) high = middle - 1;
    else low = middle + 1;
  }
  return low - 1;
}

function indexChecksum(file: DirectoryFile, node: IndexNode, seed: number): number {
  const tail = node.base + nodeLimit(node) * ENTRY;
  const entries = crc32c(directorySeed(file, seed), node.data.subarray(0, node.base + nodeCount(node) * ENTRY));
  return crc32c(crc32c(entries, node.data.subarray(tail, tail + 4)), new Uint8Array(4));
}

function verifyNode(file: DirectoryFile, format: DirectoryFormat, node: IndexNode): IndexNode {
  const expectedLimit = limitFor(format, node.base);
  if (nodeLimit(node) !== expectedLimit) {
    throw broken(file, node.block, `expected an index block for ${expectedLimit} entries, found one for ${nodeLimit(node)}`);
  }
  const count = nodeCount(node);
  if (count === 0 || count > expectedLimit) throw broken(file, node.block, `expected 1 to ${expectedLimit} index entries, found ${count}`);
  if (format.checksumSeed === undefined) return node;
  const expected = indexChecksum(file, node, format.checksumSeed);
  const found = u32(node.data, node.base + expectedLimit * ENTRY + 4);
  if (found !== expected) throw broken(file, node.block, `expected index checksum ${expected.toString(16)}, found ${found.toString(16)}`);
  return node;
}

/** Writes the index block, with its checksum made right. */
export function writeNode(file: DirectoryFile, format: DirectoryFormat, node: IndexNode): void {
  if (format.checksumSeed !== undefined) setU32(node.data, node.base + nodeLimit(node) * ENTRY + 4, indexChecksum(file, node, format.checksumSeed));
  file.write(node.block, node.data);
}

/** The root of a tree, block 0. */
export interface IndexRoot extends IndexNode {
  readonly hashVersion: number;
  /** Index levels, with the root: 1 to maximumLevels. */
  readonly levels: number;
}

/** Reads and checks block 0 of a hashed directory. */
export function readRoot(file: DirectoryFile, format: DirectoryFormat): IndexRoot {
  if (!format.indexed) throw broken(file, 0, 'expected no hash tree on a filesystem without dir_index, found one');
  const data = file.read(0);
  checkDots(file, format, data);
  if (u32(data, ROOT_INFO) !== 0 || data[ROOT_INFO + 5] !== ROOT_INFO_LENGTH) {
    throw broken(file, 0, 'expected the information of a hash tree at byte 24, found something else');
  }
  const flags = data[ROOT_INFO + 7]!;
  if ((flags & 1) !== 0) {
    throw new RockberryError('unsupported',
      `directory inode ${file.inode}, block 0: expected a hash tree without incompatible flags, found flags ${flags}`);
  }
  const levels = data[ROOT_INFO + 6]! + 1;
  if (levels > maximumLevels(format)) throw broken(file, 0, `expected at most ${maximumLevels(format)} index levels, found ${levels}`);
  const node = verifyNode(file, format, { block: 0, data, base: ROOT_ENTRIES, at: 0 });
  return { ...node, hashVersion: data[ROOT_INFO + 4]!, levels };
}

function checkDots(file: DirectoryFile, format: DirectoryFormat, data: Uint8Array): void {
  const dot = u16(data, 4) === DOT_DOT_AT && data[6] === 1 && data[8] === 0x2e;
  const dotDot = u16(data, DOT_DOT_AT + 4) === format.blockSize - DOT_DOT_AT && data[DOT_DOT_AT + 6] === 2 && u16(data, DOT_DOT_AT + 8) === 0x2e2e;
  if (!dot || !dotDot) throw broken(file, 0, 'expected "." and ".." in front of a hash tree, found something else');
}

/** Reads and checks an index block below the root. */
export function readNode(file: DirectoryFile, format: DirectoryFormat, block: number): IndexNode {
  const data = file.read(block);
  if (!looksLikeNode(format, data)) throw broken(file, block, 'expected an index block, found something else');
  return verifyNode(file, format, { block, data, base: NODE_ENTRIES, at: 0 });
}

/** Whether a block below the root is an index block: one unused record over the whole block, and behind it the limit that such a block has. */
export function looksLikeNode(format: DirectoryFormat, data: Uint8Array): boolean {
  return u32(data, 0) === 0 && u16(data, 4) === format.blockSize && u16(data, 6) === 0 && u16(data, NODE_ENTRIES) === limitFor(format, NODE_ENTRIES);
}

/** An index block below the root that holds the entries of `source` from `first` on. */
export function makeNode(format: DirectoryFormat, block: number, source: IndexNode, first: number): IndexNode {
  const data = new Uint8Array(format.blockSize);
  setU16(data, 4, format.blockSize);
  const count = nodeCount(source);
  data.set(source.data.subarray(source.base + first * ENTRY, source.base + count * ENTRY), NODE_ENTRIES);
  setU16(data, NODE_ENTRIES, limitFor(format, NODE_ENTRIES));
  setU16(data, NODE_ENTRIES + 2, count - first);
  return { block, data, base: NODE_ENTRIES, at: 0 };
}

/** A root of one level with one entry. `dots` is the directory's first block as it was, for its "." and "..". */
export function makeRoot(format: DirectoryFormat, dots: Uint8Array, hashVersion: number, firstLeaf: number): IndexNode {
  const data = new Uint8Array(format.blockSize);
  data.set(dots.subarray(0, ROOT_INFO));
  setU16(data, DOT_DOT_AT + 4, format.blockSize - DOT_DOT_AT);
  data[ROOT_INFO + 4] = hashVersion;
  data[ROOT_INFO + 5] = ROOT_INFO_LENGTH;
  setU16(data, ROOT_ENTRIES, limitFor(format, ROOT_ENTRIES));
  setU16(data, ROOT_ENTRIES + 2, 1);
  setU32(data, ROOT_ENTRIES + 4, firstLeaf);
  return { block: 0, data, base: ROOT_ENTRIES, at: 0 };
}

/** Puts one more level under the root: `child`, which has taken over all its entries. */
export function deepenRoot(root: IndexNode, child: number): void {
  root.data[ROOT_INFO + 6]!++;
  setNodeCount(root, 1);
  setU32(root.data, ROOT_ENTRIES + 4, child);
}
