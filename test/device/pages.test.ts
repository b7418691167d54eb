/** Pages that are remembered: a device that remembers is the base, byte for byte, however it is asked; what it has, it does not ask for again. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { memoryDevice } from '../../src/device/device.js';
import { PAGE, Pages, rememberingDevice } from '../../src/device/pages.js';
import { countingDevice } from '../support/devices.js';

const SIZE = 40 * PAGE + 123; // the last page is not whole
const data = Buffer.from(Array.from({ length: SIZE }, (_, at) => (Math.floor(at / PAGE) % 3 === 0 ? 0 : (at * 7919) % 251)));
const seed = Number(process.env.ROCKBERRY_SEED ?? Math.floor(Math.random() * 2 ** 31));

test(`reads are the base's, before and after saving and restoring (seed ${seed})`, () => {
  const place = fc.tuple(fc.integer({ min: 0, max: SIZE }), fc.integer({ min: 0, max: 6 * PAGE })).map(([offset, length]) => ({ offset, length: Math.min(length, SIZE - offset) }));
  fc.assert(fc.property(fc.array(place, { maxLength: 30 }), (places) => {
    let pages = new Pages();
    for (const [at, { offset, length }] of places.entries()) {
      if (at % 7 === 6) {
        const saved = Buffer.concat(pages.save());
        pages = new Pages();
        pages.restore(saved);
      }
      expect(Buffer.compare(rememberingDevice(memoryDevice(data), pages).read(offset, length), data.subarray(offset, offset + length))).toBe(0);
    }
  }), { seed, numRuns: 60 });
});

describe('what is kept', () => {
  test('is not asked for again, also by another program', () => {
    const pages = new Pages();
    rememberingDevice(memoryDevice(data), pages).read(PAGE + 5, 3 * PAGE);
    expect(pages.covers({ offset: PAGE, length: 4 * PAGE })).toBe(true);
    expect(pages.covers({ offset: PAGE - 1, length: 2 })).toBe(false);
    const restored = new Pages();
    restored.restore(Buffer.concat(pages.save()));
    const counting = countingDevice(memoryDevice(data));
    rememberingDevice(counting, restored).read(2 * PAGE, 2 * PAGE);
    expect(counting.reads).toHaveLength(0);
    rememberingDevice(counting, restored).read(2 * PAGE, 5 * PAGE); // two of them are new, and come in one read
    expect(counting.reads).toHaveLength(1);
  });

  test('is what was read then: whoever changes what he was given changes nothing', () => {
    const pages = new Pages();
    const device = rememberingDevice(memoryDevice(data), pages);
    device.read(PAGE, PAGE).fill(1);
    expect(Buffer.compare(device.read(PAGE, PAGE), data.subarray(PAGE, 2 * PAGE))).toBe(0);
  });

  test('cut short is an error, not another content', () => {
    const pages = new Pages();
    rememberingDevice(memoryDevice(data), pages).read(PAGE, 2 * PAGE);
    const saved = Buffer.concat(pages.save());
    expect(() => new Pages().restore(saved.subarray(0, saved.length - 1))).toThrow(RangeError);
  });
});
