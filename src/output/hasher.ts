/**
 * SHA-256 on a thread of its own: hashing takes longer than reading and writing an image together, so that it alone decides how long a copy takes.
 * Pieces go there through a few buffers of shared memory; runs of zeros, of which images are full, go as a number; parts of another file the thread reads, hashes
 * and writes itself. What is only one small piece is hashed without a thread.
 */
import { createHash } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import type { FilePart } from '../device/file.js';
import { hostError } from '../device/host.js';
import { RockberryError } from '../errors.js';

export interface Hasher {
  /** Resolves when the piece may be reused, not when it is hashed. `isZero`: all its bytes are zero. */
  update(piece: Uint8Array, isZero: boolean): Promise<void>;
  /** The next bytes are a part of another file, to be written to the file `fd` at the offset `at`. Resolves before that is done; finish() waits for it. */
  copy(part: FilePart, fd: number, at: number): Promise<void>;
  /** Lower-case hexadecimal. */
  finish(): Promise<string>;
  /** Resolves when the thread is gone, and reads and writes no more. */
  close(): Promise<void>;
}

const SLOT = 2 ** 20;
const SLOTS = 4;
/** Messages that may wait for the thread. */
const AHEAD = 4;
/** Bytes that are copied at once: they stay in the processor's cache from reading to writing. */
const COPY = 256 * 1024;
/** Bytes: a thread costs more than hashing them. */
const SMALL = 256 * 1024;

// As text, because the thread needs plain JavaScript, and the same source must run compiled and in the tests.
const THREAD = `
const { parentPort, workerData } = require('node:worker_threads');
const { readSync, writeSync } = require('node:fs');
const hash = require('node:crypto').createHash('sha256');
const zeros = Buffer.alloc(workerData.slot);
const room = Buffer.allocUnsafeSlow(workerData.copy);
const copy = ({ from, offset, length, to, at }) => {
  for (let done = 0, count; done < length; done += count) {
    try {
      count = readSync(from, room, 0, Math.min(room.length, length - done), offset + done);
      if (count === 0) throw new Error('it has become shorter');
    } catch (error) {
      throw Object.assign(error, { reading: true });
    }
    const data = room.subarray(0, count);
    hash.update(data);
    for (let written = 0; written < count;) written += writeSync(to, data, written, count - written, at + done + written);
  }
};
parentPort.on('message', (message) => {
  const { slot, length, finish } = message;
  if (finish) return parentPort.postMessage({ digest: hash.digest('hex') });
  try {
    if (message.from !== undefined) copy(message);
    else hash.update(slot === undefined ? zeros.subarray(0, length) : Buffer.from(workerData.memory, slot * workerData.slot, length));
    parentPort.postMessage({ slot });
  } catch (error) {
    parentPort.postMessage({ failed: { code: error.code, message: error.message, reading: error.reading === true } });
  }
});`;

interface Answer {
  readonly slot?: number;
  readonly digest?: string;
  readonly failed?: { readonly code?: string; readonly message: string; readonly reading: boolean };
}

type Message = { slot?: number; length: number } | { from: number; offset: number; length: number; to: number; at: number } | { finish: true };

/** What goes to the file while it is hashed: as small files are, or by a thread that is started when there is more. */
export function createHasher(): Hasher {
  let first: Uint8Array | undefined;
  let thread: Hasher | undefined;
  const started = async (): Promise<Hasher> => {
    thread ??= hashingThread();
    const held = first;
    first = undefined;
    if (held) await thread.update(held, false);
    return thread;
  };
  return {
    async update(piece, isZero) {
      if (!thread && !first && piece.length <= SMALL) first = new Uint8Array(piece);
      else await (await started()).update(piece, isZero);
    },
    copy: async (part, fd, at) => (await started()).copy(part, fd, at),
    finish: async () => thread?.finish() ?? createHash('sha256').update(first ?? new Uint8Array()).digest('hex'),
    close: async () => thread?.close(),
  };
}

function hashingThread(): Hasher {
  const memory = new SharedArrayBuffer(SLOT * SLOTS);
  const worker = new Worker(THREAD, { eval: true, workerData: { memory, slot: SLOT, copy: COPY } });
  const free = Array.from({ length: SLOTS }, (_, slot) => slot);
  let waiting = 0; // messages that are not answered yet
  let failure: unknown;
  let digest: string | undefined;
  let source = ''; // of what is copied
  let wake = (): void => undefined;
  const fail = (error: unknown): void => {
    failure ??= error;
    wake();
  };
  worker.on('message', ({ slot, digest: result, failed }: Answer) => {
    waiting--;
    if (failed) {
      const error = Object.assign(new Error(failed.message), { code: failed.code });
      return fail(failed.reading ? hostError(error, 'read', source) : error);
    }
    digest = result;
    if (slot !== undefined) free.push(slot);
    wake();
  });
  worker.on('error', (error: Error) => fail(new RockberryError('io', `the thread that computes SHA-256 failed: ${error.message}`, { cause: error })));
  const until = async (condition: () => boolean): Promise<void> => {
    for (;;) {
      if (failure !== undefined) throw failure;
      if (condition()) return;
      await new Promise<void>((resolve) => { wake = resolve; });
    }
  };
  const post = (message: Message): void => {
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
        post({ ...(slot !== undefined && { slot }), length: part.length });
      }
    },
    async copy({ file, offset, length }, fd, at) {
      await until(() => waiting < AHEAD);
      source = file.path;
      post({ from: file.fd, offset, length, to: fd, at });
    },
    async finish() {
      post({ finish: true });
      await until(() => digest !== undefined);
      return digest!;
    },
    close: async () => void await worker.terminate(),
  };
}
