/** Work in turns: encoders take far more memory than what they encode, so that no more of them are there than there are cores. */
import { availableParallelism } from 'node:os';

/** `work`, of which no more than `most` calls run at once; the others wait, the first come first. */
export function inTurns<A extends readonly unknown[], R>(work: (...args: A) => Promise<R>, most = availableParallelism()): (...args: A) => Promise<R> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (...args) => {
    if (running === most) await new Promise<void>((begin) => { waiting.push(begin); }); // whoever ends hands its place on
    else running++;
    try {
      return await work(...args);
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}
