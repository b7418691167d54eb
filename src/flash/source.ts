/** What goes onto cards: an image as it is, or customized on the way, for one card or for several nodes of a fleet. Nothing of it is ever in a file. */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { openBase, type Base } from '../base.js';
import { tool } from '../beside.js';
import { applySteps, requirePlainSteps } from '../build.js';
import type { Cache } from '../cache/cache.js';
import { formatOfFile } from '../codec/codec.js';
import { readPatch, requireBase } from '../fleet/patch.js';
import { forkImage, openUnchanged, requireRoles, type Image } from '../image/image.js';
import { loadProfiles, type BoundStep, type LoadedProfiles } from '../profile.js';
import type { GivenValues } from '../profile/given.js';
import { masking, maskedValue } from '../profile/masking.js';
import { readinessOf } from '../read-back.js';
import type { Finding, Progress } from '../report.js';
import { verifyResult } from '../verify/result.js';

/** One image for one card. */
export interface Source {
  /** Of the node; null for an image that is nobody's. */
  readonly node: string | null;
  readonly image: Image;
  /** What an error of it is told by; its errors keep it off the card. */
  readonly findings: readonly Finding[];
}

export interface OpenSources {
  readonly base: Base;
  readonly sources: readonly Source[];
  close(): void;
}

export type Customization =
  | { readonly kind: 'none' }
  | { readonly kind: 'profiles'; readonly profiles: readonly string[]; readonly given: GivenValues }
  | { readonly kind: 'patch'; readonly patch: string };

export interface SourceOptions {
  readonly image: string;
  readonly customize: Customization;
  readonly cache: Cache | undefined;
  readonly progress: Progress;
}

/** Errors: those of a build; `refused` for a patch of another base. */
export async function openSource({ image: path, customize, cache, progress }: SourceOptions): Promise<OpenSources> {
  const profiles = customize.kind === 'profiles' ? loadProfiles(customize.profiles, customize.given) : undefined; // before the image: its mistakes are found at once
  if (profiles) requirePlainSteps(profiles.steps, 'flash');
  const base = await openAsItIs(path, customize.kind === 'none' ? undefined : cache, progress);
  try {
    const source = profiles ? await customized(base.image, profiles, progress) : customize.kind === 'patch' ? await patched(base, customize.patch, progress) : plain(base.image);
    await base.confirm();
    return { base, sources: [source], close: base.close };
  } catch (error) {
    base.close();
    throw error;
  }
}

/** A base to write to cards: nothing is encoded. */
export function openAsItIs(path: string, cache: Cache | undefined, progress: Progress): Promise<Base> {
  progress.phase(`opening ${path}`);
  return openBase(path, { format: cache ? formatOfFile(path) : undefined, cache, encode: {}, progress, asItIs: true });
}

function plain(image: Image): Source {
  const broken = image.partitions.find(({ problem }) => problem)?.problem;
  return { node: null, image, findings: broken ? [{ severity: 'warning', id: 'flash-damaged', subject: image.path, message: `${broken.message}; the partition is written as it is` }] : [] };
}

async function customized(image: Image, profiles: LoadedProfiles, progress: Progress): Promise<Source> {
  requireRoles(image);
  await applySteps(image, profiles.steps, progress);
  return { node: null, image, findings: await judged(image, profiles.steps, profiles, progress) };
}

/** What a stranger finds who opens the image with its steps applied; errors of what a profile's installer needs, too. */
export async function judged(image: Image, steps: readonly BoundStep[], profiles: Pick<LoadedProfiles, 'mask' | 'readiness'>, progress: Progress): Promise<readonly Finding[]> {
  progress.phase('checking the image');
  const reopened = await forkImage(image);
  try {
    const checks = await verifyResult(reopened, (await openUnchanged(image)).decoded.device, steps);
    const rules = profiles.readiness === undefined ? [] : readinessOf(reopened, image, profiles);
    const found = [...checks, ...rules].flatMap(({ findings }) => findings).filter(({ severity }) => severity !== 'info');
    return maskedValue(found, profiles.mask);
  } finally {
    reopened.overlay.close();
  }
}

async function patched(base: Base, patch: string, progress: Progress): Promise<Source> {
  progress.phase(`reading ${patch}`);
  const { manifest, ranges } = await readPatch(patch);
  requireBase(patch, manifest, { path: base.image.path, sha256: await base.sha256() });
  requireRoles(base.image);
  for await (const { offset, data } of ranges()) base.image.overlay.write(offset, data);
  const image = await forkImage(base.image); // opened again: what was read before is of the base
  return { node: manifest.node, image, findings: await judged(image, [], { mask: masking([]), readiness: undefined }, progress) };
}

/** The same for the same bytes on a card: what a journal is told by. */
export function digestOf({ image }: Pick<Source, 'image'>): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(image.path, { bigint: true });
  const hash = createHash('sha256').update(JSON.stringify([tool().version, ...[dev, ino, size, mtimeNs, ctimeNs].map(String)]));
  for (const { offset, length } of image.overlay.changes()) hash.update(`${offset}+${length}\n`).update(image.overlay.read(offset, length));
  return hash.digest('hex');
}
