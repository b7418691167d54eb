/**
 * One block of directory entries, and what a directory is made of. A record: inode u32, rec_len u16, name_len u8, file_type u8, name, padding
 * to 4 bytes; rec_len leads to the next record and the last one ends the block. Under metadata_csum the block ends with a 12-byte tail that looks
 * like an unused record (inode 0, rec_len 12, name_len 0, file_type 0xDE) and holds a CRC-32C (Linux: fs/ext4/dir.c __ext4_check_dir_entry,
 * namei.c ext4_dirblock_csum).
 */
import { crc32c } from '../../bytes/crc.js';
import { equalBytes, setU16, setU32, u16, u32 } from '../../bytes/fields.js';
import { RockberryError } from '../../errors.js';

/** What a directory needs to know of its filesystem. */
export interface DirectoryFormat {
  /** Bytes. */
  readonly blockSize: number;
  /** INCOMPAT_FILETYPE: records hold a type; else the type is 0. */
  readonly filetype: boolean;
  /** The filesystem's seed under metadata_csum: crc32c(~0, uuid), or s_checksum_seed. */
  readonly checksumSeed: number | undefined;
  /** COMPAT_DIR_INDEX. */
  readonly indexed: boolean;
  /** s_hash_seed, 16 bytes. */
  readonly hashSeed: Uint8Array;
  /** s_def_hash_version, used for new trees: 0 legacy, 1 half_md4, 2 tea. */
  readonly hashVersion: number;
  /** s_flags & EXT2_FLAGS_UNSIGNED_HASH. */
  readonly unsignedHash: boolean;
  /** INCOMPAT_LARGEDIR: trees of three index levels. */
  readonly largeDir: boolean;
}

/** The directory's own file, by logical block. What `read` returns belongs to the caller. */
export interface DirectoryFile {
  readonly inode: number;
  readonly generation: number;
  /** i_size / blockSize. */
  readonly blocks: number;
  read(block: number): Uint8Array;
  write(block: number, data: Uint8Array): void;
  /** Adds a block at the end and returns its logical number. */
  append(data: Uint8Array): number;
  truncate(blocks: number): void;
  /** EXT4_INDEX_FL. */
  readonly hashed: boolean;
  setHashed(value: boolean): void;
}

/** A name in a directory. `fileType` as in the record: 0 unknown, 1 file, 2 directory, 3 character, 4 block, 5 fifo, 6 socket, 7 symlink. */
export interface DirectoryEntry {
  readonly name: Uint8Array;
  readonly inode: number;
  readonly fileType: number;
}

const HEADER = 8;
const SMALLEST_RECORD = 12;
const TAIL = 12;
const TAIL_TYPE = 0xde;
const NAME_MAX = 255;
const SLASH = 0x2f;

export function broken(file: DirectoryFile, block: number, what: string): RockberryError {
  return new RockberryError('corrupt', `directory inode ${file.inode}, block ${block}: ${what}`, { hint: 'run e2fsck -f on the filesystem' });
}

/** Bytes that a record for a name of `nameLength` bytes takes. */
export function recordSize(nameLength: number): number {
  return (HEADER + nameLength + 3) & ~3;
}

/** Bytes of a block that records may use: all but the checksum tail. */
export function recordSpace(format: DirectoryFormat): number {
  return format.checksumSeed === undefined ? format.blockSize : format.blockSize - TAIL;
}

/** The seed of all checksums of one directory: the filesystem's, then inode and generation. */
export function directorySeed(file: DirectoryFile, checksumSeed: number): number {
  const identity = new Uint8Array(8);
  setU32(identity, 0, file.inode);
  setU32(identity, 4, file.generation);
  return crc32c(checksumSeed, identity);
}

function leafChecksum(file: DirectoryFile, data: Uint8Array, seed: number): number {
  return crc32c(directorySeed(file, seed), data.subarray(0, data.length - TAIL));
}

/** Refuses a block whose tail is missing or whose checksum is wrong. Without metadata_csum every block passes. */
export function verifyLeaf(file: DirectoryFile, format: DirectoryFormat, block: number, data: Uint8Array): void {
  if (format.checksumSeed === undefined) return;
  const at = data.length - TAIL;
  if (u32(data, at) !== 0 || u16(data, at + 4) !== TAIL || u16(data, at + 6) !== TAIL_TYPE << 8) {
    throw broken(file, block, 'expected a checksum tail, found none');
  }
  const expected = leafChecksum(file, data, format.checksumSeed);
  const found = u32(data, at + 8);
  if (found !== expected) throw broken(file, block, `expected checksum ${expected.toString(16)}, found ${found.toString(16)}`);
}

/** Reads a block of entries and verifies its checksum. */
export function readLeaf(file: DirectoryFile, format: DirectoryFormat, block: number): Uint8Array {
  const data = file.read(block);
  verifyLeaf(file, format, block, data);
  return data;
}

/** Gives the block its tail with the right checksum (under metadata_csum); returns the same array. */
export function sealLeaf(file: DirectoryFile, format: DirectoryFormat, data: Uint8Array): Uint8Array {
  if (format.checksumSeed === undefined) return data;
  const at = data.length - TAIL;
  setU32(data, at, 0);
  setU16(data, at + 4, TAIL);
  setU16(data, at + 6, TAIL_TYPE << 8);
  setU32(data, at + 8, leafChecksum(file, data, format.checksumSeed));
  return data;
}

/** A block (unsealed) with these entries one after the other; the last record takes the rest. They must fit. */
export function packLeaf(format: DirectoryFormat, entries: readonly DirectoryEntry[]): Uint8Array {
  const data = new Uint8Array(format.blockSize);
  const end = recordSpace(format);
  let at = 0;
  entries.forEach((entry, index) => {
    const length = index === entries.length - 1 ? end - at : recordSize(entry.name.length);
    putRecord(data, format, at, length, entry);
    at += length;
  });
  if (entries.length === 0) setU16(data, 4, end);
  return data;
}

export function putRecord(data: Uint8Array, format: DirectoryFormat, at: number, length: number, entry: DirectoryEntry): void {
  setU32(data, at, entry.inode);
  setU16(data, at + 4, length);
  data[at + 6] = entry.name.length;
  data[at + 7] = format.filetype ? entry.fileType : 0;
  data.set(entry.name, at + HEADER);
}

/** The rec_len of the record at `at`, after the checks that make it safe to follow. `end` is where the block's records must end. */
export function recordLength(file: DirectoryFile, block: number, data: Uint8Array, at: number, end: number): number {
  const length = at + HEADER <= end ? u16(data, at + 4) : 0;
  if (length < SMALLEST_RECORD || length % 4 !== 0) {
    throw broken(file, block, `expected a record length of at least 12 and divisible by 4 at byte ${at}, found ${length}`);
  }
  if (at + length > end) throw broken(file, block, `expected a record that ends by byte ${end}, found one at byte ${at} with length ${length}`);
  if (recordSize(data[at + 6]!) > length) {
    throw broken(file, block, `expected a record long enough for its name of ${data[at + 6]} bytes at byte ${at}, found length ${length}`);
  }
  return length;
}

/** The entry of a record that is in use. A name that no path can hold (empty, or with a slash or a zero byte) is corrupt. */
export function recordEntry(file: DirectoryFile, format: DirectoryFormat, block: number, data: Uint8Array, at: number): DirectoryEntry {
  const name = data.slice(at + HEADER, at + HEADER + data[at + 6]!);
  if (name.length === 0 || name.includes(SLASH) || name.includes(0)) {
    throw broken(file, block, `expected a file name at byte ${at}, found an empty one or one with a slash or zero byte`);
  }
  return { name, inode: u32(data, at), fileType: format.filetype ? data[at + 7]! : 0 };
}

/** The entries in use in a (verified) block, in their order. */
export function leafEntries(file: DirectoryFile, format: DirectoryFormat, block: number, data: Uint8Array): DirectoryEntry[] {
  const found: DirectoryEntry[] = [];
  const end = recordSpace(format);
  for (let at = 0; at < end; at += recordLength(file, block, data, at, end)) {
    recordLength(file, block, data, at, end);
    if (u32(data, at) !== 0) found.push(recordEntry(file, format, block, data, at));
  }
  return found;
}

/** A record by its offset and that of the record before it (-1 for the first). */
export interface Located {
  readonly at: number;
  readonly previous: number;
}

/** Finds a name in a (verified) block. */
export function findRecord(file: DirectoryFile, format: DirectoryFormat, block: number, data: Uint8Array, name: Uint8Array): Located | undefined {
  const end = recordSpace(format);
  let previous = -1;
  for (let at = 0; at < end; ) {
    const length = recordLength(file, block, data, at, end);
    const candidate = data[at + 6] === name.length && u32(data, at) !== 0;
    if (candidate && equalBytes(data.subarray(at + HEADER, at + HEADER + name.length), name)) return { at, previous };
    previous = at;
    at += length;
  }
  return undefined;
}

/**
 * Puts the entry into the first unused record or slack that is large enough (as ext4_find_dest_de does); when the room is there but in pieces,
 * the block's entries are moved together first, which Linux does not do. False: no room, nothing changed.
 */
export function insertRecord(file: DirectoryFile, format: DirectoryFormat, block: number, data: Uint8Array, entry: DirectoryEntry): boolean {
  const end = recordSpace(format);
  const needed = recordSize(entry.name.length);
  let free = 0;
  for (let at = 0; at < end; ) {
    const length = recordLength(file, block, data, at, end);
    const used = u32(data, at) === 0 ? 0 : recordSize(data[at + 6]!);
    if (length - used >= needed) {
      if (used > 0) setU16(data, at + 4, used);
      putRecord(data, format, at + used, length - used, entry);
      return true;
    }
    free += length - used;
    at += length;
  }
  if (free < needed) return false;
  data.set(packLeaf(format, [...leafEntries(file, format, block, data), entry]));
  return true;
}

/** Frees a record and wipes it: the one before it takes its space; the first of a block becomes unused (as ext4_generic_delete_entry does). */
export function removeRecord(data: Uint8Array, where: Located): void {
  const length = u16(data, where.at + 4);
  data.fill(0, where.at, where.at + length);
  if (where.previous < 0) setU16(data, where.at + 4, length);
  else setU16(data, where.previous + 4, u16(data, where.previous + 4) + length);
}

/** Names come from paths: 1 to 255 bytes without slash or zero byte. */
export function checkName(name: Uint8Array): void {
  if (name.length === 0 || name.length > NAME_MAX) {
    throw new RockberryError('path', `expected a file name of 1 to ${NAME_MAX} bytes, found one of ${name.length}`);
  }
  if (name.includes(SLASH) || name.includes(0)) throw new RockberryError('path', 'expected a file name without slash and zero byte');
}
