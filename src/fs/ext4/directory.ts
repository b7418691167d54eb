/**
 * Directories, linear and hashed. Every function takes the directory's file and the filesystem's format; nothing is kept between calls.
 * Errors: 'corrupt' with inode and block for what breaks the format, 'unsupported' for hashes we do not know, 'path' for names that cannot be,
 * 'no-space' when a hash tree is full (or from the file's `append`); after it the directory is as it was.
 */
import { u16 } from '../../bytes/fields.js';
import { RockberryError } from '../../errors.js';
import { broken, checkName, findRecord, insertRecord, leafEntries, packLeaf, putRecord, readLeaf, recordEntry, removeRecord, sealLeaf,
  type DirectoryEntry, type DirectoryFile, type DirectoryFormat } from './dirent.js';
import { DOT_DOT_AT, readRoot, writeNode } from './dxnode.js';
import { candidateLeaves, convertToHashed, hashedBlockEntries, insertHashed } from './htree.js';

export type { DirectoryEntry, DirectoryFile, DirectoryFormat } from './dirent.js';

const DOT = Uint8Array.of(0x2e);
const DOT_DOT = Uint8Array.of(0x2e, 0x2e);
const DIRECTORY = 2;

function isDots(name: Uint8Array): boolean {
  return name.length > 0 && name.length <= 2 && name.every((byte) => byte === DOT[0]);
}

/** Gives a new directory its first block, with "." (the inode `self`) and "..". */
export function createDirectory(file: DirectoryFile, format: DirectoryFormat, self: number, parent: number): void {
  const dots = [{ name: DOT, inode: self, fileType: DIRECTORY }, { name: DOT_DOT, inode: parent, fileType: DIRECTORY }];
  file.append(sealLeaf(file, format, packLeaf(format, dots)));
}

/** All entries, "." and ".." too, in the order of the blocks. */
export function* entries(file: DirectoryFile, format: DirectoryFormat): Iterable<DirectoryEntry> {
  expectBlocks(file);
  if (file.hashed) yield* rootEntries(file, format);
  for (let block = file.hashed ? 1 : 0; block < file.blocks; block++) {
    yield* file.hashed ? hashedBlockEntries(file, format, block) : leafEntries(file, format, block, readLeaf(file, format, block));
  }
}

function expectBlocks(file: DirectoryFile): void {
  if (file.blocks === 0) throw broken(file, 0, 'expected "." and "..", found an empty file');
}

function rootEntries(file: DirectoryFile, format: DirectoryFormat): DirectoryEntry[] {
  const { data } = readRoot(file, format);
  return [recordEntry(file, format, 0, data, 0), recordEntry(file, format, 0, data, DOT_DOT_AT)];
}

/** Where a name stands. `save` writes the block back with its checksum made right. */
interface Found {
  readonly block: number;
  readonly data: Uint8Array;
  readonly at: number;
  readonly previous: number;
  save(): void;
}

function findIn(file: DirectoryFile, format: DirectoryFormat, block: number, data: Uint8Array, name: Uint8Array): Found | undefined {
  const located = findRecord(file, format, block, data, name);
  return located && { block, data, ...located, save: () => file.write(block, sealLeaf(file, format, data)) };
}

function find(file: DirectoryFile, format: DirectoryFormat, name: Uint8Array): Found | undefined {
  expectBlocks(file);
  if (file.hashed) return findHashed(file, format, name);
  for (let block = 0; block < file.blocks; block++) {
    const found = findIn(file, format, block, readLeaf(file, format, block), name);
    if (found) return found;
  }
  return undefined;
}

function findHashed(file: DirectoryFile, format: DirectoryFormat, name: Uint8Array): Found | undefined {
  if (isDots(name)) {
    const root = readRoot(file, format);
    return { block: 0, data: root.data, at: name.length === 1 ? 0 : DOT_DOT_AT, previous: -1, save: () => writeNode(file, format, root) };
  }
  for (const { block, data } of candidateLeaves(file, format, name)) {
    const found = findIn(file, format, block, data, name);
    if (found) return found;
  }
  return undefined;
}

/** The entry of that name, found through the hash tree where there is one. */
export function lookup(file: DirectoryFile, format: DirectoryFormat, name: Uint8Array): DirectoryEntry | undefined {
  const found = find(file, format, name);
  return found && recordEntry(file, format, found.block, found.data, found.at);
}

/** Adds a name that is not there yet. A linear directory of one block becomes a hash tree when it overflows and the filesystem has dir_index. */
export function insert(file: DirectoryFile, format: DirectoryFormat, entry: DirectoryEntry): void {
  checkName(entry.name);
  expectBlocks(file);
  if (file.hashed) insertHashed(file, format, entry);
  else if (insertLinear(file, format, entry)) return;
  else if (format.indexed && file.blocks === 1) convertToHashed(file, format, entry);
  else file.append(sealLeaf(file, format, packLeaf(format, [entry])));
}

/** Into the last block when it has room, else into the first that has: filling a large directory does not search it for every name. */
function insertLinear(file: DirectoryFile, format: DirectoryFormat, entry: DirectoryEntry): boolean {
  for (let turn = 0; turn < file.blocks; turn++) {
    const block = turn === 0 ? file.blocks - 1 : turn - 1;
    const data = readLeaf(file, format, block);
    if (!insertRecord(file, format, block, data, entry)) continue;
    file.write(block, sealLeaf(file, format, data));
    return true;
  }
  return false;
}

function need(file: DirectoryFile, format: DirectoryFormat, name: Uint8Array): Found {
  const found = find(file, format, name);
  if (found) return found;
  throw new RockberryError('path', `expected the name ${Buffer.from(name).toString()} in directory inode ${file.inode}, found nothing`);
}

/** Removes a name that is there (not "." and ".."); the directory keeps its blocks, as in Linux. */
export function remove(file: DirectoryFile, format: DirectoryFormat, name: Uint8Array): void {
  if (isDots(name)) throw new RockberryError('path', 'expected a name to remove, found "." or ".."');
  const found = need(file, format, name);
  removeRecord(found.data, found);
  found.save();
}

/** Gives a name that is there (".." too) another inode and type. */
export function replace(file: DirectoryFile, format: DirectoryFormat, entry: DirectoryEntry): void {
  const found = need(file, format, entry.name);
  putRecord(found.data, format, found.at, u16(found.data, found.at + 4), entry);
  found.save();
}

/** Whether there is nothing but "." and "..". */
export function isEmpty(file: DirectoryFile, format: DirectoryFormat): boolean {
  for (const { name } of entries(file, format)) if (!isDots(name)) return false;
  return true;
}
