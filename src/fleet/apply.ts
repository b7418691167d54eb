/** A patch on its base: exactly the image that the fleet would have built for the node, checked as any other before it gets its name. */
import { openBase, scanBase } from '../base.js';
import { checkBeside } from '../beside.js';
import type { Cache } from '../cache/cache.js';
import { formatOfName } from '../codec/codec.js';
import { RockberryError } from '../errors.js';
import { forkImage, requireRoles } from '../image/image.js';
import { checkOutput } from '../output/atomic.js';
import { masking } from '../profile/masking.js';
import { hasErrors, silentProgress, type Finding, type Progress } from '../report.js';
import { writeImage } from '../write.js';
import { readPatch, requireBase } from './patch.js';

export interface ApplyOptions {
  readonly patch: string;
  readonly base: string;
  readonly output: string;
  readonly force?: boolean;
  readonly imageOnly?: boolean;
  readonly cache?: Cache;
  readonly progress?: Progress;
}

export interface ApplyResult {
  readonly node: string;
  /** null when a check found an error: then nothing is left behind. */
  readonly output: string | null;
  readonly sha256: string | null;
  readonly bytes: number | null;
  readonly findings: readonly Finding[];
}

/** Errors: `refused` when the base is not the one that the patch is for; those of readPatch and of a build. */
export async function applyPatch(options: ApplyOptions): Promise<ApplyResult> {
  const progress = options.progress ?? silentProgress;
  const { manifest, ranges } = await readPatch(options.patch);
  const format = formatOfName(options.output);
  checkOutput(options.output, options.force ?? false, [options.base, options.patch]);
  if (!options.imageOnly) checkBeside(options.output, options.force ?? false);
  const encode = { ...(manifest.output.blockSize !== null && { blockSize: manifest.output.blockSize }), ...(manifest.output.preset !== null && { preset: manifest.output.preset }) };
  progress.phase(`opening ${options.base}`);
  const base = await openBase(options.base, { format, cache: options.cache, encode, progress });
  try {
    requireBase(options.patch, manifest, { path: options.base, sha256: await base.sha256() });
    requireRoles(base.image);
    const scan = base.splice ? await scanBase(base, options.cache, progress) : undefined;
    for await (const { offset, data } of ranges()) base.image.overlay.write(offset, data);
    const image = await forkImage(base.image); // opened again: what was read before is of the base
    const profiles = { digests: manifest.profiles, variables: new Map(Object.entries(manifest.variables)), mask: masking([]), readiness: undefined };
    const job = { base, name: manifest.base.name, image, profiles, steps: [], encode, imageOnly: options.imageOnly ?? false, progress };
    const { written, read } = await writeImage(job, { output: options.output, format, force: options.force ?? false, scan, changed: image.overlay.changes() });
    const findings = read.checks.flatMap((check) => check.findings);
    if (!written && !hasErrors(findings)) throw new RockberryError('io', `expected ${options.output} to be written, found nothing`);
    return { node: manifest.node, output: null, sha256: null, bytes: null, ...written, findings };
  } finally {
    progress.finish();
    base.close();
  }
}
