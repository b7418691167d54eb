/** Images to compare a card with: the base or the image that was flashed, and what a node's patch makes of the base. */
import { RangeSet } from '../../bytes/range-set.js';
import { keepDecoded, type KeptDevice } from '../../diff/kept.js';
import { pairFilesystems, rangeOf, type Pair } from '../../diff/partitions.js';
import { Walk, type FileChange } from '../../diff/walk.js';
import { RockberryError } from '../../errors.js';
import { readPatch } from '../../fleet/patch.js';
import { forkImage, openImageFile, type Image, type ImagePartition } from '../../image/image.js';
import { fileDigests } from '../../manifest-files.js';
import { hashFile } from '../../output/hashes.js';
import type { Progress } from '../../report.js';
import type { Candidate, Expected } from './manifests.js';

export interface Reference {
  readonly image: Image;
  readonly path: string;
  /** Of the file, as it is packed. */
  readonly sha256: string;
  close(): void;
}

export async function openReference(path: string, progress: Progress): Promise<Reference> {
  progress.phase(`hashing ${path}`);
  const sha256 = await hashFile(path);
  let kept: KeptDevice | undefined;
  progress.phase(`opening ${path}`);
  try {
    const image = await openImageFile(path, {
      progress,
      through(decoded) { // a walk jumps between chunks: each is decoded once
        kept = keepDecoded(decoded, path);
        return { ...decoded, device: { size: kept.size, read: (offset, length) => kept!.read(offset, length), close: () => undefined } };
      },
    });
    const close = (): void => {
      image.close();
      kept?.close();
    };
    return { image, path, sha256, close };
  } catch (error) {
    kept?.close();
    throw error;
  }
}

/** Throws 'refused' for a file that is neither what the manifest was made from nor what it made. */
export function checkReference({ path, sha256 }: Reference, { base, name }: Expected, candidate: Candidate): void {
  if (sha256 === base.sha256 || sha256 === candidate.imageSha256) return;
  const image = candidate.imageSha256 === null ? '' : ` or the image that was flashed (sha256 ${candidate.imageSha256.slice(0, 12)}…)`;
  throw new RockberryError('refused', `${path}: expected the base ${base.name} of ${name} (sha256 ${base.sha256.slice(0, 12)}…)${image}, found a file with ${sha256.slice(0, 12)}…`, {
    hint: 'give with --base the very file that the image was built from, or that was flashed',
  });
}

/** The candidate with what its patch makes of each path, once the base is at hand. */
export async function withPatch(candidate: Candidate, patchPath: string, reference: Reference): Promise<Candidate> {
  const { manifest, ranges } = await readPatch(patchPath);
  if (reference.sha256 !== manifest.base.sha256) {
    throw new RockberryError('refused', `${patchPath}: expected the base ${manifest.base.name} with the sha256 ${manifest.base.sha256}, found ${reference.path} with ${reference.sha256}`, {
      hint: 'a patch fits the very file that its fleet was built on',
    });
  }
  const fork = await forkImage(reference.image);
  try {
    for await (const { offset, data } of ranges()) fork.overlay.write(offset, data);
    const patched = await forkImage(fork); // opened again: what was read before is of the base
    const paths = compareFiles(reference.image, patched, new RangeSet(manifest.ranges)).map(({ path }) => path).filter((path) => path.startsWith('/'));
    const made = fileDigests(patched.tree(), paths);
    patched.overlay.close();
    return { ...candidate, files: new Map(paths.map((path) => [path, made.get(path) ?? null])), placed: new Map() };
  } finally {
    fork.overlay.close();
  }
}

/**
 * Every path of two images that differs, times left aside, sorted. `different`: the bytes of the raw images that differ, where that is known, so that only what
 * has such bytes is read. Errors: that of a filesystem that could not be opened.
 */
export function compareFiles(a: Image, b: Image, different?: RangeSet): FileChange[] {
  const broken = [...a.partitions, ...b.partitions].find(({ problem }) => problem);
  if (broken?.problem) throw broken.problem;
  const pairs = pairFilesystems(a, b);
  const covered = new Set(pairs.map(({ prefix }) => prefix).filter((prefix) => prefix.startsWith('/')));
  return pairs.flatMap((pair) => compareTwo(pair, covered, different)).sort((x, y) => (x.path < y.path ? -1 : x.path > y.path ? 1 : 0));
}

function compareTwo({ prefix, a, b }: Pair, covered: ReadonlySet<string>, different: RangeSet | undefined): FileChange[] {
  const walk = (left: ImagePartition, right: ImagePartition, inside?: RangeSet): Walk => new Walk(left.filesystem!, right.filesystem!, { times: false, text: false, prefix, covered, different: inside });
  if (!a || !b) return walk((a ?? b)!, (a ?? b)!).only(a ? 'removed' : 'added');
  const alike = different !== undefined && a.start === b.start && a.length === b.length && a.filesystem!.layout() === b.filesystem!.layout();
  if (!alike) return walk(a, b).compare();
  const inside = different.within(rangeOf(a)).map(({ offset, length }) => ({ offset: offset - a.start, length }));
  return inside.length === 0 ? [] : walk(a, b, new RangeSet(inside)).compare();
}
