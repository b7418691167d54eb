/** Changes a card in place so that it can always be taken back: an undo record is on the disk before the first byte is written, and what was written is read back. */
import { alignedOut, coalesce, rangeEnd, type Range } from '../bytes/ranges.js';
import type { ReadableDevice } from '../device/device.js';
import { RockberryError } from '../errors.js';
import type { Progress } from '../report.js';
import type { Card } from './card.js';
import { differences } from './differences.js';
import { planCard, type Cell } from './plan.js';
import type { UndoRecord, UndoStore } from './undo.js';

const BLOCK = 4096; // bytes, as a card is written

/** An undo record first, then the change, which is read back. Errors: `io`; the record then says "applying". */
export async function changeInPlace(card: Card, wanted: ReadableDevice, changed: readonly Range[], store: UndoStore): Promise<void> {
  const cells = cellsOf(coalesce(changed.map((range) => alignedOut(range, BLOCK, card.size))), card.size);
  const ranges = cells.flatMap((cell) => cell.ranges);
  const old: Uint8Array[] = [];
  for (const range of ranges) old.push(await card.read(range));
  const record = { ranges, old: Buffer.concat(old), new: Buffer.concat(ranges.map(({ offset, length }) => wanted.read(offset, length))) };
  store.write({ ...record, state: 'applying' });
  await put(card, cells, wanted);
  store.write({ ...record, state: 'done' });
}

/** Cells in the image's order, the first MiB last. */
function cellsOf(ranges: readonly Range[], size: number): Cell[] {
  const { cells, head } = planCard(size, ranges);
  return [...cells, ...(head.ranges.length > 0 ? [head] : [])];
}

/** Writes and reads back. */
async function put(card: Card, cells: readonly Cell[], wanted: ReadableDevice): Promise<void> {
  for (const cell of cells) {
    const slot = await card.slot();
    for (const { offset, length } of cell.ranges) slot.memory.set(wanted.read(offset, length), offset - cell.offset);
    const { sha256 } = await card.write(slot, cell, false);
    await card.flush();
    if (await card.check(cell) === sha256) continue;
    const [first] = await differences(card, wanted, [cell]);
    throw new RockberryError('io', `expected ${card.path} to read back as it was written, found a difference at byte ${first?.offset ?? cell.offset}`, { hint: 'run it again; if that does not help, the card is worn out' });
  }
}

export interface TakeBackOptions {
  /** The card, as it was given. */
  readonly device: string;
  /** Also when it holds something that is neither the old nor the new. */
  readonly force: boolean;
  readonly progress?: Progress;
}

/** Puts the old bytes back. Errors: `refused` when the card was written to since. */
export async function takeBack(card: Card, record: UndoRecord, { device, force, progress }: TakeBackOptions): Promise<void> {
  progress?.phase(`taking back what was written to ${device}`);
  const old = scattered(card.size, record.ranges, record.old);
  const cells = cellsOf(record.ranges, card.size);
  const strange = await foreignSectors(card, cells, old, scattered(card.size, record.ranges, record.new));
  if (strange > 0 && !force) {
    throw new RockberryError('refused', `${device} was written to since it was fixed: ${strange} sectors are neither what they were before nor after`, {
      hint: 'to put the old back in spite of that would damage what was written since; only if it is this very card, and the fix itself was interrupted: --undo --force',
    });
  }
  await put(card, cells, old);
}

/** Sectors of 512 bytes that somebody else has written. */
async function foreignSectors(card: Card, cells: readonly Cell[], old: ReadableDevice, wanted: ReadableDevice): Promise<number> {
  const notOld = await differences(card, old, cells);
  const notNew = new Set((await differences(card, wanted, cells)).flatMap(sectorsOf));
  return notOld.flatMap(sectorsOf).filter((sector) => notNew.has(sector)).length;
}

const SECTOR = 512;

function sectorsOf({ offset, length }: Range): number[] {
  return Array.from({ length: Math.ceil(length / SECTOR) }, (_, index) => offset + index * SECTOR);
}

/** A device of which only these ranges are known; each is read as a whole or in part, never beyond. */
function scattered(size: number, ranges: readonly Range[], bytes: Uint8Array): ReadableDevice {
  return {
    size,
    read(offset, length) {
      let before = 0;
      for (const range of ranges) {
        if (offset >= range.offset && offset + length <= rangeEnd(range)) return new Uint8Array(bytes.subarray(before + offset - range.offset, before + offset - range.offset + length));
        before += range.length;
      }
      throw new RockberryError('corrupt', `expected bytes ${offset} to ${offset + length} in the undo record, found none`);
    },
    close: () => undefined,
  };
}
