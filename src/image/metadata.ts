/** Keeps at hand what will be read of a base's filesystems, while all of the base comes by once. */
import { isZero } from '../bytes/fields.js';
import { rangeEnd } from '../bytes/ranges.js';
import { RangeSet } from '../bytes/range-set.js';
import { PAGE, type Pages } from '../device/pages.js';
import type { Image, ImagePartition } from './image.js';

/** Takes pieces of the raw image, in any order; pages of metadata that lie whole in a piece are kept. Most of an image is zeros, which tell nothing. */
export function metadataKeeper({ partitions }: Pick<Image, 'partitions'>, pages: Pages): (offset: number, plain: Uint8Array) => void {
  const known = partitions.flatMap(knownOf);
  return (offset, plain) => {
    if (isZero(plain)) return;
    const end = offset + plain.length;
    for (const filesystem of known) {
      const window = { offset: Math.max(offset, filesystem.first), length: Math.min(end, filesystem.end) - Math.max(offset, filesystem.first) };
      const keep = (page: number): void => {
        if (page * PAGE >= offset && (page + 1) * PAGE <= end) pages.add(page, plain.subarray(page * PAGE - offset, (page + 1) * PAGE - offset));
      };
      for (const place of filesystem.placed.within(window)) for (let page = Math.floor(place.offset / PAGE); page * PAGE < rangeEnd(place); page++) keep(page);
      for (let start = Math.ceil(window.offset / PAGE) * PAGE; start + PAGE <= rangeEnd(window); start += PAGE) {
        if (begins(plain, start - offset) && filesystem.looksLike(plain.subarray(start - offset, start - offset + PAGE))) keep(start / PAGE);
      }
    }
  };
}

/** Blocks of metadata that are told by their looks have something in their first six bytes; no block is smaller than a quarter of a page. */
function begins(plain: Uint8Array, page: number): boolean {
  for (let block = page; block < page + PAGE; block += 1024) {
    if ((plain[block]! | plain[block + 1]! | plain[block + 2]! | plain[block + 3]! | plain[block + 4]! | plain[block + 5]!) !== 0) return true;
  }
  return false;
}

interface Known {
  /** Bytes of the raw image. */
  readonly first: number;
  readonly end: number;
  /** In bytes of the raw image. */
  readonly placed: RangeSet;
  looksLike(page: Uint8Array): boolean;
}

function knownOf({ start: first, length, filesystem }: ImagePartition): Known[] {
  if (!filesystem) return [];
  const { places, blockSize, looksLike } = filesystem.metadata();
  const isAligned = first % Math.min(PAGE, blockSize) === 0;
  return [{
    first, end: rangeEnd({ offset: first, length }), placed: new RangeSet(places.map(({ offset, length: bytes }) => ({ offset: offset + first, length: bytes }))),
    looksLike(page) {
      for (let at = 0; isAligned && at < PAGE; at += blockSize) if (looksLike(page.subarray(at, Math.min(PAGE, at + blockSize)))) return true;
      return false;
    },
  }];
}
