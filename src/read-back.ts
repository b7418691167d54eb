/** Opens what was written as a stranger would: is every byte on the disk what was meant, is the image what the profiles ask for, and will Kubernetes run on it? */
import type { Base } from './base.js';
import { changedFiles } from './beside.js';
import { RangeSet } from './bytes/range-set.js';
import type { Range } from './bytes/ranges.js';
import type { DecodedImage } from './codec/codec.js';
import { verifySplice, type EncodedPiece } from './codec/splice.js';
import { borrowing } from './device/borrowing.js';
import { RockberryError } from './errors.js';
import { openImageFile, openUnchanged, type Image } from './image/image.js';
import type { Staged } from './output/atomic.js';
import { hashFile } from './output/hashes.js';
import type { ManifestInput } from './output/manifest.js';
import type { BoundStep, LoadedProfiles } from './profile.js';
import type { Progress } from './report.js';
import { openNode } from './verify/node.js';
import { judge, type RuleResult } from './verify/readiness.js';
import { verifyResult, type Check } from './verify/result.js';

export interface WrittenImage {
  readonly base: Base;
  /** The base's own image or a fork of it, with the steps applied. */
  readonly image: Image;
  readonly staged: Staged;
  readonly profiles: Pick<LoadedProfiles, 'readiness'>;
  readonly steps: readonly BoundStep[];
  /** The name that it will have. */
  readonly output: string;
  readonly changed: readonly Range[];
  /** What of a spliced image was encoded anew. */
  readonly encoded: readonly EncodedPiece[];
  /** The manifest's lines about files are not wanted. */
  readonly imageOnly: boolean;
  readonly progress: Progress;
}

export interface ReadBack {
  readonly checks: readonly Check[];
  readonly files: ManifestInput['files'];
  readonly rules: readonly RuleResult[];
}

/** Throws `io` where the disk did not keep what was written. */
export async function readBack(written: WrittenImage): Promise<ReadBack> {
  const { base, image, staged, profiles, output, progress } = written;
  const reread = base.splice ? undefined : hashFile(staged.path);
  reread?.catch(() => undefined); // reported where it is awaited
  const proofs: Promise<void>[] = [];
  const reopened = await openImageFile(staged.path, { progress, ...(base.splice && { through: (decoded) => provenPart(decoded, written, proofs) }) });
  const original = await openUnchanged(base.image);
  try {
    if (!base.splice) compareChanged(image, reopened, written);
    const checks = await verifyResult(reopened, original.decoded.device, written.steps);
    const files = written.imageOnly ? [] : changedFiles(original, reopened, image.tree().actions());
    const rules = readinessOf(reopened, image, profiles);
    await Promise.all(proofs);
    if (reread && await reread !== staged.sha256) throw differs(output, 'its sha256 is another than that of the bytes that were written');
    return { checks: profiles.readiness === undefined ? checks : [...checks, readinessCheck(rules, profiles.readiness)], files, rules };
  } finally {
    reopened.close();
  }
}

/**
 * A spliced image whose bytes are proven: encoded chunks decode to what they were made of, and copied ones are the base's, once `proofs` are kept. What did not
 * change can then be read from the base, of which the pages that are needed are at hand; what changed is decoded from the file that was written.
 */
async function provenPart(decoded: DecodedImage, { base, staged, encoded, changed }: WrittenImage, proofs: Promise<void>[]): Promise<DecodedImage> {
  const { decoded: original } = base.image;
  const { copied } = await verifySplice(original, base.path, encoded, decoded, staged.path);
  proofs.push(copied);
  return { ...decoded, device: borrowing(decoded.device, original.device, new RangeSet(changed)), prefetch: original.prefetch };
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
