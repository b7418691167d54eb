/**
 * zstd frames (RFC 8878): found without decoding, because every block says how long it is. Where frame headers give the content size, as the zstd
 * program writes it for files, the frames are chunks whose place in the image is known.
 */
import { u16, u32, u64, u8 } from '../bytes/fields.js';
import type { Range } from '../bytes/ranges.js';
import type { ReadableDevice } from '../device/device.js';
import { RockberryError } from '../errors.js';

const MAGIC = 0xfd2fb528;
const SKIPPABLE = 0x184d2a50; // to 0x184d2a5f
const MAX_HEADER = 18; // magic, descriptor, window, dictionary id, content size (3.1.1.1)
const MAX_BLOCK = 128 * 1024; // 3.1.1.2.4
const MAX_WINDOW = 128 * 2 ** 20; // what decoders take without being asked to (zstd -d without --long)
const MAX_FRAMES = 2 ** 20;

export interface ZstdFrame {
  readonly packed: Range;
  /** Content size in bytes; undefined where the header does not give it. A skippable frame has 0. */
  readonly plain: number | undefined;
}

const corrupt = (message: string): RockberryError => new RockberryError('corrupt', message, { hint: 'download the image again and compare its checksum' });

interface FrameHeader {
  readonly length: number;
  readonly plain: number | undefined;
  readonly checksum: boolean;
}

/** 3.1.1.1.2: the window in bytes of a window descriptor. */
function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function contentSize(data: Uint8Array, at: number, length: number): number | undefined {
  if (length === 1) return u8(data, at);
  if (length === 2) return u16(data, at) + 256;
  if (length === 4) return u32(data, at);
  return length === 8 ? u64(data, at) : undefined;
}

/** A frame header (3.1.1.1); `data` begins with its magic. */
function parseFrameHeader(data: Uint8Array, what: string): FrameHeader {
  const descriptor = u8(data, 4);
  if (descriptor & 8) throw new RockberryError('unsupported', `${what}: the frame header uses a reserved bit`);
  const single = (descriptor & 0x20) !== 0;
  const dictionaryLength = [0, 1, 2, 4][descriptor & 3]!;
  const sizeLength = [single ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  const dictionaryAt = single ? 5 : 6;
  const sizeAt = dictionaryAt + dictionaryLength;
  if (sizeAt + sizeLength > data.length) throw corrupt(`${what}: the file ends in the frame header`);
  const plain = contentSize(data, sizeAt, sizeLength);
  const window = single ? plain ?? 0 : windowSize(u8(data, 5));
  if (data.subarray(dictionaryAt, sizeAt).some((byte) => byte !== 0)) throw new RockberryError('unsupported', `${what}: it needs a dictionary`, { hint: 'compress the image again without one' });
  if (Math.min(window, plain ?? Infinity) > MAX_WINDOW) {
    throw new RockberryError('unsupported', `${what}: expected a window of at most ${MAX_WINDOW} bytes, found ${window}`, { hint: 'compress the image again without --long or --ultra' });
  }
  return { length: sizeAt + sizeLength, plain, checksum: (descriptor & 4) !== 0 };
}

/** Walks over a frame's blocks (3.1.1.2), from `start` on: where they end, and the most bytes they can decode to. */
function walkBlocks(file: ReadableDevice, start: number, what: string): { end: number; most: number } {
  let most = 0;
  for (let at = start; ;) {
    if (at + 3 > file.size) throw corrupt(`${what}: expected a block at offset ${at}, but the file ends at ${file.size}`);
    const head = file.read(at, 3);
    const field = u16(head, 0) | (u8(head, 2) << 16);
    const type = (field >> 1) & 3;
    const length = field >> 3;
    if (type === 3 || length > MAX_BLOCK) throw corrupt(`${what}: the block at offset ${at} is not valid (type ${type}, ${length} bytes)`);
    most += type === 2 ? MAX_BLOCK : length;
    at += 3 + (type === 1 ? 1 : length);
    if (at > file.size) throw corrupt(`${what}: its last block goes on to offset ${at}, but the file ends at ${file.size}`);
    if (field & 1) return { end: at, most };
  }
}

function readFrame(file: ReadableDevice, start: number, what: string): ZstdFrame {
  const data = file.read(start, Math.min(MAX_HEADER, file.size - start));
  if (data.length < 8) throw corrupt(`${what}: expected a zstd frame or the end of the file, found ${data.length} more bytes`);
  const magic = u32(data, 0);
  if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE) {
    const length = 8 + u32(data, 4);
    if (start + length > file.size) throw corrupt(`${what}: its ${length} bytes go beyond the end of the file at ${file.size}`);
    return { packed: { offset: start, length }, plain: 0 };
  }
  if (magic !== MAGIC) throw corrupt(`${what}: expected a zstd frame or the end of the file, found ${Buffer.from(data.subarray(0, 4)).toString('hex')}`);
  const header = parseFrameHeader(data, what);
  const blocks = walkBlocks(file, start + header.length, what);
  if (header.plain !== undefined && header.plain > blocks.most) throw corrupt(`${what}: the header says ${header.plain} bytes, its blocks hold at most ${blocks.most}`);
  const end = blocks.end + (header.checksum ? 4 : 0);
  if (end > file.size) throw corrupt(`${what}: expected its check sum at offset ${blocks.end}, but the file ends at ${file.size}`);
  return { packed: { offset: start, length: end - start }, plain: header.plain };
}

/** All frames of a zstd file, skippable ones too, in order. The data itself is not decoded. */
export function readZstdFrames(file: ReadableDevice, path: string): ZstdFrame[] {
  const frames: ZstdFrame[] = [];
  for (let start = 0; start < file.size;) {
    const frame = readFrame(file, start, `${path}: zstd frame ${frames.length} at offset ${start}`);
    frames.push(frame);
    if (frames.length > MAX_FRAMES) throw new RockberryError('unsupported', `${path}: expected at most ${MAX_FRAMES} zstd frames, found more`);
    start = frame.packed.offset + frame.packed.length;
  }
  return frames;
}
