/**
 * The .xz container (The .xz File Format 1.1.0, tukaani.org/xz/xz-file-format.txt), read and written; section numbers below are its.
 *
 * A stream is: header (12 bytes) · blocks · index · footer (12 bytes). The index lists each block's sizes, so the blocks are found from the end
 * backwards without decoding anything, also where block headers leave the sizes out.
 */
import { crc32 } from '../bytes/crc.js';
import { equalBytes, isZero, setU32, u32, u8 } from '../bytes/fields.js';
import { RockberryError } from '../errors.js';

export const HEADER_LENGTH = 12; // 2.1.1 and 2.1.2: the header and the footer are equally long
const HEADER_MAGIC = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]);
export const FOOTER_MAGIC = Buffer.from('YZ');
export const LZMA2 = 0x21n;

/** 2.1.1.2: the length of the check by its id; the ids between are reserved and nothing writes them. */
const CHECK_LENGTHS = new Map([[0, 0], [1, 4], [4, 8], [10, 32]]);
export const CRC64_CHECK = 4;

/** Unpadded size: header, packed data and check, without the padding to four bytes. All in bytes. */
export interface XzRecord {
  readonly unpadded: number;
  readonly plain: number;
}

export interface XzBlockHeader {
  readonly length: number;
  readonly packedSize: number | undefined;
  readonly plainSize: number | undefined;
  /** Dictionary of the LZMA2 filter in bytes. */
  readonly dictionary: number;
  readonly filterCount: number;
  /** The filter flags (3.1.5) as they are. */
  readonly filters: Uint8Array;
}

export const padded = (length: number): number => Math.ceil(length / 4) * 4;

const corrupt = (message: string): RockberryError => new RockberryError('corrupt', message, { hint: 'download the image again and compare its checksum' });

/** 1.2: seven bits per byte, least significant first, at most nine bytes, no superfluous zero byte at the end. */
export class VliReader {
  constructor(private readonly data: Uint8Array, public at: number, private readonly what: string) {}

  next(): number {
    let value = 0n;
    for (let count = 0n; count < 9n; count++) {
      if (this.at >= this.data.length) throw corrupt(`${this.what}: expected a number, found its end`);
      const byte = u8(this.data, this.at++);
      value |= BigInt(byte & 0x7f) << (7n * count);
      if (byte & 0x80) continue;
      if (byte === 0 && count > 0n) break;
      if (value > BigInt(Number.MAX_SAFE_INTEGER)) break;
      return Number(value);
    }
    throw corrupt(`${this.what}: a number at byte ${this.at} is not well-formed`);
  }
}

export function encodeVli(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return [...bytes, rest];
}

/** Stream flags (2.1.1.2): the id of the check. `what` names the place in errors. */
function checkOfFlags(flags: Uint8Array, what: string): number {
  const id = flags[1]!;
  if (flags[0] !== 0 || id > 15) throw new RockberryError('unsupported', `${what}: expected stream flags of the .xz format 1.0, found ${Buffer.from(flags).toString('hex')}`);
  if (!CHECK_LENGTHS.has(id)) throw new RockberryError('unsupported', `${what}: expected check none, CRC32, CRC64 or SHA-256, found reserved id ${id}`);
  return id;
}

export function checkLength(check: number): number {
  return CHECK_LENGTHS.get(check)!;
}

/** The check id of a stream header (2.1.1). */
export function parseStreamHeader(data: Uint8Array, what: string): number {
  if (!equalBytes(data.subarray(0, 6), HEADER_MAGIC)) throw corrupt(`${what}: expected the magic of an xz stream header, found ${Buffer.from(data.subarray(0, 6)).toString('hex')}`);
  if (crc32(data.subarray(6, 8)) !== u32(data, 8)) throw corrupt(`${what}: the stream header's CRC32 does not match`);
  return checkOfFlags(data.subarray(6, 8), what);
}

export function isStreamFooter(data: Uint8Array): boolean {
  return equalBytes(data.subarray(10, 12), FOOTER_MAGIC) && crc32(data.subarray(4, 10)) === u32(data, 0);
}

/** Check id and length of the index in bytes, of a stream footer (2.1.2). */
export function parseStreamFooter(data: Uint8Array, what: string): { check: number; indexLength: number } {
  if (!isStreamFooter(data)) throw corrupt(`${what}: the stream footer's magic or CRC32 does not match`);
  return { check: checkOfFlags(data.subarray(8, 10), what), indexLength: (u32(data, 4) + 1) * 4 };
}

/** An index (4): one record per block, in order. `limit` bounds the number of records. */
export function parseIndex(data: Uint8Array, limit: number, what: string): XzRecord[] {
  if (data.length < 8 || crc32(data.subarray(0, data.length - 4)) !== u32(data, data.length - 4)) throw corrupt(`${what}: the index's CRC32 does not match`);
  if (data[0] !== 0) throw corrupt(`${what}: expected an index, which begins with 0, found ${data[0]}`);
  const reader = new VliReader(data.subarray(0, data.length - 4), 1, `${what}, index`);
  const count = reader.next();
  if (count > data.length / 2) throw corrupt(`${what}: the index says ${count} blocks, more than its ${data.length} bytes can describe`);
  if (count > limit) throw new RockberryError('unsupported', `${what}: expected at most ${limit} blocks, found ${count}`, { hint: 'compress the image again: xz -dc IMAGE | xz -T0 > NEW' });
  const records: XzRecord[] = [];
  for (let index = 0; index < count; index++) {
    const unpadded = reader.next();
    if (unpadded < 5) throw corrupt(`${what}: block ${index} has ${unpadded} bytes in the index, at least 5 are needed`);
    records.push({ unpadded, plain: reader.next() });
  }
  const rest = data.subarray(reader.at, data.length - 4);
  if (rest.length > 3 || !isZero(rest)) throw corrupt(`${what}: the index does not end where its records end`);
  return records;
}

/** Dictionary size of LZMA2 (5.3.1), in bytes. */
function dictionarySize(bits: number): number {
  return bits === 40 ? 2 ** 32 - 1 : (2 | (bits & 1)) * 2 ** (Math.floor(bits / 2) + 11);
}

/** A block header (3.1): `data` begins with it and may go on. `what` names the block in errors. */
export function parseBlockHeader(data: Uint8Array, what: string): XzBlockHeader {
  const length = (u8(data, 0) + 1) * 4;
  if (data[0] === 0 || length > data.length) throw corrupt(`${what}: expected a block header, found length byte ${data[0]}`);
  if (crc32(data.subarray(0, length - 4)) !== u32(data, length - 4)) throw corrupt(`${what}: the block header's CRC32 does not match`);
  const flags = u8(data, 1);
  if (flags & 0x3c) throw new RockberryError('unsupported', `${what}: the block header uses reserved flags 0x${flags.toString(16)}`);
  const reader = new VliReader(data.subarray(0, length - 4), 2, what);
  const packedSize = flags & 0x40 ? reader.next() : undefined;
  const plainSize = flags & 0x80 ? reader.next() : undefined;
  const filtersAt = reader.at;
  let dictionary = 0;
  for (let filter = 0; filter <= (flags & 3); filter++) {
    const id = BigInt(reader.next());
    const properties = reader.next();
    if (reader.at + properties > length - 4) throw corrupt(`${what}: the filter flags do not fit into the block header`);
    if (id === LZMA2) {
      if (properties !== 1 || data[reader.at]! > 40) throw corrupt(`${what}: the properties of the LZMA2 filter are not valid`);
      dictionary = dictionarySize(data[reader.at]!);
    }
    reader.at += properties;
  }
  if (!isZero(data.subarray(reader.at, length - 4))) throw corrupt(`${what}: the padding of the block header is not zero`);
  return { length, packedSize, plainSize, dictionary, filterCount: (flags & 3) + 1, filters: data.subarray(filtersAt, reader.at) };
}

/** A block header (3.1) with both sizes, in bytes. `filters` are the filter flags as they stand in another header (3.1.5). */
export function encodeBlockHeader(packedSize: number, plainSize: number, filterCount: number, filters: Uint8Array): Buffer {
  const fields = [0, 0xc0 | (filterCount - 1), ...encodeVli(packedSize), ...encodeVli(plainSize), ...filters];
  const data = Buffer.alloc(padded(fields.length) + 4);
  data.set(fields);
  data[0] = data.length / 4 - 1;
  setU32(data, data.length - 4, crc32(data.subarray(0, data.length - 4)));
  return data;
}

export function encodeStreamHeader(check: number): Buffer {
  const data = Buffer.alloc(HEADER_LENGTH);
  data.set(HEADER_MAGIC);
  data[7] = check;
  setU32(data, 8, crc32(data.subarray(6, 8)));
  return data;
}

export function encodeStreamFooter(check: number, indexLength: number): Buffer {
  const data = Buffer.alloc(HEADER_LENGTH);
  setU32(data, 4, indexLength / 4 - 1);
  data[9] = check;
  data.set(FOOTER_MAGIC, 10);
  setU32(data, 0, crc32(data.subarray(4, 10)));
  return data;
}

export function encodeIndex(records: readonly XzRecord[]): Buffer {
  const fields = [0, ...encodeVli(records.length), ...records.flatMap(({ unpadded, plain }) => [...encodeVli(unpadded), ...encodeVli(plain)])];
  const data = Buffer.alloc(padded(fields.length) + 4);
  data.set(fields);
  setU32(data, data.length - 4, crc32(data.subarray(0, data.length - 4)));
  return data;
}
