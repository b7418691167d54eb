import fc from 'fast-check';
import { expect, test } from 'vitest';
import { coalesce, rangeEnd, type Range } from '../../src/bytes/ranges.js';
import { CELL_BYTES, cellBytes, cellSpan, HEAD_BYTES, planCard } from '../../src/flash/plan.js';

const BLOCK = 4096;

test('the first MiB is a cell of its own; the others end on borders of 4 MiB', () => {
  const plan = planCard(20 << 20, [{ offset: 0, length: 2 << 20 }, { offset: 3 << 20, length: BLOCK }, { offset: (4 << 20) - BLOCK, length: 9 << 20 }]);
  expect(plan.head).toEqual({ offset: 0, ranges: [{ offset: 0, length: HEAD_BYTES }] });
  expect(plan.cells).toEqual([
    { offset: 0, ranges: [{ offset: 1 << 20, length: 1 << 20 }, { offset: 3 << 20, length: BLOCK }, { offset: (4 << 20) - BLOCK, length: BLOCK }] },
    { offset: 4 << 20, ranges: [{ offset: 4 << 20, length: 4 << 20 }] }, { offset: 8 << 20, ranges: [{ offset: 8 << 20, length: 4 << 20 }] },
    { offset: 12 << 20, ranges: [{ offset: 12 << 20, length: (1 << 20) - BLOCK }] },
  ]);
  expect(plan.bytes).toBe((11 << 20) + BLOCK);
  expect(cellBytes(plan.cells[0]!)).toBe((1 << 20) + 2 * BLOCK);
  expect(cellSpan(plan.cells[0]!)).toEqual({ offset: 1 << 20, length: 3 << 20 });
});

test('cells hold exactly what is mapped, each inside its window', () => {
  const range = fc.record({ block: fc.nat(8000), blocks: fc.integer({ min: 1, max: 3000 }) });
  fc.assert(fc.property(fc.array(range, { maxLength: 40 }), (given) => {
    const mapped = coalesce(given.map(({ block, blocks }): Range => ({ offset: block * BLOCK, length: blocks * BLOCK })));
    const { cells, head } = planCard(64 << 20, mapped);
    expect(coalesce([head, ...cells].flatMap(({ ranges }) => ranges))).toEqual(mapped);
    for (const { ranges } of [head]) for (const one of ranges) expect(rangeEnd(one)).toBeLessThanOrEqual(HEAD_BYTES);
    for (const { offset, ranges } of cells) {
      expect(offset % CELL_BYTES).toBe(0);
      for (const one of ranges) expect([one.offset >= Math.max(offset, HEAD_BYTES), rangeEnd(one) <= offset + CELL_BYTES, one.length > 0]).toEqual([true, true, true]);
    }
    expect(cells.map(({ offset }) => offset)).toEqual([...new Set(cells.map(({ offset }) => offset))].sort((a, b) => a - b));
  }));
});
