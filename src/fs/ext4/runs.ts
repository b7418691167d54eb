/** Which blocks of a file lie where: sorted runs, and sums over them. All figures are in blocks. */

export interface Run {
  readonly logical: number;
  readonly physical: number;
  readonly length: number;
  /** Allocated but never written: reads as zeros. */
  readonly unwritten: boolean;
}

export interface Mapping {
  readonly runs: readonly Run[];
  /** Blocks of the extent tree or of the block map itself, in the order in which they were met. */
  readonly tree: readonly number[];
}

export const EMPTY_MAPPING: Mapping = { runs: [], tree: [] };

export function runEnd(run: Run): number {
  return run.logical + run.length;
}

export function blocksOf(runs: readonly Run[]): number {
  return runs.reduce((sum, run) => sum + run.length, 0);
}

function joins(a: Run, b: Run): boolean {
  return a.unwritten === b.unwritten && runEnd(a) === b.logical && a.physical + a.length === b.physical;
}

/** Sorted by logical block; neighbours that continue each other become one. The runs must not overlap. */
export function joinRuns(runs: readonly Run[]): Run[] {
  const joined: Run[] = [];
  for (const run of [...runs].sort((a, b) => a.logical - b.logical)) {
    const last = joined.at(-1);
    if (last && joins(last, run)) joined[joined.length - 1] = { ...last, length: last.length + run.length };
    else joined.push(run);
  }
  return joined;
}

/** A half-open range of logical blocks. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

const BEYOND = 2 ** 33; // past every logical block

/** The parts of the runs inside the spans; both are sorted. */
export function intersect(runs: readonly Run[], spans: readonly Span[]): Run[] {
  const parts: Run[] = [];
  let at = 0;
  for (const { from, to } of spans) {
    while (at < runs.length && runEnd(runs[at]!) <= from) at++;
    for (let next = at; next < runs.length && runs[next]!.logical < to; next++) {
      const run = runs[next]!;
      const start = Math.max(run.logical, from);
      const end = Math.min(runEnd(run), to);
      parts.push({ ...run, logical: start, physical: run.physical + start - run.logical, length: end - start });
      at = next;
    }
  }
  return parts;
}

/** The parts of the runs within [from, to). */
export function cutRuns(runs: readonly Run[], from: number, to: number): Run[] {
  return from < to ? intersect(runs, [{ from, to }]) : [];
}

/** Everything outside the spans. */
export function complement(spans: readonly Span[]): Span[] {
  const outside: Span[] = [];
  let at = 0;
  for (const { from, to } of spans) {
    if (from > at) outside.push({ from: at, to: from });
    at = to;
  }
  outside.push({ from: at, to: BEYOND });
  return outside;
}

/** The parts of the spans that no run covers. */
export function gaps(runs: readonly Run[], spans: readonly Span[]): Span[] {
  const covered = joinSpans(runs.map((run) => ({ from: run.logical, to: runEnd(run) })));
  const open = complement(covered);
  const found: Span[] = [];
  let at = 0;
  for (const { from, to } of spans) {
    while (at < open.length && open[at]!.to <= from) at++;
    for (let next = at; next < open.length && open[next]!.from < to; next++) {
      found.push({ from: Math.max(from, open[next]!.from), to: Math.min(to, open[next]!.to) });
      at = next;
    }
  }
  return found;
}

/** Joins spans that touch; they are sorted and do not overlap. */
export function joinSpans(spans: readonly Span[]): Span[] {
  const joined: Span[] = [];
  for (const span of spans) {
    const last = joined.at(-1);
    if (last?.to === span.from) joined[joined.length - 1] = { from: last.from, to: span.to };
    else joined.push(span);
  }
  return joined;
}

/** The same runs, with what lies inside the spans no longer unwritten. */
export function markWritten(runs: readonly Run[], spans: readonly Span[]): Run[] {
  const inside = intersect(runs, spans).map((run) => ({ ...run, unwritten: false }));
  return joinRuns([...inside, ...intersect(runs, complement(spans))]);
}

export function sameRuns(a: readonly Run[], b: readonly Run[]): boolean {
  return a.length === b.length && a.every((run, at) => {
    const other = b[at]!;
    return run.logical === other.logical && run.physical === other.physical && run.length === other.length && run.unwritten === other.unwritten;
  });
}
