/** An .xz file as chunks: its streams are found from the end backwards, each block is decoded by wrapping it as a stream of its own. */
import { isZero } from '../bytes/fields.js';
import { rangeEnd } from '../bytes/ranges.js';
import type { ReadableDevice } from '../device/device.js';
import type { FileDevice } from '../device/file.js';
import { RockberryError } from '../errors.js';
import type { Chunk } from './chunks.js';
import { PLAIN_LIMIT } from './spool.js';
import {
  FOOTER_MAGIC, HEADER_LENGTH, type XzRecord, checkLength, encodeIndex, encodeStreamFooter, encodeStreamHeader, isStreamFooter, padded, parseBlockHeader,
  parseIndex, parseStreamFooter, parseStreamHeader,
} from './xz-format.js';

const MAX_BLOCKS = 2 ** 20;
const MAX_INDEX = 2 ** 25;
const MAX_BLOCK_HEADER = 1024; // 3.1.1
/** The decoder's window; xz -9 uses 64 MiB. A block smaller than its dictionary needs only its own size. */
const MAX_DICTIONARY = 128 * 2 ** 20;
const SCAN = 65536;

/** An xz block: packed is the block with its padding. */
export interface XzChunk extends Chunk {
  readonly check: number;
  readonly unpadded: number;
}

const corrupt = (message: string): RockberryError => new RockberryError('corrupt', message, { hint: 'download the image again and compare its checksum' });

/** The end of the last stream before `end`: stream padding (2.2) is zero bytes, a multiple of four of them. */
function skipPadding(file: ReadableDevice, end: number): number {
  let at = end;
  while (at > 0) {
    const length = Math.min(SCAN, at);
    const piece = file.read(at - length, length);
    if (isZero(piece)) {
      at -= length;
      continue;
    }
    let last = length;
    while (piece[last - 1] === 0) last--;
    // A footer ends in "YZ", so zeros after it are padding.
    return at - length + last;
  }
  return 0;
}

/** What stands at the end of a file without a stream footer there: the error says whether something follows the stream or the stream is cut. */
function brokenEnd(file: ReadableDevice, path: string): RockberryError {
  const tail = Math.min(file.size, 2 ** 24);
  const piece = Buffer.from(file.read(file.size - tail, tail));
  for (let at = piece.lastIndexOf(FOOTER_MAGIC); at >= 10; at = piece.lastIndexOf(FOOTER_MAGIC, at - 1)) {
    if (!isStreamFooter(piece.subarray(at - 10, at + 2))) continue;
    const end = file.size - tail + at + 2;
    return corrupt(`${path}: expected the end of the file after the xz stream at offset ${end}, found ${file.size - end} more bytes`);
  }
  return corrupt(`${path}: expected an xz stream footer at the end, at offset ${Math.max(0, file.size - HEADER_LENGTH)}, found none: the file is cut or damaged`);
}

interface Stream {
  readonly start: number;
  readonly check: number;
  readonly records: readonly XzRecord[];
}

/** The stream whose footer ends at `end`; `budget` is the number of blocks that are still allowed. */
function readStream(file: ReadableDevice, end: number, budget: number, path: string): Stream {
  const what = `${path}: xz stream that ends at offset ${end}`;
  if (end < 2 * HEADER_LENGTH + 8) throw corrupt(`${what}: too short for a stream`);
  const footer = parseStreamFooter(file.read(end - HEADER_LENGTH, HEADER_LENGTH), what);
  const indexStart = end - HEADER_LENGTH - footer.indexLength;
  if (indexStart < HEADER_LENGTH) throw corrupt(`${what}: the footer says the index has ${footer.indexLength} bytes, but there are not so many before it`);
  if (footer.indexLength > MAX_INDEX) throw new RockberryError('unsupported', `${what}: expected an index of at most ${MAX_INDEX} bytes, found ${footer.indexLength}`);
  const records = parseIndex(file.read(indexStart, footer.indexLength), budget, what);
  const start = indexStart - records.reduce((sum, record) => sum + padded(record.unpadded), 0) - HEADER_LENGTH;
  if (start < 0) throw corrupt(`${what}: the index describes more packed bytes than there are before it`);
  const check = parseStreamHeader(file.read(start, HEADER_LENGTH), `${path}: xz stream at offset ${start}`);
  if (check !== footer.check) throw corrupt(`${what}: the header says check ${check}, the footer ${footer.check}`);
  return { start, check, records };
}

/** Checks a block's header against its record in the index: what is said twice must be the same. */
function checkBlock(file: ReadableDevice, chunk: XzChunk, what: string): void {
  const room = Math.min(MAX_BLOCK_HEADER, chunk.unpadded);
  const header = parseBlockHeader(file.read(chunk.packed.offset, room), what);
  const packed = chunk.unpadded - header.length - checkLength(chunk.check);
  if (packed < 1) throw corrupt(`${what}: the index gives it ${chunk.unpadded} bytes, too few for its header and check`);
  if (header.packedSize !== undefined && header.packedSize !== packed) throw corrupt(`${what}: the header says ${header.packedSize} packed bytes, the index ${packed}`);
  if (header.plainSize !== undefined && header.plainSize !== chunk.plain.length) throw corrupt(`${what}: the header says ${header.plainSize} bytes, the index ${chunk.plain.length}`);
  if (Math.min(header.dictionary, chunk.plain.length) > MAX_DICTIONARY) {
    throw new RockberryError('unsupported', `${what}: expected a dictionary of at most ${MAX_DICTIONARY} bytes, found ${header.dictionary}`, {
      hint: 'compress the image again: xz -dc IMAGE | xz -T0 > NEW',
    });
  }
}

/** All blocks of all streams of an .xz file, in order. Headers, footers and indexes are checked, the data is not decoded. */
export function readXzChunks(file: ReadableDevice, path: string): XzChunk[] {
  if (file.size % 4 !== 0) throw brokenEnd(file, path);
  const streams: Stream[] = [];
  let budget = MAX_BLOCKS;
  for (let end = file.size; end > 0;) {
    const last = skipPadding(file, end);
    if ((end - last) % 4 !== 0 || last < HEADER_LENGTH || !isStreamFooter(file.read(last - HEADER_LENGTH, HEADER_LENGTH))) throw brokenEnd(file, path);
    const stream = readStream(file, last, budget, path);
    streams.unshift(stream);
    budget -= stream.records.length + 1;
    end = stream.start;
  }
  const chunks: XzChunk[] = [];
  let plain = 0;
  for (const { start, check, records } of streams) {
    let packed = start + HEADER_LENGTH;
    for (const record of records) {
      const chunk = { packed: { offset: packed, length: padded(record.unpadded) }, plain: { offset: plain, length: record.plain }, check, unpadded: record.unpadded };
      checkBlock(file, chunk, `${path}: xz block ${chunks.length} at offset ${packed}`);
      chunks.push(chunk);
      packed = rangeEnd(chunk.packed);
      plain = rangeEnd(chunk.plain);
      if (plain > PLAIN_LIMIT) throw corrupt(`${path}: expected at most ${PLAIN_LIMIT} bytes when decoded, the index says more`);
    }
  }
  return chunks;
}

/** Bytes around a block that is wrapped: stream header, index of one record with two sizes of up to nine bytes (3.1.2), stream footer. */
const AROUND = 2 * HEADER_LENGTH + 32;

/** A room for every block of these, for wrapBlock. */
export function wrappingRoom(chunks: readonly XzChunk[]): number {
  return chunks.reduce((most, { packed }) => Math.max(most, packed.length), 0) + AROUND;
}

/** A block as an .xz file of its own, made in `room`: the index repeats the sizes, so that the decoder verifies them too. */
export function wrapBlock(file: FileDevice, chunk: XzChunk, room: Buffer): Uint8Array {
  const index = encodeIndex([{ unpadded: chunk.unpadded, plain: chunk.plain.length }]);
  room.set(encodeStreamHeader(chunk.check));
  const end = HEADER_LENGTH + chunk.packed.length;
  file.readInto(chunk.packed.offset, room.subarray(HEADER_LENGTH, end));
  room.set(index, end);
  room.set(encodeStreamFooter(chunk.check, index.length), end + index.length);
  return room.subarray(0, end + index.length + HEADER_LENGTH);
}
