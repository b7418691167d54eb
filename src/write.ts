/** An image with its steps applied → splice or encode → reopen as a stranger → verify → rename, with what stands beside it. */
import { rmSync } from 'node:fs';
import type { Base } from './base.js';
import { ENDINGS, blockMap, stageBeside, tool } from './beside.js';
import type { Range } from './bytes/ranges.js';
import type { ScanRecord } from './cache/cache.js';
import type { ImageFormat } from './codec/codec.js';
import { encodeImage, type EncodeOptions } from './codec/encode.js';
import { spliceImage, type Splice, type SpliceOptions } from './codec/splice.js';
import type { Image } from './image/image.js';
import { stageOutput, type Staged } from './output/atomic.js';
import type { ManifestInput } from './output/manifest.js';
import type { BoundStep, LoadedProfiles } from './profile.js';
import { maskedValue } from './profile/masking.js';
import { rangeHashes } from './range-hashes.js';
import { judgeOverlay, readSpliced, readWhole, type ReadBack } from './read-back.js';
import { hasErrors, type Progress } from './report.js';

/** What is written, and what the result has to be. */
export interface WriteJob {
  readonly base: Base;
  /** The base's name as it was given, for the manifest. */
  readonly name: string;
  /** The base's own image or a fork of it, with the steps applied and flushed. */
  readonly image: Image;
  readonly profiles: Pick<LoadedProfiles, 'digests' | 'variables' | 'mask' | 'readiness'>;
  /** Each of them has to find what it did. */
  readonly steps: readonly BoundStep[];
  readonly encode: EncodeOptions;
  /** No block map, check sum and manifest beside the image. */
  readonly imageOnly: boolean;
  readonly progress: Progress;
}

export interface Target {
  readonly output: string;
  readonly format: ImageFormat;
  readonly force: boolean;
  /** What the base's scan found; for a base that is copied in parts. */
  readonly scan: ScanRecord | undefined;
  readonly changed: readonly Range[];
}

/** Of the output file. */
export interface Written {
  readonly output: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** undefined as the file when a check found an error: then nothing is left behind. */
export async function writeImage(job: WriteJob, target: Target): Promise<{ readonly written: Written | undefined; readonly read: ReadBack }> {
  const { base, image, profiles, progress } = job;
  const hashes = rangeHashes(job, target);
  if (!job.imageOnly) void base.sha256(); // for the manifest, while the image is written
  progress.phase(`writing ${target.output}`);
  const busy = signal();
  const { bytes, encoded } = encodedImage(job, target.format, { ...hashes, whenBusy: busy.give });
  const staging = stageOutput(target.output, bytes, {
    force: target.force, flushLater: true, sparse: target.format === 'raw', ...(target.format === 'raw' && image.decoded.format === 'raw' && { cloneOf: { path: base.path, changed: target.changed } }),
  });
  const judged = base.splice ? Promise.race([busy.given, staging]).then(() => judgeOverlay(job)) : undefined;
  judged?.catch(() => undefined); // reported where it is awaited
  const staged = await staging;
  const all = [staged];
  try {
    progress.phase(`checking ${target.output}`);
    if (judged) await readSpliced(base, staged, encoded);
    const read = maskedValue(await (judged ?? readWhole({ ...job, ...target, staged })), profiles.mask);
    if (read.checks.some(({ findings }) => hasErrors(findings))) {
      staged.discard();
      return { written: undefined, read };
    }
    if (!job.imageOnly) all.push(...await stageBeside(target.output, staged.sha256, blockMap(image.overlay, hashes.ranges, hashes.known()), await manifest(job, target, staged, read)));
    await Promise.all([base.confirm(), ...all.map(({ flushed }) => flushed)]);
    publish(target.output, all);
    base.memory.keep();
    return { written: { output: target.output, sha256: staged.sha256, bytes: staged.bytes }, read };
  } catch (error) {
    all.forEach((file) => file.discard());
    throw error;
  }
}

/** The image first, then what stands beside it; files beside an older image go before, so that none ever describes another image. */
function publish(output: string, [image, ...beside]: readonly Staged[]): void {
  if (beside.length > 0) for (const ending of Object.values(ENDINGS)) rmSync(output + ending, { force: true });
  image!.commit(beside.length === 0);
  beside.forEach((file, at) => file.commit(at === beside.length - 1));
}

function signal(): { readonly given: Promise<void>; give(): void } {
  let give = (): void => undefined;
  const given = new Promise<void>((resolve) => { give = resolve; });
  return { given, give: () => void setImmediate(give) }; // after what is under way
}

function encodedImage({ base, image, encode, progress }: WriteJob, format: ImageFormat, watch: Required<Pick<SpliceOptions, 'visit' | 'wants' | 'whenBusy'>>): Splice {
  const { decoded, overlay } = image;
  if (base.splice) return spliceImage(decoded, base.path, overlay, { ...encode, ...watch, progress, known: base.memory.pieces });
  return { bytes: encodeImage(overlay, format, { ...encode, progress, prefetch: decoded.prefetch, visit: watch.visit }), encoded: [] };
}

async function manifest({ name, base, image, profiles }: WriteJob, { output, format, changed }: Target, staged: Staged, { checks, files }: ReadBack): Promise<ManifestInput> {
  return {
    tool: tool(),
    base: { name, sha256: await base.sha256(), bytes: base.fileBytes, format: image.decoded.format },
    output: { name: output, sha256: staged.sha256, bytes: staged.bytes, format },
    imageBytes: image.overlay.size,
    profiles: profiles.digests,
    variables: profiles.variables,
    files,
    changed,
    findings: checks.flatMap(({ findings }) => findings),
    runs: maskedValue(image.tree().runs?.() ?? [], profiles.mask),
  };
}
