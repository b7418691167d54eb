/** The real thing: loop devices where we are root, regular files everywhere. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { openCard, type Card } from '../../src/flash/card.js';
import type { Cell } from '../../src/flash/plan.js';
import { withLoop } from '../support/loops.js';
import { output, run } from '../support/oracle.js';

const folder = mkdtempSync(join(tmpdir(), 'rockberry-card-'));
afterAll(() => rmSync(folder, { recursive: true }));

const open: Card[] = [];
afterEach(async () => { await Promise.all(open.splice(0).map((card) => card.close())); });

let next = 0;
function fileOf(bytes: number, fill = 0x55): string {
  const path = join(folder, String(next++));
  writeFileSync(path, Buffer.alloc(bytes, fill));
  return path;
}

function card(path: string, atLeast = 0, wipe = 0): Card {
  const opened = openCard(path, { atLeast, wipe });
  open.push(opened);
  return opened;
}

async function put(to: Card, cell: Cell, fill: (offset: number) => number, compare = false): Promise<number> {
  const slot = await to.slot();
  for (const { offset, length } of cell.ranges) slot.memory.fill(fill(offset), offset - cell.offset, offset - cell.offset + length);
  return (await to.write(slot, cell, compare)).written;
}

const MIXED: Cell = { offset: 4 << 20, ranges: [{ offset: 4 << 20, length: 1 << 20 }, { offset: (6 << 20) + 4096, length: 4096 }, { offset: (8 << 20) - 65536, length: 65536 }] };

test('large and small ranges, and nothing between them', async () => {
  const path = fileOf(12 << 20);
  const one = card(path);
  expect(await put(one, MIXED, () => 0xaa)).toBe((1 << 20) + 4096 + 65536);
  await one.flush();
  const expected = Buffer.alloc(12 << 20, 0x55);
  for (const { offset, length } of MIXED.ranges) expected.fill(0xaa, offset, offset + length);
  expect(readFileSync(path).equals(expected)).toBe(true);
  expect(await one.check(MIXED)).toBe(createHash('sha256').update(Buffer.alloc((1 << 20) + 4096 + 65536, 0xaa)).digest('hex'));
  expect(Buffer.compare(await one.read({ offset: (6 << 20) + 4000, length: 200 }), expected.subarray((6 << 20) + 4000, (6 << 20) + 4200))).toBe(0);
});

test('what is equal is not written; what differs is, by blocks', async () => {
  const path = fileOf(12 << 20);
  const one = card(path);
  expect(await put(one, MIXED, () => 0x55, true)).toBe(0);
  const handle = openSync(path, 'r+');
  writeSync(handle, Buffer.from([1]), 0, 1, (4 << 20) + 300_000);
  closeSync(handle);
  expect(await put(one, MIXED, () => 0x55, true)).toBe(4096);
  await one.flush();
  expect(readFileSync(path).every((byte) => byte === 0x55)).toBe(true);
});

test('an image whose size is odd: its end is written, and the file does not grow', async () => {
  const size = (8 << 20) + 1536;
  const path = fileOf(size);
  const one = card(path);
  const end: Cell = { offset: 8 << 20, ranges: [{ offset: 8 << 20, length: 1536 }] };
  await put(one, end, () => 0xbb);
  await one.flush();
  expect(await one.check(end)).toBe(createHash('sha256').update(Buffer.alloc(1536, 0xbb)).digest('hex'));
  expect(statSync(path).size).toBe(size);
  expect(readFileSync(path).subarray(8 << 20).every((byte) => byte === 0xbb)).toBe(true);
});

test('a file that is not there is made, for its owner alone, and is as large as asked', async () => {
  const path = join(folder, 'new');
  const one = card(path, 5 << 20);
  expect([one.size, statSync(path).size, statSync(path).mode & 0o777, one.isBlockDevice]).toEqual([5 << 20, 5 << 20, 0o600, false]);
});

test('the old start is wiped before anything is written, and only then', async () => {
  const path = fileOf(12 << 20);
  const one = card(path, 0, 4096);
  await put(one, MIXED, () => 0x55, true);
  expect(readFileSync(path)[0]).toBe(0x55);
  await put(one, MIXED, () => 0x66, true);
  await one.flush();
  expect([...readFileSync(path).subarray(4095, 4097)]).toEqual([0, 0x55]);
});

test('a device that ends too early is told', async () => {
  const path = fileOf(12 << 20);
  const one = card(path);
  truncateSync(path, 5 << 20);
  await expect(one.check({ offset: 8 << 20, ranges: [{ offset: 8 << 20, length: 4096 }] })).rejects.toThrow(`cannot read ${path}: the device reports an input/output error`);
});

test('what is asked of a card that was closed is refused, and what waits is told', async () => {
  const path = fileOf(12 << 20);
  const one = openCard(path, { atLeast: 0, wipe: 0 });
  const waiting = Promise.allSettled(Array.from({ length: 50 }, () => one.check(MIXED)));
  await one.close();
  expect((await waiting).at(-1)).toMatchObject({ status: 'rejected', reason: { code: 'io' } });
  await expect(one.flush()).rejects.toThrow('it was closed');
});

test('not there, and no place to make it', () => {
  expect(() => openCard(join(folder, 'no', 'such'), { atLeast: 0, wipe: 0 })).toThrow(/^cannot open .*: it does not exist$/);
  expect(() => openCard('/dev/null', { atLeast: 0, wipe: 0 })).toThrow(/^expected a disk or a regular file to write to, found neither/);
});

withLoop('a block device: its size, past the cache, and taken exclusively', async (loopOf) => {
  const device = loopOf(fileOf(12 << 20));
  const one = card(device);
  expect([one.size, one.isBlockDevice, one.isDirect]).toEqual([12 << 20, true, true]);
  await put(one, MIXED, () => 0xaa);
  await one.flush();
  expect(output('dd', [`if=${device}`, 'bs=4096', `skip=${(6 << 20) / 4096}`, 'count=3', 'status=none', 'iflag=direct'])).toEqual(Buffer.concat([Buffer.alloc(4096, 0x55), Buffer.alloc(4096, 0xaa), Buffer.alloc(4096, 0x55)]));
  expect(() => openCard(device, { atLeast: 0, wipe: 0 })).toThrow(`${device} is in use by another program or mounted`);
});

withLoop('one that is mounted is refused by the kernel itself', (loopOf) => {
  const device = loopOf(fileOf(16 << 20));
  const point = mkdtempSync(join(folder, 'mount-'));
  output('mke2fs', ['-q', '-t', 'ext4', device]);
  output('mount', [device, point]);
  try {
    expect(() => openCard(device, { atLeast: 0, wipe: 0 })).toThrow(`${device} is in use by another program or mounted`);
  } finally {
    run('umount', [point]);
  }
});
