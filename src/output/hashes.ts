/** Hashes of parts of an image, taken from pieces as they come by; and of a whole file. */
import { createHash, type Hash } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { rangeEnd, type Range } from '../bytes/ranges.js';
import { hostError } from '../device/host.js';
import type { HashedRange } from './bmap.js';

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

// As text, because the thread needs plain JavaScript, and the same source must run compiled and in the tests. It reads the file itself: a caller that is busy
// for a second does not hold it up.
const THREAD = `
const { parentPort, workerData: { path, piece } } = require('node:worker_threads');
const { openSync, readSync } = require('node:fs');
const hash = require('node:crypto').createHash('sha256');
try {
  const fd = openSync(path);
  const room = Buffer.allocUnsafeSlow(piece);
  for (let count = -1; count !== 0;) {
    count = readSync(fd, room, 0, piece, null);
    hash.update(room.subarray(0, count));
  }
  parentPort.postMessage({ digest: hash.digest('hex') });
} catch ({ code, message }) {
  parentPort.postMessage({ code, message });
}`;
const PIECE = 1 << 20; // bytes

interface Answer {
  readonly digest?: string;
  readonly code?: string;
  readonly message?: string;
}

/** SHA-256 of a file of the host, on a thread of its own; lower-case hexadecimal. */
export async function hashFile(path: string): Promise<string> {
  const worker = new Worker(THREAD, { eval: true, workerData: { path, piece: PIECE } });
  try {
    const { digest, code, message } = await new Promise<Answer>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    if (digest !== undefined) return digest;
    throw Object.assign(new Error(message), { code });
  } catch (error) {
    throw hostError(error, 'read', path);
  } finally {
    await worker.terminate();
  }
}
