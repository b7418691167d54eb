import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { LEFT_OUT, locate, placeOf, readYaml, type YamlFile } from '../../src/profile/document.js';

const folder = mkdtempSync(join(tmpdir(), 'rockberry-document-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function yaml(text: string): YamlFile {
  const path = join(folder, 'x.yaml');
  writeFileSync(path, text);
  return readYaml(path, 'x.yaml');
}

test('values with their places; numbers that YAML versions read differently stay text', () => {
  const file = yaml('a: [1, 0644, 0o17, -012, 1.5, true, ~]\nb:\n  c: |\n    two\n    lines\n');
  const { value, places } = locate(file, file.document.contents);
  expect(value).toEqual({ a: [1, '0644', '0o17', '-012', 1.5, true, null], b: { c: 'two\nlines\n' } });
  expect([['a', 1], ['b', 'c'], ['b', 'nowhere']].map((path) => file.where(placeOf(places, path)!.value))).toEqual(['x.yaml:1:8', 'x.yaml:3:6', 'x.yaml:3:3']);
});

test('an alias is what stood under its name last', () => {
  const file = yaml('a: &x 1\nb: *x\nc: &x 2\nd: *x\n');
  expect(locate(file, file.document.contents).value).toEqual({ a: 1, b: 1, c: 2, d: 2 });
});

test('what a render leaves out is gone, and the places of the others stay right', () => {
  const file = yaml('[keep, drop, after]\n');
  const { value, places } = locate(file, file.document.contents, (text) => (text === 'drop' ? LEFT_OUT : text.toUpperCase()));
  expect(value).toEqual(['KEEP', 'AFTER']);
  expect(file.where(placeOf(places, [1])!.value)).toBe('x.yaml:1:14');
});

test('brackets and dashes inside scalars do not count as levels', () => {
  const file = yaml(`text: "${'['.repeat(200)}"\nblock: |\n  ${'- '.repeat(200)}\n`);
  expect(Object.keys(locate(file, file.document.contents).value as object)).toEqual(['text', 'block']);
});
