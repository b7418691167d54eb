/**
 * What is in a file: read, replaced, appended, cut. Contents stream in pieces, and blocks that a file has are used again in place, so that
 * applying the same twice, or something and then the old contents, ends in the same bytes.
 */
import { equalBytes, isZero } from '../../bytes/fields.js';
import { RockberryError } from '../../errors.js';
import type { Content } from '../filesystem.js';
import type { Inode } from './inode.js';
import { fillRuns, freeRuns, readMapping, setSize, storeRuns } from './mapping.js';
import { complement, cutRuns, intersect, joinSpans, markWritten, type Run, type Span } from './runs.js';
import type { Volume } from './volume.js';

const PIECE = 1024 * 1024; // bytes; a multiple of every block size
const READ_LIMIT = 2 ** 30; // bytes in one call

interface Source {
  readonly size: number;
  read(offset: number, length: number): Uint8Array;
  /** Whether blocks of zeros become holes: for devices, whose owner thinks in sectors, and not for bytes. */
  readonly sparse: boolean;
}

function sourceOf(content: Content): Source {
  if (!(content instanceof Uint8Array)) return { size: content.size, read: (offset, length) => content.read(offset, length), sparse: true };
  return { size: content.length, read: (offset, length) => content.subarray(offset, offset + length), sparse: false };
}

function readRuns(volume: Volume, runs: readonly Run[], offset: number, length: number): Uint8Array {
  const { blockSize } = volume.sb;
  const end = offset + length;
  const parts = cutRuns(runs, Math.floor(offset / blockSize), Math.ceil(end / blockSize)).filter((run) => !run.unwritten);
  const data = new Uint8Array(length);
  for (const run of parts) {
    const from = Math.max(offset, run.logical * blockSize);
    const to = Math.min(end, (run.logical + run.length) * blockSize);
    data.set(volume.device.read((run.physical - run.logical) * blockSize + from, to - from), from - offset);
  }
  return data;
}

/** `length` bytes from `offset`, fewer at the end of the file; holes and unwritten blocks are zeros. At most 1 GiB in one call. */
export function readContent(volume: Volume, inode: Inode, offset = 0, length = Number.POSITIVE_INFINITY): Uint8Array {
  if (!(offset >= 0) || !(length >= 0)) throw new RockberryError('path', `expected an offset and a length from 0 on, found ${offset} and ${length}`);
  const count = Math.max(0, Math.min(length, inode.size - offset));
  if (count > READ_LIMIT) throw new RockberryError('unsupported', `ext4 inode ${inode.number}: expected to read at most ${READ_LIMIT} bytes at once, found ${count}`, { hint: 'read the file in pieces' });
  return readRuns(volume, readMapping(volume, inode).runs, offset, count);
}

interface Scan {
  readonly equal: boolean;
  /** Blocks that must exist: all, or for a sparse source those that are not zero. */
  readonly wanted: Span[];
}

function nonZeroSpans(piece: Uint8Array, blockSize: number, first: number): Span[] {
  const spans: Span[] = [];
  for (let at = 0; at < piece.length; at += blockSize) {
    const block = first + at / blockSize;
    if (!isZero(piece.subarray(at, at + blockSize))) spans.push({ from: block, to: block + 1 });
  }
  return spans;
}

/** Reads the source once: whether the file has these bytes already, and which blocks it needs. */
function scan(volume: Volume, inode: Inode, runs: readonly Run[], source: Source): Scan {
  const { blockSize } = volume.sb;
  let equal = source.size === inode.size;
  const wanted: Span[] = [];
  for (let at = 0; at < source.size && (equal || source.sparse); at += PIECE) {
    const piece = source.read(at, Math.min(PIECE, source.size - at));
    equal = equal && equalBytes(piece, readRuns(volume, runs, at, piece.length));
    if (source.sparse) wanted.push(...nonZeroSpans(piece, blockSize, at / blockSize));
  }
  if (!source.sparse && source.size > 0) wanted.push({ from: 0, to: Math.ceil(source.size / blockSize) });
  return { equal, wanted: joinSpans(wanted) };
}

/** Writes the spans' blocks from a source whose first byte belongs at block `base`. */
function writeSpans(volume: Volume, runs: readonly Run[], spans: readonly Span[], source: Source, base: number): void {
  const { blockSize } = volume.sb;
  const most = PIECE / blockSize;
  for (const run of intersect(runs, spans)) {
    for (let done = 0; done < run.length; done += most) {
      const offset = (run.logical + done - base) * blockSize;
      const length = Math.min(Math.min(most, run.length - done) * blockSize, source.size - offset);
      if (length > 0) volume.writeData(run.physical + done, source.read(offset, length));
    }
  }
}

/** Makes the file hold exactly this; false, and nothing is touched, when it does already. The inode is left for the caller to save. */
export function replaceContent(volume: Volume, inode: Inode, content: Content): boolean {
  const source = sourceOf(content);
  const old = readMapping(volume, inode);
  const { equal, wanted } = scan(volume, inode, old.runs, source);
  if (equal) return false;
  setSize(volume, inode, source.size);
  freeRuns(volume, intersect(old.runs, complement(wanted)));
  const kept = intersect(old.runs, wanted).map((run) => ({ ...run, unwritten: false }));
  const runs = fillRuns(volume, inode, kept, wanted);
  storeRuns(volume, inode, old, runs);
  volume.later(() => writeSpans(volume, runs, wanted, source, 0));
  return true;
}

/** Adds to the end; false when there is nothing to add. Zeros are written, not left as holes. */
export function appendContent(volume: Volume, inode: Inode, content: Content): boolean {
  const added = sourceOf(content);
  if (added.size === 0) return false;
  const { blockSize } = volume.sb;
  const { size } = inode;
  const old = readMapping(volume, inode);
  const first = Math.floor(size / blockSize);
  const head = readRuns(volume, old.runs, first * blockSize, size % blockSize);
  const source: Source = {
    size: head.length + added.size, sparse: false,
    read(offset, length) {
      const before = head.subarray(offset, offset + length);
      const rest = added.read(Math.max(0, offset - head.length), length - before.length);
      return before.length === 0 ? rest : Uint8Array.from(Buffer.concat([before, rest]));
    },
  };
  const spans = [{ from: first, to: Math.ceil((size + added.size) / blockSize) }];
  setSize(volume, inode, size + added.size);
  const runs = fillRuns(volume, inode, markWritten(old.runs, spans), spans);
  storeRuns(volume, inode, old, runs);
  volume.later(() => writeSpans(volume, runs, spans, source, first));
  return true;
}

/** Zeros from a byte to the end of its block, where that block was written: what a longer file later shows there. */
function clearTail(volume: Volume, runs: readonly Run[], size: number): void {
  const { blockSize } = volume.sb;
  const block = Math.floor(size / blockSize);
  const [run] = cutRuns(runs, block, block + 1);
  if (size % blockSize === 0 || !run || run.unwritten) return;
  const head = volume.device.read(run.physical * blockSize, size % blockSize);
  volume.later(() => volume.writeData(run.physical, head));
}

/** Cuts or lengthens (with a hole); false when the size is that already. */
export function truncateContent(volume: Volume, inode: Inode, size: number): boolean {
  if (!Number.isSafeInteger(size) || size < 0) throw new RockberryError('path', `expected a size in bytes, found ${size}`);
  const before = inode.size;
  if (size === before) return false;
  const old = readMapping(volume, inode);
  clearTail(volume, old.runs, Math.min(size, before));
  setSize(volume, inode, size);
  if (size < before) {
    const keep = [{ from: 0, to: Math.ceil(size / volume.sb.blockSize) }].filter((span) => span.to > 0);
    freeRuns(volume, intersect(old.runs, complement(keep)));
    storeRuns(volume, inode, old, intersect(old.runs, keep));
  }
  return true;
}
