/** Opens an image file of any format as a device over its raw bytes. */
import { type Progress, silentProgress } from '../report.js';
import { rangeEnd } from '../bytes/ranges.js';
import type { ReadableDevice } from '../device/device.js';
import { openFileDevice, type FileDevice } from '../device/file.js';
import { CHUNK_LIMIT, type Chunk, type ChunkDecoder, type Prefetch, type Scan, ONCE_CACHE, WIDE_CACHE, chunkedDevice, deviceScan, plainSize } from './chunks.js';
import { HEAD_LENGTH, type ImageFormat, detectFormat } from './detect.js';
import { decodeGzip } from './gzip.js';
import { loadLzma } from './liblzma.js';
import { loadZstd } from './libzstd.js';
import { spool } from './spool.js';
import { readXzChunks, wrapBlock, wrappingRoom } from './xz.js';
import { readZstdFrames } from './zstd-format.js';
import { knowingZeros } from './zeros.js';
import { decodeUnsized, zstdChunks } from './zstd.js';

export type { Chunk, Prefetch } from './chunks.js';
export { type ImageFormat, detectFormat, formatOfName } from './detect.js';

export interface DecodedImage {
  readonly format: ImageFormat;
  /** The raw image. */
  readonly device: ReadableDevice;
  /** The file as it is. */
  readonly file: FileDevice;
  /** What decodes alone, in order, covering the whole device; empty for raw. */
  readonly chunks: readonly Chunk[];
  /** For those who read the device from front to back: decodes on other threads what comes next. */
  readonly prefetch: Prefetch;
  /** Looks at the whole image once; a chunk that does not decode is 'corrupt'. */
  readonly scan: Scan;
  close(): void;
}

export interface OpenOptions {
  readonly progress?: Progress;
  /** Where an image is decoded to that cannot be read in parts; default os.tmpdir(). */
  readonly temporaryDirectory?: string;
  /** More decoded blocks are kept, for those who read here and there. */
  readonly wide?: boolean;
  /** Fewer, for those who read every block once. */
  readonly once?: boolean;
}

/** Of a chunk that is decoded in memory: what cannot be compressed becomes a little longer, and only what is hostile much. */
const PACKED_LIMIT = CHUNK_LIMIT + 2 ** 20;
const INPUT_PIECE = 2 ** 20;
/** Starting a process costs as much as decoding about so many bytes: smaller chunks are not worth one each. */
const PROCESS_WORTH = 2 ** 20;

interface Opened {
  readonly device: ReadableDevice;
  readonly chunks: readonly Chunk[];
  readonly prefetch: Prefetch;
  readonly scan: Scan;
}

/** What the openers of the formats work with. */
interface Source {
  readonly file: FileDevice;
  readonly path: string;
  readonly progress: Progress;
  /** Decoded bytes kept. */
  readonly keep: number | undefined;
  /** Part of the packed file in pieces, counted as progress. */
  pieces(offset: number, length: number): AsyncIterable<Uint8Array>;
  /** Decodes everything to a temporary file; see spool.ts. */
  spool(plain: AsyncIterable<Uint8Array>, declared?: number): Promise<ReadableDevice>;
}

const nothingToFetch: Prefetch = () => Promise.resolve();

function sourceOf(file: FileDevice, path: string, options: OpenOptions): Source {
  const progress = options.progress ?? silentProgress;
  return {
    file, path, progress, keep: options.wide ? WIDE_CACHE : options.once ? ONCE_CACHE : undefined,
    async *pieces(offset, length) {
      for (let at = 0; at < length; at += INPUT_PIECE) {
        yield file.read(offset + at, Math.min(INPUT_PIECE, length - at));
        progress.advance(Math.min(offset + at + INPUT_PIECE, file.size), file.size);
      }
    },
    async spool(plain, declared) {
      progress.phase('decoding the image');
      try {
        return await spool(plain, declared, path, options.temporaryDirectory);
      } finally {
        progress.finish();
      }
    },
  };
}

/** Whether chunks are decoded one by one when they are read: none is too large for memory, nor so small that processes would do nothing but start. */
function isReadInParts(chunks: readonly Chunk[], isProgram: boolean): boolean {
  const worthIt = !isProgram || chunks.length <= 1 + plainSize(chunks) / PROCESS_WORTH;
  return worthIt && chunks.every(({ plain, packed }) => plain.length <= CHUNK_LIMIT && packed.length <= PACKED_LIMIT);
}

async function openXz(source: Source): Promise<Opened> {
  const { file, path } = source;
  const chunks = readXzChunks(file, path);
  const lzma = await loadLzma();
  if (!isReadInParts(chunks, lzma.isProgram)) {
    const device = await source.spool(lzma.decodePieces(source.pieces(0, file.size), path), plainSize(chunks));
    return { device, chunks, prefetch: nothingToFetch, scan: deviceScan(device) };
  }
  const place = (chunk: Chunk): string => `${path}: xz block at offset ${chunk.packed.offset}, bytes ${chunk.plain.offset} to ${rangeEnd(chunk.plain)} of the image`;
  const spare: Buffer[] = []; // as many as are used at once: fresh memory for every block would cost more than decoding it, and would scatter
  const decoder = knowingZeros(file, {
    decodeSync(chunk, room) {
      const memory = spare.pop() ?? Buffer.allocUnsafeSlow(wrappingRoom(chunks));
      try {
        return lzma.decodeSync(wrapBlock(file, chunk, memory), chunk.plain.length, place(chunk), room);
      } finally {
        spare.push(memory);
      }
    },
    async decode(chunk, room) {
      const memory = spare.pop() ?? Buffer.allocUnsafeSlow(wrappingRoom(chunks));
      try {
        return await lzma.decode(wrapBlock(file, chunk, memory), chunk.plain.length, place(chunk), room);
      } finally {
        spare.push(memory);
      }
    },
  });
  return { ...chunkedDevice(chunks, decoder, source.keep), chunks };
}

async function openGzip(source: Source): Promise<Opened> {
  const chunks: Chunk[] = [];
  const advance = (packed: number): void => source.progress.advance(packed, source.file.size);
  const device = await source.spool(decodeGzip(source.file, source.path, chunks, advance));
  return { device, chunks, prefetch: nothingToFetch, scan: deviceScan(device) };
}

async function openZstd(source: Source): Promise<Opened> {
  const { file, path } = source;
  const frames = readZstdFrames(file, path);
  const zstd = loadZstd();
  const chunks = zstdChunks(frames, path);
  if (!chunks) {
    const measured: Chunk[] = [];
    const device = await source.spool(decodeUnsized(zstd, file, frames, path, measured, source.pieces));
    return { device, chunks: measured, prefetch: nothingToFetch, scan: deviceScan(device) };
  }
  if (!isReadInParts(chunks, zstd.isProgram)) {
    const device = await source.spool(zstd.decodePieces(source.pieces(0, file.size), path), plainSize(chunks));
    return { device, chunks, prefetch: nothingToFetch, scan: deviceScan(device) };
  }
  const place = (chunk: Chunk): string => `${path}: zstd frame at offset ${chunk.packed.offset}, bytes ${chunk.plain.offset} to ${rangeEnd(chunk.plain)} of the image`;
  const packed = (chunk: Chunk): Uint8Array => file.read(chunk.packed.offset, chunk.packed.length);
  const decoder: ChunkDecoder<Chunk> = {
    decodeSync: (chunk) => zstd.decodeSync(packed(chunk), chunk.plain.length, place(chunk)),
    decode: async (chunk) => zstd.decode(packed(chunk), chunk.plain.length, place(chunk)),
  };
  return { ...chunkedDevice(chunks, decoder, source.keep), chunks };
}

const OPENERS: Record<ImageFormat, (source: Source) => Promise<Opened>> = {
  raw: ({ file }) => Promise.resolve({ device: file, chunks: [], prefetch: nothingToFetch, scan: deviceScan(file) }),
  xz: openXz,
  gzip: openGzip,
  zstd: openZstd,
};

/** The format of a file, by its content; errors as openImage's. */
export function formatOfFile(path: string): ImageFormat {
  const file = openFileDevice(path);
  try {
    return detectFormat(file.read(0, Math.min(HEAD_LENGTH, file.size)));
  } finally {
    file.close();
  }
}

/**
 * Opens an image by its content. xz blocks and zstd frames of up to 64 MiB are decoded when they are read; larger ones, and gzip members, are
 * decoded once, now, to a temporary file. Errors: `io` for the host, `corrupt` and `unsupported` for the image, `no-space` for the temporary file.
 */
export async function openImage(path: string, options: OpenOptions = {}): Promise<DecodedImage> {
  const file = openFileDevice(path);
  try {
    const format = detectFormat(file.read(0, Math.min(HEAD_LENGTH, file.size)));
    const opened = await OPENERS[format](sourceOf(file, path, options));
    const close = (): void => {
      opened.device.close();
      file.close();
    };
    return { format, file, ...opened, close };
  } catch (error) {
    file.close();
    throw error;
  }
}
