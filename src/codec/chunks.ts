/** A compressed file as a device: chunks are decoded when they are read, and the last ones used are kept. */
import { type Range, rangeEnd } from '../bytes/ranges.js';
import { type ReadableDevice, checkBounds } from '../device/device.js';

/** A part of a compressed file that decodes alone: an xz block, a gzip member, a zstd frame. Both ranges are in bytes. */
export interface Chunk {
  readonly packed: Range;
  readonly plain: Range;
}

/** Larger chunks are not decoded whole in memory. */
export const CHUNK_LIMIT = 64 * 2 ** 20;
/** Decoded chunks kept, in bytes; one chunk is always kept. */
const CACHE_LIMIT = 64 * 2 ** 20;

/** The first chunk that ends after `offset`; chunks are sorted by plain offset, without gaps, and may be empty. */
export function chunkAt(chunks: readonly Chunk[], offset: number): number {
  let low = 0;
  let high = chunks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (rangeEnd(chunks[middle]!.plain) > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}

export function plainSize(chunks: readonly Chunk[]): number {
  const last = chunks.at(-1);
  return last ? rangeEnd(last.plain) : 0;
}

/**
 * The device of the decoded bytes. `decode` returns exactly the chunk's plain bytes or throws; it is called once per chunk while that chunk
 * stays among the most recently used.
 */
export function chunkedDevice<C extends Chunk>(chunks: readonly C[], decode: (chunk: C) => Uint8Array, cacheLimit = CACHE_LIMIT): ReadableDevice {
  const size = plainSize(chunks);
  const cache = new Map<number, Uint8Array>(); // in order of use: the first key is the one to drop
  let cached = 0;
  const load = (index: number): Uint8Array => {
    const chunk = chunks[index]!;
    const known = cache.get(index);
    if (known) {
      cache.delete(index);
      cache.set(index, known);
      return known;
    }
    for (const [old, data] of cache) {
      if (cached + chunk.plain.length <= cacheLimit) break;
      cache.delete(old);
      cached -= data.length;
    }
    const data = decode(chunk);
    cache.set(index, data);
    cached += data.length;
    return data;
  };
  return {
    size,
    read(offset, length) {
      checkBounds(size, offset, length, 'image');
      const result = Buffer.allocUnsafe(length);
      for (let at = 0, index = chunkAt(chunks, offset); at < length; index++) {
        const { plain } = chunks[index]!;
        if (plain.length === 0) continue;
        const from = offset + at - plain.offset;
        const count = Math.min(plain.length - from, length - at);
        result.set(load(index).subarray(from, from + count), at);
        at += count;
      }
      return result;
    },
    close() {
      cache.clear();
      cached = 0;
    },
  };
}
