/**
 * Patches: what one node's image has that its base has not, in one small file. patch/container.ts says what the file is, patch/manifest.ts what its manifest
 * holds, patch/data.ts how the bytes are compressed. A patch holds what the node's files hold, host keys and tokens too: its file must be 0600, its bytes are
 * never shown.
 */
import type { Range } from '../bytes/ranges.js';
import { RockberryError } from '../errors.js';
import { readContainer, writeContainer } from './patch/container.js';
import { packData, unpackData, verifyData, type Read } from './patch/data.js';
import { readWhole } from './patch/document.js';
import { DATA_LIMIT, MANIFEST_LIMIT, manifestText, parseManifest, PATCH_FORMAT, RANGE_LIMIT, type PatchManifest } from './patch/manifest.js';

export type { PatchManifest } from './patch/manifest.js';

/** Throws `refused` unless the base that is there is the one that the patch is for. */
export function requireBase(patch: string, { base }: Pick<PatchManifest, 'base'>, found: { readonly path: string; readonly sha256: string }): void {
  if (found.sha256 === base.sha256) return;
  throw new RockberryError('refused', `${patch}: expected the base ${base.name} with the sha256 ${base.sha256}, found ${found.path} with ${found.sha256}`, {
    hint: 'a patch fits the very file that its fleet was built on',
  });
}

/** What the largest patch can have, with data that does not compress. */
const FILE_LIMIT = DATA_LIMIT + MANIFEST_LIMIT + 2 ** 20; // bytes

/** What the one who makes a patch says of it; the rest follows from the ranges. */
export type PatchFacts = Omit<PatchManifest, 'format' | 'ranges' | 'data'>;

export interface PatchInput {
  readonly manifest: PatchFacts;
  /** Bytes of the raw image: sorted, disjoint, none empty. */
  readonly ranges: readonly Range[];
  /** Bytes of the node's raw image; what it returns stays as it is until the patch is made. */
  readonly read: Read;
}

/** Bytes of the node's raw image, from `offset` on. */
export interface PatchPiece {
  readonly offset: number;
  readonly data: Uint8Array;
}

export interface Patch {
  readonly manifest: PatchManifest;
  /** All bytes of all ranges in ascending order; a long range comes in several pieces. They were verified when the patch was read. */
  ranges(): AsyncIterable<PatchPiece>;
}

/**
 * The bytes of a patch's file; the same for the same input, on any machine with the same Node. It may hold secrets: to be written with mode 0600.
 * Errors: `usage` for ranges or names that no patch can have, `unsupported` for more than 512 MiB of changes or 100,000 ranges, and whatever `read` throws.
 */
export async function packPatch({ manifest, ranges, read }: PatchInput): Promise<Uint8Array> {
  refuseAbove(DATA_LIMIT, ranges.reduce((sum, { length }) => sum + length, 0), 'bytes of changes', manifest.node);
  refuseAbove(RANGE_LIMIT, ranges.length, 'changed ranges', manifest.node);
  const { packed, bytes, sha256 } = await packData(ranges, read);
  const text = manifestText({ ...manifest, format: PATCH_FORMAT, ranges: ranges.map(({ offset, length }) => ({ offset, length })), data: { bytes, sha256 } });
  const pieces: Uint8Array[] = [];
  for await (const piece of writeContainer({ manifest: Buffer.from(text), packed })) pieces.push(piece);
  return Buffer.concat(pieces);
}

function refuseAbove(limit: number, found: number, what: string, node: string): void {
  if (found > limit) throw new RockberryError('unsupported', `expected at most ${limit} ${what} for the patch of ${node}, found ${found}`, { hint: 'build images instead: --as image' });
}

/**
 * Opens a patch file and verifies all of it, before any byte is handed out. Nothing in it is trusted: memory and work are bounded by the file's own size and
 * by 512 MiB of data. Errors: `io` when it cannot be read, `corrupt` for everything that is wrong with it.
 */
export async function readPatch(path: string): Promise<Patch> {
  const { manifest: text, packed } = await readContainer(readWhole(path, FILE_LIMIT), path);
  const manifest = parseManifest(text, `${path}, manifest.json`);
  await verifyData(packed, manifest.data, path);
  return { manifest, ranges: () => cut(manifest.ranges, unpackData(packed, manifest.data.bytes, path)) };
}

/** Pieces of the ranges' bytes, told where they belong. */
async function* cut(ranges: readonly Range[], pieces: AsyncIterable<Uint8Array>): AsyncIterable<PatchPiece> {
  let index = 0;
  let done = 0; // bytes of ranges[index]
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length;) {
      const { offset, length } = ranges[index]!;
      const data = piece.subarray(at, at + length - done);
      yield { offset: offset + done, data };
      at += data.length;
      done += data.length;
      if (done === length) [index, done] = [index + 1, 0];
    }
  }
}
