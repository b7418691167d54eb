/**
 * What of an image goes onto a card, cut into cells: what is written, proven and remembered as one. A cell is a window of 4 MiB of the image with what is
 * mapped in it; the first MiB is a cell of its own, for it is written last: a card without it does not boot.
 */
import { rangeEnd, type Range } from '../bytes/ranges.js';

/** Bytes: an erase block of a card, or a few of them; cells begin on such borders. */
export const CELL_BYTES = 4 << 20;
/** Bytes: the partition table and the boot loaders before the first partition. */
export const HEAD_BYTES = 1 << 20;

export interface Cell {
  /** Bytes of the image, where the window begins. */
  readonly offset: number;
  /** Mapped bytes of the image inside the window: sorted, disjoint. */
  readonly ranges: readonly Range[];
}

export interface CardPlan {
  /** Bytes of the raw image. */
  readonly imageBytes: number;
  /** Everything but the first MiB, in the order of the image. */
  readonly cells: readonly Cell[];
  readonly head: Cell;
  /** Mapped bytes in all. */
  readonly bytes: number;
}

/** `mapped` is what mappedRanges gives: sorted, disjoint. */
export function planCard(imageBytes: number, mapped: readonly Range[]): CardPlan {
  const head: Range[] = [];
  const cells: { offset: number; ranges: Range[] }[] = [];
  for (const range of mapped) {
    for (let at = range.offset; at < rangeEnd(range);) {
      const isHead = at < HEAD_BYTES;
      const offset = isHead ? 0 : Math.floor(at / CELL_BYTES) * CELL_BYTES;
      const length = Math.min(rangeEnd(range), isHead ? HEAD_BYTES : offset + CELL_BYTES) - at;
      if (isHead) head.push({ offset: at, length });
      else if (cells.at(-1)?.offset === offset) cells.at(-1)!.ranges.push({ offset: at, length });
      else cells.push({ offset, ranges: [{ offset: at, length }] });
      at += length;
    }
  }
  return { imageBytes, cells, head: { offset: 0, ranges: head }, bytes: mapped.reduce((sum, { length }) => sum + length, 0) };
}

export function cellBytes({ ranges }: Cell): number {
  return ranges.reduce((sum, { length }) => sum + length, 0);
}

/** From the first mapped byte of a cell to its last; a cell has at least one. */
export function cellSpan({ ranges }: Cell): Range {
  const [first] = ranges;
  return { offset: first!.offset, length: rangeEnd(ranges.at(-1)!) - first!.offset };
}
