/** Block maps, judged by bmaptool: the same text as it writes, and it copies by ours and notices a changed byte. */
import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Range } from '../../src/bytes/ranges.js';
import { bmapText, planRanges, type HashedRange } from '../../src/output/bmap.js';
import { cardPrograms, copyOntoCard, usedCard } from '../support/card.js';
import { needs, output, run } from '../support/oracle.js';

const BLOCK = 4096;
let folder: string;
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'rockberry-bmap-')); });
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A sparse file with data in some ranges, different in each block. */
function imageWith(name: string, size: number, ranges: readonly Range[]): string {
  const path = join(folder, name);
  const descriptor = openSync(path, 'w');
  for (const { offset, length } of ranges) {
    const data = Buffer.alloc(length);
    for (let at = 0; at < length; at += 4) data.writeUInt32LE(1 + ((offset + at) % 0xffffffff), Math.min(at, length - 4));
    writeSync(descriptor, data, 0, length, offset);
  }
  ftruncateSync(descriptor, size);
  closeSync(descriptor);
  return path;
}

function hashed(path: string, ranges: readonly Range[]): HashedRange[] {
  const image = readFileSync(path);
  return ranges.map((range) => ({ ...range, sha256: createHash('sha256').update(image.subarray(range.offset, range.offset + range.length)).digest('hex') }));
}

/** The ranges that a map lists, in bytes. */
function rangesIn(text: string, size: number): Range[] {
  return [...text.matchAll(/<Range chksum="\w+"> (\d+)(?:-(\d+))? </g)].map(([, first, last]) => {
    const offset = Number(first) * BLOCK;
    return { offset, length: Math.min(size, (Number(last ?? first) + 1) * BLOCK) - offset };
  });
}

const MIB = 1 << 20;
const CASES: readonly (readonly [string, number, readonly Range[]])[] = [
  ['some ranges', 8 * MIB, [{ offset: 0, length: BLOCK }, { offset: 64 * BLOCK, length: 16 * BLOCK }, { offset: 4 * MIB, length: MIB }]],
  ['all of it', MIB, [{ offset: 0, length: MIB }]],
  ['an end within a block', 2 * MIB + 512, [{ offset: MIB, length: 8 * BLOCK }, { offset: 2 * MIB, length: 512 }]],
];

describe('the text', () => {
  needs('bmaptool').each(CASES)('is what bmaptool create writes: %s', (name, size, ranges) => {
    const image = imageWith(name, size, ranges);
    const theirs = output('bmaptool', ['create', image]).toString();
    expect(theirs).toContain(`<BlockSize> ${BLOCK} <`); // else the host's filesystem has other blocks
    expect(bmapText(size, hashed(image, rangesIn(theirs, size)))).toBe(theirs);
  });

  test('sizes in words', () => {
    const words = (size: number): string | undefined => /Image size in bytes: (.*?) -->/.exec(bmapText(size, []))?.[1];
    expect([0, 1, 511, 512, 4096, 3_787_456_512, 2 ** 41].map(words)).toEqual(['0 bytes', '1 byte', '511 bytes', '0.5 KiB', '4.0 KiB', '3.5 GiB', '2.0 TiB']);
  });
});

describe('bmaptool copy', () => {
  needs(...cardPrograms, 'xz')('takes ours, cut in pieces, from the raw file and from .xz, and writes only what is mapped', () => {
    const [, size, mapped] = CASES[2]!;
    const image = imageWith('copied', size, mapped);
    const ranges = hashed(image, planRanges(mapped, [MIB + 3 * BLOCK + 1]));
    expect(ranges).toHaveLength(3);
    const map = join(folder, 'copied.bmap');
    writeFileSync(map, bmapText(size, ranges));
    output('xz', ['-k', '-0', image]);
    for (const source of [image, `${image}.xz`]) {
      output('bmaptool', ['copy', '--bmap', map, source, join(folder, 'fresh')]);
      expect(readFileSync(join(folder, 'fresh')).equals(readFileSync(image))).toBe(true); // what is not mapped is a hole in both
      const target = usedCard(join(folder, 'used'), size);
      expect(copyOntoCard(source, map, target)).toEqual({ status: 0, output: '' });
      const [copy, original] = [readFileSync(target), readFileSync(image)];
      const expected = Buffer.alloc(size, 0xaa);
      for (const { offset, length } of mapped) original.copy(expected, offset, offset, offset + length);
      expect(copy.equals(expected)).toBe(true);
    }
  });

  needs('bmaptool')('fails when one mapped byte differs, and when the map itself was changed', () => {
    const [, size, mapped] = CASES[0]!;
    const image = imageWith('changed', size, mapped);
    const map = join(folder, 'changed.bmap');
    const text = bmapText(size, hashed(image, mapped));
    writeFileSync(map, text);
    const copy = (): { status: number; output: string } => run('bmaptool', ['copy', '--bmap', map, image, join(folder, 'changed.copy')]);
    expect(copy().status).toBe(0);
    const data = readFileSync(image);
    data[4 * MIB + 12345]! ^= 1;
    writeFileSync(image, data);
    expect(copy()).toMatchObject({ status: 1, output: expect.stringContaining('checksum mismatch for blocks range 1024-1279') as string });
    writeFileSync(map, text.replace('1024-1279', '1024-1278'));
    expect(copy()).toMatchObject({ status: 1, output: expect.stringContaining('checksum mismatch for bmap file') as string });
  });
});

describe('planRanges', () => {
  const mapped = [{ offset: 0, length: 3 * BLOCK }, { offset: 8 * BLOCK, length: 4 * BLOCK }];
  const inBlocks = (cuts: readonly number[]): string => planRanges(mapped, cuts).map(({ offset, length }) => `${offset / BLOCK}+${length / BLOCK}`).join(' ');

  test.each<[string, readonly number[], string]>([
    ['without cuts', [], '0+3 8+4'],
    ['at a border inside', [0, 2 * BLOCK, 10 * BLOCK], '0+2 2+1 8+2 10+2'],
    ['at the next block', [1, BLOCK + 1, 9 * BLOCK - 1], '0+1 1+1 2+1 8+1 9+3'],
    ['two cuts that meet in one block', [BLOCK + 1, BLOCK + 2, 2 * BLOCK], '0+2 2+1 8+4'],
    ['not at the ends of a range nor between two', [0, 3 * BLOCK, 5 * BLOCK, 8 * BLOCK, 12 * BLOCK, 99 * BLOCK], '0+3 8+4'],
  ])('cuts %s', (_, cuts, expected) => {
    expect(inBlocks(cuts)).toBe(expected);
  });

  test('keeps an end within a block', () => {
    expect(planRanges([{ offset: BLOCK, length: BLOCK + 100 }], [2 * BLOCK])).toEqual([{ offset: BLOCK, length: BLOCK }, { offset: 2 * BLOCK, length: 100 }]);
  });
});
