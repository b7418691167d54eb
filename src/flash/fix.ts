/**
 * `fix`: a card that is flashed already, or a raw image, customized in place. What is to change is known and judged before the card is touched; an undo record is
 * on the disk before that, too; what was written is read back. An interruption leaves either the old or the record of it: the next run first takes back what was
 * half done.
 */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { applySteps } from '../build.js';
import { coalesce, rangeEnd, type Range } from '../bytes/ranges.js';
import { formatOfFile } from '../codec/codec.js';
import type { ReadableDevice } from '../device/device.js';
import { RockberryError } from '../errors.js';
import { openImageFile, requireRoles, type Image } from '../image/image.js';
import { loadProfiles } from '../profile.js';
import type { GivenValues } from '../profile/given.js';
import { maskedError, maskedValue } from '../profile/masking.js';
import { silentProgress, type FileAction, type Finding, type Progress } from '../report.js';
import { openCard, type Card } from './card.js';
import { differences } from './differences.js';
import { planCard, type Cell } from './plan.js';
import { judged, refuseErrors } from './source.js';
import { openTarget } from './target.js';
import { openUndo, type UndoRecord, type UndoStore } from './undo.js';

export interface FixOptions {
  readonly device: string;
  readonly profiles: readonly string[];
  readonly given: GivenValues;
  readonly allowFixed: boolean;
  readonly yes: boolean;
  /** Nothing is written. */
  readonly dryRun?: boolean;
  readonly progress?: Progress;
  /** Where undo records are kept; default: beside the user's data. */
  readonly records?: string;
}

export interface FixReport {
  readonly device: string;
  /** An earlier fix that was interrupted was taken back first. */
  readonly tookBack: boolean;
  /** Bytes that differ from what was there. */
  readonly changed: readonly Range[];
  readonly files: readonly FileAction[];
  readonly findings: readonly Finding[];
  /** The file that can take it back; null when nothing was written. */
  readonly undo: string | null;
}

export async function fix(options: FixOptions): Promise<FixReport> {
  const { device, progress = silentProgress } = options;
  const profiles = loadProfiles(options.profiles, options.given);
  const { store, open } = await openForFix(options);
  const card = open();
  let image: Image | undefined;
  try {
    const tookBack = await takeBackHalf(card, store, options);
    image = await openImageFile(device, { progress });
    requireRoles(image);
    await applySteps(image, profiles.steps, progress);
    const findings = await judged(image, profiles.steps, profiles, progress);
    refuseErrors({ node: null, image, findings });
    const changed = image.overlay.changes();
    const report = { device, tookBack, changed, files: maskedValue(image.tree().actions(), profiles.mask), findings };
    if (changed.length === 0 || options.dryRun) return { ...report, undo: null };
    progress.phase(`writing ${device}`);
    await applyChanges(card, image.overlay, changed, store);
    return { ...report, undo: store.path };
  } catch (error) {
    throw maskedError(error, profiles.mask);
  } finally {
    progress.finish();
    image?.close();
    await card.close();
  }
}

export interface UndoReport {
  readonly device: string;
  readonly restored: readonly Range[];
}

/** Takes the last fix of this card back. Errors: `refused` when there is none, or the card was written to since. */
export async function undoFix(options: Pick<FixOptions, 'device' | 'allowFixed' | 'yes' | 'records' | 'progress'>): Promise<UndoReport> {
  const { store, open } = await openForFix(options);
  const record = store.read();
  if (!record) throw new RockberryError('refused', `expected an undo record for ${options.device} in ${store.path}, found none`, { hint: 'only the last fix that was made on this machine can be taken back' });
  const card = open();
  try {
    await takeBack(card, record, options);
    store.remove();
    return { device: options.device, restored: record.ranges };
  } finally {
    options.progress?.finish();
    await card.close();
  }
}

async function openForFix(options: Pick<FixOptions, 'device' | 'allowFixed' | 'yes' | 'records'>): Promise<{ store: UndoStore; open: () => Card }> {
  const target = await openTarget(options.device, { ...options, inputs: [], inPlace: true });
  const format = formatOfFile(target.path);
  if (format !== 'raw') {
    throw new RockberryError('unsupported', `expected a card or a raw image to change in place, found ${format}: ${options.device}`, { hint: 'make a new image of it: rockberry build' });
  }
  return { store: openUndo(options.records ?? recordDirectory(), target.identity), open: () => openCard(target.path, { atLeast: 0, wipe: 0 }) };
}

/** `$XDG_STATE_HOME/rockberry/undo`, else ~/.local/state/rockberry/undo: unlike a cache, it is not emptied to save space. */
function recordDirectory(): string {
  const { XDG_STATE_HOME } = process.env;
  return join(XDG_STATE_HOME?.startsWith('/') ? XDG_STATE_HOME : join(homedir(), '.local', 'state'), 'rockberry', 'undo');
}

const BLOCK = 4096;

/** Whole blocks, as a card is written, inside the device. */
function wholeBlocks(changed: readonly Range[], size: number): Range[] {
  return coalesce(changed.map((range) => {
    const offset = Math.floor(range.offset / BLOCK) * BLOCK;
    return { offset, length: Math.min(size, Math.ceil(rangeEnd(range) / BLOCK) * BLOCK) - offset };
  }));
}

async function applyChanges(card: Card, wanted: ReadableDevice, changed: readonly Range[], store: UndoStore): Promise<void> {
  const cells = cellsOf(wholeBlocks(changed, card.size), card.size);
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

async function takeBackHalf(card: Card, store: UndoStore, options: Pick<FixOptions, 'device' | 'yes' | 'progress'>): Promise<boolean> {
  const record = store.read();
  if (record?.state !== 'applying') return false;
  await takeBack(card, record, options);
  store.remove();
  return true;
}

async function takeBack(card: Card, record: UndoRecord, { device, yes, progress }: Pick<FixOptions, 'device' | 'yes' | 'progress'>): Promise<void> {
  progress?.phase(`taking back what was written to ${device}`);
  const old = scattered(card.size, record.ranges, record.old);
  const cells = cellsOf(record.ranges, card.size);
  const strange = await foreignSectors(card, cells, old, scattered(card.size, record.ranges, record.new));
  if (strange > 0 && !yes) {
    throw new RockberryError('refused', `${device} was written to since it was fixed: ${strange} sectors are neither what they were before nor after`, {
      hint: 'to put the old back in spite of that would damage what was written since; only if the fix itself was interrupted: --yes',
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
