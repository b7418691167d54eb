/** What builds on one base remember of it from one to the next, in the cache: pages of its filesystems, and encoded pieces. Nothing of it changes a result. */
import { tool } from './beside.js';
import type { Cache, NoteName } from './cache/cache.js';
import { createPieceStore, type PieceStore } from './cache/pieces.js';
import type { DecodedImage } from './codec/codec.js';
import { Pages, rememberingDevice } from './device/pages.js';

export interface Memory {
  /** Of the raw image. */
  readonly pages: Pages;
  readonly pieces: PieceStore;
  /** Keeps for the next build what is new. */
  keep(): void;
}

/** For a build without a cache. `keepChanged` as for createPieceStore: for many images made of one base. */
export function forgetful({ keepChanged = false } = {}): Memory {
  return { pages: new Pages(), pieces: createPieceStore({ keepChanged }), keep: () => undefined };
}

/** `base` is the sha256 of its file. */
export function recall(base: string, cache: Cache, { keepChanged = false } = {}): Memory {
  const [pages, pieces] = [new Pages(), createPieceStore({ keepChanged })];
  const piecesNote = `pieces-${tool().version}` as const; // another version may encode in another way
  restore(cache, base, 'pages-1', pages);
  restore(cache, base, piecesNote, pieces);
  let kept = [pages.count, pieces.count];
  return {
    pages, pieces,
    keep() {
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

/** The image, read through its pages; one that needs no decoding is left as it is. */
export function remembering(decoded: DecodedImage, pages: Pages): DecodedImage {
  if (decoded.chunks.length === 0) return decoded;
  return {
    ...decoded, device: rememberingDevice(decoded.device, pages),
    prefetch: async (range, ahead) => (pages.covers(range) ? undefined : decoded.prefetch(range, ahead)),
  };
}
