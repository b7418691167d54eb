import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { type Range, coalesce } from '../../src/bytes/ranges.js';
import { memoryDevice } from '../../src/device/device.js';
import { createOverlay } from '../../src/device/overlay.js';
import { countingDevice, failingDevice } from '../support/devices.js';

const directory = mkdtempSync(join(tmpdir(), 'rockberry-overlay-'));
afterAll(() => rmSync(directory, { recursive: true }));
const seed = Number(process.env.ROCKBERRY_SEED ?? Math.floor(Math.random() * 2 ** 31));

const pattern = (size: number): Buffer => Buffer.from(Uint8Array.from({ length: size }, (_, at) => (at * 7 + (at >> 8)) & 0xff));

/** What changes() promises, the slow way: differing bytes, joined when less than 512 bytes apart. */
function expectedChanges(before: Uint8Array, after: Uint8Array): Range[] {
  const bytes: Range[] = [];
  for (let at = 0; at < before.length; at++) if (before[at] !== after[at]) bytes.push({ offset: at, length: 1 });
  return coalesce(bytes, 511);
}

describe('overlay', () => {
  test('reads the base until it is written over, and never writes the base', () => {
    const data = pattern(10000);
    const base = countingDevice(memoryDevice(data));
    const overlay = createOverlay(base);
    overlay.write(4000, Buffer.from('hello'));
    expect(overlay.read(3999, 7)).toEqual(Buffer.concat([data.subarray(3999, 4000), Buffer.from('hello'), data.subarray(4005, 4006)]));
    expect(base.writes).toEqual([]);
    expect(overlay.changes()).toEqual([{ offset: 4000, length: 5 }]);
    overlay.close();
  });

  test('writing what is there already changes nothing', () => {
    const data = pattern(9000);
    const overlay = createOverlay(memoryDevice(data));
    overlay.write(100, data.slice(100, 8900));
    expect(overlay.changes()).toEqual([]);
    overlay.write(200, Buffer.from([1, 2, 3]));
    overlay.write(200, data.slice(200, 203));
    expect(overlay.changes()).toEqual([]);
  });

  test('joins differences that are less than a sector apart, within and across pages', () => {
    const overlay = createOverlay(memoryDevice(Buffer.alloc(20000)));
    for (const at of [0, 512, 1025, 4095, 4096, 12000]) overlay.write(at, Buffer.from([1]));
    expect(overlay.changes()).toEqual([{ offset: 0, length: 513 }, { offset: 1025, length: 1 }, { offset: 4095, length: 2 }, { offset: 12000, length: 1 }]);
  });

  test('what lies outside is an error, also at the last, partial page', () => {
    const overlay = createOverlay(memoryDevice(pattern(5000)));
    overlay.write(4990, Buffer.alloc(10));
    expect(overlay.read(4990, 10)).toEqual(Buffer.alloc(10));
    expect(() => overlay.read(4990, 11)).toThrow(/ends at 5000/);
    expect(() => overlay.write(4999, Buffer.alloc(2))).toThrow(/ends at 5000/);
    expect(() => overlay.read(-1, 1)).toThrow(/ends at 5000/);
  });

  test('an untouched range is one read of the base, a touched one at most one per gap', () => {
    const base = countingDevice(memoryDevice(pattern(2 ** 20)));
    const overlay = createOverlay(base);
    overlay.read(10, 900000);
    expect(base.reads).toEqual([{ offset: 10, length: 900000 }]);
    overlay.write(8192, Buffer.alloc(4096));
    base.reset();
    overlay.read(0, 2 ** 20);
    expect(base.reads).toEqual([{ offset: 0, length: 8192 }, { offset: 12288, length: 2 ** 20 - 12288 }]);
  });

  test('errors of the base come through', () => {
    const overlay = createOverlay(failingDevice(memoryDevice(pattern(8192)), 1));
    overlay.write(0, Buffer.from('x'));
    expect(() => overlay.read(5000, 1)).toThrow(/input\/output error/);
    expect(() => overlay.changes()).toThrow(/input\/output error/);
  });

  test('a temporary directory that is missing is an error that names it', () => {
    const overlay = createOverlay(memoryDevice(pattern(8192)), { memoryLimit: 0, temporaryDirectory: '/nonexistent/dir' });
    expect(() => overlay.write(0, Buffer.from('x'))).toThrow(/cannot create a temporary file in \/nonexistent\/dir: it does not exist/);
  });

  test(`is a buffer to whoever reads and writes it, with pages in memory and in a file (seed ${seed})`, () => {
    const operation = fc.record({ offset: fc.nat(69999), length: fc.nat(9000), fill: fc.nat(255), write: fc.boolean() });
    fc.assert(fc.property(fc.array(operation, { maxLength: 60 }), fc.constantFrom(0, 4096, 3 * 4096, 2 ** 26), (operations, memoryLimit) => {
      const before = pattern(70000);
      const model = Buffer.from(before);
      const overlay = createOverlay(memoryDevice(Buffer.from(before)), { memoryLimit, temporaryDirectory: directory });
      for (const { offset, length, fill, write } of operations) {
        const count = Math.min(length, model.length - offset);
        if (write) {
          // Half of it is what was there, so that parts of a write change nothing.
          const data = Buffer.concat([before.subarray(offset, offset + (count >> 1)), Buffer.alloc(count - (count >> 1), fill)]);
          model.set(data, offset);
          overlay.write(offset, data);
        } else {
          expect(Buffer.compare(overlay.read(offset, count), model.subarray(offset, offset + count))).toBe(0);
        }
      }
      expect(Buffer.compare(overlay.read(0, model.length), model)).toBe(0);
      expect(overlay.changes()).toEqual(expectedChanges(before, model));
      overlay.close();
    }), { numRuns: 150, seed });
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe('forks', () => {
  for (const [kind, memoryLimit] of [['in memory', 1 << 20], ['in a temporary file', 2 * 4096]] as const) {
    test(`pages ${kind}: what is written to one is not in the other, whichever is written to`, () => {
      const data = pattern(50_000);
      const overlay = createOverlay(memoryDevice(data), { memoryLimit, temporaryDirectory: directory });
      for (const at of [10, 5000, 9000, 20_000, 45_000]) overlay.write(at, Buffer.from('shared'));
      const fork = overlay.fork();
      const second = fork.fork();
      fork.write(5002, Buffer.from('FORK'));
      overlay.write(5002, Buffer.from('base'));
      fork.write(30_000, Buffer.from('own'));
      second.write(20_000, Buffer.from('again!'));
      const texts = (of: typeof overlay): string[] => [10, 5000, 20_000].map((at) => Buffer.from(of.read(at, 6)).toString());
      expect(texts(overlay)).toEqual(['shared', 'shbase', 'shared']);
      expect(texts(fork)).toEqual(['shared', 'shFORK', 'shared']);
      expect(texts(second)).toEqual(['shared', 'shared', 'again!']);
      expect(overlay.changes().some(({ offset }) => offset === 30_000)).toBe(false);
      expect(fork.changes().at(-2)).toEqual({ offset: 30_000, length: 3 });
      overlay.close();
      expect(texts(fork)[1]).toBe('shFORK');
      fork.write(45_000, data.subarray(45_000, 45_006)); // as it was
      expect(fork.changes().map(({ offset }) => offset)).not.toContain(45_000);
      [fork, second].forEach((one) => one.close());
    });
  }
});
