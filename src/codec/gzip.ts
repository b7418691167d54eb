/**
 * gzip files (RFC 1952): members one after the other. Where a member ends is only known when it is decoded, so the whole file is decoded once, and
 * the members' places are remembered on the way. Node's own gunzip is not used: it is silent about what follows the last member.
 */
import { createInflateRaw } from 'node:zlib';
import { crc32 } from '../bytes/crc.js';
import { isZero, u16, u32 } from '../bytes/fields.js';
import { rangeEnd } from '../bytes/ranges.js';
import type { ReadableDevice } from '../device/device.js';
import { RockberryError } from '../errors.js';
import type { Chunk } from './chunks.js';

const PIECE = 2 ** 20;
const TRAILER_LENGTH = 8;
/** Names and comments have no length field; nothing sensible is longer. */
const MAX_HEADER = 2 ** 17;
const FHCRC = 2;
const FEXTRA = 4;
const FNAME = 8;
const FCOMMENT = 16;
const RESERVED = 0xe0;

const corrupt = (message: string, cause?: unknown): RockberryError =>
  new RockberryError('corrupt', message, { hint: 'download the image again and compare its checksum', cause });

/** The length of the member header (2.3) at the start of `data`, or undefined where `data` ends before it does. */
function headerLength(data: Uint8Array, what: string): number | undefined {
  if (data[0] !== 0x1f || data[1] !== 0x8b) throw corrupt(`${what}: expected a gzip member or the end of the file, found ${Buffer.from(data.subarray(0, 4)).toString('hex')}`);
  if (data.length < 10) return undefined;
  if (data[2] !== 8) throw new RockberryError('unsupported', `${what}: expected compression method 8 (deflate), found ${data[2]}`);
  const flags = data[3]!;
  if (flags & RESERVED) throw new RockberryError('unsupported', `${what}: the member uses reserved flags 0x${flags.toString(16)}`);
  let at = 10;
  if (flags & FEXTRA) {
    if (at + 2 > data.length) return undefined;
    at += 2 + u16(data, at);
  }
  for (const text of [FNAME, FCOMMENT]) {
    if (!(flags & text)) continue;
    const end = data.indexOf(0, at);
    if (end < 0) return undefined;
    at = end + 1;
  }
  if (flags & FHCRC) {
    if (at + 2 > data.length) return undefined;
    if (u16(data, at) !== (crc32(data.subarray(0, at)) & 0xffff)) throw corrupt(`${what}: the member header's check sum does not match`);
    at += 2;
  }
  return at > data.length ? undefined : at;
}

function readHeader(file: ReadableDevice, start: number, what: string): number {
  for (const room of [4096, MAX_HEADER]) {
    const length = headerLength(file.read(start, Math.min(room, file.size - start)), what);
    if (length !== undefined) return length;
  }
  throw corrupt(`${what}: expected a gzip member header, found its end missing: the file is cut or damaged`);
}

/** The raw deflate data from `start` on; returns how many bytes of the file it takes. */
async function* inflate(file: ReadableDevice, start: number, what: string): AsyncGenerator<Uint8Array, number> {
  const engine = createInflateRaw({ chunkSize: PIECE });
  const feed = async (): Promise<void> => {
    for (let at = start; at < file.size && !engine.destroyed; at += PIECE) {
      const piece = file.read(at, Math.min(PIECE, file.size - at));
      await new Promise((resolve) => engine.write(piece, resolve));
      if (engine.bytesWritten < at + piece.length - start) return; // it took less than it was given: the data ended
    }
    if (!engine.destroyed) engine.end();
  };
  const fed = feed().catch((error: Error) => { engine.destroy(error); });
  try {
    for await (const piece of engine) yield piece as Uint8Array;
  } catch (error) {
    if (error instanceof RockberryError) throw error;
    const early = error instanceof Error && 'code' in error && error.code === 'Z_BUF_ERROR';
    throw corrupt(`${what}: cannot decode it: ${early ? 'the data ends too early' : error instanceof Error ? error.message : String(error)}`, error);
  } finally {
    engine.destroy();
  }
  await fed;
  return engine.bytesWritten;
}

function zerosToTheEnd(file: ReadableDevice, start: number): boolean {
  for (let at = start; at < file.size; at += PIECE) {
    if (!isZero(file.read(at, Math.min(PIECE, file.size - at)))) return false;
  }
  return true;
}

/** One member that begins at `start`; returns where it ends. Its check sum and length are verified after its last piece. */
async function* decodeMember(file: ReadableDevice, start: number, what: string): AsyncGenerator<Uint8Array, { end: number; plain: number }> {
  const data = start + readHeader(file, start, what);
  const pieces = inflate(file, data, what);
  let sum = 0;
  let plain = 0;
  let step = await pieces.next();
  for (; !step.done; step = await pieces.next()) {
    sum = crc32(step.value, sum);
    plain += step.value.length;
    yield step.value;
  }
  const trailer = data + step.value;
  if (trailer + TRAILER_LENGTH > file.size) throw corrupt(`${what}: expected its check sum and length at offset ${trailer}, but the file ends at ${file.size}`);
  const fields = file.read(trailer, TRAILER_LENGTH);
  if (u32(fields, 0) !== sum) throw corrupt(`${what}: the CRC32 of its ${plain} bytes does not match`);
  if (u32(fields, 4) !== plain % 2 ** 32) throw corrupt(`${what}: expected ${u32(fields, 4)} bytes (modulo 2^32), found ${plain}`);
  return { end: trailer + TRAILER_LENGTH, plain };
}

/**
 * Decodes all members; each is added to `chunks` when its end is reached. Zeros after the last member are padding, as gzip(1) takes them;
 * anything else there is corrupt.
 */
export async function* decodeGzip(file: ReadableDevice, path: string, chunks: Chunk[], advance: (packed: number) => void): AsyncIterable<Uint8Array> {
  for (let start = 0; start < file.size;) {
    const what = `${path}: gzip member ${chunks.length} at offset ${start}`;
    if (start > 0 && file.read(start, 1)[0] === 0 && zerosToTheEnd(file, start)) return;
    const offset = chunks.length > 0 ? rangeEnd(chunks.at(-1)!.plain) : 0;
    const { end, plain } = yield* decodeMember(file, start, what);
    chunks.push({ packed: { offset: start, length: end - start }, plain: { offset, length: plain } });
    start = end;
    advance(end);
  }
}
