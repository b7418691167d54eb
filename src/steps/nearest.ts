/** The name that was probably meant: the candidate with the fewest single-character edits, if there are few enough to call it a slip. */

const LENGTH_LIMIT = 64; // characters; longer names are not compared

export function nearest(wanted: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let least = Math.max(2, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - wanted.length) >= least || wanted.length > LENGTH_LIMIT) continue;
    const edits = distance(wanted.toLowerCase(), candidate.toLowerCase());
    if (edits < least) [best, least] = [candidate, edits];
  }
  return best;
}

/** `did you mean "x"?`, or the fallback where nothing is near. */
export function didYouMean(wanted: string, candidates: Iterable<string>, otherwise: string): string {
  const found = nearest(wanted, candidates);
  return found === undefined ? otherwise : `did you mean "${found}"?`;
}

/** Levenshtein's distance, one row at a time. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
