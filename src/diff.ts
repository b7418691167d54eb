/**
 * What differs between two images, in any formats: partition table, filesystems, and every path as the running system sees it. Two images are equal when none
 * of that differs; bytes that nobody sees (free space, journals, counters, times unless asked for) do not count.
 */
import { RangeSet } from './bytes/range-set.js';
import { borrowing } from './device/borrowing.js';
import type { ReadableDevice } from './device/device.js';
import type { StoredFileSystem } from './fs/filesystem.js';
import type { Backend } from './image/backend.js';
import { kernelNeed, openImageFile, type Image, type ImagePartition } from './image/image.js';
import { silentProgress, type Progress } from './report.js';
import { keepDecoded, type KeptDevice } from './diff/kept.js';
import {
  compareOutside, comparePartitions, compareTables, pairFilesystems, rangeOf, type Pair, type PartitionChange, type RawChange, type TableChange,
} from './diff/partitions.js';
import { differingRanges } from './diff/ranges.js';
import { sharedChunks } from './diff/shared.js';
import { Walk, type FileChange, type WalkOptions } from './diff/walk.js';

export interface DiffOptions {
  /** Compare modification times too. */
  readonly times?: boolean;
  /** Make unified diffs of texts; default true. */
  readonly text?: boolean;
  readonly progress?: Progress;
  readonly backend?: Backend;
  /** An image whose root only the kernel reads is an error, for whoever can ask the kernel. */
  readonly kernelFirst?: boolean;
}

export interface ImageDiff {
  readonly a: string;
  readonly b: string;
  /** Nothing below differs. */
  readonly equal: boolean;
  /** The raw images are the same, byte for byte. */
  readonly identical: boolean;
  /** Bytes of the raw images that differ, in sectors, as far as both reach. */
  readonly differingBytes: number;
  readonly table: readonly TableChange[];
  readonly partitions: readonly PartitionChange[];
  readonly raw: readonly RawChange[];
  /** Sorted by path. */
  readonly files: readonly FileChange[];
}

/** An open image whose device can be exchanged for another with the same bytes. */
interface Side {
  readonly image: Image;
  readonly kept: KeptDevice;
  readFrom(device: ReadableDevice): void;
  close(): void;
}

async function openSide(path: string, progress: Progress, backend: Backend | undefined): Promise<Side> {
  progress.phase(`opening ${path}`);
  let kept: KeptDevice | undefined;
  let device: ReadableDevice | undefined;
  try {
    const image = await openImageFile(path, {
      progress, ...(backend && { backend }),
      through(decoded) {
        device = kept = keepDecoded(decoded, path);
        return { ...decoded, device: { size: kept.size, read: (offset, length) => device!.read(offset, length), close: () => undefined } };
      },
    });
    const close = (): void => {
      image.close();
      kept!.close();
    };
    return { image, kept: kept!, readFrom: (other) => { device = other; }, close };
  } catch (error) {
    kept?.close();
    throw error;
  }
}

/** Compares two image files. Errors: those of opening an image; 'corrupt' and 'unsupported' for a filesystem that cannot be read and differs. */
export async function diffImages(a: string, b: string, options: DiffOptions = {}): Promise<ImageDiff> {
  const progress = options.progress ?? silentProgress;
  const sides: Side[] = [];
  try {
    sides.push(await openSide(a, progress, options.backend), await openSide(b, progress, options.backend));
    const need = options.kernelFirst ? sides.map(({ image }) => kernelNeed(image)).find((each) => each) : undefined;
    if (need) throw need;
    return await compare(sides[0]!, sides[1]!, options, progress);
  } finally {
    progress.finish();
    sides.forEach((side) => side.close());
  }
}

async function compare(a: Side, b: Side, options: DiffOptions, progress: Progress): Promise<ImageDiff> {
  progress.phase('comparing');
  const different = await differingRanges(a.kept, b.kept, sharedChunks(a.image, b.image), progress);
  share(a, b, different);
  const table = compareTables(a.image, b.image);
  const partitions = comparePartitions(a.image, b.image);
  const raw = compareOutside(a.image, b.image, different);
  const pairs = pairFilesystems(a.image, b.image);
  refuseDamaged(a.image, b.image, different);
  const files = pairs.flatMap((pair) => compareFiles(pair, different, pairs, options, progress));
  return {
    a: a.image.path, b: b.image.path,
    equal: [table, partitions, raw, files].every((changes) => changes.length === 0),
    identical: a.kept.size === b.kept.size && different.ranges.length === 0,
    differingBytes: different.ranges.reduce((sum, { length }) => sum + length, 0),
    table, partitions, raw,
    files: files.sort((x, y) => (x.path < y.path ? -1 : x.path > y.path ? 1 : 0)),
  };
}

/** What is the same in both is read from one of them: the one that costs no decoding, where there is one. */
function share(a: Side, b: Side, different: RangeSet): void {
  const [giver, taker] = b.kept.direct && !a.kept.direct ? [b, a] : [a, b];
  if (!taker.kept.direct) taker.readFrom(borrowing(taker.kept, giver.kept, different));
}

function samePlace(a: ImagePartition | undefined, b: ImagePartition | undefined): boolean {
  return a !== undefined && b !== undefined && a.start === b.start && a.length === b.length;
}

/** A filesystem that could not be opened is no reason to stop where the other image has the same bytes. */
function refuseDamaged(a: Image, b: Image, different: RangeSet): void {
  for (const [image, other] of [[a, b], [b, a]] as const) {
    for (const partition of image.partitions.filter(({ problem }) => problem)) {
      const twin = other.partitions.find(({ number }) => number === partition.number);
      if (!samePlace(partition, twin) || different.touches(rangeOf(partition))) throw partition.problem;
    }
  }
}

function compareFiles({ prefix, a, b }: Pair, different: RangeSet, pairs: readonly Pair[], options: DiffOptions, progress: Progress): FileChange[] {
  const here = samePlace(a, b);
  if (here && !different.touches(rangeOf(a!))) return [];
  progress.phase(`comparing ${prefix || '/'}`);
  const covered = new Set(pairs.map((pair) => pair.prefix).filter((path) => path.startsWith('/')));
  const walk = (left: StoredFileSystem, right: StoredFileSystem, inside?: RangeSet): Walk => {
    const walkOptions: WalkOptions = { times: options.times ?? false, text: options.text ?? true, prefix, covered, different: inside };
    return new Walk(left, right, walkOptions);
  };
  if (a?.filesystem && b?.filesystem) {
    const shared = here && a.filesystem.layout() === b.filesystem.layout();
    return walk(a.filesystem, b.filesystem, shared ? inPartition(different, a) : undefined).compare();
  }
  const alone = (a ?? b)!.filesystem!;
  return walk(alone, alone).only(a ? 'removed' : 'added');
}

function inPartition(different: RangeSet, partition: ImagePartition): RangeSet {
  const window = rangeOf(partition);
  return new RangeSet(different.within(window).map((range) => ({ offset: range.offset - window.offset, length: range.length })));
}
