/** A compressed file as a device: chunks are decoded when they are read, or just before, and the last ones used are kept. */
import { type Range, rangeEnd } from '../bytes/ranges.js';
import { type ReadableDevice, checkBounds } from '../device/device.js';

/** A part of a compressed file that decodes alone: an xz block, a gzip member, a zstd frame. Both ranges are in bytes. */
export interface Chunk {
  readonly packed: Range;
  readonly plain: Range;
}

/** Larger chunks are not decoded whole in memory. */
export const CHUNK_LIMIT = 64 * 2 ** 20;
/** Decoded chunks kept, in bytes; one chunk is always kept. Two blocks as `xz -T0` makes them, of 24 MiB. */
const CACHE_LIMIT = 48 * 2 ** 20;

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

/** How chunks are decoded: exactly the chunk's plain bytes, or an error. */
export interface ChunkDecoder<C extends Chunk> {
  decodeSync(chunk: C): Uint8Array;
  decode(chunk: C): Promise<Uint8Array>;
}

/** Decodes what will be read soon, on other threads; resolves when the range itself can be read without decoding. */
export type Prefetch = (range: Range) => Promise<void>;

/** Decoded chunks by index, the least recently used dropped first. */
class ChunkCache {
  readonly #kept = new Map<number, Uint8Array>(); // a Map keeps the order of insertion: the first is the one to drop
  #bytes = 0;
  constructor(readonly limit: number) {}

  get(index: number): Uint8Array | undefined {
    const data = this.#kept.get(index);
    if (data && this.#kept.delete(index)) this.#kept.set(index, data);
    return data;
  }

  has(index: number): boolean {
    return this.#kept.has(index);
  }

  /** Makes room for so many bytes; before decoding, so that the old and the new are not in memory together. */
  reserve(length: number): void {
    for (const [index, data] of this.#kept) {
      if (this.#bytes + length <= this.limit) return;
      this.#kept.delete(index);
      this.#bytes -= data.length;
    }
  }

  set(index: number, data: Uint8Array): void {
    if (this.#kept.has(index)) return;
    this.reserve(data.length);
    this.#kept.set(index, data);
    this.#bytes += data.length;
  }

  clear(): void {
    this.#kept.clear();
    this.#bytes = 0;
  }
}

/**
 * The device of the decoded bytes, and a prefetch for those who read it from front to back. A chunk is decoded once while it stays among the most
 * recently used; `limit` is the number of decoded bytes kept (one chunk always is).
 */
export function chunkedDevice<C extends Chunk>(
  chunks: readonly C[], decoder: ChunkDecoder<C>, limit = CACHE_LIMIT,
): { device: ReadableDevice; prefetch: Prefetch } {
  const size = plainSize(chunks);
  const cache = new ChunkCache(limit);
  const load = (index: number): Uint8Array => {
    const known = cache.get(index);
    if (known) return known;
    cache.reserve(chunks[index]!.plain.length);
    const data = decoder.decodeSync(chunks[index]!);
    cache.set(index, data);
    return data;
  };
  const device: ReadableDevice = {
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
    close: () => cache.clear(),
  };
  return { device, prefetch: prefetcher(chunks, decoder, cache) };
}

function prefetcher<C extends Chunk>(chunks: readonly C[], decoder: ChunkDecoder<C>, cache: ChunkCache): Prefetch {
  const running = new Map<number, Promise<void>>();
  const start = (index: number): Promise<void> => {
    const known = running.get(index);
    if (known) return known;
    cache.reserve(chunks[index]!.plain.length);
    // A failure is not reported here: the chunk stays out of the cache, and the read that needs it says what is wrong with it.
    const task = decoder.decode(chunks[index]!).then((data) => cache.set(index, data), () => undefined).finally(() => running.delete(index));
    running.set(index, task);
    return task;
  };
  return async (range) => {
    const needed: Promise<void>[] = [];
    let bytes = 0;
    // As far ahead as the cache reaches: what is decoded must still be there when it is read.
    for (let index = chunkAt(chunks, range.offset); index < chunks.length; index++) {
      const { plain } = chunks[index]!;
      bytes += plain.length;
      const isNeeded = plain.offset < rangeEnd(range);
      if (bytes > cache.limit && !isNeeded) break;
      if (plain.length === 0 || cache.has(index)) continue;
      const task = start(index);
      if (isNeeded) needed.push(task);
    }
    await Promise.all(needed);
  };
}
