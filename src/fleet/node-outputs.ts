/** One node's output: its image, or a patch that makes it of the base. */
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { tool } from '../beside.js';
import type { Base } from '../base.js';
import type { ScanRecord } from '../cache/cache.js';
import type { ImageFormat } from '../codec/codec.js';
import type { EncodeOptions } from '../codec/encode.js';
import { RockberryError } from '../errors.js';
import { forkImage, type Image } from '../image/image.js';
import { stageOutput } from '../output/atomic.js';
import type { BoundStep } from '../profile.js';
import { maskedValue } from '../profile/masking.js';
import { countRules, readinessOf, type ReadBack } from '../read-back.js';
import { hasErrors, silentProgress, type Finding } from '../report.js';
import { verifyBoot } from '../verify/boot.js';
import { verifyTable } from '../verify/table.js';
import { writeImage } from '../write.js';
import type { NodeReport } from './model.js';
import { packPatch } from './patch.js';
import type { PlannedNode } from './planned.js';

export interface FleetBase {
  readonly base: Base;
  /** As it was given. */
  readonly name: string;
  readonly scan: ScanRecord | undefined;
  readonly format: ImageFormat;
  readonly encode: EncodeOptions;
  readonly directory: string;
  /** Of an image's file name: ".img.xz". */
  readonly ending: string;
}

export type Made = Pick<NodeReport, 'output' | 'sha256' | 'bytes' | 'imageBytes' | 'changedBytes' | 'files' | 'findings' | 'readiness'>;

/** Replaces what is there. Throws for a node that did not come out as its profiles ask. */
export async function makeImage(fleet: FleetBase, planned: Pick<PlannedNode, 'profiles' | 'output'> & { readonly steps: readonly BoundStep[] }, image: Image): Promise<Made> {
  const { profiles, steps } = planned;
  const changed = image.overlay.changes();
  const job = { base: fleet.base, name: fleet.name, image, profiles, steps, encode: fleet.encode, imageOnly: false, progress: silentProgress };
  const { written, read } = await writeImage(job, { output: join(fleet.directory, planned.output), format: fleet.format, force: true, scan: fleet.scan, changed });
  if (!written) throw notAsAsked(read.checks.flatMap(({ findings }) => findings));
  return made(planned, image, { ...written, read });
}

/** The node's own file, of mode 0600: it holds what the node's files hold. */
export async function makePatch(fleet: FleetBase, planned: PlannedNode, image: Image): Promise<Made> {
  const { base, encode } = fleet;
  const ranges = image.overlay.changes();
  const read = await checkUnwritten(base, planned, image);
  const errors = read.checks.flatMap(({ findings }) => findings).filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw notAsAsked(errors);
  const manifest = {
    tool: tool(), node: planned.node.name,
    base: { name: fleet.name, sha256: await base.sha256(), bytes: base.fileBytes, imageBytes: image.overlay.size, format: image.decoded.format },
    output: { name: `${planned.node.name}${ENDING_OF[fleet.format]}`, format: fleet.format, blockSize: encode.blockSize ?? null, preset: encode.preset ?? null, sha256: null, bytes: null },
    profiles: [...planned.profiles.digests], variables: Object.fromEntries(planned.profiles.variables), inputs: planned.inputs.digest,
  };
  const bytes = await packPatch({ manifest, ranges, read: (offset, length) => image.overlay.read(offset, length) });
  const output = join(fleet.directory, planned.output);
  const staged = await stageOutput(output, piecesOf(bytes), { force: true });
  chmodSync(staged.path, 0o600);
  staged.commit();
  return made(planned, image, { sha256: staged.sha256, bytes: staged.bytes, read });
}

export const ENDING_OF: Record<ImageFormat, string> = { raw: '.img', xz: '.img.xz', gzip: '.img.gz', zstd: '.img.zst' };

/**
 * As a written image is read back, from another view of the same bytes; but for the filesystems as a whole, which are checked when the patch is applied, and by
 * whoever flashes it.
 */
async function checkUnwritten(base: Base, { profiles, steps }: PlannedNode, image: Image): Promise<ReadBack> {
  const view = await forkImage(image);
  try {
    const checks = [
      { name: 'partition table is the base\'s, bit for bit', findings: verifyTable(view, base.image.decoded.device) },
      { name: 'root= names the root filesystem', findings: verifyBoot(view) },
    ];
    for (const step of steps) checks.push({ name: step.title, findings: await step.verify(view.tree()) });
    const rules = readinessOf(view, image, profiles);
    if (profiles.readiness !== undefined) checks.push({ name: `ready for Kubernetes by ${profiles.readiness}`, findings: rules.flatMap(({ findings }) => findings).filter(({ severity }) => severity !== 'info') });
    return maskedValue({ checks, files: [], rules }, profiles.mask);
  } finally {
    view.overlay.close();
  }
}

function made({ profiles, output }: Pick<PlannedNode, 'profiles' | 'output'>, image: Image, { sha256, bytes, read }: { readonly sha256: string; readonly bytes: number; readonly read: ReadBack }): Made {
  return {
    output, sha256, bytes, imageBytes: image.overlay.size, changedBytes: image.overlay.changes().reduce((sum, { length }) => sum + length, 0),
    files: maskedValue(image.tree().actions(), profiles.mask), findings: read.rules.flatMap(({ findings }) => findings),
    readiness: { target: profiles.readiness ?? null, ...countRules(read.rules) },
  };
}

function notAsAsked(findings: readonly Finding[]): RockberryError {
  const [first, ...others] = findings.filter((finding) => hasErrors([finding]));
  const more = others.length > 0 ? ` (and ${others.length} more)` : '';
  return new RockberryError('profile', `${first!.subject}: ${first!.message} [${first!.id}]${more}`, first!.hint === undefined ? {} : { hint: first!.hint });
}

async function* piecesOf(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}
