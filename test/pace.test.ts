import { expect, test } from 'vitest';
import { paceMeter } from '../src/pace.js';

function meter(): { at: (seconds: number, done: number, total?: number) => ReturnType<ReturnType<typeof paceMeter>> } {
  let now = 0;
  const pace = paceMeter(() => now);
  return { at(seconds, done, total = 1000) { now = seconds * 1000; return pace(done, total); } };
}

test('nothing is said before a second has passed, nor of what does not move', () => {
  const { at } = meter();
  expect(at(0, 0)).toBeUndefined();
  expect(at(0.9, 100)).toBeUndefined();
  expect(meter().at(5, 0)).toBeUndefined();
});

test('bytes a second, and seconds that are left', () => {
  const { at } = meter();
  at(0, 0);
  expect(at(2, 200)).toEqual({ rate: 100, left: 8 });
});

test('the last ten seconds count: a card that was quick at first is not quick any more', () => {
  const { at } = meter();
  at(0, 0);
  at(1, 500);
  for (let second = 2; second <= 30; second++) at(second, 500 + second * 10);
  expect(at(31, 810)!.rate).toBeCloseTo(10, 5);
});

test('another piece of work begins anew', () => {
  const { at } = meter();
  at(0, 0);
  at(5, 900);
  expect(at(6, 10)).toBeUndefined();
  expect(at(8, 30)).toEqual({ rate: 10, left: 97 });
});
