/**
 * Directories, linear and hashed. Every function takes the directory's file and the filesystem's format; nothing is kept between calls.
 * Errors: 'corrupt' with inode and block for what breaks the format, 'unsupported' for hashes we do not know, 'path' for names that cannot be.
 */
import { u16 } from '../../bytes/fields.js';
import { RockberryError } from '../../errors.js';
import { checkName, findRecord, insertRecord, leafEntries, packLeaf, putRecord, readLeaf, recordEntry, removeRecord, sealLeaf, type DirectoryEntry,
  type DirectoryFile, type DirectoryFormat } from './dirent.js';

export type { DirectoryEntry, DirectoryFile, DirectoryFormat } from './dirent.js';

const DOT = Uint8Array.of(0x2e);
const DOT_DOT = Uint8Array.of(0x2e, 0x2e);
const DIRECTORY = 2;

/** Gives a new directory its first block, with "." (the inode `self`) and "..". */
export function createDirectory(file: DirectoryFile, format: DirectoryFormat, self: number, parent: number): void {
  const dots = [{ name: DOT, inode: self, fileType: DIRECTORY }, { name: DOT_DOT, inode: parent, fileType: DIRECTORY }];
  file.append(sealLeaf(file, format, packLeaf(format, dots)));
}

/** All entries, "." and ".." too, in the order of the blocks. */
export function* entries(file: DirectoryFile, format: DirectoryFormat): Iterable<DirectoryEntry> {
  for (let block = 0; block < file.blocks; block++) yield* leafEntries(file, format, block, readLeaf(file, format, block));
}

interface Found {
  readonly block: number;
  readonly data: Uint8Array;
  readonly at: number;
  readonly previous: number;
}

function find(file: DirectoryFile, format: DirectoryFormat, name: Uint8Array): Found | undefined {
  for (let block = 0; block < file.blocks; block++) {
    const data = readLeaf(file, format, block);
    const located = findRecord(file, format, block, data, name);
    if (located) return { block, data, ...located };
  }
  return undefined;
}

/** The entry of that name, found through the hash tree where there is one. */
export function lookup(file: DirectoryFile, format: DirectoryFormat, name: Uint8Array): DirectoryEntry | undefined {
  const found = find(file, format, name);
  return found && recordEntry(file, format, found.block, found.data, found.at);
}

/** Adds a name that is not there yet. */
export function insert(file: DirectoryFile, format: DirectoryFormat, entry: DirectoryEntry): void {
  checkName(entry.name);
  for (let block = 0; block < file.blocks; block++) {
    const data = readLeaf(file, format, block);
    if (!insertRecord(file, format, block, data, entry)) continue;
    file.write(block, sealLeaf(file, format, data));
    return;
  }
  file.append(sealLeaf(file, format, packLeaf(format, [entry])));
}

function need(file: DirectoryFile, format: DirectoryFormat, name: Uint8Array): Found {
  const found = find(file, format, name);
  if (found) return found;
  throw new RockberryError('path', `expected the name ${Buffer.from(name).toString()} in directory inode ${file.inode}, found nothing`);
}

/** Removes a name that is there; the directory keeps its blocks, as in Linux. */
export function remove(file: DirectoryFile, format: DirectoryFormat, name: Uint8Array): void {
  const found = need(file, format, name);
  removeRecord(found.data, found);
  file.write(found.block, sealLeaf(file, format, found.data));
}

/** Gives a name that is there (".." too) another inode and type. */
export function replace(file: DirectoryFile, format: DirectoryFormat, entry: DirectoryEntry): void {
  const found = need(file, format, entry.name);
  putRecord(found.data, format, found.at, u16(found.data, found.at + 4), entry);
  file.write(found.block, sealLeaf(file, format, found.data));
}

/** Whether there is nothing but "." and "..". */
export function isEmpty(file: DirectoryFile, format: DirectoryFormat): boolean {
  for (const { name } of entries(file, format)) {
    if (!(name[0] === DOT[0] && (name.length === 1 || (name.length === 2 && name[1] === DOT[0])))) return false;
  }
  return true;
}
