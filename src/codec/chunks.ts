/** A compressed file as a device: chunks are decoded when they are read, or just before, and the last ones used are kept. */
import { availableParallelism } from 'node:os';
import { type Range, rangeEnd } from '../bytes/ranges.js';
import { type ReadableDevice, checkBounds } from '../device/device.js';
import { silentProgress, type Progress } from '../report.js';

/** A part of a compressed file that decodes alone: an xz block, a gzip member, a zstd frame. Both ranges are in bytes. */
export interface Chunk {
  readonly packed: Range;
  readonly plain: Range;
}

/** Larger chunks are not decoded whole in memory. */
export const CHUNK_LIMIT = 64 * 2 ** 20;
/** Decoded chunks kept, in bytes; one chunk is always kept. Two blocks as `xz -T0` makes them, of 24 MiB. */
const CACHE_LIMIT = 48 * 2 ** 20;
/** The same for those who read every chunk once. */
export const ONCE_CACHE = 4 * 2 ** 20;
/** The same for those who read here and there in the image and keep little else in memory: six such blocks. */
export const WIDE_CACHE = 144 * 2 ** 20;

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
  /** The result may lie in `room`, which has the chunk's plain length and a byte more. */
  decodeSync(chunk: C, room?: Buffer): Uint8Array;
  decode(chunk: C, room?: Buffer): Promise<Uint8Array>;
}

/** Called for each part of the image, in any order; the bytes are valid during the call only. */
export type Visit = (offset: number, plain: Uint8Array) => void;

/** Looks at the whole image once, on all cores and in bounded memory: every chunk must decode, and its check sum be right, or the error says which does not. */
export type Scan = (options?: { readonly visit?: Visit; readonly jobs?: number; readonly progress?: Progress }) => Promise<void>;

/** Decodes the range on other threads, and, with `ahead` (the default), what follows it; resolves when the range itself can be read without decoding. */
export type Prefetch = (range: Range, ahead?: boolean) => Promise<void>;

/** Buffers of dropped chunks that are used again: without them, reading an image through makes garbage of its whole size, and collecting that takes longer than decoding. */
const MAX_SPARE = 4;
/** Of those, in bytes; one is always kept. */
const SPARE_LIMIT = 32 * 2 ** 20;

/** Decoded chunks by index, the least recently used dropped first. What is kept is only ever copied from, so that its memory can be used again. */
class ChunkCache {
  readonly #kept = new Map<number, Uint8Array>(); // a Map keeps the order of insertion: the first is the one to drop
  readonly #spare: Buffer[] = [];
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

  /** Makes room for a chunk of so many bytes; before decoding, so that the old and the new are not in memory together. */
  room(length: number): Buffer {
    for (const [index, data] of this.#kept) {
      if (this.#bytes + length <= this.limit) break;
      this.#kept.delete(index);
      this.#bytes -= data.length;
      this.recycle(data);
    }
    const at = this.#spare.findIndex((buffer) => buffer.length === length + 1);
    return at < 0 ? Buffer.allocUnsafeSlow(length + 1) : this.#spare.splice(at, 1)[0]!;
  }

  set(index: number, data: Uint8Array): void {
    if (this.#kept.has(index)) {
      this.recycle(data);
      return;
    }
    this.#kept.set(index, data);
    this.#bytes += data.length;
  }

  clear(): void {
    this.#kept.clear();
    this.#spare.length = 0;
    this.#bytes = 0;
  }

  /** What is not needed any more, for room(). */
  recycle(data: Uint8Array): void {
    if (data.length === 0) return;
    if (this.#spare.length === Math.min(MAX_SPARE, Math.max(1, Math.floor(SPARE_LIMIT / data.length)))) this.#spare.shift();
    this.#spare.push(Buffer.from(data.buffer));
  }
}

/**
 * The device of the decoded bytes, and a prefetch for those who read it from front to back. A chunk is decoded once while it stays among the most
 * recently used; `limit` is the number of decoded bytes kept (one chunk always is).
 */
export function chunkedDevice<C extends Chunk>(
  chunks: readonly C[], decoder: ChunkDecoder<C>, limit = CACHE_LIMIT,
): { device: ReadableDevice; prefetch: Prefetch; scan: Scan } {
  const size = plainSize(chunks);
  const cache = new ChunkCache(limit);
  const load = (index: number): Uint8Array => {
    const known = cache.get(index);
    if (known) return known;
    const data = decoder.decodeSync(chunks[index]!, cache.room(chunks[index]!.plain.length));
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
  return { device, prefetch: prefetcher(chunks, decoder, cache), scan: chunkScan(chunks, decoder, cache) };
}

function prefetcher<C extends Chunk>(chunks: readonly C[], decoder: ChunkDecoder<C>, cache: ChunkCache): Prefetch {
  const running = new Map<number, Promise<void>>();
  const start = (index: number): Promise<void> => {
    const known = running.get(index);
    if (known) return known;
    const room = cache.room(chunks[index]!.plain.length);
    // A failure is not reported here: the chunk stays out of the cache, and the read that needs it says what is wrong with it.
    const task = decoder.decode(chunks[index]!, room).then((data) => cache.set(index, data), () => undefined).finally(() => running.delete(index));
    running.set(index, task);
    return task;
  };
  return async (range, ahead = true) => {
    const needed: Promise<void>[] = [];
    let bytes = 0;
    // As far ahead as the cache reaches: what is decoded must still be there when it is read.
    for (let index = chunkAt(chunks, range.offset); index < chunks.length; index++) {
      const { plain } = chunks[index]!;
      bytes += plain.length;
      const isNeeded = plain.offset < rangeEnd(range);
      if (!isNeeded && (!ahead || bytes > cache.limit)) break;
      if (plain.length === 0 || cache.has(index)) continue;
      const task = start(index);
      if (isNeeded) needed.push(task);
    }
    await Promise.all(needed);
  };
}

function chunkScan<C extends Chunk>(chunks: readonly C[], decoder: ChunkDecoder<C>, cache: ChunkCache): Scan {
  return async ({ visit, jobs = availableParallelism(), progress = silentProgress } = {}) => {
    const size = plainSize(chunks);
    let next = 0;
    let done = 0;
    const work = async (): Promise<void> => {
      let room: Buffer = Buffer.alloc(0);
      while (next < chunks.length) {
        const chunk = chunks[next++]!;
        if (chunk.plain.length === 0) continue;
        if (room.length !== chunk.plain.length + 1) {
          cache.recycle(room);
          room = cache.room(chunk.plain.length);
        }
        const data = await decoder.decode(chunk, room); // also when nobody looks: an argument of a call that is left out is not evaluated
        visit?.(chunk.plain.offset, data);
        done += chunk.plain.length;
        progress.advance(done, size);
      }
      cache.recycle(room); // for whoever reads next
    };
    const workers = await Promise.allSettled(Array.from({ length: jobs }, work));
    const failed = workers.find((worker) => worker.status === 'rejected');
    if (failed) throw failed.reason;
  };
}

/** Chunks of which the next one is fetched, too, by those who read here and there: of smaller ones it costs less to wait for what is needed. */
const LARGE = 16 * 2 ** 20;

/**
 * Decodes, at once and on all cores, the chunks that hold these offsets (bytes of the image, those beyond its end left out), and with `wide` the one after a
 * large one: as many of them as stay in the cache, in the order given. Where partitions begin is read first, in several places of the image.
 */
export async function prefetchAt({ chunks, prefetch }: { readonly chunks: readonly Chunk[]; readonly prefetch: Prefetch }, offsets: readonly number[], wide = false): Promise<void> {
  const indices = new Set(offsets.flatMap((offset) => {
    const index = chunkAt(chunks, offset);
    return wide && (chunks[index]?.plain.length ?? 0) >= LARGE ? [index, index + 1] : [index];
  }));
  const found = [...indices].flatMap((index) => chunks[index]?.plain ?? []);
  let bytes = 0;
  await Promise.all(found.map(({ offset, length }) => {
    bytes += length;
    return bytes <= (wide ? WIDE_CACHE : CACHE_LIMIT) ? prefetch({ offset, length: 1 }, false) : undefined;
  }));
}

const SCAN_PIECE = 4 * 2 ** 20;

/** The scan of a device that needs no decoding, or was decoded when it was opened: there is nothing to verify, only to visit. */
export function deviceScan(device: ReadableDevice): Scan {
  return async ({ visit, progress = silentProgress } = {}) => {
    for (let at = 0; visit && at < device.size; at += SCAN_PIECE) {
      visit(at, device.read(at, Math.min(SCAN_PIECE, device.size - at)));
      progress.advance(at, device.size);
    }
  };
}
