/**
 * Encodes a device as an image file, block by block: every block is encoded on its own, as many at once as there are cores, and comes out in order.
 * The bytes depend on the device, the format, the block size and the preset only, and on the version of the library that encodes.
 */
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { isZero } from '../bytes/fields.js';
import type { ReadableDevice } from '../device/device.js';
import { RockberryError } from '../errors.js';
import { type Progress, silentProgress } from '../report.js';
import { CHUNK_LIMIT, type Prefetch, type Visit } from './chunks.js';
import type { ImageFormat } from './detect.js';
import { loadLzma } from './liblzma.js';
import { loadZstd } from './libzstd.js';
import { encodeXzBlock } from './xz-encode.js';
import { CRC64_CHECK, type XzRecord, encodeIndex, encodeStreamFooter, encodeStreamHeader } from './xz-format.js';

export interface EncodeOptions {
  /** Bytes of plain data per xz block, gzip member or zstd frame; at most 64 MiB, so that they can be read one by one. */
  readonly blockSize?: number;
  /** xz 0 to 9, gzip 1 to 9, zstd 1 to 19. */
  readonly preset?: number;
  /** Blocks encoded at once; default: one per core, at most one per thread of libuv's pool (4, or UV_THREADPOOL_SIZE): more only take memory. */
  readonly jobs?: number;
  readonly progress?: Progress;
  /** Sees every block before it is encoded; the bytes are valid during the call only. */
  readonly visit?: Visit;
  /** Of the image the device lies on, if it is compressed: so that it is decoded on other threads too. */
  readonly prefetch?: Prefetch;
}

interface Defaults {
  readonly blockSize: number;
  readonly preset: number;
  readonly presets: readonly [lowest: number, highest: number];
}

const MIB = 2 ** 20;
/**
 * Measured on 48 MiB of programs of Debian's /usr (CPU seconds, size, peak memory with 2 jobs), xz:
 *    4 MiB blocks, preset 1: 16 s 60.0 % 138 MB · preset 4: 19 s 58.3 % 203 MB · preset 6: 26 s 57.9 % 242 MB
 *    8 MiB blocks, preset 6: 27 s 56.9 % 310 MB · 24 MiB blocks, preset 1: 16 s 59.9 % 187 MB · preset 6: 30 s 56.7 % 313 MB
 * Small blocks make every later change and every look into the image cheap. Preset 4 has a dictionary of 4 MiB: all that a block of 4 MiB can use,
 * in half the memory per core. gzip's size does not depend on the block size (1 MiB: 63.93 %, 4 MiB: 63.91 %); zstd: level 3 63.0 %, level 9 60.7 %.
 */
const DEFAULTS: Record<ImageFormat, Defaults> = {
  raw: { blockSize: 4 * MIB, preset: 0, presets: [0, Infinity] }, // a preset means nothing there
  xz: { blockSize: 4 * MIB, preset: 4, presets: [0, 9] },
  gzip: { blockSize: 4 * MIB, preset: 6, presets: [1, 9] },
  zstd: { blockSize: 4 * MIB, preset: 9, presets: [1, 19] },
};

function within(name: string, value: number, lowest: number, highest: number): number {
  if (Number.isInteger(value) && value >= lowest && value <= highest) return value;
  throw new RockberryError('usage', `expected ${name} between ${lowest} and ${highest}, found ${value}`);
}

function defaultJobs(): number {
  const pool = Number(process.env.UV_THREADPOOL_SIZE ?? 4);
  return Math.max(1, Math.min(availableParallelism(), Number.isInteger(pool) ? pool : 4));
}

type EncodeBlock<T> = (plain: Uint8Array) => Promise<T>;

/** The encoded blocks of a device, in order; `encode` is called for up to `jobs` of them at once. */
async function* encodeBlocks<T>(device: ReadableDevice, blockSize: number, encode: EncodeBlock<T>, options: EncodeOptions): AsyncIterable<T> {
  const jobs = within('jobs', options.jobs ?? defaultJobs(), 1, 1024);
  const progress = options.progress ?? silentProgress;
  let zeros: Promise<T> | undefined; // images have long empty tails: a full block of zeros is encoded once
  const start = async (offset: number): Promise<T> => {
    const length = Math.min(blockSize, device.size - offset);
    await options.prefetch?.({ offset, length });
    const plain = device.read(offset, length);
    options.visit?.(offset, plain);
    if (length < blockSize || !isZero(plain)) return encode(plain);
    zeros ??= encode(plain);
    return zeros;
  };
  const running: Promise<T>[] = [];
  let next = 0;
  const fill = (): void => {
    for (; running.length < jobs && next < device.size; next += blockSize) {
      const block = start(next);
      block.catch(() => undefined); // reported when its turn comes
      running.push(block);
    }
  };
  try {
    for (let done = 0; done < device.size; done += blockSize) {
      fill();
      const block = await running[0]!;
      running.shift();
      fill();
      yield block;
      progress.advance(Math.min(done + blockSize, device.size), device.size);
    }
  } finally {
    await Promise.allSettled(running);
  }
}

/** One stream, a CRC64 check, both sizes in the block headers. */
async function* encodeXz(device: ReadableDevice, blockSize: number, preset: number, options: EncodeOptions): AsyncIterable<Uint8Array> {
  const lzma = await loadLzma();
  const records: XzRecord[] = [];
  yield encodeStreamHeader(CRC64_CHECK);
  for await (const { bytes, record } of encodeBlocks(device, blockSize, (plain) => encodeXzBlock(lzma, plain, preset, CRC64_CHECK), options)) {
    records.push(record);
    yield bytes;
  }
  const index = encodeIndex(records);
  yield index;
  yield encodeStreamFooter(CRC64_CHECK, index.length);
}

const gzipAsync = promisify<Uint8Array, { level: number }, Buffer>(gzip);
const OS_BYTE = 9;
const UNKNOWN_OS = 255;

/** A gzip member (RFC 1952) that does not say where or when it was made. */
export async function encodeGzipMember(plain: Uint8Array, level: number): Promise<Uint8Array> {
  const member = await gzipAsync(plain, { level });
  member.fill(0, 4, 8); // MTIME: none
  member[OS_BYTE] = UNKNOWN_OS;
  return member;
}

/** An empty device has no blocks, but an empty file is not a valid gzip or zstd file. */
async function* orEmpty(blocks: AsyncIterable<Uint8Array>, device: ReadableDevice, encode: EncodeBlock<Uint8Array>): AsyncIterable<Uint8Array> {
  if (device.size === 0) yield await encode(new Uint8Array());
  else yield* blocks;
}

/** Plain bytes per block that encodeImage makes of a format. */
export function encodedBlockSize(format: ImageFormat, options: Pick<EncodeOptions, 'blockSize'> = {}): number {
  return within('a block size', options.blockSize ?? DEFAULTS[format].blockSize, 4096, CHUNK_LIMIT);
}

/** The pieces of the image file in order; each is the reader's to keep. Errors are those of the device, `usage` and `missing-program`. */
export async function* encodeImage(device: ReadableDevice, format: ImageFormat, options: EncodeOptions = {}): AsyncIterable<Uint8Array> {
  const defaults = DEFAULTS[format];
  const blockSize = encodedBlockSize(format, options);
  const preset = within(`a preset for ${format}`, options.preset ?? defaults.preset, ...defaults.presets);
  const simply = (encode: EncodeBlock<Uint8Array>): AsyncIterable<Uint8Array> => encodeBlocks(device, blockSize, encode, options);
  if (format === 'raw') yield* simply((plain) => Promise.resolve(plain));
  if (format === 'xz') yield* encodeXz(device, blockSize, preset, options);
  if (format === 'gzip') {
    const encode: EncodeBlock<Uint8Array> = (plain) => encodeGzipMember(plain, preset);
    yield* orEmpty(simply(encode), device, encode);
  }
  if (format === 'zstd') {
    const zstd = loadZstd();
    const encode: EncodeBlock<Uint8Array> = (plain) => zstd.encode(plain, preset);
    yield* orEmpty(simply(encode), device, encode);
  }
}
