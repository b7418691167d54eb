import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { firstDifference } from '../../src/device/same-bytes.js';

const folder = mkdtempSync(join(tmpdir(), 'rockberry-test-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = (name: string, content: Uint8Array): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};
const content = Buffer.from(Array.from({ length: 3_000_000 }, (_, at) => (at * 31) % 253));

test('the first pair that differs, or cannot be read, is told', async () => {
  const shifted = Buffer.concat([Buffer.alloc(100), content]);
  const changed = Buffer.from(shifted);
  changed[100 + 2_500_000]! ^= 1;
  const pairs = [[0, 1000], [1000, 2_000_000], [2_400_000, 200_000], [2_900_000, 100_000]].map(([offset, length]) => ({ a: { offset: offset!, length: length! }, b: { offset: offset! + 100, length: length! } }));
  const base = file('base', content);
  expect(await firstDifference(base, file('same', shifted), pairs)).toBe(-1);
  expect(await firstDifference(base, file('changed', changed), pairs)).toBe(2);
  expect(await firstDifference(base, file('short', shifted.subarray(0, 2_950_000)), pairs)).toBe(3);
  expect(await firstDifference(base, base, [])).toBe(-1);
  await expect(firstDifference(base, join(folder, 'nothing'), pairs)).rejects.toMatchObject({ code: 'io' });
});
