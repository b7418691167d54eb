/** Where output bytes go: to a file, with holes for zeros where asked, and through SHA-256, which sees every byte. */
import { write } from 'node:fs';
import { isZero } from '../bytes/fields.js';
import { type Range, rangeEnd } from '../bytes/ranges.js';
import type { FilePart } from '../device/file.js';
import { createHasher } from './hasher.js';

export interface Sink {
  /** Resolves when the piece may be reused. System errors pass through. */
  write(piece: Uint8Array): Promise<void>;
  /** Bytes of another file. Resolves before they are written: finish() waits for them, and until then the other file stays open. */
  copy(part: FilePart): Promise<void>;
  /** SHA-256 of everything written, lower-case hexadecimal. */
  finish(): Promise<string>;
  bytes(): number;
  /** Resolves when nothing is written any more. */
  close(): Promise<void>;
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

/** The parts of a piece that lie in `ranges`, counted from the start of the piece. */
function partsIn(ranges: readonly Range[], piece: Uint8Array, offset: number): { from: number; to: number }[] {
  return ranges.map((range) => ({ from: Math.max(0, range.offset - offset), to: Math.min(piece.length, rangeEnd(range) - offset) })).filter(({ from, to }) => from < to);
}

export interface SinkOptions {
  /** Leave holes where the bytes are zero: the file must be empty. */
  readonly sparse: boolean;
  /** Only what lies in these is written, in bytes of the file: the rest is there already. */
  readonly only?: readonly Range[];
}

/** A sink for an open file, from its start; the file's length is set by whoever opened it. A piece is hashed while it is written. */
export function createSink(fd: number, { sparse, only }: SinkOptions): Sink {
  const hasher = createHasher();
  let offset = 0;
  return {
    async write(piece) {
      const runs = only ? partsIn(only, piece, offset) : sparse ? [...dataRuns(piece, offset)] : [{ from: 0, to: piece.length }];
      const hashed = hasher.update(piece, !only && runs.length === 0);
      const writes = runs.map(({ from, to }) => writeAll(fd, piece.subarray(from, to), offset + from));
      offset += piece.length;
      const failed = (await Promise.allSettled([hashed, ...writes])).find((result) => result.status === 'rejected'); // none may go on when the file is closed
      if (failed) throw failed.reason;
    },
    async copy(part) {
      await hasher.copy(part, fd, offset);
      offset += part.length;
    },
    finish: () => hasher.finish(),
    bytes: () => offset,
    close: () => hasher.close(),
  };
}
