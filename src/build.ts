/** The main job: profiles → base image → steps on an overlay → encode → reopen as a stranger → verify → rename. The base is only ever read. */
import type { Range } from './bytes/ranges.js';
import { formatOfName, type DecodedImage, type ImageFormat } from './codec/codec.js';
import { encodeImage } from './codec/encode.js';
import { canSplice, spliceImage } from './codec/splice.js';
import { openImageFile, requireRoles, type Image } from './image/image.js';
import { checkOutput, stageOutput, type Staged } from './output/atomic.js';
import { loadProfiles, type LoadedProfiles } from './profile.js';
import { hasErrors, silentProgress, type FileAction, type Finding, type Progress } from './report.js';
import { verifyResult, type Check } from './verify/result.js';

export interface BuildOptions {
  readonly image: string;
  /** Shipped names or paths, applied in order. */
  readonly profiles: readonly string[];
  readonly set?: readonly string[];
  readonly varsFiles?: readonly string[];
  readonly output?: string;
  readonly force?: boolean;
  /** Applies the steps to the overlay and reports; writes nothing. */
  readonly dryRun?: boolean;
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
  readonly checks: readonly { readonly name: string; readonly findings: number }[];
}

export async function build(options: BuildOptions): Promise<BuildResult> {
  const progress = options.progress ?? silentProgress;
  const format = options.output === undefined ? undefined : formatOfName(options.output);
  const profiles = loadProfiles(options.profiles, { set: options.set ?? [], varsFiles: options.varsFiles ?? [] });
  if (options.output !== undefined && !options.dryRun) checkOutput(options.output, options.force ?? false, [options.image]);
  progress.phase(`opening ${options.image}`);
  const image = await openImageFile(options.image, { progress });
  try {
    requireRoles(image);
    await applySteps(image, profiles, progress);
    const changed = image.overlay.changes();
    const done = { image, profiles, changed, files: image.tree().actions() };
    if (options.dryRun || options.output === undefined || format === undefined) return summary(done, undefined, []);
    return await write(done, options.output, format, options.force ?? false, progress);
  } finally {
    progress.finish();
    image.close();
  }
}

async function applySteps(image: Image, profiles: LoadedProfiles, progress: Progress): Promise<void> {
  const tree = image.tree();
  for (const step of profiles.steps) {
    progress.phase(step.title);
    await step.apply(tree);
  }
  tree.flush();
}

interface Applied {
  readonly image: Image;
  readonly profiles: LoadedProfiles;
  readonly changed: readonly Range[];
  readonly files: readonly FileAction[];
}

async function write(applied: Applied, output: string, format: ImageFormat, force: boolean, progress: Progress): Promise<BuildResult> {
  const { image, profiles } = applied;
  const { decoded, overlay, path } = image;
  const splice = format === decoded.format && canSplice(decoded);
  if (splice) await scanBase(decoded, path, progress);
  const pieces = splice ? spliceImage(decoded, path, overlay, { progress }) : encodeImage(overlay, format, { progress, prefetch: decoded.prefetch });
  progress.phase(`writing ${output}`);
  const staged = await stageOutput(output, pieces, { force, sparse: format === 'raw' });
  try {
    progress.phase(`checking ${output}`);
    const checks = await verifyStaged(staged, applied, profiles);
    if (checks.some(({ findings }) => hasErrors(findings))) {
      staged.discard();
      return summary(applied, undefined, checks);
    }
    staged.commit();
    return summary(applied, { output, sha256: staged.sha256, bytes: staged.bytes }, checks);
  } catch (error) {
    staged.discard();
    throw error;
  }
}

/** Copied chunks are not decoded on the way: whether the base is sound is asked first, so that damage in it never reaches an output. */
async function scanBase(decoded: DecodedImage, path: string, progress: Progress): Promise<void> {
  progress.phase(`checking ${path}`);
  await decoded.scan({ progress });
}

async function verifyStaged(staged: Staged, { image }: Applied, profiles: LoadedProfiles): Promise<Check[]> {
  const reopened = await openImageFile(staged.path);
  try {
    return await verifyResult(reopened, image.decoded.device, profiles.steps);
  } finally {
    reopened.close();
  }
}

interface Written {
  readonly output: string;
  readonly sha256: string;
  readonly bytes: number;
}

function summary({ image, profiles, changed, files }: Applied, written: Written | undefined, checks: readonly Check[]): BuildResult {
  return {
    image: image.path,
    output: written?.output ?? null,
    sha256: written?.sha256 ?? null,
    bytes: written?.bytes ?? null,
    imageBytes: image.overlay.size,
    changed,
    files,
    findings: checks.flatMap(({ findings }) => findings),
    profiles: profiles.names,
    steps: profiles.steps.map(({ title }) => title),
    skipped: profiles.skipped,
    checks: checks.map(({ name, findings }) => ({ name, findings: findings.length })),
  };
}
