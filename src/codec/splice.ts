/**
 * Splice: an image file made from its base and the changes. Chunks (xz blocks, gzip members, zstd frames) that no change touches are copied byte for byte;
 * touched ones are encoded again from the overlay, in pieces of the block size, on all cores. An xz result is one stream with the base's check and both sizes
 * in every block header: a header without them (xz on one core) is written anew. The cost is that of copying the file, plus encoding what changed.
 */
import { availableParallelism } from 'node:os';
import { equalBytes } from '../bytes/fields.js';
import { overlapsAny, type Range } from '../bytes/ranges.js';
import { RockberryError } from '../errors.js';
import type { Overlay, ReadableDevice } from '../device/device.js';
import { silentProgress } from '../report.js';
import { CHUNK_LIMIT, type Chunk } from './chunks.js';
import type { DecodedImage } from './codec.js';
import { encodeGzipMember, type EncodeOptions } from './encode.js';
import { loadLzma } from './liblzma.js';
import { loadZstd } from './libzstd.js';
import { encodeXzBlock } from './xz-encode.js';
import { checkLength, encodeBlockHeader, encodeIndex, encodeStreamFooter, encodeStreamHeader, parseBlockHeader, type XzRecord } from './xz-format.js';
import { readXzChunks, type XzChunk } from './xz.js';

const MIB = 2 ** 20;
/** What touched chunks are encoded with: see the table "What it costs" in the README. */
const TOUCHED = { xz: 1, gzip: 6, zstd: 3 } as const;
const PIECE = 4 * MIB;
const COPY = MIB;

/** How the chunks of one format become a file again. */
interface Joiner<C extends Chunk> {
  readonly chunks: readonly C[];
  /** Whether the chunk must be encoded again although nothing in it changed. */
  mustEncode(chunk: C): boolean;
  start(): Uint8Array[];
  /** What stands in front of the copied rest of the chunk, and where in the packed file that rest begins. */
  copy(chunk: C): { readonly head: Uint8Array; readonly from: number };
  encode(plain: Uint8Array): Promise<Encoded>;
  /** Called in the order of the file; the bytes to write. */
  place(encoded: Encoded): Uint8Array;
  end(): Uint8Array[];
}

interface Encoded {
  readonly bytes: Uint8Array;
  /** xz only: the block's line of the index. */
  readonly record?: XzRecord;
}

/** Whether the base has parts that can be kept. A file of one chunk, or a raw one, has none. */
export function canSplice(base: DecodedImage): boolean {
  return base.chunks.filter(({ plain }) => plain.length > 0).length > 1 && base.chunks.every(({ plain }) => plain.length <= CHUNK_LIMIT);
}

/** The pieces of the new image file in order, in the base's own format. `overlay` lies on the base's device. */
export async function* spliceImage(base: DecodedImage, path: string, overlay: Overlay, options: EncodeOptions = {}): AsyncIterable<Uint8Array> {
  const changes = overlay.changes();
  if (base.format === 'xz') yield* join(await xzJoiner(base.file, path, options), base.file, overlay, changes, options);
  if (base.format === 'gzip') yield* join(plainJoiner(base.chunks, (plain) => encodeGzipMember(plain, options.preset ?? TOUCHED.gzip)), base.file, overlay, changes, options);
  if (base.format === 'zstd') {
    const zstd = loadZstd();
    yield* join(plainJoiner(base.chunks, (plain) => zstd.encode(plain, options.preset ?? TOUCHED.zstd)), base.file, overlay, changes, options);
  }
}

async function* join<C extends Chunk>(
  joiner: Joiner<C>, file: ReadableDevice, plain: ReadableDevice, changes: readonly Range[], options: EncodeOptions,
): AsyncIterable<Uint8Array> {
  const touched = new Set(touchedChunks(joiner, changes));
  const encoded = encodeAhead(plain, [...touched].flatMap(({ plain: range }) => split(range, options.blockSize ?? PIECE)), joiner, options);
  const progress = options.progress ?? silentProgress;
  yield* joiner.start();
  for (const chunk of joiner.chunks) {
    if (touched.has(chunk)) {
      for (const { offset } of split(chunk.plain, options.blockSize ?? PIECE)) yield joiner.place(await encoded.take(offset));
    } else if (chunk.packed.length > 0) {
      const { head, from } = joiner.copy(chunk);
      if (head.length > 0) yield head;
      const end = chunk.packed.offset + chunk.packed.length;
      for (let at = from; at < end; at += COPY) yield file.read(at, Math.min(COPY, end - at));
    }
    progress.advance(chunk.plain.offset + chunk.plain.length, plain.size);
  }
  yield* joiner.end();
}

function touchedChunks<C extends Chunk>(joiner: Joiner<C>, changes: readonly Range[]): C[] {
  const isChanged = overlapsAny(changes);
  return joiner.chunks.filter((chunk) => isChanged(chunk.plain) || joiner.mustEncode(chunk));
}

function split({ offset, length }: Range, size: number): Range[] {
  return Array.from({ length: Math.ceil(length / size) }, (_, at) => ({ offset: offset + at * size, length: Math.min(size, length - at * size) }));
}

/** Encodes the touched pieces ahead of their turn, as many at once as there are cores, and not more of them than that are held. */
function encodeAhead<C extends Chunk>(device: ReadableDevice, ranges: readonly Range[], joiner: Joiner<C>, options: EncodeOptions): { take(offset: number): Promise<Encoded> } {
  const jobs = options.jobs ?? availableParallelism();
  const running = new Map<number, Promise<Encoded>>();
  let next = 0;
  const fill = (): void => {
    for (; running.size < jobs && next < ranges.length; next++) {
      const { offset, length } = ranges[next]!;
      const task = joiner.encode(device.read(offset, length));
      task.catch(() => undefined); // reported when its turn comes
      running.set(offset, task);
    }
  };
  return {
    async take(offset) {
      fill();
      const done = await running.get(offset)!;
      running.delete(offset);
      fill();
      return done;
    },
  };
}

const NOTHING = new Uint8Array();

/** gzip members and zstd frames stand one after the other, with nothing around them. */
function plainJoiner(chunks: readonly Chunk[], encode: (plain: Uint8Array) => Promise<Uint8Array>): Joiner<Chunk> {
  return {
    chunks, mustEncode: () => false, start: () => [], end: () => [],
    copy: ({ packed }) => ({ head: NOTHING, from: packed.offset }),
    encode: async (plain) => ({ bytes: await encode(plain) }),
    place: ({ bytes }) => bytes,
  };
}

/** All blocks become one stream; blocks of a stream with another check than the first's are encoded again. */
async function xzJoiner(file: ReadableDevice, path: string, options: EncodeOptions): Promise<Joiner<XzChunk>> {
  const lzma = await loadLzma();
  const chunks = readXzChunks(file, path).filter(({ plain }) => plain.length > 0);
  const check = chunks[0]!.check;
  const records: XzRecord[] = [];
  return {
    chunks,
    mustEncode: (chunk) => chunk.check !== check,
    start: () => [encodeStreamHeader(check)],
    copy(chunk) {
      const header = parseBlockHeader(file.read(chunk.packed.offset, Math.min(1024, chunk.unpadded)), path);
      if (header.packedSize !== undefined && header.plainSize !== undefined) {
        records.push({ unpadded: chunk.unpadded, plain: chunk.plain.length });
        return { head: NOTHING, from: chunk.packed.offset };
      }
      const packedSize = chunk.unpadded - header.length - checkLength(check);
      const head = encodeBlockHeader(packedSize, chunk.plain.length, header.filterCount, header.filters);
      records.push({ unpadded: head.length + packedSize + checkLength(check), plain: chunk.plain.length });
      return { head, from: chunk.packed.offset + header.length };
    },
    encode: (plain) => encodeXzBlock(lzma, plain, options.preset ?? TOUCHED.xz, check),
    place({ bytes, record }) {
      if (record) records.push(record);
      return bytes;
    },
    end() {
      const index = encodeIndex(records);
      return [index, encodeStreamFooter(check, index.length)];
    },
  };
}

/**
 * Reads a spliced file back: copied chunks must have the base's bytes, encoded ones must decode to the overlay's. `out` is the new file, opened from scratch.
 * Throws `io` when they do not: the disk did not keep what was written.
 */
export function verifySplice(base: DecodedImage, basePath: string, overlay: Overlay, out: DecodedImage, outPath: string): void {
  const old = packedParts(base, basePath);
  const copied = new Map(packedParts(out, outPath).map((part) => [part.plain.offset, part]));
  const isChanged = overlapsAny(overlay.changes());
  for (const part of old) {
    const touched = isChanged(part.plain);
    const twin = copied.get(part.plain.offset);
    const same = !touched && twin?.plain.length === part.plain.length && equalParts(base.file, part.body, out.file, twin.body);
    if (!same && !equalParts(overlay, part.plain, out.device, part.plain)) {
      throw new RockberryError('io', `expected ${outPath} to read back as it was written, found another content in bytes ${part.plain.offset} to ${part.plain.offset + part.plain.length} of the image`, {
        hint: 'check the disk and its cable, then build again',
      });
    }
  }
}

/** A chunk, and the bytes of it that a copy keeps: of an xz block all but its header, which a copy may write anew. */
interface Part {
  readonly plain: Range;
  readonly body: Range;
}

function packedParts(image: DecodedImage, path: string): Part[] {
  const chunks = image.chunks.filter(({ plain }) => plain.length > 0);
  if (image.format !== 'xz') return chunks.map(({ plain, packed }) => ({ plain, body: packed }));
  return chunks.map(({ plain, packed }) => {
    const { length } = parseBlockHeader(image.file.read(packed.offset, Math.min(1024, packed.length)), path);
    return { plain, body: { offset: packed.offset + length, length: packed.length - length } };
  });
}

function equalParts(a: ReadableDevice, rangeA: Range, b: ReadableDevice, rangeB: Range): boolean {
  if (rangeA.length !== rangeB.length) return false;
  for (let at = 0; at < rangeA.length; at += PIECE) {
    const size = Math.min(PIECE, rangeA.length - at);
    if (!equalBytes(a.read(rangeA.offset + at, size), b.read(rangeB.offset + at, size))) return false;
  }
  return true;
}
