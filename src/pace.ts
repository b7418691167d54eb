/** How fast long work goes, and when it will be done: over the last seconds, for a card that was quick at first is not quick any more. */

export interface Pace {
  /** Bytes a second. */
  readonly rate: number;
  /** Seconds that are left at that rate. */
  readonly left: number;
}

const WINDOW = 10_000; // milliseconds

/** `now` in milliseconds, from any start. What it returns is given what is done and what there is, in bytes; undefined until a second has passed. */
export function paceMeter(now: () => number): (done: number, total: number) => Pace | undefined {
  let seen: { at: number; done: number }[] = [];
  return (done, total) => {
    const at = now();
    const last = seen.at(-1);
    if (last && done < last.done) seen = []; // something else has begun
    seen.push({ at, done });
    while (seen.length > 2 && seen[1]!.at <= at - WINDOW) seen.shift();
    const first = seen[0]!;
    if (at - first.at < 1000 || done === first.done) return undefined;
    const rate = ((done - first.done) * 1000) / (at - first.at);
    return { rate, left: Math.max(0, total - done) / rate };
  };
}
