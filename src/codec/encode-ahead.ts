/**
 * The touched pieces of a splice, encoded ahead of their turn. What a piece of the base was encoded as is remembered by its place, with the sha256 of its plain
 * bytes: a later image of the same base that did not change it gets it without decoding it. Of pieces that did change, the base's bytes are remembered, so that
 * the next image with other changes in them decodes the piece and not the whole chunk. Nothing of this changes what comes out.
 */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { deflateRaw } from 'node:zlib';
import { isZero } from '../bytes/fields.js';
import { overlapsAny, rangeEnd, type Range } from '../bytes/ranges.js';
import type { ReadableDevice } from '../device/device.js';
import type { Prefetch, Visit } from './chunks.js';

/** What is known of a base's pieces, by keys. */
export interface KnownPieces {
  get(key: string): Uint8Array | undefined;
  /** `ofBase`: it holds for the base whatever is changed, and is worth keeping for the next image. */
  put(key: string, value: Uint8Array, ofBase: boolean): void;
  /** Whether an image with it was written and read back. */
  isProven(key: string): boolean;
}

/** A piece of the image that was encoded anew. */
export interface EncodedPiece extends Range {
  /** Of its plain bytes. */
  readonly sha256: string;
  /** Its encoded form, where that was decoded before and found right. */
  readonly proven?: Uint8Array;
}

export interface Encoder {
  /** Tells apart encoded forms of the same bytes: format, check, preset. */
  readonly form: string;
  encode(plain: Uint8Array): Promise<Uint8Array>;
}

export interface AheadJob {
  /** The new image. */
  readonly plain: ReadableDevice;
  /** The base's plain bytes. */
  readonly base: ReadableDevice;
  readonly changes: readonly Range[];
  readonly prefetch: Prefetch;
  readonly encoded: EncodedPiece[];
}

export interface AheadOptions {
  /** Bytes of a piece. */
  readonly size: number;
  readonly jobs?: number;
  readonly visit?: Visit;
  /** Whether visit() has to see a piece that did not change. */
  readonly wants?: (piece: Range) => boolean;
  readonly known?: KnownPieces;
}

export interface Ahead {
  /** Starts; resolves when the encoder has all that may wait for it. */
  begin(): Promise<unknown>;
  /** The encoded piece at the offset; to be called in the order of the pieces. */
  take(offset: number): Promise<Uint8Array>;
}

/** Bytes of small pieces that wait for the encoder, so that it has work while its caller does something else. */
const HELD = 8 * 2 ** 20;
const DIGEST = 32; // bytes

const deflate = promisify<Uint8Array, { level: number }, Buffer>(deflateRaw);

/** The key of the base's own bytes of a piece, deflated (RFC 1951). */
export const plainKey = ({ offset, length }: Range): string => `plain-${offset}-${length}`;

interface Piece {
  readonly range: Range;
  readonly changed: boolean;
  /** The first piece of the next chunk. */
  readonly following: Range | undefined;
}

/** `chunks`: the pieces of each touched chunk. As many pieces are held as there are cores, or some MiB of them; they are read one after the other. */
export function encodeAhead(encoder: Encoder, job: AheadJob, chunks: readonly (readonly Range[])[], options: AheadOptions): Ahead {
  const held = Math.max(options.jobs ?? availableParallelism(), Math.floor(HELD / options.size));
  const isChanged = overlapsAny(job.changes);
  const pieces = chunks.flatMap((ranges, chunk) => ranges.map((range): Piece => ({ range, changed: isChanged(range), following: chunks[chunk + 1]?.[0] })));
  const encode = pieceEncoder(encoder, job, options);
  const running = new Map<number, Promise<Uint8Array>>();
  let reading: Promise<unknown> = Promise.resolve();
  let next = 0;
  const start = (piece: Piece): void => {
    const turn = reading.then(() => encode(piece));
    reading = turn.catch(() => undefined);
    const task = turn.then(({ done }) => done);
    task.catch(() => undefined); // reported when its turn comes
    running.set(piece.range.offset, task);
  };
  const fill = (): void => {
    for (; running.size < held && next < pieces.length; next++) start(pieces[next]!);
  };
  return {
    begin() {
      fill();
      return reading;
    },
    async take(offset) {
      fill();
      const done = await running.get(offset)!;
      running.delete(offset);
      fill();
      return done;
    },
  };
}

/** Reads a piece, and resolves when it is read: `done` is its encoded form to come. */
function pieceEncoder(encoder: Encoder, job: AheadJob, { known, wants, visit }: AheadOptions): (piece: Piece) => Promise<{ readonly done: Promise<Uint8Array> }> {
  const same = new Map<string, Promise<Uint8Array>>(); // pieces that are being encoded
  const zeros = new Map<number, Promise<Uint8Array>>(); // by length: an image that grows gets many of them
  const byContent = async (data: Uint8Array, sha256: string): Promise<Uint8Array> => {
    const key = `${encoder.form}-${sha256}`;
    const found = known?.get(key);
    if (found) return found;
    if (isZero(data)) {
      if (!zeros.has(data.length)) zeros.set(data.length, encoder.encode(data));
      return zeros.get(data.length)!;
    }
    if (!same.has(key)) same.set(key, encoder.encode(data).finally(() => same.delete(key)));
    const done = await same.get(key)!;
    known?.put(key, done, false);
    return done;
  };
  const keepPlain = async (range: Range): Promise<void> => {
    if (known && rangeEnd(range) <= job.base.size && !known.get(plainKey(range))) known.put(plainKey(range), await deflate(job.base.read(range.offset, range.length), { level: 1 }), true);
  };
  return async ({ range, changed, following }) => {
    const place = `${encoder.form}-at-${range.offset}-${range.length}`;
    const remembered = changed || wants?.(range) ? undefined : known?.get(place);
    if (remembered) {
      const bytes = remembered.subarray(DIGEST);
      job.encoded.push({ ...range, sha256: Buffer.from(remembered.subarray(0, DIGEST)).toString('hex'), ...(known!.isProven(place) && { proven: bytes }) });
      return { done: Promise.resolve(bytes) };
    }
    await job.prefetch(range, false);
    if (following) void job.prefetch(following, false);
    const data = job.plain.read(range.offset, range.length);
    visit?.(range.offset, data);
    const sha256 = createHash('sha256').update(data).digest('hex');
    job.encoded.push({ ...range, sha256 });
    const kept = changed ? keepPlain(range) : undefined;
    const done = byContent(data, sha256).then(async (bytes) => {
      if (!changed) known?.put(place, Buffer.concat([Buffer.from(sha256, 'hex'), bytes]), true);
      await kept;
      return bytes;
    });
    return { done };
  };
}
