/** A folder for what qemu must find as files and the host does not have as such: a decoded image, a kernel out of it. It goes whichever way the work ends. */
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isZero } from '../bytes/fields.js';
import type { Range } from '../bytes/ranges.js';
import { hostError, writeFully } from '../device/host.js';
import type { Image } from '../image/image.js';
import { mappedRanges } from '../image/mapped.js';
import type { Progress } from '../report.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const PIECE = 4 << 20; // bytes
const HOLE = 64 << 10; // bytes

/**
 * Makes the folder, waits for `work`, removes the folder. A signal aborts `ended`, which the work must heed; once the folder is gone the signal does what it would have
 * done, so that the shell sees 130, 143 or 129.
 */
export async function withStage<T>(work: (folder: string, ended: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let came: NodeJS.Signals | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    came ??= signal;
    controller.abort();
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  const folder = makeFolder();
  try {
    return await work(folder, controller.signal);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    for (const signal of SIGNALS) process.removeListener(signal, onSignal);
    if (came) process.kill(process.pid, came);
  }
}

function makeFolder(): string {
  try {
    return mkdtempSync(join(tmpdir(), 'rockberry-boot-'));
  } catch (error) {
    throw hostError(error, 'create a temporary folder in', tmpdir());
  }
}

/** The raw image as a new file: what a flashed card would have of it (image/mapped.ts), with holes for the rest, which need not even be decoded. */
export async function writeRaw(image: Image, path: string, ended: AbortSignal, progress: Progress): Promise<void> {
  const { device, prefetch } = image.decoded;
  const file = attempt(path, device.size, () => openSync(path, 'wx', 0o600));
  try {
    for (const { offset, length } of mappedRanges(image).flatMap(inPieces)) {
      await prefetch({ offset, length });
      ended.throwIfAborted();
      const piece = device.read(offset, length);
      attempt(path, device.size, () => writeSparse(file, piece, offset));
      progress.advance(offset + length, device.size);
    }
    attempt(path, device.size, () => ftruncateSync(file, device.size));
  } finally {
    closeSync(file);
  }
}

function inPieces(range: Range): Range[] {
  const count = Math.ceil(range.length / PIECE);
  return Array.from({ length: count }, (_, at) => ({ offset: range.offset + at * PIECE, length: Math.min(PIECE, range.length - at * PIECE) }));
}

function writeSparse(file: number, piece: Uint8Array, offset: number): void {
  for (let at = 0; at < piece.length; at += HOLE) {
    const part = piece.subarray(at, at + HOLE);
    if (!isZero(part)) writeFully(file, part, offset + at);
  }
}

function attempt<T>(path: string, needed: number, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw hostError(error, 'decode the image to', path, needed);
  }
}
