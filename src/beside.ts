/** What is written beside an image: the block map, the check sum, the manifest. */
import { createRequire } from 'node:module';
import { basename } from 'node:path';
import { type Range } from './bytes/ranges.js';
import type { ScanRecord } from './cache/cache.js';
import type { ReadableDevice } from './device/device.js';
import { fileDigests } from './manifest-files.js';
import type { Image } from './image/image.js';
import { checkOutput, stageOutput, type Staged } from './output/atomic.js';
import { bmapText, type HashedRange } from './output/bmap.js';
import { checksumText } from './output/checksum.js';
import { rangeHasher } from './output/hashes.js';
import { fileChanges, manifestText, type ManifestInput } from './output/manifest.js';
import type { FileAction } from './report.js';

/** Their endings, after the image's name. */
export const ENDINGS = { bmap: '.bmap', checksum: '.sha256', manifest: '.json' } as const;

const PIECE = 4 << 20; // bytes

/** Asked before any work: none of the files beside the image may be in the way. */
export function checkBeside(output: string, force: boolean): void {
  for (const ending of Object.values(ENDINGS)) checkOutput(output + ending, force);
}

/** The block map. Hashes that are not known are taken from the overlay. */
export function blockMap(overlay: ReadableDevice, ranges: readonly Range[], known: readonly HashedRange[]): string {
  const key = ({ offset, length }: Range): string => `${offset}+${length}`;
  const table = new Map(known.map((range) => [key(range), range.sha256]));
  const hashed = ranges.map((range): HashedRange => ({ ...range, sha256: table.get(key(range)) ?? hashOf(overlay, range) }));
  return bmapText(overlay.size, hashed);
}

export function fromScan({ hashes }: ScanRecord): HashedRange[] {
  return hashes.map(([offset, length, sha256]) => ({ offset, length, sha256 }));
}

function hashOf(device: ReadableDevice, range: Range): string {
  const hasher = rangeHasher([range]);
  for (let at = 0; at < range.length; at += PIECE) {
    const offset = range.offset + at;
    hasher.feed(offset, device.read(offset, Math.min(PIECE, range.length - at)));
  }
  return hasher.results()[0]!.sha256;
}

/** Every path that a step touched, with what it was in the base and what it is in the result; both are read from images opened from scratch. */
export function changedFiles(base: Image, result: Image, actions: readonly FileAction[]): ManifestInput['files'] {
  const paths = actions.filter(({ action }) => action !== 'unchanged').map(({ path }) => path);
  return fileChanges(actions, fileDigests(base.tree(), paths), fileDigests(result.tree(), paths));
}

export function tool(): ManifestInput['tool'] {
  const { name, version } = createRequire(import.meta.url)('../package.json') as { name: string; version: string };
  return { name, version };
}

/** All three as temporary files; they get their names when the image has its own. */
export async function stageBeside(output: string, sha256: string, bmap: string, manifest: ManifestInput): Promise<Staged[]> {
  const texts = { bmap, checksum: checksumText(basename(output), sha256), manifest: manifestText(manifest) };
  const staged: Staged[] = [];
  try {
    for (const kind of ['bmap', 'checksum', 'manifest'] as const) staged.push(await stageOutput(output + ENDINGS[kind], piecesOf(texts[kind]), { force: true, flushLater: true }));
    return staged;
  } catch (error) {
    staged.forEach((file) => file.discard());
    throw error;
  }
}

async function* piecesOf(text: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(text);
}
