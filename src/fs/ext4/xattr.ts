/**
 * Extended attributes, in the inode behind i_extra_isize and in one more block that inodes may share. Both are a header, entries, four zero bytes,
 * and values that grow from the end towards them; entry: name_len u8, name_index u8, value_offs u16, value_inum u32, value_size u32, hash u32, name;
 * everything padded to 4 bytes. Offsets count from the first entry in an inode and from the block's start in a block (Linux: fs/ext4/xattr.c,
 * xattr.h).
 *
 * Values are what the disk holds. For system.posix_acl_access and system.posix_acl_default that is ext4's own short form (version 1), not what
 * getxattr(2) shows (version 2): copied from image to image they stay right, but a value from getxattr or a tar archive must be converted first.
 */
import { crc32c } from '../../bytes/crc.js';
import { setU16, setU32, setU64, u16, u32 } from '../../bytes/fields.js';
import { RockberryError } from '../../errors.js';
import { decodeText, encodeText } from '../names.js';

export interface XattrFormat {
  /** Bytes. */
  readonly blockSize: number;
  /** The filesystem's seed under metadata_csum. */
  readonly checksumSeed: number | undefined;
}

const MAGIC = 0xea020000;
const INLINE_HEADER = 4;
const BLOCK_HEADER = 32;
const CHECKSUM_AT = 16;
const ENTRY_HEADER = 16;
const TERMINATOR = 4;
const NAME_MAX = 255;
/** Name index and what it stands for; where `exact`, the index is the whole name. */
const PREFIXES = [
  { index: 1, prefix: 'user.', exact: false },
  { index: 2, prefix: 'system.posix_acl_access', exact: true },
  { index: 3, prefix: 'system.posix_acl_default', exact: true },
  { index: 4, prefix: 'trusted.', exact: false },
  { index: 6, prefix: 'security.', exact: false },
  { index: 8, prefix: 'system.richacl', exact: true },
  { index: 7, prefix: 'system.', exact: false },
  { index: 10, prefix: 'gnu.', exact: false },
];

const hint = 'run e2fsck -f on the filesystem';

function broken(where: string, what: string): RockberryError {
  return new RockberryError('corrupt', `extended attributes in ${where}: ${what}`, { hint });
}

function fullName(index: number, suffix: Uint8Array, where: string): string {
  const known = PREFIXES.find((candidate) => candidate.index === index);
  if (!known) throw new RockberryError('unsupported', `extended attributes in ${where}: expected a known name index, found ${index}`);
  if (known.exact !== (suffix.length === 0) || suffix.includes(0)) {
    throw broken(where, `expected a name that goes with "${known.prefix}", found ${suffix.length} bytes that do not`);
  }
  return known.prefix + decodeText(suffix);
}

/** Where a set of entries lies: `base` is what value offsets count from, entries start at `first` and everything ends at the array's end. */
interface Region {
  readonly data: Uint8Array;
  readonly base: number;
  readonly first: number;
  readonly where: string;
}

function entryLength(nameLength: number): number {
  return (ENTRY_HEADER + nameLength + 3) & ~3;
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

/** Offsets of the entries; the last element is where their terminator stands. */
function entryOffsets({ data, first, where }: Region): number[] {
  const offsets = [first];
  for (let at = first; ; offsets.push(at)) {
    if (at + TERMINATOR > data.length) throw broken(where, 'expected the entries to end before the space does, found no end');
    if (u32(data, at) === 0) return offsets;
    if (at + ENTRY_HEADER + data[at]! > data.length) {
      throw broken(where, `expected an entry inside the space, found one that leaves it at byte ${at}`);
    }
    at += entryLength(data[at]!);
  }
}

function readRegion(region: Region, into: Map<string, Uint8Array>): void {
  const offsets = entryOffsets(region);
  const valuesFrom = offsets[offsets.length - 1]! + TERMINATOR;
  for (const at of offsets.slice(0, -1)) {
    const name = region.data.subarray(at + ENTRY_HEADER, at + ENTRY_HEADER + region.data[at]!);
    const full = fullName(region.data[at + 1]!, name, region.where);
    if (into.has(full)) throw broken(region.where, `expected each name once, found ${full} again`);
    into.set(full, readValue(region, at, name, valuesFrom, full));
  }
}

function readValue({ data, base, where }: Region, at: number, name: Uint8Array, valuesFrom: number, full: string): Uint8Array {
  if (u32(data, at + 4) !== 0) {
    throw new RockberryError('unsupported',
      `extended attributes in ${where}: expected the value of ${full} in place, found it in inode ${u32(data, at + 4)} (feature ea_inode)`);
  }
  const size = u32(data, at + 8);
  const start = base + u16(data, at + 2);
  if (size > 0 && (start < valuesFrom || start + size > data.length)) {
    throw broken(where, `expected the value of ${full} behind the entries and inside the space, found ${size} bytes at ${start}`);
  }
  const value = size === 0 ? new Uint8Array(0) : data.slice(start, start + size);
  const hash = u32(data, at + 12);
  if (hash !== 0 && hash !== entryHash(name, value, false) && hash !== entryHash(name, value, true)) {
    throw broken(where, `expected the hash of ${full} to fit its value, found ${hash.toString(16)}`);
  }
  return value;
}

/** The hash of name and value; early kernels 6.2 and those of signed characters hash non-ASCII names differently (ext4_xattr_hash_entry_signed). */
function entryHash(name: Uint8Array, value: Uint8Array, signed: boolean): number {
  let hash = 0;
  for (const byte of name) hash = (hash << 5) ^ (hash >>> 27) ^ (signed ? (byte << 24) >> 24 : byte);
  const words = new Uint8Array(padded(value.length));
  words.set(value);
  for (let at = 0; at < words.length; at += 4) hash = (hash << 16) ^ (hash >>> 16) ^ u32(words, at);
  return hash >>> 0;
}

function blockChecksum(block: Uint8Array, blockNumber: number, seed: number): number {
  const number = new Uint8Array(8);
  setU64(number, 0, blockNumber);
  const head = crc32c(crc32c(seed, number), block.subarray(0, CHECKSUM_AT));
  return crc32c(crc32c(head, new Uint8Array(4)), block.subarray(CHECKSUM_AT + 4));
}

function verifyBlock(block: Uint8Array, blockNumber: number, format: XattrFormat): void {
  const where = `block ${blockNumber}`;
  const magic = u32(block, 0);
  if (magic !== MAGIC || u32(block, 8) !== 1) {
    throw broken(where, `expected magic ea020000 and one block, found ${magic.toString(16)} and ${u32(block, 8)}`);
  }
  if (u32(block, 4) === 0) throw broken(where, 'expected at least one reference, found none');
  if (format.checksumSeed === undefined) return;
  const expected = blockChecksum(block, blockNumber, format.checksumSeed);
  const found = u32(block, CHECKSUM_AT);
  if (found !== expected) throw broken(where, `expected checksum ${expected.toString(16)}, found ${found.toString(16)}`);
}

/**
 * All attributes of an inode by full name ("security.selinux").
 * @param inline the inode's bytes behind i_extra_isize; may be empty
 * @param block the block of i_file_acl, if there is one, and its number in the filesystem
 * Errors: 'corrupt'; 'unsupported' for values kept in inodes of their own (ea_inode) and unknown name indices.
 */
export function readXattrs(inline: Uint8Array, block: Uint8Array | undefined, blockNumber: number, format: XattrFormat): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  const magic = inline.length >= INLINE_HEADER + TERMINATOR ? u32(inline, 0) : 0;
  if (magic === MAGIC) readRegion({ data: inline, base: INLINE_HEADER, first: INLINE_HEADER, where: 'the inode' }, found);
  else if (magic !== 0) throw broken('the inode', `expected magic ea020000 or nothing, found ${magic.toString(16)}`);
  if (!block) return found;
  verifyBlock(block, blockNumber, format);
  readRegion({ data: block, base: 0, first: BLOCK_HEADER, where: `block ${blockNumber}` }, found);
  return found;
}

interface Attribute {
  readonly index: number;
  readonly name: Uint8Array;
  readonly value: Uint8Array;
}

function splitName(full: string, value: Uint8Array): Attribute {
  const known = PREFIXES.find(({ prefix, exact }) => (exact ? full === prefix : full.startsWith(prefix) && full.length > prefix.length));
  if (!known) throw new RockberryError('unsupported', `expected an extended attribute of user, trusted, security, system or gnu, found ${full}`);
  const name = encodeText(full.slice(known.prefix.length));
  if (name.length > NAME_MAX || name.includes(0)) {
    throw new RockberryError('unsupported',
      `expected an extended attribute's name of at most ${NAME_MAX} bytes without a zero byte, found ${name.length} bytes`);
  }
  return { index: known.index, name, value };
}

/** The order that Linux searches blocks by: name index, length of the name, name. */
function compare(a: Attribute, b: Attribute): number {
  return a.index - b.index || a.name.length - b.name.length || Buffer.compare(a.name, b.name);
}

function space(attribute: Attribute): number {
  return entryLength(attribute.name.length) + padded(attribute.value.length);
}

/** Takes, in their order, the attributes that fit into `room` bytes. */
function take(attributes: readonly Attribute[], room: number): { taken: Attribute[]; left: Attribute[] } {
  const taken: Attribute[] = [];
  const left: Attribute[] = [];
  let used = 0;
  for (const attribute of attributes) {
    const fits = used + space(attribute) <= room;
    (fits ? taken : left).push(attribute);
    if (fits) used += space(attribute);
  }
  return { taken, left };
}

function writeRegion({ data, base, first }: Region, attributes: readonly Attribute[], hashed: boolean): void {
  let at = first;
  let end = data.length & ~3;
  for (const { index, name, value } of attributes) {
    end -= padded(value.length);
    data[at] = name.length;
    data[at + 1] = index;
    setU16(data, at + 2, value.length === 0 ? 0 : end - base);
    setU32(data, at + 8, value.length);
    setU32(data, at + 12, hashed ? entryHash(name, value, false) : 0);
    data.set(name, at + ENTRY_HEADER);
    data.set(value, end);
    at += entryLength(name.length);
  }
}

/** The hash over all entries by which Linux finds blocks to share; 0 (never share) when an entry has none. */
function blockHash(block: Uint8Array): number {
  let hash = 0;
  for (const at of entryOffsets({ data: block, base: 0, first: BLOCK_HEADER, where: 'a new block' }).slice(0, -1)) {
    if (u32(block, at + 12) === 0) return 0;
    hash = (hash << 16) ^ (hash >>> 16) ^ u32(block, at + 12);
  }
  return hash >>> 0;
}

function encodeBlock(attributes: readonly Attribute[], format: XattrFormat, blockNumber: number): Uint8Array {
  const block = new Uint8Array(format.blockSize);
  setU32(block, 0, MAGIC);
  setU32(block, 8, 1);
  writeRegion({ data: block, base: 0, first: BLOCK_HEADER, where: '' }, attributes, true);
  setU32(block, 12, blockHash(block));
  return withReferences(block, 1, blockNumber, format);
}

/**
 * Lays the attributes out: in the inode what fits there, the rest in a block.
 * @param inlineLength bytes of the inode behind i_extra_isize; 0 when there are none
 * @param blockNumber of the block that the caller has or will get: it goes into the block's checksum
 * @returns `inline`, always inlineLength bytes, and the block if one is needed. Errors: 'no-space' when one block is not enough, 'unsupported' names.
 */
export function encodeXattrs(xattrs: ReadonlyMap<string, Uint8Array>, inlineLength: number, format: XattrFormat,
  blockNumber: number): { inline: Uint8Array; block: Uint8Array | undefined } {
  const attributes = [...xattrs].map(([name, value]) => splitName(name, value)).sort(compare);
  const { taken, left } = take(attributes, (inlineLength & ~3) - INLINE_HEADER - TERMINATOR);
  const overflow = take(left, format.blockSize - BLOCK_HEADER - TERMINATOR).left;
  if (overflow.length > 0) {
    const excess = overflow.reduce((sum, attribute) => sum + space(attribute), 0);
    throw new RockberryError('no-space',
      `expected extended attributes that fit the inode and one block of ${format.blockSize} bytes, found ${excess} bytes more`);
  }
  const inline = new Uint8Array(inlineLength);
  if (taken.length > 0) {
    setU32(inline, 0, MAGIC);
    writeRegion({ data: inline, base: INLINE_HEADER, first: INLINE_HEADER, where: '' }, taken, false);
  }
  return { inline, block: left.length === 0 ? undefined : encodeBlock(left, format, blockNumber) };
}

/** How many inodes use the block (h_refcount). */
export function xattrBlockReferences(block: Uint8Array): number {
  return u32(block, 4);
}

/** The block with another h_refcount, and its checksum made right. The array that was passed in stays as it is. */
export function withReferences(block: Uint8Array, count: number, blockNumber: number, format: XattrFormat): Uint8Array {
  const changed = block.slice();
  setU32(changed, 4, count);
  if (format.checksumSeed !== undefined) setU32(changed, CHECKSUM_AT, blockChecksum(changed, blockNumber, format.checksumSeed));
  return changed;
}
