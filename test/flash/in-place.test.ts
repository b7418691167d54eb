/** Changing in place: whichever operation fails, the card is taken back or finished by the next run. */
import { createCipheriv } from 'node:crypto';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { Range } from '../../src/bytes/ranges.js';
import { memoryDevice } from '../../src/device/device.js';
import { changeInPlace, takeBack } from '../../src/flash/in-place.js';
import { openUndo, type UndoStore } from '../../src/flash/undo.js';
import { memoryCard } from '../support/cards.js';

const folder = mkdtempSync(join(tmpdir(), 'rockberry-undo-'));
afterAll(() => rmSync(folder, { recursive: true }));

const SIZE = 13 << 20;
const old = createCipheriv('aes-128-ctr', Buffer.alloc(16, 1), Buffer.alloc(16)).update(Buffer.alloc(SIZE));
const CHANGED: readonly Range[] = [{ offset: 700, length: 3 }, { offset: 5000, length: 9000 }, { offset: (4 << 20) - 10, length: 20 }, { offset: SIZE - 1, length: 1 }];
const wanted = Buffer.from(old);
for (const { offset, length } of CHANGED) for (let at = offset; at < offset + length; at++) wanted[at]! ^= 0xff;

let next = 0;
const store = (): UndoStore => openUndo(join(folder, String(next++)), 'card');
const options = { device: '/dev/x', force: false };

test('changed, read back, and taken back to the last byte', async () => {
  const card = memoryCard(Buffer.from(old));
  const undo = store();
  await changeInPlace(card, memoryDevice(wanted), CHANGED, undo);
  expect(card.bytes.equals(wanted)).toBe(true);
  expect(undo.read()).toMatchObject({ state: 'done' });
  expect(statSync(undo.path).mode & 0o777).toBe(0o600);
  await takeBack(card, undo.read()!, options);
  expect(card.bytes.equals(old)).toBe(true);
});

test('the first MiB is written last', async () => {
  const card = memoryCard(Buffer.from(old));
  await changeInPlace(card, memoryDevice(wanted), CHANGED, store());
  expect(card.asked.filter((one) => one.startsWith('write'))).toEqual(['write 0', 'write 4194304', 'write 12582912', 'write 0']);
});

test('whichever operation fails, the record takes the card back; there is none before the card is touched', async () => {
  const whole = memoryCard(Buffer.from(old));
  await changeInPlace(whole, memoryDevice(wanted), CHANGED, store());
  for (let failAfter = 0; failAfter < whole.asked.length; failAfter++) {
    const bytes = Buffer.from(old);
    const undo = store();
    await expect(changeInPlace(memoryCard(bytes, { failAfter }), memoryDevice(wanted), CHANGED, undo)).rejects.toMatchObject({ code: 'io' });
    const record = undo.read();
    if (!record) expect(bytes.equals(old)).toBe(true);
    else {
      expect(record.state).toBe('applying');
      await takeBack(memoryCard(bytes), record, options);
    }
    expect(bytes.equals(old)).toBe(true);
  }
});

test('a sector that is torn, or was written by another: refused, unless the caller is sure', async () => {
  const card = memoryCard(Buffer.from(old));
  const undo = store();
  await changeInPlace(card, memoryDevice(wanted), CHANGED, undo);
  card.bytes[6000]! ^= 0x01;
  const before = Buffer.from(card.bytes);
  await expect(takeBack(card, undo.read()!, options)).rejects.toMatchObject({ code: 'refused', message: '/dev/x was written to since it was fixed: 1 sectors are neither what they were before nor after' });
  expect(card.bytes.equals(before)).toBe(true);
  await takeBack(card, undo.read()!, { ...options, force: true });
  expect(card.bytes.equals(old)).toBe(true);
});

test('a card that does not keep the change is told', async () => {
  const card = memoryCard(Buffer.from(old), { onWrite: (_, bytes) => { bytes[5001] = 0; } });
  await expect(changeInPlace(card, memoryDevice(wanted), CHANGED, store())).rejects.toThrow(/found a difference at byte 4608$/);
});

test('a record that is not whole, or of another card, is told and not used', async () => {
  const undo = store();
  await changeInPlace(memoryCard(Buffer.from(old)), memoryDevice(wanted), CHANGED, undo);
  const file = readFileSync(undo.path);
  for (const spoilt of [file.subarray(0, 40), file.subarray(0, -1), Buffer.from('{}\n'), Buffer.from('x'), Buffer.concat([file, Buffer.from('x')])]) {
    writeFileSync(undo.path, spoilt);
    expect(() => undo.read()).toThrow(/expected an undo record of this card/);
  }
  writeFileSync(undo.path, file);
  expect(undo.read()).toMatchObject({ state: 'done' });
  appendFileSync(undo.path, 'x');
  expect(() => undo.read()).toThrow();
  expect(openUndo(join(undo.path, '..'), 'another').read()).toBeUndefined();
});
