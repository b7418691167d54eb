/** The hashes of an image's mapped ranges, for its block map: taken while it is encoded, or remembered of the base where nothing changed. */
import { chunkStarts, type Base } from './base.js';
import { fromScan } from './beside.js';
import { overlapsAny, type Range } from './bytes/ranges.js';
import type { ScanRecord } from './cache/cache.js';
import type { ImageFormat } from './codec/codec.js';
import { encodedBlockSize, type EncodeOptions } from './codec/encode.js';
import { touchedPieces } from './codec/splice.js';
import type { Image } from './image/image.js';
import { mappedRanges } from './image/mapped.js';
import { planRanges, type HashedRange } from './output/bmap.js';
import { rangeHasher } from './output/hashes.js';

export interface RangeHashes {
  /** Of the image: cut where the blocks of the file begin, and in blocks of the base that changed, where their pieces do. */
  readonly ranges: readonly Range[];
  /** Has to see the image's bytes where wants() says so. */
  visit(offset: number, plain: Uint8Array): void;
  wants(piece: Range): boolean;
  /** Those that are known when all was seen. */
  known(): HashedRange[];
}

interface Job {
  readonly base: Base;
  readonly image: Image;
  readonly encode: EncodeOptions;
}

interface Target {
  readonly format: ImageFormat;
  readonly scan: ScanRecord | undefined;
  readonly changed: readonly Range[];
}

export function rangeHashes({ base, image, encode }: Job, { format, scan, changed }: Target): RangeHashes {
  if (!base.splice) {
    const ranges = planRanges(mappedRanges(image), blockStarts(image.overlay.size, format, encode));
    const hasher = rangeHasher(ranges);
    return { ranges, visit: hasher.feed, wants: () => true, known: hasher.results };
  }
  const pieces = touchedPieces(image.decoded, changed, encode.blockSize);
  const ranges = planRanges(mappedRanges(image), [...new Set([...chunkStarts(image.decoded), ...pieces.map(({ offset }) => offset)])].sort((a, b) => a - b));
  const touched = ranges.filter(overlapsAny(pieces));
  const isChanged = overlapsAny(changed);
  const remembered = new Map(touched.filter((range) => !isChanged(range)).map((range) => [range, base.memory.pieces.get(keyOf(range))]));
  const recalled = [...remembered].flatMap(([range, hash]): HashedRange[] => (hash ? [{ ...range, sha256: Buffer.from(hash).toString('hex') }] : []));
  const unknown = touched.filter((range) => !remembered.get(range));
  const hasher = rangeHasher(unknown);
  return {
    ranges, visit: hasher.feed, wants: overlapsAny(unknown),
    known() {
      const found = hasher.results();
      const isOther = overlapsAny(changed);
      for (const range of found) if (!isOther(range)) base.memory.pieces.put(keyOf(range), Buffer.from(range.sha256, 'hex'), true);
      const isTouched = overlapsAny(pieces);
      return [...(scan ? fromScan(scan).filter((range) => !isTouched(range)) : []), ...recalled, ...found];
    },
  };
}

const keyOf = ({ offset, length }: Range): string => `hash-${offset}-${length}`;

function blockStarts(size: number, format: ImageFormat, encode: EncodeOptions): number[] {
  const blockSize = encodedBlockSize(format, encode);
  return Array.from({ length: Math.ceil(size / blockSize) }, (_, at) => at * blockSize);
}
