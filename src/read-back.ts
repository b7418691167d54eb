/** Opens what was written as a stranger would: is every byte on the disk what was meant, is the image what the profiles ask for, and will Kubernetes run on it? */
import type { Base } from './base.js';
import { changedFiles } from './beside.js';
import type { Range } from './bytes/ranges.js';
import { openImage } from './codec/codec.js';
import type { EncodedPiece } from './codec/encode-ahead.js';
import { verifySplice } from './codec/splice.js';
import { RockberryError } from './errors.js';
import { forkImage, neededBackend, openImageFile, openUnchanged, type Image } from './image/image.js';
import type { Staged } from './output/atomic.js';
import { hashFile } from './output/hashes.js';
import type { ManifestInput } from './output/manifest.js';
import type { BoundStep, LoadedProfiles } from './profile.js';
import type { Progress } from './report.js';
import { openNode } from './verify/node.js';
import { judge, type RuleResult } from './verify/readiness.js';
import { verifyResult, type Check } from './verify/result.js';

/** An image with its steps applied, and what it is held against. */
export interface Applied {
  readonly base: Base;
  /** The base's own image or a fork of it, with the steps applied. */
  readonly image: Image;
  readonly profiles: Pick<LoadedProfiles, 'readiness'>;
  readonly steps: readonly BoundStep[];
  /** The manifest's lines about files are not wanted. */
  readonly imageOnly: boolean;
}

/** The same, written to a file. */
export interface WrittenImage extends Applied {
  readonly staged: Staged;
  /** The name that it will have. */
  readonly output: string;
  readonly changed: readonly Range[];
  readonly progress: Progress;
}

export interface ReadBack {
  readonly checks: readonly Check[];
  readonly files: ManifestInput['files'];
  readonly rules: readonly RuleResult[];
}

/** Whether the image is what the profiles ask for, and a node; of an image that was opened afresh: nothing that the writer of it remembers is asked. */
async function judgeImage({ base, image, profiles, steps, imageOnly }: Applied, fresh: Image): Promise<ReadBack> {
  const original = await openUnchanged(base.image);
  const checks = await verifyResult(fresh, original.decoded.device, steps);
  const files = imageOnly ? [] : changedFiles(original, fresh, image.tree().actions());
  const rules = readinessOf(fresh, image, profiles);
  return { checks: profiles.readiness === undefined ? checks : [...checks, readinessCheck(rules, profiles.readiness)], files, rules };
}

/**
 * For a spliced image, of which readSpliced() proves that it decodes to the overlay's bytes: those are judged while they are encoded, since the threads that
 * encode leave this one idle. What is judged is opened from these bytes alone, as it would be from the file.
 */
export async function judgeOverlay(job: Applied): Promise<ReadBack> {
  const fresh = await forkImage(job.image);
  try {
    return await judgeImage(job, fresh);
  } finally {
    fresh.overlay.close();
  }
}

/** A spliced file is the base's chunks and what was encoded of the overlay, bit for bit; throws `io` where the disk did not keep that. */
export async function readSpliced(base: Base, staged: Staged, encoded: readonly EncodedPiece[]): Promise<void> {
  const written = await openImage(staged.path, { once: true });
  try {
    await verifySplice(base.image.decoded, base.path, encoded, written, staged.path);
  } finally {
    written.close();
  }
}

/** A file that was encoded whole: its bytes, and, opened as a stranger would, what it holds. Throws `io` where the disk did not keep what was written. */
export async function readWhole(written: WrittenImage): Promise<ReadBack> {
  const { image, staged, output, progress } = written;
  const reread = hashFile(staged.path);
  reread.catch(() => undefined); // reported where it is awaited
  const reopened = await openImageFile(staged.path, { progress, ...neededBackend(image) });
  try {
    compareChanged(image, reopened, written);
    const read = await judgeImage(written, reopened);
    if (await reread !== staged.sha256) throw differs(output, 'its sha256 is another than that of the bytes that were written');
    return read;
  } finally {
    reopened.close();
  }
}

export function readinessOf(reopened: Image, image: Image, { readiness }: Pick<LoadedProfiles, 'readiness'>): RuleResult[] {
  const placed = image.tree().actions().map(({ path, action }) => ({ path, removed: action === 'removed' }));
  return judge(openNode(reopened, { target: readiness, placed }));
}

function readinessCheck(rules: readonly RuleResult[], target: string): Check {
  return { name: `ready for Kubernetes by ${target}`, findings: rules.flatMap(({ findings }) => findings).filter(({ severity }) => severity !== 'info') };
}

export function countRules(rules: readonly RuleResult[]): { errors: number; warnings: number } {
  const count = (status: RuleResult['status']): number => rules.flatMap(({ findings }) => findings).filter(({ severity }) => severity === status).length;
  return { errors: count('error'), warnings: count('warning') };
}

const PIECE = 4 << 20; // bytes

function compareChanged(image: Image, reopened: Image, { changed, output }: WrittenImage): void {
  for (const { offset, length } of changed) {
    for (let at = offset; at < offset + length; at += PIECE) {
      const size = Math.min(PIECE, offset + length - at);
      if (Buffer.compare(reopened.decoded.device.read(at, size), image.overlay.read(at, size)) !== 0) throw differs(output, `byte ${at} and after`);
    }
  }
}

function differs(output: string, what: string): RockberryError {
  return new RockberryError('io', `expected ${output} to read back as it was written, found a difference: ${what}`, { hint: 'check the disk and its cable, then build again' });
}
