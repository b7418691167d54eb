/**
 * Splice: an image file made from its base and the changes. Chunks (xz blocks, gzip members, zstd frames) that no change touches are copied byte for byte;
 * touched ones are encoded again from the overlay, in pieces, on all cores. Pieces are small, so that the encoded form of those that did not change in a touched
 * chunk can be remembered (KnownPieces) and only what really changed is encoded. An xz result is one stream with the base's check and both sizes in every block
 * header: a header without them (xz on one core) is written anew. The cost is that of copying the file, plus encoding what changed.
 */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { equalBytes } from '../bytes/fields.js';
import { overlapsAny, rangeEnd, type Range } from '../bytes/ranges.js';
import { RockberryError } from '../errors.js';
import type { Overlay, ReadableDevice } from '../device/device.js';
import type { FileDevice, FilePart } from '../device/file.js';
import { firstDifference } from '../device/same-bytes.js';
import { silentProgress } from '../report.js';
import { CHUNK_LIMIT, type Chunk } from './chunks.js';
import type { DecodedImage } from './codec.js';
import { encodeAhead, type AheadJob, type EncodedPiece, type Encoder, type KnownPieces } from './encode-ahead.js';
import { encodeGzipMember, type EncodeOptions } from './encode.js';
import { loadLzma } from './liblzma.js';
import { loadZstd } from './libzstd.js';
import { encodeXzBlock } from './xz-encode.js';
import { checkLength, encodeBlockHeader, encodeIndex, encodeStreamFooter, encodeStreamHeader, parseBlockHeader, type XzRecord } from './xz-format.js';
import { readXzChunks, type XzChunk } from './xz.js';

const MIB = 2 ** 20;
/** What touched chunks are encoded with: see the table "What it costs" in the README. */
const TOUCHED = { xz: 1, gzip: 6, zstd: 3 } as const;
/** Of touched chunks: the dictionary of xz -1 reaches no further. */
const PIECE = MIB;
/** Of what an image has behind its base's end: nearly all of it zeros. */
const TAIL = 8 * MIB;

/** How the chunks of one format become a file again. */
interface Joiner<C extends Chunk> extends Encoder {
  readonly chunks: readonly C[];
  /** Whether the chunk must be encoded again although nothing in it changed. */
  mustEncode(chunk: C): boolean;
  start(): Uint8Array[];
  /** What stands in front of the copied rest of the chunk, and where in the packed file that rest begins. */
  copy(chunk: C): { readonly head: Uint8Array; readonly from: number };
  /** Called in the order of the file, with what encode() gave once; the bytes to write. */
  place(encoded: Uint8Array): Uint8Array;
  end(): Uint8Array[];
}

export interface SpliceOptions extends EncodeOptions {
  readonly known?: KnownPieces;
  /** Whether visit() has to see a piece that did not change. */
  readonly wants?: (piece: Range) => boolean;
  /** Called once, when the encoder has all that may wait for it: from then on this thread is not needed for a while. */
  readonly whenBusy?: () => void;
}

export interface Splice {
  /** The new image file in order, in the base's own format; what stays as it is comes as parts of the base's file. */
  readonly bytes: AsyncIterable<Uint8Array | FilePart>;
  /** What was encoded anew, in order; complete when all bytes were taken. */
  readonly encoded: readonly EncodedPiece[];
}

/** Whether the base has parts that can be kept. A file of one chunk, or a raw one, has none. */
export function canSplice(base: DecodedImage): boolean {
  return base.chunks.filter(({ plain }) => plain.length > 0).length > 1 && base.chunks.every(({ plain }) => plain.length <= CHUNK_LIMIT);
}

/** `overlay` lies on the base's device. `visit` sees the plain bytes of what is encoded anew. */
export function spliceImage(base: DecodedImage, path: string, overlay: Overlay, options: SpliceOptions = {}): Splice {
  const encoded: EncodedPiece[] = [];
  const bytes = async function* (): Splice['bytes'] {
    if (base.format === 'raw') return;
    yield* join(await joinerFor(base, path, options), { file: base.file, base: base.device, plain: overlay, changes: overlay.changes(), prefetch: base.prefetch, encoded }, options);
  };
  return { bytes: bytes(), encoded };
}

async function joinerFor(base: DecodedImage, path: string, { preset }: SpliceOptions): Promise<Joiner<Chunk>> {
  if (base.format === 'xz') return await xzJoiner(base.file, path, preset ?? TOUCHED.xz) as Joiner<Chunk>;
  if (base.format === 'gzip') return plainJoiner(base.chunks, `gzip-${preset ?? TOUCHED.gzip}`, (plain) => encodeGzipMember(plain, preset ?? TOUCHED.gzip));
  const zstd = loadZstd();
  return plainJoiner(base.chunks, `zstd-${preset ?? TOUCHED.zstd}`, (plain) => zstd.encode(plain, preset ?? TOUCHED.zstd));
}

interface Job extends AheadJob {
  /** The base's packed file. */
  readonly file: FileDevice;
}

async function* join<C extends Chunk>(joiner: Joiner<C>, job: Job, options: SpliceOptions): Splice['bytes'] {
  const { file, plain } = job;
  const size = options.blockSize ?? PIECE;
  const touched = new Set(touchedChunks(joiner, job.changes));
  const tail = split({ offset: job.base.size, length: plain.size - job.base.size }, options.blockSize ?? TAIL);
  const ahead = encodeAhead(joiner, job, [...[...touched].map((chunk) => split(chunk.plain, size)), tail], { ...options, size });
  const progress = options.progress ?? silentProgress;
  void ahead.begin().then(() => options.whenBusy?.());
  yield* joiner.start();
  for (const chunk of joiner.chunks) {
    if (touched.has(chunk)) {
      for (const { offset } of split(chunk.plain, size)) yield joiner.place(await ahead.take(offset));
    } else if (chunk.packed.length > 0) {
      const { head, from } = joiner.copy(chunk);
      if (head.length > 0) yield head;
      yield { file, offset: from, length: rangeEnd(chunk.packed) - from };
    }
    progress.advance(chunk.plain.offset + chunk.plain.length, plain.size);
  }
  for (const { offset, length } of tail) {
    yield joiner.place(await ahead.take(offset));
    progress.advance(offset + length, plain.size);
  }
  yield* joiner.end();
}

/** The ranges that are encoded, and hashed, alone: the pieces of chunks that are touched. */
export function touchedPieces({ chunks }: Pick<DecodedImage, 'chunks'>, changes: readonly Range[], size = PIECE): Range[] {
  const isChanged = overlapsAny(changes);
  return chunks.filter(({ plain }) => plain.length > 0 && isChanged(plain)).flatMap(({ plain }) => split(plain, size));
}

function touchedChunks<C extends Chunk>(joiner: Joiner<C>, changes: readonly Range[]): C[] {
  const isChanged = overlapsAny(changes);
  return joiner.chunks.filter((chunk) => isChanged(chunk.plain) || joiner.mustEncode(chunk));
}

function split({ offset, length }: Range, size: number): Range[] {
  return Array.from({ length: Math.ceil(length / size) }, (_, at) => ({ offset: offset + at * size, length: Math.min(size, length - at * size) }));
}

const NOTHING = new Uint8Array();

/** gzip members and zstd frames stand one after the other, with nothing around them. */
function plainJoiner(chunks: readonly Chunk[], form: string, encode: (plain: Uint8Array) => Promise<Uint8Array>): Joiner<Chunk> {
  return {
    chunks, form, encode, mustEncode: () => false, start: () => [], end: () => [],
    copy: ({ packed }) => ({ head: NOTHING, from: packed.offset }),
    place: (encoded) => encoded,
  };
}

/** All blocks become one stream; blocks of a stream with another check than the first's are encoded again. */
async function xzJoiner(file: ReadableDevice, path: string, preset: number): Promise<Joiner<XzChunk>> {
  const lzma = await loadLzma();
  const chunks = readXzChunks(file, path).filter(({ plain }) => plain.length > 0);
  const check = chunks[0]!.check;
  const records: XzRecord[] = [];
  return {
    chunks, form: `xz-${check}-${preset}`,
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
    encode: async (plain) => (await encodeXzBlock(lzma, plain, preset, check)).bytes,
    place(block) {
      const { length, packedSize, plainSize } = parseBlockHeader(block, 'an encoded block'); // of our own: it has both sizes
      records.push({ unpadded: length + packedSize! + checkLength(check), plain: plainSize! });
      return block;
    },
    end() {
      const index = encodeIndex(records);
      return [index, encodeStreamFooter(check, index.length)];
    },
  };
}

/**
 * Reads a spliced file back: copied chunks must have the base's bytes, and what was encoded anew must decode to the bytes that it was made of. `out` is the new
 * file, opened from scratch. Rejects with `io` when they do not: the disk did not keep what was written. Both run at the same time.
 */
export async function verifySplice(base: DecodedImage, basePath: string, encoded: readonly EncodedPiece[], out: DecodedImage, outPath: string): Promise<void> {
  const written = new Map(packedParts(out, outPath).map((part) => [part.plain.offset, part]));
  const isEncoded = overlapsAny(encoded);
  const parts = packedParts(base, basePath).filter(({ plain }) => !isEncoded(plain));
  const pairs = parts.map(({ plain, body }) => {
    const twin = written.get(plain.offset);
    if (twin?.plain.length !== plain.length || twin.body.length !== body.length) throw differs(outPath, plain);
    return { a: body, b: twin.body };
  });
  const copied = firstDifference(basePath, outPath, pairs).then((index) => {
    if (index >= 0) throw differs(outPath, parts[index]!.plain);
  });
  copied.catch(() => undefined); // reported below
  await verifyEncoded(encoded, out, outPath, written);
  await copied;
}

/** A piece must be a chunk of its own. One whose encoded form was found right before is compared with it; the others are decoded, on all cores. */
async function verifyEncoded(encoded: readonly EncodedPiece[], out: DecodedImage, outPath: string, written: ReadonlyMap<number, Part>): Promise<void> {
  const jobs = availableParallelism();
  const fresh = encoded.filter(({ proven }) => !proven);
  for (const piece of encoded) {
    const part = written.get(piece.offset);
    if (part?.plain.length !== piece.length || (piece.proven && !isStored(out, part, piece.proven))) throw differs(outPath, piece);
  }
  for (const [index, piece] of fresh.entries()) {
    for (const next of fresh.slice(index + 1, index + jobs)) void out.prefetch(next, false);
    await out.prefetch(piece, false);
    const found = createHash('sha256').update(out.device.read(piece.offset, piece.length)).digest('hex');
    if (found !== piece.sha256) throw differs(outPath, piece);
  }
}

function isStored({ file }: DecodedImage, { packed }: Part, bytes: Uint8Array): boolean {
  return packed.length === bytes.length && equalBytes(file.read(packed.offset, packed.length), bytes);
}

function differs(path: string, range: Range): RockberryError {
  return new RockberryError('io', `expected ${path} to read back as it was written, found another content in bytes ${range.offset} to ${rangeEnd(range)} of the image`, {
    hint: 'check the disk and its cable, then build again',
  });
}

/** A chunk, and the bytes of it that a copy keeps: of an xz block all but its header, which a copy may write anew. */
interface Part {
  readonly plain: Range;
  readonly packed: Range;
  readonly body: Range;
}

function packedParts(image: DecodedImage, path: string): Part[] {
  const chunks = image.chunks.filter(({ plain }) => plain.length > 0);
  if (image.format !== 'xz') return chunks.map(({ plain, packed }) => ({ plain, packed, body: packed }));
  return chunks.map(({ plain, packed }) => {
    const { length } = parseBlockHeader(image.file.read(packed.offset, Math.min(1024, packed.length)), path);
    return { plain, packed, body: { offset: packed.offset + length, length: packed.length - length } };
  });
}
