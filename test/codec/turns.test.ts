import { expect, test } from 'vitest';
import { inTurns } from '../../src/codec/turns.js';

test('no more than so many run at once, in the order in which they were asked for, and a failure frees its place', async () => {
  const [begun, open]: [number[], Map<number, (failed: boolean) => void>] = [[], new Map()];
  const work = inTurns((id: number) => new Promise<number>((resolve, reject) => {
    begun.push(id);
    open.set(id, (failed) => (failed ? reject(new Error(String(id))) : resolve(id)));
  }), 2);
  const all = Promise.allSettled([0, 1, 2, 3, 4].map(work));
  const settle = async (id: number, failed = false): Promise<void> => {
    open.get(id)!(failed);
    await new Promise(setImmediate);
  };
  await new Promise(setImmediate);
  expect(begun).toEqual([0, 1]);
  await settle(1, true);
  expect(begun).toEqual([0, 1, 2]);
  await settle(0);
  await settle(3);
  expect(begun).toEqual([0, 1, 2, 3, 4]);
  await settle(2);
  await settle(4);
  expect((await all).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled']);
});
