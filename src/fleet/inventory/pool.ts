/** Work that waits for other programs, some of it at once. */
import { availableParallelism } from 'node:os';

/**
 * The results in the items' order. After a failure nothing more is begun, and of several failures the one of the first item is thrown: items begin in order, so
 * that does not depend on which of them was quicker.
 */
export async function inParallel<T, R>(items: Iterable<T>, work: (item: T) => Promise<R>): Promise<R[]> {
  const queue = [...items].entries();
  const results: R[] = [];
  const failures = new Map<number, unknown>();
  const worker = async (): Promise<void> => {
    for (const [index, item] of queue) {
      try {
        results[index] = await work(item);
      } catch (error) {
        failures.set(index, error);
      }
      if (failures.size > 0) return;
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  if (failures.size > 0) throw failures.get(Math.min(...failures.keys()));
  return results;
}
