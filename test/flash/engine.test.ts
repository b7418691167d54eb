/** The order of work, every k-th operation failing, spoilt bytes: on cards in memory. */
import { createCipheriv } from 'node:crypto';
import { expect, test } from 'vitest';
import { coalesce, subtract, type Range } from '../../src/bytes/ranges.js';
import { memoryDevice } from '../../src/device/device.js';
import { flashCards, type Ending, type Job } from '../../src/flash/engine.js';
import type { Journal } from '../../src/flash/journal.js';
import { planCard } from '../../src/flash/plan.js';
import { silentProgress } from '../../src/report.js';
import { memoryCard, type Faults, type MemoryCard } from '../support/cards.js';

const SIZE = 24 << 20;
const MAPPED: readonly Range[] = [{ offset: 0, length: 3 << 20 }, { offset: 5 << 20, length: 8192 }, { offset: (8 << 20) - 4096, length: 6 << 20 }, { offset: 20 << 20, length: 4 << 20 }];
const plan = planCard(SIZE, MAPPED);
const image = noise(1);
const decoded = { prefetch: () => Promise.resolve() };

function noise(seed: number): Buffer {
  return createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16)).update(Buffer.alloc(SIZE));
}

function memoryJournal(known = new Map<number, string>()): Journal & { ended: boolean } {
  return { path: '', known, ended: false, add: (cells) => cells.forEach(([offset, hash]) => known.set(offset, hash)), end() { this.ended = true; known.clear(); } };
}

function job(card: MemoryCard, given: Partial<Job> = {}): Job {
  return { card, plan, source: memoryDevice(image), journal: memoryJournal(), compare: false, prove: true, ...given };
}

const flashed = async (...jobs: Job[]): Promise<Ending[]> => flashCards(decoded, jobs, silentProgress);
const isMapped = (bytes: Buffer): boolean => MAPPED.every(({ offset, length }) => bytes.compare(image, offset, offset + length, offset, offset + length) === 0);
const blank = (faults?: Faults): MemoryCard => memoryCard(Buffer.alloc(SIZE, 0x55), faults);

test('all that is mapped, and nothing else; read back before the first MiB is written, which is read back, too', async () => {
  const card = blank();
  const journal = memoryJournal();
  expect(await flashed(job(card, { journal }))).toEqual([{ tally: { written: plan.bytes, skipped: 0, verified: plan.bytes } }]);
  expect(isMapped(card.bytes)).toBe(true);
  for (const { offset, length } of subtract([{ offset: 0, length: SIZE }], MAPPED)) expect(card.bytes.subarray(offset, offset + length).every((byte) => byte === 0x55)).toBe(true);
  const cells = plan.cells.map(({ offset }) => offset);
  expect(card.asked).toEqual([...cells.map((offset) => `write ${offset}`), 'flush', ...cells.map((offset) => `check ${offset}`), 'write 0', 'flush', 'check 0']);
  expect(journal.ended).toBe(true);
});

test('whichever operation fails: no first MiB on a card that is not whole, and the same command goes on from there', async () => {
  const all = blank();
  await flashed(job(all));
  for (let failAfter = 0; failAfter < all.asked.length; failAfter++) {
    const bytes = Buffer.alloc(SIZE, 0x55);
    const journal = memoryJournal();
    const [ending] = await flashed(job(memoryCard(bytes, { failAfter }), { journal }));
    expect(ending).toMatchObject({ error: { code: 'io' } });
    const hasHead = bytes.compare(image, 0, 1 << 20, 0, 1 << 20) === 0;
    expect(!hasHead || isMapped(bytes)).toBe(true);
    const before = journal.known.size;
    const card = memoryCard(bytes);
    const [second] = await flashed(job(card, { journal }));
    expect(second).toMatchObject({ tally: { verified: plan.bytes } });
    expect(card.asked.filter((one) => one.startsWith('write'))).toHaveLength(plan.cells.length - before + 1);
    expect(isMapped(bytes)).toBe(true);
  }
});

test('cells that the journal tells of are written again when the card has something else there', async () => {
  const bytes = Buffer.alloc(SIZE, 0x55);
  const journal = memoryJournal();
  await flashed(job(memoryCard(bytes, { failAfter: plan.cells.length + 3 }), { journal }));
  expect(journal.known.size).toBe(plan.cells.length);
  bytes[(20 << 20) + 77]! ^= 1;
  const card = memoryCard(bytes);
  const [ending] = await flashed(job(card, { journal }));
  expect(ending).toMatchObject({ tally: { written: (4 << 20) + (1 << 20), verified: plan.bytes } });
  expect(isMapped(bytes)).toBe(true);
});

test('a byte that the card did not keep is found, and told by its sector; the first MiB is not written', async () => {
  for (const at of [(1 << 20) + 5, (5 << 20) + 8191, (14 << 20) - 4097, SIZE - 1]) {
    const card = blank({ onWrite: (offset, bytes) => { if (offset === Math.floor(at / (4 << 20)) * (4 << 20)) bytes[at]! ^= 0x80; } });
    const [ending] = await flashed(job(card));
    expect(ending).toMatchObject({ error: { code: 'io', message: 'expected /dev/memory to read back as it was written, found 512 bytes that differ' }, differing: [{ offset: Math.floor(at / 512) * 512, length: 512 }] });
    expect(card.bytes[0]).toBe(0x55);
  }
});

test('one in the first MiB, too', async () => {
  const card = blank({ onWrite: (_, bytes) => { bytes[513]! ^= 1; } });
  expect(await flashed(job(card))).toMatchObject([{ differing: [{ offset: 512, length: 512 }] }]);
});

test('without reading back nothing is found', async () => {
  const card = blank({ onWrite: (_, bytes) => { bytes[SIZE - 1] = 0; } });
  expect(await flashed(job(card, { prove: false }))).toEqual([{ tally: { written: plan.bytes, skipped: 0, verified: 0 } }]);
});

test('reading first: only blocks that differ are written, and the others count as read back', async () => {
  const bytes = Buffer.from(image);
  bytes[(8 << 20) + 3]! ^= 1;
  bytes[100]! ^= 1;
  const card = memoryCard(bytes);
  expect(await flashed(job(card, { compare: true }))).toEqual([{ tally: { written: 8192, skipped: plan.bytes - 8192, verified: plan.bytes } }]);
  expect(card.asked.filter((one) => one.startsWith('check'))).toEqual([`check ${8 << 20}`, 'check 0']);
  expect(isMapped(bytes)).toBe(true);
});

test('several cards: every cell of the base is asked for once, and one that breaks leaves the others alone', async () => {
  const spans: Range[] = [];
  const cards = [blank(), blank({ failAfter: 3 }), blank()];
  const other = noise(2);
  const jobs = cards.map((card, index) => job(card, index === 2 ? { source: memoryDevice(other) } : {}));
  const endings = await flashCards({ prefetch: async (range) => { spans.push(range); } }, jobs, silentProgress);
  expect(endings).toMatchObject([{ tally: { verified: plan.bytes } }, { error: { code: 'io' } }, { tally: { verified: plan.bytes } }]);
  expect(isMapped(cards[0]!.bytes)).toBe(true);
  expect(MAPPED.every(({ offset, length }) => cards[2]!.bytes.compare(other, offset, offset + length, offset, offset + length) === 0)).toBe(true);
  expect(coalesce(spans).length).toBeGreaterThan(0);
  const offsets = spans.map(({ offset }) => offset);
  expect(offsets).toEqual([...offsets].sort((a, b) => a - b)); // side by side, front to back: one decode
});
