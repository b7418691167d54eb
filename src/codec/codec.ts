/** Opens an image file of any format as a device over its raw bytes. */
import { type Progress, silentProgress } from '../report.js';
import { rangeEnd } from '../bytes/ranges.js';
import type { ReadableDevice } from '../device/device.js';
import { openFileDevice } from '../device/file.js';
import { CHUNK_LIMIT, type Chunk, chunkedDevice, plainSize } from './chunks.js';
import { HEAD_LENGTH, type ImageFormat, detectFormat } from './detect.js';
import { loadLzma } from './liblzma.js';
import { spool } from './spool.js';
import { type XzChunk, readXzChunks, wrapBlock } from './xz.js';

export type { Chunk } from './chunks.js';
export { type ImageFormat, detectFormat, formatOfName } from './detect.js';

export interface DecodedImage {
  readonly format: ImageFormat;
  /** The raw image. */
  readonly device: ReadableDevice;
  /** The file as it is. */
  readonly file: ReadableDevice;
  /** What decodes alone, in order, covering the whole device; empty for raw. */
  readonly chunks: readonly Chunk[];
  close(): void;
}

export interface OpenOptions {
  readonly progress?: Progress;
  /** Where an image is decoded to that cannot be read in parts; default os.tmpdir(). */
  readonly temporaryDirectory?: string;
}

const INPUT_PIECE = 2 ** 20;

async function* filePieces(file: ReadableDevice, progress: Progress): AsyncIterable<Uint8Array> {
  for (let at = 0; at < file.size; at += INPUT_PIECE) {
    yield file.read(at, Math.min(INPUT_PIECE, file.size - at));
    progress.advance(Math.min(at + INPUT_PIECE, file.size), file.size);
  }
}

interface Opened {
  readonly device: ReadableDevice;
  readonly chunks: readonly Chunk[];
}

async function openXz(file: ReadableDevice, path: string, options: OpenOptions): Promise<Opened> {
  const chunks = readXzChunks(file, path);
  const lzma = await loadLzma();
  const place = (chunk: Chunk): string => `${path}: xz block at offset ${chunk.packed.offset}, bytes ${chunk.plain.offset} to ${rangeEnd(chunk.plain)} of the image`;
  if (chunks.every((chunk) => chunk.plain.length <= CHUNK_LIMIT)) {
    const decode = (chunk: XzChunk): Uint8Array => lzma.decodeSync(wrapBlock(file, chunk), chunk.plain.length, place(chunk));
    return { device: chunkedDevice(chunks, decode), chunks };
  }
  const progress = options.progress ?? silentProgress;
  progress.phase('decoding the image');
  const device = await spool(lzma.decodePieces(filePieces(file, progress), path), plainSize(chunks), path, options.temporaryDirectory);
  progress.finish();
  return { device, chunks };
}

/**
 * Opens an image by its content. Blocks, members and frames of up to 64 MiB are decoded when they are read; larger ones are decoded once, now, to
 * a temporary file. Errors: `io` for the host, `corrupt` and `unsupported` for the image, `no-space` for the temporary file.
 */
export async function openImage(path: string, options: OpenOptions = {}): Promise<DecodedImage> {
  const file = openFileDevice(path);
  try {
    const format = detectFormat(file.read(0, Math.min(HEAD_LENGTH, file.size)));
    const { device, chunks } = format === 'xz' ? await openXz(file, path, options) : { device: file, chunks: [] };
    return {
      format, device, file, chunks,
      close() {
        device.close();
        file.close();
      },
    };
  } catch (error) {
    file.close();
    throw error;
  }
}
