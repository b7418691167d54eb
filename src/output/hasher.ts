/**
 * SHA-256 on a thread of its own: hashing takes longer than reading and writing an image together, so that it alone decides how long a copy takes.
 * Pieces go there through two buffers of shared memory; runs of zeros, of which images are full, go as a number.
 */
import { Worker } from 'node:worker_threads';
import { RockberryError } from '../errors.js';

export interface Hasher {
  /** Resolves when the piece may be reused, not when it is hashed. `isZero`: all its bytes are zero. */
  update(piece: Uint8Array, isZero: boolean): Promise<void>;
  /** Lower-case hexadecimal. */
  finish(): Promise<string>;
  close(): void;
}

const SLOT = 4 * 2 ** 20;
const SLOTS = 2;
/** Messages that may wait for the thread. */
const AHEAD = 4;

// As text, because the thread needs plain JavaScript, and the same source must run compiled and in the tests.
const THREAD = `
const { parentPort, workerData } = require('node:worker_threads');
const hash = require('node:crypto').createHash('sha256');
const zeros = Buffer.alloc(workerData.slot);
parentPort.on('message', ({ slot, length, finish }) => {
  if (finish) return parentPort.postMessage(hash.digest('hex'));
  hash.update(slot === undefined ? zeros.subarray(0, length) : Buffer.from(workerData.memory, slot * workerData.slot, length));
  parentPort.postMessage(slot ?? -1);
});`;

export function createHasher(): Hasher {
  const memory = new SharedArrayBuffer(SLOT * SLOTS);
  const worker = new Worker(THREAD, { eval: true, workerData: { memory, slot: SLOT } });
  const free = Array.from({ length: SLOTS }, (_, slot) => slot);
  let waiting = 0; // messages that are not answered yet
  let failure: Error | undefined;
  let digest: string | undefined;
  let wake = (): void => undefined;
  worker.on('message', (answer: number | string) => {
    waiting--;
    if (typeof answer === 'string') digest = answer;
    else if (answer >= 0) free.push(answer);
    wake();
  });
  worker.on('error', (error: Error) => {
    failure = error;
    wake();
  });
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) {
      if (failure) throw new RockberryError('io', `the thread that computes SHA-256 failed: ${failure.message}`, { cause: failure });
      await new Promise<void>((resolve) => { wake = resolve; });
    }
  };
  const post = (message: { slot?: number; length?: number; finish?: boolean }): void => {
    waiting++;
    worker.postMessage(message);
  };
  return {
    async update(piece, isZero) {
      for (let at = 0; at < piece.length; at += SLOT) {
        const part = piece.subarray(at, at + SLOT);
        await until(() => waiting < AHEAD && (isZero || free.length > 0));
        const slot = isZero ? undefined : free.pop()!;
        if (slot !== undefined) new Uint8Array(memory, slot * SLOT, part.length).set(part);
        post({ slot, length: part.length });
      }
    },
    async finish() {
      post({ finish: true });
      await until(() => digest !== undefined);
      return digest!;
    },
    close: () => void worker.terminate(),
  };
}
