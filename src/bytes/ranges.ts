/** A half-open byte range [offset, offset + length). */
export interface Range {
  readonly offset: number;
  readonly length: number;
}

export function rangeEnd(range: Range): number {
  return range.offset + range.length;
}

/** Sorts, drops empty ranges, and joins those that touch or overlap, or that are at most `gap` bytes apart. */
export function coalesce(ranges: readonly Range[], gap = 0): Range[] {
  const sorted = ranges.filter((range) => range.length > 0).sort((a, b) => a.offset - b.offset);
  const joined: { offset: number; length: number }[] = [];
  for (const range of sorted) {
    const last = joined.at(-1);
    if (last && range.offset <= rangeEnd(last) + gap) last.length = Math.max(rangeEnd(last), rangeEnd(range)) - last.offset;
    else joined.push({ ...range });
  }
  return joined;
}

/** The whole blocks that a range lies in; the last one ends where the device does, at `size` bytes. */
export function alignedOut(range: Range, block: number, size: number): Range {
  const offset = Math.floor(range.offset / block) * block;
  return { offset, length: Math.min(size, Math.ceil(rangeEnd(range) / block) * block) - offset };
}

/** Whether two half-open ranges share a byte. */
export function overlaps(a: Range, b: Range): boolean {
  return a.offset < rangeEnd(b) && b.offset < rangeEnd(a);
}

/** Whether a range shares a byte with one of `ranges` (sorted, disjoint). To be asked in ascending order of ranges: each is looked at once. */
export function overlapsAny(ranges: readonly Range[]): (range: Range) => boolean {
  let next = 0;
  return (range) => {
    while (next < ranges.length && rangeEnd(ranges[next]!) <= range.offset) next++;
    return next < ranges.length && overlaps(ranges[next]!, range);
  };
}

/** `from` without `removed`; both sorted and coalesced. */
export function subtract(from: readonly Range[], removed: readonly Range[]): Range[] {
  const left: Range[] = [];
  let next = 0;
  for (const range of from) {
    let at = range.offset;
    while (next < removed.length && rangeEnd(removed[next]!) <= at) next++;
    for (let hole = next; hole < removed.length && removed[hole]!.offset < rangeEnd(range); hole++) {
      if (removed[hole]!.offset > at) left.push({ offset: at, length: removed[hole]!.offset - at });
      at = Math.max(at, rangeEnd(removed[hole]!));
    }
    if (at < rangeEnd(range)) left.push({ offset: at, length: rangeEnd(range) - at });
  }
  return left;
}
