/** What a card has at a path. Cards are strangers: a path that leads through a loop of links, or through a file, is one where nothing is. */
import { createHash } from 'node:crypto';
import { RockberryError } from '../../errors.js';
import type { Tree } from '../../fs/filesystem.js';
import { fileDigests } from '../../manifest-files.js';
import type { FileDigest } from '../../output/manifest.js';

const TEXT_LIMIT = 64 * 1024; // bytes

/** In lower-case hexadecimal. */
export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Digests of what stands for "not yet": an empty file, and what systemd calls uninitialized (machine-id(5)). */
const BLANK: ReadonlySet<string> = new Set(['', '\n', 'uninitialized', 'uninitialized\n'].map(sha256));

export function isBlank(digest: string): boolean {
  return BLANK.has(digest);
}

function orNothing<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof RockberryError && error.code === 'path') return undefined;
    throw error;
  }
}

/** Of those paths that exist. */
export function digestsOn(tree: Tree, paths: readonly string[]): Map<string, FileDigest> {
  return new Map(paths.flatMap((path) => [...(orNothing(() => fileDigests(tree, [path])) ?? [])]));
}

/** The text of a file of at most 64 KiB; undefined when there is none. */
export function textAt(tree: Tree, path: string): string | undefined {
  return orNothing(() => {
    const real = tree.resolve(path);
    const stat = tree.stat(real);
    return stat?.type === 'file' && stat.size <= TEXT_LIMIT ? Buffer.from(tree.read(real)).toString() : undefined;
  });
}
