/** Keeps at hand what will be read of a base's filesystems, while all of the base comes by once. */
import { rangeEnd } from '../bytes/ranges.js';
import { RangeSet } from '../bytes/range-set.js';
import { PAGE, type Pages } from '../device/pages.js';
import type { Image, ImagePartition } from './image.js';

/** Takes pieces of the raw image, in any order; pages of metadata that lie whole in a piece are kept. */
export function metadataKeeper({ partitions }: Pick<Image, 'partitions'>, pages: Pages): (offset: number, plain: Uint8Array) => void {
  const known = partitions.flatMap(knownOf);
  return (offset, plain) => {
    for (let page = Math.ceil(offset / PAGE); (page + 1) * PAGE <= offset + plain.length; page++) {
      const start = page * PAGE;
      const filesystem = known.find(({ first, end }) => first <= start && start < end);
      const data = plain.subarray(start - offset, start - offset + PAGE);
      if (filesystem?.holds(start, data)) pages.add(page, data);
    }
  };
}

interface Known {
  /** Bytes of the raw image. */
  readonly first: number;
  readonly end: number;
  holds(start: number, page: Uint8Array): boolean;
}

function knownOf({ start: first, length, filesystem }: ImagePartition): Known[] {
  if (!filesystem) return [];
  const { places, blockSize, looksLike } = filesystem.metadata();
  const placed = new RangeSet(places);
  const isAligned = first % Math.min(PAGE, blockSize) === 0;
  return [{
    first, end: rangeEnd({ offset: first, length }),
    holds(start, page) {
      if (placed.touches({ offset: start - first, length: PAGE })) return true;
      for (let at = 0; isAligned && at < PAGE; at += blockSize) if (looksLike(page.subarray(at, Math.min(PAGE, at + blockSize)))) return true;
      return false;
    },
  }];
}
