/**
 * Tells a card which of its blocks the image does not use: it writes faster then, and lasts longer. Only where the card's discarded blocks read back as zeros,
 * which is tried on the first of them: on others, what stood there would be undefined instead of old.
 */
import { execa } from 'execa';
import { coalesce, rangeEnd, subtract, type Range } from '../bytes/ranges.js';
import type { Card } from './card.js';
import type { Disk } from './disks.js';
import { CELL_BYTES, type CardPlan } from './plan.js';

/** Ranges, the largest first: one process each. */
const MOST = 256;

/** Bytes that were discarded. Never fails: where it cannot be done, the blocks stay as they are. */
export async function discardUnmapped(card: Pick<Card, 'path' | 'read'>, { discard, size }: Pick<Disk, 'discard' | 'size'>, plan: CardPlan): Promise<number> {
  if (discard.max === 0) return 0;
  const unmapped = discardable(plan, Math.min(size, plan.imageBytes), Math.max(discard.granularity, 4096));
  let done = 0;
  for (const [index, range] of unmapped.entries()) {
    const { failed } = await execa('blkdiscard', ['--force', '--offset', String(range.offset), '--length', String(range.length), card.path], { reject: false });
    if (failed || (index === 0 && !await isZeroed(card, range))) return done;
    done += range.length;
  }
  return done;
}

/** What no cell has, on borders of the card's own blocks. */
export function discardable({ cells, head }: Pick<CardPlan, 'cells' | 'head'>, end: number, granularity: number): Range[] {
  const mapped = coalesce([head, ...cells].flatMap(({ ranges }) => ranges));
  const aligned = subtract([{ offset: 0, length: end }], mapped).map((range): Range => {
    const offset = Math.ceil(range.offset / granularity) * granularity;
    return { offset, length: Math.floor(rangeEnd(range) / granularity) * granularity - offset };
  });
  return aligned.filter(({ length }) => length >= CELL_BYTES).sort((a, b) => b.length - a.length || a.offset - b.offset).slice(0, MOST);
}

async function isZeroed(card: Pick<Card, 'read'>, { offset, length }: Range): Promise<boolean> {
  const ends = [offset, offset + length - CELL_BYTES];
  for (const at of ends) if ((await card.read({ offset: at, length: CELL_BYTES })).some((byte) => byte !== 0)) return false;
  return true;
}
