/** A zstd file as chunks. Frames that do not say how long their content is are measured by decoding them. */
import { rangeEnd } from '../bytes/ranges.js';
import type { ReadableDevice } from '../device/device.js';
import { RockberryError } from '../errors.js';
import { type Chunk, plainSize } from './chunks.js';
import type { Zstd } from './libzstd.js';
import { PLAIN_LIMIT } from './spool.js';
import type { ZstdFrame } from './zstd-format.js';

/** More processes than this are not started to measure frames one by one; the file then counts as one chunk. */
const MAX_PROCESSES = 256;

/** The frames as chunks, if all of them say how long their content is. Skippable frames are chunks of no plain bytes. */
export function zstdChunks(frames: readonly ZstdFrame[], path: string): Chunk[] | undefined {
  const chunks: Chunk[] = [];
  for (const { packed, plain } of frames) {
    if (plain === undefined) return undefined;
    const last = chunks.at(-1);
    chunks.push({ packed, plain: { offset: last ? rangeEnd(last.plain) : 0, length: plain } });
  }
  if (plainSize(chunks) > PLAIN_LIMIT) throw new RockberryError('corrupt', `${path}: expected at most ${PLAIN_LIMIT} bytes when decoded, the frames say more`);
  return chunks;
}

/** Decodes a file of frames of unknown content size; what they turn out to be is added to `chunks`. `pieces` reads the packed file. */
export async function* decodeUnsized(
  zstd: Zstd, file: ReadableDevice, frames: readonly ZstdFrame[], path: string, chunks: Chunk[],
  pieces: (offset: number, length: number) => AsyncIterable<Uint8Array>,
): AsyncIterable<Uint8Array> {
  const together = zstd.isProgram && frames.length > MAX_PROCESSES;
  const parts = together ? [{ packed: { offset: 0, length: file.size }, plain: undefined }] : frames;
  let offset = 0;
  for (const { packed, plain } of parts) {
    let length = 0;
    if (plain !== 0) {
      for await (const piece of zstd.decodePieces(pieces(packed.offset, packed.length), `${path}: zstd frame at offset ${packed.offset}`)) {
        length += piece.length;
        yield piece;
      }
    }
    chunks.push({ packed, plain: { offset, length } });
    offset += length;
  }
}
