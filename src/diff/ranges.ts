/** Where two images differ: byte ranges of the raw image, found by comparing everything that is not known to be equal (see shared.ts). */
import { equalBytes } from '../bytes/fields.js';
import { RangeSet } from '../bytes/range-set.js';
import { coalesce, rangeEnd, type Range } from '../bytes/ranges.js';
import type { Progress } from '../report.js';
import type { KeptDevice } from './kept.js';

const PIECE = 1 << 20; // bytes
const SECTOR = 512;
/** Below that, decoding ahead decodes more than is needed: it takes whole chunks that come next, and those are equal. */
const WORTH_AHEAD = 256 * 2 ** 20; // bytes
/** More ranges than this are joined over gaps: a superset is as true, and memory stays bounded. */
const MAX_RANGES = 100_000;
const COARSE = 1 << 15; // bytes; doubled each time

/** Everything in [0, end) that is in none of the ranges. */
export function outside(ranges: readonly Range[], end: number): Range[] {
  const gaps: Range[] = [];
  let at = 0;
  for (const range of coalesce(ranges)) {
    if (range.offset > at) gaps.push({ offset: at, length: Math.min(range.offset, end) - at });
    at = Math.max(at, rangeEnd(range));
  }
  if (at < end) gaps.push({ offset: at, length: end - at });
  return gaps.filter(({ length }) => length > 0);
}

function differingSectors(a: Uint8Array, b: Uint8Array, offset: number, into: Range[]): void {
  if (equalBytes(a, b)) return;
  for (let page = 0; page < a.length; page += 4096) {
    if (equalBytes(a.subarray(page, page + 4096), b.subarray(page, page + 4096))) continue;
    for (let at = page; at < Math.min(page + 4096, a.length); at += SECTOR) {
      const sector = a.subarray(at, at + SECTOR);
      if (!equalBytes(sector, b.subarray(at, at + SECTOR))) into.push({ offset: offset + at, length: sector.length });
    }
  }
}

/** Where the devices differ, by sectors, as far as both reach; ranges known to be equal are not read. */
export async function differingRanges(a: KeptDevice, b: KeptDevice, equal: readonly Range[], progress: Progress): Promise<RangeSet> {
  const size = Math.min(a.size, b.size);
  let found: Range[] = [];
  let gap = COARSE;
  const open = outside(equal, size);
  const isMuch = open.reduce((sum, { length }) => sum + length, 0) > WORTH_AHEAD;
  for (const range of open) {
    for (let at = range.offset; at < rangeEnd(range); at += PIECE) {
      const piece = { offset: at, length: Math.min(PIECE, rangeEnd(range) - at) };
      if (isMuch) await Promise.all([a.prepare(piece), b.prepare(piece)]);
      differingSectors(a.peek(at, piece.length), b.peek(at, piece.length), at, found);
      if (found.length > MAX_RANGES) found = coalesce(found, gap *= 2);
      progress.advance(rangeEnd(piece), size);
    }
  }
  return new RangeSet(found);
}
