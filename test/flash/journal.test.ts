import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { openJournal } from '../../src/flash/journal.js';

const folder = mkdtempSync(join(tmpdir(), 'rockberry-journal-'));
afterAll(() => rmSync(folder, { recursive: true }));

const HASH = 'a'.repeat(64);
let next = 0;
const place = (): string => join(folder, String(next++));

test('what was added is known the next time, to its user alone', () => {
  const directory = place();
  const journal = openJournal(directory, 'card', 'image');
  expect([...journal.known]).toEqual([]);
  journal.add([[0, HASH], [4194304, 'b'.repeat(64)]]);
  journal.add([[8388608, HASH]]);
  expect(statSync(journal.path).mode & 0o777).toBe(0o600);
  expect([...openJournal(directory, 'card', 'image').known]).toEqual([[0, HASH], [4194304, 'b'.repeat(64)], [8388608, HASH]]);
});

test('a line that was cut short, or is none, does not count', () => {
  const directory = place();
  const { path, add } = openJournal(directory, 'card', 'image');
  add([[0, HASH]]);
  appendFileSync(path, `nonsense\n4194304 ${HASH.slice(1)}\n8388608 ${HASH}`);
  expect([...openJournal(directory, 'card', 'image').known]).toEqual([[0, HASH]]);
});

test('another image on the same card: the journal is void, for both', () => {
  const directory = place();
  openJournal(directory, 'card', 'image').add([[0, HASH]]);
  expect(openJournal(directory, 'card', 'other').known.size).toBe(0);
  expect(openJournal(directory, 'card', 'image').known.size).toBe(0);
});

test('another card has a journal of its own', () => {
  const directory = place();
  openJournal(directory, 'card', 'image').add([[0, HASH]]);
  expect(openJournal(directory, 'other card', 'image').known.size).toBe(0);
  expect(openJournal(directory, 'card', 'image').known.size).toBe(1);
});

test('the end of a card is the end of its journal', () => {
  const directory = place();
  const journal = openJournal(directory, 'card', 'image');
  journal.add([[0, HASH]]);
  journal.end();
  expect(openJournal(directory, 'card', 'image').known.size).toBe(0);
});

test('where it cannot be written: one sentence', () => {
  const file = place();
  writeFileSync(file, '');
  expect(() => openJournal(join(file, 'below'), 'card', 'image')).toThrow(/^cannot (read|write) .*: a part of the path is not a directory$/);
  expect(readFileSync(file, 'utf8')).toBe('');
});
