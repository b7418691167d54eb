/**
 * `fix`: a card that is flashed already, or a raw image, customized in place. What is to change is known and judged before the card is touched; an undo record is
 * on the disk before that, too; what was written is read back. An interruption leaves either the old or the record of it: the next run first takes back what was
 * half done.
 */
import { join } from 'node:path';
import { applySteps } from '../build.js';
import type { Range } from '../bytes/ranges.js';
import { formatOfFile } from '../codec/codec.js';
import { userDirectory } from '../device/host.js';
import { RockberryError } from '../errors.js';
import { openImageFile, requireRoles, type Image } from '../image/image.js';
import { requirePlainSteps } from '../build.js';
import { loadProfiles } from '../profile.js';
import type { GivenValues } from '../profile/given.js';
import { maskedError, maskedValue } from '../profile/masking.js';
import { hasErrors, silentProgress, type FileAction, type Finding, type Progress } from '../report.js';
import { openCard, type Card } from './card.js';
import { changeInPlace, takeBack, type TakeBackOptions } from './in-place.js';
import { judged } from './source.js';
import { openTarget } from './target.js';
import { openUndo, type UndoStore } from './undo.js';

export interface FixOptions {
  readonly device: string;
  readonly profiles: readonly string[];
  readonly given: GivenValues;
  readonly allowFixed: boolean;
  readonly yes: boolean;
  /** Nothing is written. */
  readonly dryRun?: boolean;
  readonly progress?: Progress;
  /** Where undo records are kept; default: with the user's state, which unlike a cache is not emptied to save space. */
  readonly records?: string;
}

export interface FixReport {
  readonly device: string;
  /** An earlier fix that was interrupted was taken back first. */
  readonly tookBack: boolean;
  /** Bytes that differ from what was there. */
  readonly changed: readonly Range[];
  readonly files: readonly FileAction[];
  /** With an error among them nothing is written. */
  readonly findings: readonly Finding[];
  /** The file that can take it back; null when nothing was written. */
  readonly undo: string | null;
}

export async function fix(options: FixOptions): Promise<FixReport> {
  const { device, progress = silentProgress } = options;
  const profiles = loadProfiles(options.profiles, options.given);
  requirePlainSteps(profiles.steps, 'fix');
  const { store, open } = await openForFix(options);
  const card = open();
  let image: Image | undefined;
  try {
    const tookBack = await takeBackHalf(card, store, options);
    image = await openImageFile(device, { progress });
    requireRoles(image);
    await applySteps(image, profiles.steps, progress);
    const findings = await judged(image, profiles.steps, profiles, progress);
    const changed = image.overlay.changes();
    const report = { device, tookBack, changed, files: maskedValue(image.tree().actions(), profiles.mask), findings };
    if (changed.length === 0 || options.dryRun || hasErrors(findings)) return { ...report, undo: null };
    progress.phase(`writing ${device}`);
    await changeInPlace(card, image.overlay, changed, store);
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
export async function undoFix(options: Pick<FixOptions, 'device' | 'allowFixed' | 'yes' | 'records' | 'progress'> & Pick<TakeBackOptions, 'force'>): Promise<UndoReport> {
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
  return { store: openUndo(options.records ?? join(userDirectory('state'), 'undo'), target.identity), open: () => openCard(target.path, { atLeast: 0, wipe: 0 }) };
}

/** Never by force: in the same reader there may be another card by now, which holds nothing of what the record tells. */
async function takeBackHalf(card: Card, store: UndoStore, { device, dryRun, progress }: Pick<FixOptions, 'device' | 'dryRun' | 'progress'>): Promise<boolean> {
  const record = store.read();
  if (record?.state !== 'applying') return false;
  if (dryRun) throw new RockberryError('refused', `${device}: an earlier fix was interrupted, and has to be taken back first; a dry run writes nothing`, { hint: `take it back: rockberry fix ${device} --undo` });
  await takeBack(card, record, { device, force: false, ...(progress && { progress }) });
  store.remove();
  return true;
}
