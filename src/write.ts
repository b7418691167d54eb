/** An image with its steps applied → splice or encode → reopen as a stranger → verify → rename, with what stands beside it. */
import { rmSync } from 'node:fs';
import { chunkStarts, type Base } from './base.js';
import { ENDINGS, blockMap, fromScan, stageBeside, tool } from './beside.js';
import { overlapsAny, type Range } from './bytes/ranges.js';
import type { ScanRecord } from './cache/cache.js';
import type { ImageFormat } from './codec/codec.js';
import { encodeImage, encodedBlockSize, type EncodeOptions } from './codec/encode.js';
import { spliceImage, type Splice } from './codec/splice.js';
import type { Image } from './image/image.js';
import { mappedRanges } from './image/mapped.js';
import { stageOutput, type Staged } from './output/atomic.js';
import { planRanges, type HashedRange } from './output/bmap.js';
import { rangeHasher } from './output/hashes.js';
import type { ManifestInput } from './output/manifest.js';
import type { BoundStep, LoadedProfiles } from './profile.js';
import { maskedValue } from './profile/masking.js';
import { readBack, type ReadBack } from './read-back.js';
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
  const ranges = planRanges(mappedRanges(image), base.splice ? chunkStarts(image.decoded) : blockStarts(image.overlay.size, target.format, job.encode));
  const isChanged = overlapsAny(target.changed);
  const hasher = rangeHasher(base.splice ? ranges.filter(isChanged) : ranges); // of the others the base's scan has the hashes
  if (!job.imageOnly) void base.sha256(); // for the manifest, while the image is written
  progress.phase(`writing ${target.output}`);
  const { bytes, encoded } = encodedImage(job, target.format, hasher.feed);
  const staged = await stageOutput(target.output, bytes, {
    force: target.force, flushLater: true, sparse: target.format === 'raw', ...(target.format === 'raw' && image.decoded.format === 'raw' && { cloneOf: { path: base.path, changed: target.changed } }),
  });
  const all = [staged];
  try {
    progress.phase(`checking ${target.output}`);
    const read = maskedValue(await readBack({ ...job, ...target, staged, encoded }), profiles.mask);
    if (read.checks.some(({ findings }) => hasErrors(findings))) {
      staged.discard();
      return { written: undefined, read };
    }
    if (!job.imageOnly) all.push(...await stageBeside(target.output, staged.sha256, blockMap(image.overlay, ranges, [...unchangedOf(target), ...hasher.results()]), await manifest(job, target, staged, read)));
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
  image!.commit();
  beside.forEach((file) => file.commit());
}

function encodedImage({ base, image, encode, progress }: WriteJob, format: ImageFormat, visit: (offset: number, plain: Uint8Array) => void): Splice {
  const { decoded, overlay } = image;
  if (base.splice) return spliceImage(decoded, base.path, overlay, { ...encode, progress, visit, known: base.memory.pieces });
  return { bytes: encodeImage(overlay, format, { ...encode, progress, prefetch: decoded.prefetch, visit }), encoded: [] };
}

/** Hashes of the base's scan that still hold. */
function unchangedOf({ scan, changed }: Target): HashedRange[] {
  const isChanged = overlapsAny(changed);
  return scan ? fromScan(scan).filter((range) => !isChanged(range)) : [];
}

function blockStarts(size: number, format: ImageFormat, encode: EncodeOptions): number[] {
  const blockSize = encodedBlockSize(format, encode);
  return Array.from({ length: Math.ceil(size / blockSize) }, (_, at) => at * blockSize);
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
  };
}
