/** The main job: profiles → base image → steps on an overlay → splice or encode → reopen as a stranger → verify → rename. The base is only ever read. */
import { rmSync } from 'node:fs';
import { ENDINGS, blockMap, checkBeside, fromScan, stageBeside, tool } from './beside.js';
import { chunkStarts, openBase, scanBase, type Base } from './base.js';
import { overlapsAny, type Range } from './bytes/ranges.js';
import type { Cache, ScanRecord } from './cache/cache.js';
import { formatOfName, type ImageFormat } from './codec/codec.js';
import { encodeImage, encodedBlockSize, type EncodeOptions } from './codec/encode.js';
import { spliceImage, type Splice } from './codec/splice.js';
import { requireRoles, type Image } from './image/image.js';
import { mappedRanges } from './image/mapped.js';
import { checkOutput, stageOutput, type Staged } from './output/atomic.js';
import { planRanges, type HashedRange } from './output/bmap.js';
import { rangeHasher } from './output/hashes.js';
import type { ManifestInput } from './output/manifest.js';
import { loadProfiles, type LoadedProfiles } from './profile.js';
import { maskedError, maskedValue } from './profile/masking.js';
import { hasErrors, silentProgress, type FileAction, type Finding, type Progress } from './report.js';
import { countRules, readBack, type ReadBack } from './read-back.js';

export interface BuildOptions {
  readonly image: string;
  /** Shipped names or paths, applied in order. */
  readonly profiles: readonly string[];
  readonly set?: readonly string[];
  readonly varsFiles?: readonly string[];
  /** "name=FILE" for secret variables. */
  readonly secrets?: readonly string[];
  /** Secrets that were asked for. */
  readonly answers?: ReadonlyMap<string, string>;
  readonly output?: string;
  readonly force?: boolean;
  /** Applies the steps to the overlay and reports; writes nothing. */
  readonly dryRun?: boolean;
  /** No block map, check sum and manifest beside the image. */
  readonly imageOnly?: boolean;
  readonly encode?: Pick<EncodeOptions, 'blockSize' | 'preset'>;
  readonly cache?: Cache;
  readonly progress?: Progress;
}

export interface BuildResult {
  readonly image: string;
  /** null when nothing was written: a dry run, or findings of severity error. */
  readonly output: string | null;
  readonly sha256: string | null;
  /** Of the output file. */
  readonly bytes: number | null;
  /** Of the raw image. */
  readonly imageBytes: number;
  /** Bytes of the raw image that differ from the base's. */
  readonly changed: readonly Range[];
  readonly files: readonly FileAction[];
  readonly findings: readonly Finding[];
  readonly profiles: readonly string[];
  readonly steps: readonly string[];
  readonly skipped: readonly string[];
  readonly checks: readonly { readonly name: string; readonly findings: number; readonly errors: number }[];
  /** What `rockberry verify` says of the result; its errors fail the build when a profile names its installer. null when nothing was written. */
  readonly readiness: { readonly target: string | null; readonly errors: number; readonly warnings: number } | null;
}

/** What a build works with from its beginning to its end. */
interface Job {
  readonly options: BuildOptions;
  readonly progress: Progress;
  readonly profiles: LoadedProfiles;
  readonly base: Base;
  readonly image: Image;
  readonly encode: EncodeOptions;
}

interface Target {
  readonly output: string;
  readonly format: ImageFormat;
  readonly force: boolean;
  /** What the base's scan found; for a base that is copied in parts. */
  readonly scan: ScanRecord | undefined;
  readonly changed: readonly Range[];
}

export async function build(options: BuildOptions): Promise<BuildResult> {
  const progress = options.progress ?? silentProgress;
  const format = options.output === undefined ? undefined : formatOfName(options.output);
  const profiles = loadProfiles(options.profiles, { set: options.set ?? [], varsFiles: options.varsFiles ?? [], secrets: options.secrets ?? [], answers: options.answers ?? new Map() });
  if (options.output !== undefined && !options.dryRun) checkOutputs(options.output, options);
  progress.phase(`opening ${options.image}`);
  const base = await openBase(options.image, { format: options.dryRun ? undefined : format, cache: options.cache, encode: options.encode ?? {}, progress });
  try {
    const job: Job = { options, progress, profiles, base, image: base.image, encode: options.encode ?? {} };
    requireRoles(base.image);
    // Before the steps: chunks that are copied are not decoded on the way, and damage in the base must never reach an output.
    const scan = base.splice ? await scanBase(base, options.cache, progress) : undefined;
    await applySteps(job);
    const changed = base.image.overlay.changes();
    if (options.dryRun || options.output === undefined || format === undefined) return summary(job, changed, undefined, { checks: [], files: [], rules: [] });
    return await write(job, { output: options.output, format, force: options.force ?? false, scan, changed });
  } catch (error) {
    throw maskedError(error, profiles.mask);
  } finally {
    progress.finish();
    base.close();
  }
}

function checkOutputs(output: string, { force, image, imageOnly }: BuildOptions): void {
  checkOutput(output, force ?? false, [image]);
  if (!imageOnly) checkBeside(output, force ?? false);
}

async function applySteps({ image, profiles, progress }: Job): Promise<void> {
  const tree = image.tree();
  for (const step of profiles.steps) {
    progress.phase(step.title);
    await step.apply(tree);
  }
  tree.flush();
}

async function write(job: Job, target: Target): Promise<BuildResult> {
  const { base, image, profiles, progress } = job;
  const ranges = planRanges(mappedRanges(image), base.splice ? chunkStarts(image.decoded) : blockStarts(image.overlay.size, target.format, job.encode));
  const isChanged = overlapsAny(target.changed);
  const hasher = rangeHasher(base.splice ? ranges.filter(isChanged) : ranges); // of the others the base's scan has the hashes
  if (!job.options.imageOnly) void base.sha256(); // for the manifest, while the image is written
  progress.phase(`writing ${target.output}`);
  const { bytes, encoded } = encodedImage(job, target.format, hasher.feed);
  const staged = await stageOutput(target.output, bytes, {
    force: target.force, flushLater: true, sparse: target.format === 'raw', ...(target.format === 'raw' && image.decoded.format === 'raw' && { cloneOf: { path: base.path, changed: target.changed } }),
  });
  const all = [staged];
  try {
    progress.phase(`checking ${target.output}`);
    const read = maskedValue(await readBack({ ...target, base, staged, encoded, profiles, withFiles: !job.options.imageOnly, progress }), profiles.mask);
    const done = { output: target.output, sha256: staged.sha256, bytes: staged.bytes };
    if (read.checks.some(({ findings }) => hasErrors(findings))) {
      staged.discard();
      return summary(job, target.changed, undefined, read);
    }
    if (!job.options.imageOnly) all.push(...await stageBeside(target.output, staged.sha256, blockMap(image.overlay, ranges, [...unchangedOf(target), ...hasher.results()]), await manifest(job, target, staged, read)));
    await Promise.all([base.confirm(), ...all.map(({ flushed }) => flushed)]);
    publish(target.output, all);
    base.memory.keep();
    return summary(job, target.changed, done, read);
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

function encodedImage({ base, image, encode, progress }: Job, format: ImageFormat, visit: (offset: number, plain: Uint8Array) => void): Splice {
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

async function manifest({ options, base, image, profiles }: Job, { output, format, changed }: Target, staged: Staged, { checks, files }: ReadBack): Promise<ManifestInput> {
  return {
    tool: tool(),
    base: { name: options.image, sha256: await base.sha256(), bytes: base.fileBytes, format: image.decoded.format },
    output: { name: output, sha256: staged.sha256, bytes: staged.bytes, format },
    imageBytes: image.overlay.size,
    profiles: profiles.digests,
    variables: profiles.variables,
    files,
    changed,
    findings: checks.flatMap(({ findings }) => findings),
  };
}

type Written = Pick<BuildResult, 'output' | 'sha256' | 'bytes'>;
const NOTHING: Written = { output: null, sha256: null, bytes: null };

function summary({ options, image, profiles }: Job, changed: readonly Range[], written: Written | undefined, { checks, rules }: ReadBack): BuildResult {
  return {
    image: options.image,
    ...(written ?? NOTHING),
    imageBytes: image.overlay.size,
    changed,
    files: maskedValue(image.tree().actions(), profiles.mask),
    findings: checks.flatMap(({ findings }) => findings),
    profiles: profiles.names,
    steps: profiles.steps.map(({ title }) => title),
    skipped: profiles.skipped,
    checks: checks.map(({ name, findings }) => ({ name, findings: findings.length, errors: findings.filter(({ severity }) => severity === 'error').length })),
    readiness: written ? { target: profiles.readiness ?? null, ...countRules(rules) } : null,
  };
}
