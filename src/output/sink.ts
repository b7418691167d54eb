/** Where output bytes go: to a file, with holes for zeros where asked, and through SHA-256, which sees every byte. */
import { write } from 'node:fs';
import { isZero } from '../bytes/fields.js';
import { createHasher } from './hasher.js';

export interface Sink {
  /** Resolves when the piece may be reused. System errors pass through. */
  write(piece: Uint8Array): Promise<void>;
  /** SHA-256 of everything written, lower-case hexadecimal. */
  finish(): Promise<string>;
  bytes(): number;
  close(): void;
}

/** Smaller runs of zeros are written: a filesystem's block. */
const HOLE = 4096;

function writeAll(fd: number, data: Uint8Array, offset: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const step = (done: number): void => {
      write(fd, data, done, data.length - done, offset + done, (error, count) => {
        if (error) reject(error);
        else if (done + count < data.length) step(done + count);
        else resolve();
      });
    };
    step(0);
  });
}

/** The parts of a piece that are not zero, at the granularity of HOLE, counted from the start of the file. */
function* dataRuns(piece: Uint8Array, offset: number): Iterable<{ from: number; to: number }> {
  if (isZero(piece)) return;
  let start = -1;
  for (let at = 0; at < piece.length;) {
    const next = Math.min(piece.length, at + HOLE - ((offset + at) % HOLE));
    if (!isZero(piece.subarray(at, next))) {
      if (start < 0) start = at;
    } else if (start >= 0) {
      yield { from: start, to: at };
      start = -1;
    }
    at = next;
  }
  if (start >= 0) yield { from: start, to: piece.length };
}

/** A sink for an open, empty file; the file's length is set by whoever opened it. A piece is hashed while it is written. */
export function createSink(fd: number, sparse: boolean): Sink {
  const hasher = createHasher();
  let offset = 0;
  return {
    async write(piece) {
      const runs = sparse ? [...dataRuns(piece, offset)] : [{ from: 0, to: piece.length }];
      const hashed = hasher.update(piece, runs.length === 0);
      const writes = runs.map(({ from, to }) => writeAll(fd, piece.subarray(from, to), offset + from));
      offset += piece.length;
      const failed = (await Promise.allSettled([hashed, ...writes])).find((result) => result.status === 'rejected'); // none may go on when the file is closed
      if (failed) throw failed.reason;
    },
    finish: () => hasher.finish(),
    bytes: () => offset,
    close: () => hasher.close(),
  };
}
