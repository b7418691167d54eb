/** Ranges that are asked in any order. */
import { coalesce, rangeEnd, type Range } from './ranges.js';

/** Sorted ranges that do not touch, asked by binary search. */
export class RangeSet {
  readonly ranges: readonly Range[];
  constructor(ranges: readonly Range[]) {
    this.ranges = coalesce(ranges);
  }

  /** The first range that ends behind `offset`. */
  #after(offset: number): number {
    let [low, high] = [0, this.ranges.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (rangeEnd(this.ranges[middle]!) > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  touches({ offset, length }: Range): boolean {
    const next = this.ranges[this.#after(offset)];
    return length > 0 && next !== undefined && next.offset < offset + length;
  }

  /** The parts of the ranges inside a window. */
  within(window: Range): Range[] {
    const found: Range[] = [];
    for (let at = this.#after(window.offset); window.length > 0 && at < this.ranges.length && this.ranges[at]!.offset < rangeEnd(window); at++) {
      const offset = Math.max(window.offset, this.ranges[at]!.offset);
      found.push({ offset, length: Math.min(rangeEnd(window), rangeEnd(this.ranges[at]!)) - offset });
    }
    return found;
  }
}
