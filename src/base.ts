/**
 * A base image made ready to be built on: known by its sha256, in blocks of which most can be copied, and known to be sound. A base that is one block is
 * decoded and encoded into blocks once; the cache keeps that, and what a scan of the base found. Without a cache everything is done again, with the same result.
 */
import { existsSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Cache, ScanRecord } from './cache/cache.js';
import { formatOfFile, type DecodedImage, type ImageFormat } from './codec/codec.js';
import { encodeImage, encodedBlockSize, type EncodeOptions } from './codec/encode.js';
import { canSplice } from './codec/splice.js';
import { RockberryError } from './errors.js';
import { recall, forgetful, remembering, type Memory } from './base-memory.js';
import type { Backend } from './image/backend.js';
import type { Growth } from './image/grow.js';
import { openImageFile, type Image } from './image/image.js';
import { metadataKeeper } from './image/metadata.js';
import { mappedRanges } from './image/mapped.js';
import { stageOutput } from './output/atomic.js';
import { planRanges, type HashedRange } from './output/bmap.js';
import { hashFile, rangeHasher } from './output/hashes.js';
import type { Progress } from './report.js';

export interface Base {
  readonly image: Image;
  /** The file that is open: the base itself, or the same image in blocks. */
  readonly path: string;
  /** What the cache calls it: its sha256, or what that was the last time, which confirm() has to confirm. */
  readonly name: () => Promise<string>;
  /** Rejects with `io` when the file is not the one that the cache took it for. To be awaited before anything is published. */
  confirm(): Promise<void>;
  /** Of the base's own file. Computed when it is first asked for: of a raw image that takes seconds, and a build that fails must not wait for it. */
  sha256(): Promise<string>;
  /** Bytes of the base's own file. */
  readonly fileBytes: number;
  /** Whether the output is made by copying chunks of this one. */
  readonly splice: boolean;
  readonly memory: Memory;
  close(): void;
}

export interface BaseOptions {
  /** Of the output; undefined when none is written. */
  readonly format: ImageFormat | undefined;
  readonly cache: Cache | undefined;
  readonly encode: EncodeOptions;
  readonly progress: Progress;
  /** More than one image is made of it. */
  readonly many?: boolean;
  /** Nothing is encoded: a base that is one block stays one. */
  readonly asItIs?: boolean;
  readonly backend?: Backend;
  readonly grow?: Growth;
}

/** Smaller images are one block whatever is done. */
const WORTH_BLOCKS = 8 << 20; // bytes

export async function openBase(path: string, options: BaseOptions): Promise<Base> {
  const sha256 = once(() => hashFile(path));
  const { format, cache, progress } = options;
  const mayBeKept = cache && format !== 'raw' && format === formatOfFile(path);
  const guess = mayBeKept ? cache.identify(path) : undefined;
  const name = async (): Promise<string> => guess ?? await sha256();
  if (guess !== undefined) void sha256(); // meanwhile, on another thread
  const kept = mayBeKept ? cache.prepared(await name(), variant(format, options.encode)) : undefined;
  const memory = mayBeKept ? recall(await name(), cache, { keepChanged: options.many ?? false }) : forgetful({ keepChanged: options.many ?? false });
  const open = (from: string): Promise<Image> => openImageFile(from, { progress, through: (decoded) => remembering(decoded, memory), ...(options.backend && { backend: options.backend }), ...(options.grow && { grow: options.grow }) });
  const image = await open(kept ?? path);
  const base = (opened: Image, from: string, remove: () => void): Base => ({
    image: opened, path: from, sha256, name, fileBytes: statSync(path).size, splice: opened.decoded.format === format && canSplice(opened.decoded),
    memory: isOwnWork(path, opened) ? { ...memory, keep: memory.pieces.prove } : memory,
    async confirm() {
      if (guess !== undefined && guess !== await sha256()) throw changedBase(path);
      if (mayBeKept) keepIdentity(cache, path, await sha256());
    },
    close() {
      opened.close();
      remove();
    },
  });
  const { decoded } = image;
  const oneBlock = decoded.format === format && format !== 'raw' && !canSplice(decoded) && decoded.device.size > WORTH_BLOCKS;
  if (!oneBlock || options.asItIs) return base(image, kept ?? path, () => undefined);
  try {
    progress.phase('encoding the base into blocks, once');
    const prepared = await prepare(decoded, await name(), options);
    return base(await open(prepared.path), prepared.path, prepared.remove);
  } finally {
    image.close();
  }
}

/** The work is started by the first call; a failure is reported to everyone who awaits it. */
function once(work: () => Promise<string>): () => Promise<string> {
  let running: Promise<string> | undefined;
  return () => {
    if (!running) {
      running = work();
      running.catch(() => undefined); // it may be awaited much later
    }
    return running;
  };
}

/** An image that rockberry made may hold a node's secrets: its pages are not written anywhere else. The vendor's hold none. */
function isOwnWork(path: string, { roles }: Image): boolean {
  return existsSync(`${path}.json`) || roles.root?.filesystem?.stat('/etc/rockberry') !== undefined;
}

function changedBase(path: string): RockberryError {
  return new RockberryError('io', `expected ${path} to be the file that it was at the last build, as its times say, found another content`, {
    hint: 'check the disk; then empty the cache: rockberry cache clear',
  });
}

function keepIdentity(cache: Cache, path: string, sha256: string): void {
  try {
    cache.keepIdentity(path, sha256);
  } catch {
    // the cache is full or read-only: the next build hashes the base before it begins
  }
}

function variant(format: ImageFormat, encode: EncodeOptions): string {
  return `${format}-${encodedBlockSize(format, encode)}-${encode.preset ?? 'default'}`;
}

/** The base in blocks, as a file of the cache; where that is full or cannot be written, as a temporary file. */
async function prepare(decoded: DecodedImage, sha256: string, { cache, encode, progress }: BaseOptions): Promise<{ path: string; remove: () => void }> {
  const pieces = (): AsyncIterable<Uint8Array> => encodeImage(decoded.device, decoded.format, { ...encode, progress });
  if (cache) {
    try {
      return { path: await cache.keepPrepared(sha256, variant(decoded.format, encode), pieces()), remove: () => undefined };
    } catch (error) {
      if (!(error instanceof RockberryError) || (error.code !== 'no-space' && error.code !== 'io')) throw error;
    }
  }
  const staged = await stageOutput(join(tmpdir(), `rockberry-${process.pid}-blocks`), pieces(), {});
  return { path: staged.path, remove: () => { staged.discard(); rmSync(staged.path, { force: true }); } };
}

/**
 * Whether every chunk of the base is sound, and the hashes of its mapped ranges, cut where its chunks begin. A scan that the cache remembers is not done again;
 * `fresh` bases (the steps were not applied yet) only.
 */
export async function scanBase({ image, name, memory }: Base, cache: Cache | undefined, progress: Progress): Promise<ScanRecord> {
  const { decoded } = image;
  const known = cache?.scan(await name());
  if (known) return known;
  progress.phase(`checking ${image.path}`);
  const hasher = rangeHasher(planRanges(mappedRanges(image), chunkStarts(decoded)));
  const keep = metadataKeeper(image, memory.pages);
  await decoded.scan({
    progress,
    visit(offset, plain) {
      hasher.feed(offset, plain);
      keep(offset, plain);
    },
  });
  const record = { hashes: hasher.results().map(({ offset, length, sha256: hash }: HashedRange) => [offset, length, hash] as const) };
  try {
    cache?.keepScan(await name(), record);
  } catch {
    // the cache is full or read-only: the next build scans again
  }
  return record;
}

export function chunkStarts(decoded: DecodedImage): number[] {
  return decoded.chunks.filter(({ plain }) => plain.length > 0).map(({ plain }) => plain.offset);
}
