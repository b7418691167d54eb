/** Who has which bytes: ranges cut at the borders of what claims them. */
import { coalesce, rangeEnd, type Range } from './ranges.js';

export interface Cut<T> {
  readonly range: Range;
  /** undefined where nothing claims the bytes. */
  readonly claim: T | undefined;
}

/** The ranges, sorted and joined, in pieces that have one claim each or none. Claims come in any order; where two overlap, the one that begins first has the bytes. */
export function cutByClaims<T extends { readonly range: Range }>(ranges: readonly Range[], claims: readonly T[]): Cut<T>[] {
  const sorted = claims.filter(({ range }) => range.length > 0).sort((a, b) => a.range.offset - b.range.offset);
  const cuts: Cut<T>[] = [];
  let next = 0;
  for (const range of coalesce(ranges)) {
    let at = range.offset;
    const until = (end: number, claim: T | undefined): void => {
      if (end > at) cuts.push({ range: { offset: at, length: end - at }, claim });
      at = Math.max(at, end);
    };
    while (next < sorted.length && rangeEnd(sorted[next]!.range) <= at) next++;
    for (let index = next; index < sorted.length && sorted[index]!.range.offset < rangeEnd(range); index++) {
      const claim = sorted[index]!;
      until(claim.range.offset, undefined);
      until(Math.min(rangeEnd(claim.range), rangeEnd(range)), claim);
    }
    until(rangeEnd(range), undefined);
  }
  return cuts;
}
