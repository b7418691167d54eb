/** Where a card differs from the image that should be on it. */
import { coalesce, type Range } from '../bytes/ranges.js';
import type { ReadableDevice } from '../device/device.js';
import type { Card } from './card.js';
import { cellSpan, type Cell } from './plan.js';

const SECTOR = 512;

/** Whole sectors of the mapped ranges of these cells, in bytes of the image; sorted and joined. */
export async function differences(card: Pick<Card, 'read'>, source: ReadableDevice, cells: readonly Cell[]): Promise<Range[]> {
  const found: Range[] = [];
  for (const cell of cells) {
    const span = cellSpan(cell);
    const there = await card.read(span);
    for (const { offset, length } of cell.ranges) found.push(...unequalSectors(there.subarray(offset - span.offset, offset - span.offset + length), source.read(offset, length), offset));
  }
  return coalesce(found);
}

function unequalSectors(a: Uint8Array, b: Uint8Array, base: number): Range[] {
  const found: Range[] = [];
  for (let at = 0; at < a.length; at += SECTOR) {
    const end = Math.min(at + SECTOR, a.length);
    if (Buffer.compare(a.subarray(at, end), b.subarray(at, end)) !== 0) found.push({ offset: base + at, length: end - at });
  }
  return found;
}
