/** `flash`: an image, customized on the way if that is wanted, onto one card or several; whatever could be wrong with a card is asked before it is touched. */
import { join, resolve } from 'node:path';
import { rangeEnd } from '../bytes/ranges.js';
import type { Cache } from '../cache/cache.js';
import { userDirectory } from '../device/host.js';
import { RockberryError, type ErrorCode } from '../errors.js';
import { mappedRanges } from '../image/mapped.js';
import { hasErrors, silentProgress, type Finding, type Progress } from '../report.js';
import { openCard, type Card } from './card.js';
import { discardUnmapped } from './discard.js';
import type { Disk } from './disks.js';
import { flashCards, type Ending, type Job } from './engine.js';
import { openJournal } from './journal.js';
import { locate, type Place } from './locate.js';
import { planCard, type CardPlan } from './plan.js';
import { digestOf, openSource, type Customization, type OpenSources, type Source } from './source.js';
import { openTarget, type Target } from './target.js';

export interface CardOptions {
  readonly allowFixed: boolean;
  readonly yes: boolean;
  /** Reads before it writes, and writes what differs. */
  readonly readFirst: boolean;
  /** Reads everything back. */
  readonly prove: boolean;
  readonly cache?: Cache;
  readonly progress?: Progress;
  /** Where journals are kept; default: beside the user's cache. */
  readonly journals?: string;
}

export interface FlashOptions extends CardOptions {
  readonly image: string;
  /** A disk, or a regular file. */
  readonly device: string;
  readonly customize: Customization;
}

export interface CardReport {
  readonly device: string;
  readonly node: string | null;
  readonly isWritten: boolean;
  /** Bytes of the raw image, and how many of them the card needs. */
  readonly imageBytes: number;
  readonly mappedBytes: number;
  readonly written: number;
  readonly skipped: number;
  readonly verified: number;
  readonly discarded: number;
  /** Whether reading back was reading from the medium. */
  readonly isDirect: boolean;
  readonly findings: readonly Finding[];
  /** null also when the image has errors: then the findings say why nothing was written. */
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly hint: string | null; readonly places: readonly Place[] } | null;
}

export interface FlashReport {
  readonly image: string;
  readonly cards: readonly CardReport[];
  readonly seconds: number;
}

export async function flash(options: FlashOptions): Promise<FlashReport> {
  const target = await openTarget(options.device, { ...options, inputs: inputsOf(options) });
  const progress = options.progress ?? silentProgress;
  const sources = await openSource({ ...options, cache: options.cache, progress });
  try {
    return await flashSources(sources, [target], options);
  } finally {
    progress.finish();
    sources.close();
  }
}

function inputsOf({ image, customize }: FlashOptions): string[] {
  return [image, ...(customize.kind === 'patch' ? [customize.patch] : [])];
}

interface Opened {
  readonly source: Source;
  readonly plan: CardPlan;
  readonly card: Card;
  readonly disk: Disk | undefined;
  readonly job: Job;
  /** Bytes. */
  discarded: number;
}

/** One card for each source, in their order. An image that a check found an error in is not written to anything. */
export async function flashSources({ base, sources }: OpenSources, targets: readonly Target[], options: CardOptions): Promise<FlashReport> {
  const began = performance.now();
  const pairs = sources.map((source, index) => ({ source, target: targets[index]!, plan: planOf(source, targets[index]!) }));
  const opened = new Map<Source, Opened>();
  try {
    for (const pair of pairs) if (!hasErrors(pair.source.findings)) opened.set(pair.source, await openPair(pair, options));
    const jobs = [...opened.values()];
    for (const one of jobs) one.discarded = await discarded(one); // when all cards are ours: none is touched because of another's mistake
    const endings = await flashCards(base.image.decoded, jobs.map(({ job }) => job), options.progress ?? silentProgress);
    const cards = pairs.map((pair) => {
      const one = opened.get(pair.source);
      return one ? reportOf(one, endings[jobs.indexOf(one)]!) : unwritten(pair);
    });
    return { image: base.image.path, cards, seconds: (performance.now() - began) / 1000 };
  } finally {
    await Promise.all([...opened.values()].map(({ card }) => card.close()));
  }
}

interface Pair {
  readonly source: Source;
  readonly target: Target;
  readonly plan: CardPlan;
}

async function openPair({ source, target, plan }: Pair, options: CardOptions): Promise<Opened> {
  const card = openCard(target.path, { atLeast: plan.imageBytes, wipe: WIPED });
  try {
    refuseTooSmall(card, plan);
    const journal = openJournal(options.journals ?? join(userDirectory('cache'), 'flash'), target.identity, digestOf(source));
    return { source, plan, card, disk: target.disk, discarded: 0, job: { card, plan, source: source.image.overlay, journal, compare: options.readFirst, prove: options.prove } };
  } catch (error) {
    await card.close();
    throw error;
  }
}

/** Of a card that begins anew. */
async function discarded({ card, disk, plan, job }: Opened): Promise<number> {
  return disk && !job.compare && job.journal.known.size === 0 ? discardUnmapped(card, disk, plan) : 0;
}

/** Bytes at the start of a card that a firmware reads first: the table of the old system. */
const WIPED = 4096;

function planOf(source: Source, { disk, path }: Target): CardPlan {
  const { image } = source;
  const plan = planCard(image.overlay.size, mappedRanges(image));
  if (disk) refuseTooSmall({ path, size: disk.size }, plan);
  return plan;
}

function refuseTooSmall({ path, size }: Pick<Card, 'path' | 'size'>, { cells, head }: CardPlan): void {
  const needed = Math.max(0, ...[head, ...cells].flatMap(({ ranges }) => ranges.slice(-1).map(rangeEnd)));
  if (size < needed) throw new RockberryError('refused', `expected a card of at least ${needed} bytes for this image, found ${size} on ${path}`, { hint: 'use a larger card' });
}

function reportOf({ source, plan, card, discarded }: Opened, ending: Ending): CardReport {
  const tally = 'tally' in ending ? ending.tally : { written: 0, skipped: 0, verified: 0 };
  const places = 'error' in ending && ending.differing ? locate(source.image, ending.differing) : [];
  return {
    device: resolve(card.path), node: source.node, isWritten: 'tally' in ending, imageBytes: plan.imageBytes, mappedBytes: plan.bytes, ...tally, discarded, isDirect: card.isDirect,
    findings: source.findings, error: 'error' in ending ? { code: ending.error.code, message: ending.error.message, hint: ending.error.hint ?? null, places } : null,
  };
}

function unwritten({ source, target, plan }: Pair): CardReport {
  return {
    device: resolve(target.path), node: source.node, isWritten: false, imageBytes: plan.imageBytes, mappedBytes: plan.bytes, written: 0, skipped: 0, verified: 0, discarded: 0, isDirect: false,
    findings: source.findings, error: null,
  };
}
