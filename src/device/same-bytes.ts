/** Compares parts of two files on a thread of its own: reading hundreds of MiB twice takes as long as everything else that is checked meanwhile. */
import { Worker } from 'node:worker_threads';
import type { Range } from '../bytes/ranges.js';
import { RockberryError } from '../errors.js';

export interface Pair {
  readonly a: Range;
  /** As long as `a`. */
  readonly b: Range;
}

// As text, because the thread needs plain JavaScript, and the same source must run compiled and in the tests.
const THREAD = `
const { parentPort, workerData: { a, b, triples, piece } } = require('node:worker_threads');
const { openSync, readSync, closeSync } = require('node:fs');
const [roomA, roomB] = [Buffer.allocUnsafeSlow(piece), Buffer.allocUnsafeSlow(piece)];
const fill = (fd, room, at, length) => {
  for (let done = 0; done < length;) {
    const count = readSync(fd, room, done, length - done, at + done);
    if (count === 0) return false;
    done += count;
  }
  return true;
};
const [fdA, fdB] = [openSync(a, 'r'), openSync(b, 'r')];
const same = (fromA, fromB, length) => {
  for (let at = 0; at < length; at += piece) {
    const size = Math.min(piece, length - at);
    if (!fill(fdA, roomA, fromA + at, size) || !fill(fdB, roomB, fromB + at, size)) return false;
    if (roomA.compare(roomB, 0, size, 0, size) !== 0) return false;
  }
  return true;
};
let index = 0;
while (index < triples.length && same(triples[index], triples[index + 1], triples[index + 2])) index += 3;
closeSync(fdA);
closeSync(fdB);
parentPort.postMessage(index < triples.length ? index / 3 : -1);`;

const PIECE = 2 ** 20; // bytes

/** The index of the first pair whose bytes differ, or cannot be read; -1 for none. */
export async function firstDifference(a: string, b: string, pairs: readonly Pair[]): Promise<number> {
  const triples = Float64Array.from(pairs.flatMap((pair) => [pair.a.offset, pair.b.offset, pair.a.length]));
  const worker = new Worker(THREAD, { eval: true, workerData: { a, b, triples, piece: PIECE } });
  try {
    return await new Promise<number>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', (error) => reject(new RockberryError('io', `cannot compare ${b} with ${a}: ${error.message}`, { cause: error })));
    });
  } finally {
    await worker.terminate();
  }
}
