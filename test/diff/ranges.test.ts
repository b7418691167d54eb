import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rangeEnd, type Range } from '../../src/bytes/ranges.js';
import { memoryDevice } from '../../src/device/device.js';
import { RangeSet } from '../../src/bytes/range-set.js';
import { borrowing } from '../../src/device/borrowing.js';
import { differingRanges, outside } from '../../src/diff/ranges.js';
import type { KeptDevice } from '../../src/diff/kept.js';
import { silentProgress } from '../../src/report.js';

const seed = Number(process.env.ROCKBERRY_SEED ?? Math.floor(Math.random() * 2 ** 31));
const SIZE = 200;
const anyRanges = fc.array(fc.record({ offset: fc.nat(SIZE - 1), length: fc.nat(20) }), { maxLength: 8 });
const bytesOf = (ranges: readonly Range[]): Set<number> => new Set(ranges.flatMap(({ offset, length }) => Array.from({ length }, (_, at) => offset + at)));
const sorted = (bytes: Set<number>): number[] => [...bytes].sort((a, b) => a - b);

function kept(data: Uint8Array): KeptDevice {
  const device = memoryDevice(data);
  return { ...device, direct: true, peek: (offset, length) => device.read(offset, length), prepare: () => Promise.resolve() };
}

test('a set of ranges answers as a set of bytes does', () => {
  fc.assert(fc.property(anyRanges, fc.record({ offset: fc.nat(SIZE), length: fc.nat(60) }), (ranges, window) => {
    const set = new RangeSet(ranges);
    const inside = sorted(bytesOf(ranges)).filter((at) => at >= window.offset && at < rangeEnd(window));
    expect(set.touches(window)).toBe(inside.length > 0);
    expect(sorted(bytesOf(set.within(window)))).toEqual(inside);
  }), { seed });
});

test('outside is everything else', () => {
  fc.assert(fc.property(anyRanges, (ranges) => {
    const taken = bytesOf(ranges);
    expect(sorted(bytesOf(outside(ranges, SIZE)))).toEqual(Array.from({ length: SIZE }, (_, at) => at).filter((at) => !taken.has(at)));
  }), { seed });
});

test('differences are found by sectors, at ends that are no whole sector too', async () => {
  const a = Buffer.alloc(3 * 2 ** 20 + 700);
  const b = Buffer.from(a);
  for (const at of [0, 511, 4096, 2 ** 20 - 1, 2 ** 20, a.length - 1]) b[at] = 1;
  const found = await differingRanges(kept(a), kept(b), [{ offset: 4096, length: 4096 }], silentProgress);
  expect(found.ranges).toEqual([
    { offset: 0, length: 512 }, { offset: 2 ** 20 - 512, length: 1024 }, { offset: 3 * 2 ** 20 + 512, length: 188 },
  ]);
});

test('of images of two sizes, what both have is compared', async () => {
  const found = await differingRanges(kept(Buffer.alloc(5000, 1)), kept(Buffer.alloc(9000, 1)), [], silentProgress);
  expect(found.ranges).toEqual([]);
});

test('more differences than are remembered become fewer, larger ones', async () => {
  const a = Buffer.alloc(160 * 2 ** 20);
  const b = Buffer.alloc(a.length);
  for (let at = 0; at < b.length; at += 1024) b[at] = 1;
  const found = await differingRanges(kept(a), kept(b), [], silentProgress);
  expect(found.ranges.length).toBeLessThan(100_000);
  expect([0, 1024, 80 * 2 ** 20, b.length - 1024].every((offset) => found.touches({ offset, length: 1 }))).toBe(true);
});

test('a borrowing device has its own bytes, and reads what is the same from the other', () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: SIZE, maxLength: SIZE }), anyRanges, fc.nat(SIZE), fc.nat(SIZE), (data, ranges, from, to) => {
    const clipped = ranges.map(({ offset, length }) => ({ offset, length: Math.min(length, SIZE - offset) }));
    const other = Uint8Array.from(data);
    for (const at of bytesOf(clipped)) other[at]! ^= 255;
    const [offset, end] = [Math.min(from, to), Math.max(from, to)];
    const set = new RangeSet(clipped);
    const own = memoryDevice(data);
    const guarded = { ...own, read: (at: number, length: number): Uint8Array => {
      expect(set.within({ offset: at, length })).toEqual(length > 0 ? [{ offset: at, length }] : []);
      return own.read(at, length);
    } };
    expect(Buffer.from(borrowing(guarded, memoryDevice(other), set).read(offset, end - offset))).toEqual(Buffer.from(data.subarray(offset, end)));
  }), { seed });
});
