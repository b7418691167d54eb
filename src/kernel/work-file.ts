/**
 * An image as a raw file that the kernel can mount parts of, decoded with holes for its zeros. It has a name in our own mount namespace only. What changed is
 * found by the hashes of its pieces as they were decoded, so that the base is decoded again only where something did change.
 */
import { createHash } from 'node:crypto';
import { closeSync, constants, ftruncateSync, lstatSync, openSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { equalBytes, isZero } from '../bytes/fields.js';
import { coalesce, overlapsAny, rangeEnd, type Range } from '../bytes/ranges.js';
import type { DecodedImage } from '../codec/codec.js';
import { checkBounds, type Overlay, type ReadableDevice } from '../device/device.js';
import { hostError, isRunning, readFully, writeFully } from '../device/host.js';
import { createOverlay } from '../device/overlay.js';
import type { Progress } from '../report.js';
import { dataRanges } from './extents.js';
import { hideFile } from './mounts.js';

const PIECE = 1 << 20; // bytes
const PAGE = 4096;

interface Piece extends Range {
  /** undefined: all zeros. */
  readonly hash: string | undefined;
}

export interface WorkFile {
  /** In our own namespace. */
  readonly path: string;
  /** A fork of it is a view over the bytes as they are while nothing is mounted for writing. */
  readonly overlay: Overlay;
}

let count = 0;

/** In `directory`, which needs room for the image without its holes. Errors: `no-space`, `io`, and those of decoding. */
export async function decodeToFile(decoded: DecodedImage, directory: string, progress: Progress): Promise<WorkFile> {
  removeLeft(directory);
  const name = join(directory, `.rockberry-${process.pid}-${++count}.work`);
  const fd = create(name);
  try {
    const path = hideFile(name);
    ftruncateSync(fd, decoded.device.size);
    const pieces: Piece[] = [];
    progress.phase('decoding the image for the kernel');
    await decoded.scan({ progress, visit: (offset, plain) => store(fd, offset, plain, pieces) });
    const end = Math.max(0, ...pieces.map(rangeEnd)); // an image that grew has zeros behind it
    for (let at = end; at < decoded.device.size; at += PIECE) pieces.push({ offset: at, length: Math.min(PIECE, decoded.device.size - at), hash: undefined });
    return workFile(fd, path, decoded.device, pieces.sort((a, b) => a.offset - b.offset)); // they were decoded on all cores, as it came
  } catch (error) {
    closeSync(fd);
    rmSync(name, { force: true });
    throw hostError(error, 'write a temporary file in', directory, decoded.device.size);
  }
}

/** A work file has its name for some milliseconds. */
const LONGEST = 60_000;

/** What others left that were killed in the moment in which it had a name. It is empty, but nobody else takes it away. */
function removeLeft(directory: string): void {
  for (const name of readdirSync(directory)) {
    const pid = /^\.rockberry-(\d+)-\d+\.work$/.exec(name)?.[1];
    if (pid === undefined) continue;
    const path = join(directory, name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat && (!isRunning(Number(pid)) || Date.now() - stat.mtimeMs > LONGEST)) rmSync(path, { force: true }); // numbers of processes come again
  }
}

function create(name: string): number {
  try {
    return openSync(name, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
  } catch (error) {
    throw hostError(error, 'create a temporary file', name);
  }
}

function store(fd: number, offset: number, plain: Uint8Array, pieces: Piece[]): void {
  for (let at = 0; at < plain.length; at += PIECE) {
    const piece = plain.subarray(at, at + PIECE);
    const zero = isZero(piece);
    pieces.push({ offset: offset + at, length: piece.length, hash: zero ? undefined : hashOf(piece) });
    if (!zero) storeData(fd, offset + at, piece);
  }
}

/** Holes are a tenth of a full card's time and all of an empty one's. */
function storeData(fd: number, offset: number, piece: Uint8Array): void {
  let from = 0;
  for (let at = 0; at <= piece.length; at += PAGE) {
    if (at < piece.length && !isZero(piece.subarray(at, at + PAGE))) continue;
    if (at > from) writeFully(fd, piece.subarray(from, at), offset + from);
    from = at + PAGE;
  }
  if (from < piece.length) writeFully(fd, piece.subarray(from), offset + from);
}

const hashOf = (piece: Uint8Array): string => createHash('sha256').update(piece).digest('base64');

function workFile(fd: number, path: string, base: ReadableDevice, pieces: readonly Piece[]): WorkFile {
  const { size } = base;
  const read = (offset: number, length: number): Uint8Array => {
    checkBounds(size, offset, length, 'image');
    const data = Buffer.allocUnsafe(length);
    if (!readFully(fd, data, offset)) throw hostError(new Error('it is shorter than the image'), 'read', 'the decoded image');
    return data;
  };
  const room = Buffer.allocUnsafeSlow(PIECE); // the whole image goes through it: memory that is new for each piece would take longer than reading
  const fill: Read = (offset, length) => {
    const data = room.subarray(0, length);
    if (!readFully(fd, data, offset)) throw hostError(new Error('it is shorter than the image'), 'read', 'the decoded image');
    return data;
  };
  const overlay: Overlay = {
    size, read,
    write(offset, data) {
      checkBounds(size, offset, data.length);
      writeFully(fd, data, offset);
    },
    flush: () => undefined,
    close: () => closeSync(fd),
    fork: () => createOverlay({ size, read, close: () => undefined }),
    changes() {
      const data = dataRanges(path);
      const hasData = data ? overlapsAny(data) : () => true;
      return coalesce(pieces.filter((piece) => (hasData(piece) ? isChanged(piece, fill) : piece.hash !== undefined)).flatMap((piece) => differing(piece, read, base)), PAGE - 1);
    },
  };
  return { path, overlay };
}

type Read = (offset: number, length: number) => Uint8Array;

function isChanged({ offset, length, hash }: Piece, fill: Read): boolean {
  const now = fill(offset, length);
  return hash === undefined ? !isZero(now) : hashOf(now) !== hash;
}

/** The sectors' pages of a piece that differ. */
function differing({ offset, length }: Piece, read: Read, base: ReadableDevice): Range[] {
  const [now, before] = [read(offset, length), base.read(offset, length)];
  const found: Range[] = [];
  for (let at = 0; at < length; at += PAGE) {
    if (!equalBytes(now.subarray(at, at + PAGE), before.subarray(at, at + PAGE))) found.push({ offset: offset + at, length: Math.min(PAGE, length - at) });
  }
  return found;
}
