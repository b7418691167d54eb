/**
 * Writes images that lie on one base to cards, all at once: every part of the base is decoded once, for all of them. In order: what an earlier run left is read
 * back; the rest is written; everything is read back and compared; the first MiB is written last, onto a card that was proven. A card that fails leaves the
 * others alone, and keeps its journal.
 */
import type { DecodedImage } from '../codec/codec.js';
import type { ReadableDevice } from '../device/device.js';
import { RockberryError } from '../errors.js';
import type { Range } from '../bytes/ranges.js';
import type { Progress } from '../report.js';
import type { Card } from './card.js';
import { differences } from './differences.js';
import type { Journal } from './journal.js';
import { cellBytes, cellSpan, type CardPlan, type Cell } from './plan.js';

/** One card and what goes onto it. */
export interface Job {
  readonly card: Card;
  readonly plan: CardPlan;
  /** The raw image. */
  readonly source: ReadableDevice;
  readonly journal: Journal;
  /** Reads before it writes, and writes what differs. */
  readonly compare: boolean;
  /** Reads everything back. */
  readonly prove: boolean;
}

export interface Tally {
  /** Bytes that were written to the card. */
  readonly written: number;
  /** Bytes that the card had already: left by an earlier run, or equal to the image's. */
  readonly skipped: number;
  /** Bytes that were read back, and were right. */
  readonly verified: number;
}

export type Ending = { readonly tally: Tally } | { readonly error: RockberryError; readonly differing?: readonly Range[] };

/** How much is written between two lines of the journal, in bytes: that is lost at most, and must be written again. */
const JOURNAL_EVERY = 64 << 20;
const CHECKS_AHEAD = 2;

interface Running extends Job {
  /** By offset of the cell: of what the card has to have, once that is known. */
  readonly hashes: Map<number, string>;
  /** Cells that were read back and were right, by offset. */
  readonly proven: Set<number>;
  readonly unsettled: Promise<void>[];
  /** Written, and not in the journal yet. */
  fresh: [offset: number, sha256: string][];
  freshBytes: number;
  tally: { written: number; skipped: number; verified: number };
  failure: { error: RockberryError; differing?: readonly Range[] } | undefined;
}

/** What became of each job, in their order. Never rejects for what is wrong with a card or its image; `bug`s pass through. */
export async function flashCards(decoded: Pick<DecodedImage, 'prefetch'>, jobs: readonly Job[], progress: Progress): Promise<Ending[]> {
  const all = jobs.map((job): Running => ({
    ...job, hashes: new Map(), proven: new Set(), unsettled: [], fresh: [], freshBytes: 0, tally: { written: 0, skipped: 0, verified: 0 }, failure: undefined,
  }));
  await onEach(all, progressed(progress, 'checking what is on the card already', all, ({ plan, journal }) => plan.cells.filter(({ offset }) => journal.known.has(offset))), checkKnown);
  await writeCells(decoded, all, progress);
  await onEach(all, progressed(progress, 'reading back', all, (one) => (one.prove ? unproven(one) : [])), proveCells);
  await onEach(all, () => undefined, writeHead);
  return all.map(({ tally, failure }) => failure ?? { tally });
}

type Advance = (bytes: number) => void;

/** Counts bytes over all cards. */
function progressed(progress: Progress, text: string, all: readonly Running[], cellsOf: (one: Running) => readonly Cell[]): Advance {
  const total = all.flatMap((one) => (one.failure ? [] : cellsOf(one))).reduce((sum, cell) => sum + cellBytes(cell), 0);
  if (total > 0) progress.phase(text);
  let done = 0;
  return (bytes) => { progress.advance(done += bytes, total); };
}

/** The work of every card that did not fail, all at once. */
async function onEach(all: readonly Running[], advance: Advance, work: (one: Running, advance: Advance) => Promise<void>): Promise<void> {
  await Promise.all(all.filter(({ failure }) => !failure).map((one) => attempt(one, () => work(one, advance))));
}

async function attempt(one: Running, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof RockberryError)) throw error;
    one.failure ??= { error };
  }
}

/** Cells that the journal tells of are there if they read back as they were written; otherwise they are written again. */
async function checkKnown(one: Running, advance: Advance): Promise<void> {
  const cells = one.plan.cells.filter(({ offset }) => one.journal.known.has(offset));
  await compareCells(one, cells, (cell, sha256) => {
    const expected = one.journal.known.get(cell.offset);
    if (sha256 === expected) {
      one.hashes.set(cell.offset, sha256);
      one.proven.add(cell.offset);
      one.tally.skipped += cellBytes(cell);
      one.tally.verified += cellBytes(cell);
    }
    advance(cellBytes(cell));
  });
}

/** The sha256 of each cell as the card has it, a few asked for ahead. */
async function compareCells({ card }: Running, cells: readonly Cell[], visit: (cell: Cell, sha256: string) => void): Promise<void> {
  const asked: [Cell, Promise<string>][] = [];
  const ask = (cell: Cell): void => {
    const answer = card.check(cell);
    answer.catch(() => undefined); // reported when its turn comes
    asked.push([cell, answer]);
  };
  for (const cell of cells.slice(0, CHECKS_AHEAD)) ask(cell);
  for (let next = CHECKS_AHEAD; asked.length > 0; next++) {
    const [cell, answer] = asked.shift()!;
    visit(cell, await answer);
    if (next < cells.length) ask(cells[next]!);
  }
}

/** All cards go through the image side by side, so that what is decoded serves them all; the slowest one decides. */
async function writeCells(decoded: Pick<DecodedImage, 'prefetch'>, all: readonly Running[], progress: Progress): Promise<void> {
  const missing = (one: Running): Cell[] => one.plan.cells.filter(({ offset }) => !one.hashes.has(offset));
  const advance = progressed(progress, all.length > 1 ? `writing ${all.length} cards` : `writing ${all[0]?.card.path}`, all, missing);
  const wanted = new Map<number, [Running, Cell][]>();
  for (const one of all) if (!one.failure) for (const cell of missing(one)) wanted.set(cell.offset, [...wanted.get(cell.offset) ?? [], [one, cell]]);
  for (const offset of [...wanted.keys()].sort((a, b) => a - b)) {
    for (const [one, cell] of wanted.get(offset)!) {
      if (one.failure) continue;
      await attempt(one, async () => {
        await decoded.prefetch(cellSpan(cell));
        await writeCell(one, cell, advance);
      });
    }
  }
  await onEach(all, () => undefined, settled);
}

/** Resolves when the cell is on its way: what becomes of it is known later. */
async function writeCell(one: Running, cell: Cell, advance: Advance): Promise<void> {
  const slot = await one.card.slot();
  for (const { offset, length } of cell.ranges) slot.memory.set(one.source.read(offset, length), offset - cell.offset);
  const task = attempt(one, async () => {
    const { sha256, written } = await one.card.write(slot, cell, one.compare);
    const bytes = cellBytes(cell);
    one.hashes.set(cell.offset, sha256);
    one.tally.written += written;
    one.tally.skipped += bytes - written;
    if (one.compare && written === 0) {
      one.proven.add(cell.offset);
      one.tally.verified += bytes;
    }
    one.fresh.push([cell.offset, sha256]);
    one.freshBytes += bytes;
    advance(bytes);
    if (one.freshBytes >= JOURNAL_EVERY) await note(one);
  });
  one.unsettled.push(task);
  void task.finally(() => one.unsettled.splice(one.unsettled.indexOf(task), 1));
}

/** Cells that the card has confirmed go into the journal. */
async function note(one: Running): Promise<void> {
  const { fresh } = one;
  one.fresh = [];
  one.freshBytes = 0;
  await one.card.flush();
  one.journal.add(fresh);
}

async function settled(one: Running): Promise<void> {
  await Promise.all([...one.unsettled]);
  if (!one.failure && one.fresh.length > 0) await note(one);
}

function unproven({ plan, proven }: Running): Cell[] {
  return plan.cells.filter(({ offset }) => !proven.has(offset));
}

async function proveCells(one: Running, advance: Advance): Promise<void> {
  if (!one.prove) return;
  const wrong: Cell[] = [];
  await compareCells(one, unproven(one), (cell, sha256) => {
    if (sha256 === one.hashes.get(cell.offset)) {
      one.proven.add(cell.offset);
      one.tally.verified += cellBytes(cell);
    } else wrong.push(cell);
    advance(cellBytes(cell));
  });
  await refuseWrong(one, wrong);
}

async function refuseWrong(one: Running, wrong: readonly Cell[]): Promise<void> {
  if (wrong.length === 0) return;
  const differing = await differences(one.card, one.source, wrong);
  const bytes = differing.reduce((sum, { length }) => sum + length, 0);
  const found = bytes > 0 ? `${bytes} bytes that differ` : 'bytes that differ from one reading to the next';
  one.failure = { error: new RockberryError('io', `expected ${one.card.path} to read back as it was written, found ${found}`), differing };
}

/** The first MiB makes a card bootable: only one that was proven gets it. */
async function writeHead(one: Running): Promise<void> {
  const { card, plan: { head }, source, compare, prove, tally, journal } = one;
  const slot = await card.slot();
  for (const { offset, length } of head.ranges) slot.memory.set(source.read(offset, length), offset);
  const { sha256, written } = await card.write(slot, head, compare);
  await card.flush();
  tally.written += written;
  tally.skipped += cellBytes(head) - written;
  if (prove && await card.check(head) !== sha256) return refuseWrong(one, [head]);
  if (prove) tally.verified += cellBytes(head);
  journal.end();
}
