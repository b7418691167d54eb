/** The main job: profiles → base image → steps on an overlay → splice or encode → reopen as a stranger → verify → rename. The base is only ever read. */
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { openBase, scanBase } from './base.js';
import { checkBeside } from './beside.js';
import type { Range } from './bytes/ranges.js';
import type { Cache } from './cache/cache.js';
import { RockberryError } from './errors.js';
import type { RunRecord } from './fs/filesystem.js';
import { formatOfName } from './codec/codec.js';
import type { EncodeOptions } from './codec/encode.js';
import type { Backend } from './image/backend.js';
import type { Growth } from './image/grow.js';
import { requireRoles, type Image } from './image/image.js';
import { checkOutput } from './output/atomic.js';
import { loadProfiles, type BoundStep, type LoadedProfiles } from './profile.js';
import { maskedError, maskedValue } from './profile/masking.js';
import { silentProgress, type FileAction, type Finding, type Progress } from './report.js';
import { countRules, type ReadBack } from './read-back.js';
import { writeImage, type Written } from './write.js';

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
  readonly backend?: Backend;
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
  /** Programs of the image that were run: with any, the result is not reproducible. */
  readonly runs: readonly RunRecord[];
  /** Who read and wrote the image's filesystems. */
  readonly backend: 'user' | 'loop';
  /** What the backend left to the built-in driver, and why. */
  readonly notes: readonly string[];
  /** What `rockberry verify` says of the result; its errors fail the build when a profile names its installer. null when nothing was written. */
  readonly readiness: { readonly target: string | null; readonly errors: number; readonly warnings: number } | null;
}

export async function build(options: BuildOptions): Promise<BuildResult> {
  const progress = options.progress ?? silentProgress;
  const format = options.output === undefined ? undefined : formatOfName(options.output);
  const profiles = loadProfiles(options.profiles, { set: options.set ?? [], varsFiles: options.varsFiles ?? [], secrets: options.secrets ?? [], answers: options.answers ?? new Map() });
  if (options.output !== undefined && !options.dryRun) checkOutputs(options.output, options);
  if (!options.dryRun && !options.backend) requireNoMachine(profiles.steps);
  progress.phase(`opening ${options.image}`);
  const base = await openBase(options.image, { format: options.dryRun ? undefined : format, cache: options.cache, encode: options.encode ?? {}, progress, ...(options.backend && { backend: options.backend }), ...growthOf(profiles.steps) });
  try {
    const { image } = base;
    requireRoles(image);
    // Before the steps: chunks that are copied are not decoded on the way, and damage in the base must never reach an output.
    const scan = base.splice ? await scanBase(base, options.cache, progress) : undefined;
    await applySteps(image, options.dryRun ? profiles.steps.filter((step) => !step.needsMachine) : profiles.steps, progress);
    const changed = image.overlay.changes();
    const done = { options, image, profiles, changed };
    if (options.dryRun || options.output === undefined || format === undefined) return summary(done, undefined, NOTHING_READ);
    const job = { base, name: options.image, image, profiles, steps: profiles.steps, encode: options.encode ?? {}, imageOnly: options.imageOnly ?? false, progress };
    const { written, read } = await writeImage(job, { output: options.output, format, force: options.force ?? false, scan, changed });
    return summary(done, written, read);
  } catch (error) {
    throw maskedError(error, profiles.mask);
  } finally {
    progress.finish();
    base.close();
  }
}

/** Before anything is opened: programs of the image run only where its filesystems are mounted. */
function requireNoMachine(steps: readonly BoundStep[]): void {
  const step = steps.find(({ needsMachine }) => needsMachine);
  if (step) throw new RockberryError('unsupported', `${step.where}: expected steps that need no running programs, found one that does (${step.title})`, { hint: 'as root on Linux, add --backend loop', needsKernel: true });
}

/** What the steps ask for, together; nothing when none does. */
function growthOf(steps: LoadedProfiles['steps']): { readonly grow?: Growth } {
  const asked = steps.flatMap(({ growth }) => growth ?? []);
  if (asked.length === 0) return {};
  const needed = (): number => steps.flatMap(({ sources }) => sources).reduce((sum, path) => sum + bytesBelow(path), 0);
  return { grow: { size: Math.max(0, ...asked.map(({ size = 0 }) => size)), free: Math.max(0, ...asked.map(({ free = 0 }) => (free === 'auto' ? needed() + SPARE : free))) } };
}

/** Bytes for directories, logs and what else is not counted. */
const SPARE = 64 * 2 ** 20;

/** Of a file of the host, or of all files in a directory; 0 for what is not there: the step that needs it tells. */
function bytesBelow(path: string): number {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (!stats?.isDirectory()) return stats?.size ?? 0;
  return readdirSync(path).reduce((sum, name) => sum + bytesBelow(join(path, name)), 0);
}

/** For those who change bytes only, such as fleets and cards: steps that run programs or make the image larger belong in a base that is built first. */
export function requirePlainSteps(steps: readonly BoundStep[], where: string): void {
  const step = steps.find(({ needsMachine, growth }) => needsMachine || growth);
  if (step) throw new RockberryError('unsupported', `${step.where}: expected steps that ${where} can take, found one that ${step.needsMachine ? 'runs programs' : 'makes the image larger'} (${step.title})`, { hint: 'do it once with rockberry build, and use the result as the base' });
}

function checkOutputs(output: string, { force, image, imageOnly }: BuildOptions): void {
  checkOutput(output, force ?? false, [image]);
  if (!imageOnly) checkBeside(output, force ?? false);
}

/** Each of them in order, on the image's tree; then everything is on the overlay. */
export async function applySteps(image: Image, steps: readonly BoundStep[], progress: Progress): Promise<void> {
  const tree = image.tree();
  for (const step of steps) {
    progress.phase(step.title);
    await step.apply(tree);
  }
  tree.flush();
}

interface Applied {
  readonly options: BuildOptions;
  readonly image: Image;
  readonly profiles: LoadedProfiles;
  readonly changed: readonly Range[];
}

const NOTHING = { output: null, sha256: null, bytes: null };
const NOTHING_READ: ReadBack = { checks: [], files: [], rules: [] };

function summary({ options, image, profiles, changed }: Applied, written: Written | undefined, { checks, rules }: ReadBack): BuildResult {
  return {
    image: options.image,
    ...(written ?? NOTHING),
    imageBytes: image.overlay.size,
    changed,
    files: maskedValue(image.tree().actions(), profiles.mask),
    findings: checks.flatMap(({ findings }) => findings),
    profiles: profiles.names,
    steps: profiles.steps.map(({ title }) => title),
    skipped: [...profiles.skipped, ...(options.dryRun ? profiles.steps.filter(({ needsMachine }) => needsMachine).map(({ title }) => `${title} (nothing is run in a dry run)`) : [])],
    runs: maskedValue(image.tree().runs?.() ?? [], profiles.mask),
    backend: options.backend ? 'loop' : 'user', notes: options.backend?.notes() ?? [],
    checks: checks.map(({ name, findings }) => ({ name, findings: findings.length, errors: findings.filter(({ severity }) => severity === 'error').length })),
    readiness: written ? { target: profiles.readiness ?? null, ...countRules(rules) } : null,
  };
}
