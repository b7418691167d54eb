/** What builds on one base remember of it from one to the next, in the cache: pages of its filesystems, and encoded pieces. Nothing of it changes a result. */
import { promisify } from 'node:util';
import { inflateRaw } from 'node:zlib';
import { tool } from './beside.js';
import { rangeEnd, type Range } from './bytes/ranges.js';
import type { Cache, NoteName } from './cache/cache.js';
import { createPieceStore, type PieceStore } from './cache/pieces.js';
import type { DecodedImage } from './codec/codec.js';
import { plainKey } from './codec/encode-ahead.js';
import type { ReadableDevice } from './device/device.js';
import { Pages, rememberingDevice } from './device/pages.js';

const inflate = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(inflateRaw);

export interface Memory {
  /** Of the raw image. */
  readonly pages: Pages;
  readonly pieces: PieceStore;
  /** Keeps for the next build what is new. */
  keep(): void;
}

/** For a build without a cache. `keepChanged` as for createPieceStore: for many images made of one base. */
export function forgetful({ keepChanged = false } = {}): Memory {
  const pieces = createPieceStore({ keepChanged });
  return { pages: new Pages(), pieces, keep: () => pieces.prove() };
}

/** `base` is the sha256 of its file. */
export function recall(base: string, cache: Cache, { keepChanged = false } = {}): Memory {
  const [pages, pieces] = [new Pages(), createPieceStore({ keepChanged })];
  const piecesNote = `pieces-2-${tool().version}` as const; // another version may encode in another way
  restore(cache, base, 'pages-1', pages);
  restore(cache, base, piecesNote, pieces);
  let kept = [pages.count, pieces.count];
  return {
    pages, pieces,
    keep() {
      pieces.prove();
      try {
        if (pages.count > kept[0]!) cache.keepNote(base, 'pages-1', pages.save());
        if (pieces.count > kept[1]!) cache.keepNote(base, piecesNote, pieces.save());
        kept = [pages.count, pieces.count];
      } catch {
        // the cache is full or read-only: the next build finds out again
      }
    },
  };
}

function restore(cache: Cache, base: string, name: NoteName, store: { restore(saved: Buffer): void }): void {
  const saved = cache.note(base, name);
  if (saved) store.restore(saved);
}

/** The image, read through what is remembered of it; one that needs no decoding is left as it is. */
export function remembering(decoded: DecodedImage, { pages, pieces }: Pick<Memory, 'pages' | 'pieces'>): DecodedImage {
  if (decoded.chunks.length === 0) return decoded;
  const inflated = inflatedPieces(decoded.device, pieces);
  return {
    ...decoded, device: rememberingDevice(inflated.device, pages),
    prefetch: async (range, ahead) => (pages.covers(range) || await inflated.load(range) ? undefined : decoded.prefetch(range, ahead)),
  };
}

/** Pieces that are held inflated: those that are read next. */
const INFLATED = 4;

interface Inflated {
  readonly device: ReadableDevice;
  /** False when nothing is known of just this range. */
  load(range: Range): Promise<boolean>;
}

/** `device`, with pieces of which the plain bytes are known read from those, once they are loaded. */
function inflatedPieces(device: ReadableDevice, pieces: PieceStore): Inflated {
  const held: { readonly range: Range; readonly bytes: Uint8Array }[] = [];
  const holding = (offset: number, length: number): (typeof held)[number] | undefined => held.find(({ range }) => range.offset <= offset && offset + length <= rangeEnd(range));
  return {
    device: {
      ...device,
      read(offset, length) {
        const piece = holding(offset, length);
        return piece ? new Uint8Array(piece.bytes.subarray(offset - piece.range.offset, offset - piece.range.offset + length)) : device.read(offset, length);
      },
    },
    async load(range) {
      const known = pieces.get(plainKey(range));
      if (!known || holding(range.offset, range.length)) return known !== undefined;
      held.push({ range, bytes: await inflate(known, { maxOutputLength: range.length }) });
      if (held.length > INFLATED) held.shift();
      return true;
    },
  };
}
