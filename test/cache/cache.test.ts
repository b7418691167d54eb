/** What is remembered of bases beside their blocks: notes are there whole or not at all, and a file is known by what the host says of it. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openCache } from '../../src/cache/cache.js';
import { createPieceStore } from '../../src/cache/pieces.js';

const folder = mkdtempSync(join(tmpdir(), 'rockberry-test-'));
afterAll(() => rmSync(folder, { recursive: true }));
const BASE = 'a'.repeat(64);
const OTHER = 'b'.repeat(64);

describe('notes', () => {
  const cache = openCache(join(folder, 'notes'));
  test('come back as they were kept; one that was changed or cut is none', () => {
    cache.keepNote(BASE, 'pages-1', [Buffer.from('some '), Buffer.from('pages')]);
    expect(cache.note(BASE, 'pages-1')?.toString()).toBe('some pages');
    expect(cache.note(OTHER, 'pages-1')).toBeUndefined();
    const path = join(folder, 'notes', BASE, 'pages-1');
    const good = readFileSync(path);
    for (const bad of [good.subarray(0, good.length - 1), Buffer.concat([good, Buffer.from('x')]), Buffer.from(good.map((byte, at) => (at === 40 ? byte ^ 1 : byte))), Buffer.alloc(0), good.subarray(0, 20)]) {
      writeFileSync(path, bad);
      expect(cache.note(BASE, 'pages-1')).toBeUndefined();
    }
  });
});

describe('identities', () => {
  const cache = openCache(join(folder, 'identities'));
  const image = join(folder, 'image');
  test('a file is known until anything about it changes, the times set back or not', () => {
    writeFileSync(image, 'one');
    expect(cache.identify(image)).toBeUndefined();
    cache.keepIdentity(image, BASE);
    expect(cache.identify(image)).toBe(BASE);
    utimesSync(image, 1, 1);
    expect(cache.identify(image)).toBeUndefined();
    cache.keepIdentity(image, OTHER);
    expect(cache.identify(image)).toBe(OTHER);
    appendFileSync(image, '!');
    utimesSync(image, 1, 1);
    expect(cache.identify(image)).toBeUndefined();
  });
  test('a hundred files: the last ones are known', () => {
    const many = Array.from({ length: 100 }, (_, at) => join(folder, `image${at}`));
    for (const path of many) {
      writeFileSync(path, path);
      cache.keepIdentity(path, BASE);
    }
    expect(many.filter((path) => cache.identify(path) === BASE)).toEqual(many.slice(-64));
    cache.clear();
    expect(cache.identify(many.at(-1)!)).toBeUndefined();
  });
});

describe('pieces', () => {
  test('of the base are saved, changed ones only kept when asked, and only as many as there is room for', () => {
    const store = createPieceStore({ keepChanged: true, limit: 10 });
    store.put('b', Buffer.from('2222'), true);
    store.put('a', Buffer.from('1111'), false);
    store.put('c', Buffer.from('333'), true); // no room
    expect([store.get('a')?.toString(), store.get('b')?.toString(), store.get('c'), store.count]).toEqual(['1111', '2222', undefined, 1]);
    const saved = Buffer.concat(store.save());
    const again = createPieceStore();
    again.restore(saved);
    expect([again.get('a'), again.get('b')?.toString()]).toEqual([undefined, '2222']);
    again.put('a', Buffer.from('1111'), false);
    expect(again.get('a')).toBeUndefined();
    expect(() => createPieceStore().restore(saved.subarray(0, -1))).toThrow(RangeError);
  });
});
