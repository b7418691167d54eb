/** Hashes of parts of an image, taken from pieces as they come by; and of a whole file. */
import { createHash, type Hash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { isZero } from '../bytes/fields.js';
import { rangeEnd, type Range } from '../bytes/ranges.js';
import { hostError } from '../device/host.js';
import type { HashedRange } from './bmap.js';
import { createHasher } from './hasher.js';

export interface RangeHasher {
  /** A piece of the image. Pieces may come in any order, as long as those of one range come in its order. */
  feed(offset: number, data: Uint8Array): void;
  /** The ranges of which every byte came by. */
  results(): HashedRange[];
}

interface Running {
  readonly range: Range;
  readonly hash: Hash;
  next: number; // where the range's next byte is expected
}

/** `ranges` are sorted and do not overlap. */
export function rangeHasher(ranges: readonly Range[]): RangeHasher {
  const running: Running[] = ranges.map((range) => ({ range, hash: createHash('sha256'), next: range.offset }));
  const firstEndingAfter = (offset: number): number => {
    let low = 0;
    for (let high = running.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if (rangeEnd(running[middle]!.range) > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  };
  return {
    feed(offset, data) {
      const end = offset + data.length;
      for (let index = firstEndingAfter(offset); index < running.length && running[index]!.range.offset < end; index++) {
        const entry = running[index]!;
        const from = Math.max(entry.range.offset, offset);
        const to = Math.min(rangeEnd(entry.range), end);
        if (from !== entry.next) continue; // a piece is missing: the range stays without a result
        entry.hash.update(data.subarray(from - offset, to - offset));
        entry.next = to;
      }
    },
    results: () => running.filter(({ range, next }) => next === rangeEnd(range)).map(({ range, hash }) => ({ ...range, sha256: hash.digest('hex') })),
  };
}

const PIECE = 4 << 20; // bytes

/** SHA-256 of a file of the host, on a thread of its own; lower-case hexadecimal. */
export async function hashFile(path: string): Promise<string> {
  const hasher = createHasher();
  try {
    const file = await open(path);
    try {
      const buffer = Buffer.allocUnsafeSlow(PIECE);
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, PIECE);
        if (bytesRead === 0) return await hasher.finish();
        const piece = buffer.subarray(0, bytesRead);
        await hasher.update(piece, isZero(piece));
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    throw hostError(error, 'read', path);
  } finally {
    hasher.close();
  }
}
