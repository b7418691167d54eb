/**
 * Images are full of blocks of zeros, and most of them are the same bytes when encoded: liblzma takes as long for each as for any other block. One of them is
 * decoded, and checked against its check sum; another one that is the same, byte for byte, holds the same.
 */
import { equalBytes, isZero } from '../bytes/fields.js';
import type { ReadableDevice } from '../device/device.js';
import type { ChunkDecoder } from './chunks.js';
import type { XzChunk } from './xz.js';

/** Different encoded forms remembered: by block length and encoder, a handful at most. */
const MAX_KNOWN = 8;
/** Larger blocks are not compared: zeros shrink to a six-thousandth. */
const MAX_PACKED = 65_536;
const MIN_RATIO = 1000;

interface Known {
  readonly packed: Uint8Array;
  readonly check: number;
  readonly plain: number;
}

export function knowingZeros(file: ReadableDevice, decoder: ChunkDecoder<XzChunk>): ChunkDecoder<XzChunk> {
  const known: Known[] = [];
  const mayBe = ({ packed, plain }: XzChunk): boolean => packed.length <= MAX_PACKED && plain.length >= packed.length * MIN_RATIO;
  const isKnown = (chunk: XzChunk): boolean => {
    if (!mayBe(chunk)) return false;
    const alike = known.filter(({ packed, check, plain }) => packed.length === chunk.packed.length && check === chunk.check && plain === chunk.plain.length);
    if (alike.length === 0) return false;
    const bytes = file.read(chunk.packed.offset, chunk.packed.length);
    return alike.some(({ packed }) => equalBytes(packed, bytes));
  };
  const learn = (chunk: XzChunk, data: Uint8Array): Uint8Array => {
    if (known.length < MAX_KNOWN && mayBe(chunk) && isZero(data)) known.push({ packed: file.read(chunk.packed.offset, chunk.packed.length), check: chunk.check, plain: chunk.plain.length });
    return data;
  };
  const zeros = ({ plain }: XzChunk, room: Buffer | undefined): Uint8Array => (room ? room.fill(0, 0, plain.length).subarray(0, plain.length) : Buffer.alloc(plain.length));
  return {
    decodeSync: (chunk, room) => (isKnown(chunk) ? zeros(chunk, room) : learn(chunk, decoder.decodeSync(chunk, room))),
    decode: async (chunk, room) => (isKnown(chunk) ? zeros(chunk, room) : learn(chunk, await decoder.decode(chunk, room))),
  };
}
