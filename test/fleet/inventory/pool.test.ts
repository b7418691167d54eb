import { expect, test } from 'vitest';
import { inParallel } from '../../../src/fleet/inventory/pool.js';

const soon = (milliseconds: number): Promise<void> => new Promise((done) => { setTimeout(done, milliseconds); });

test('results in the order of the items, whoever is first', async () => {
  expect(await inParallel([3, 2, 1, 0], async (wait) => { await soon(wait * 5); return wait; })).toEqual([3, 2, 1, 0]);
});

test('of several failures the first item\'s, and nothing more is begun', async () => {
  const begun: number[] = [];
  const work = async (item: number): Promise<void> => {
    begun.push(item);
    await soon(item === 0 ? 20 : 1);
    if (item < 2) throw new Error(`item ${item}`);
    await soon(200);
  };
  await expect(inParallel(Array.from({ length: 1000 }, (_, index) => index), work)).rejects.toThrow('item 0');
  expect(begun.length).toBeLessThan(1000);
});
