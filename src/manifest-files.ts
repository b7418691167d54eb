/** What files of an image are, for the manifest: read from the tree before and after a build. */
import { createHash } from 'node:crypto';
import { RockberryError } from './errors.js';
import type { Stat, Tree } from './fs/filesystem.js';
import type { FileDigest } from './output/manifest.js';

const PIECE = 1 << 20; // bytes
/** A file may claim any size without taking space; hashing so much takes a minute, and nothing on a Pi's card is larger. */
const LARGEST = 2 ** 36;

/** The digests of those paths that exist; links in the last component are not followed. Contents are read piece by piece; more than 64 GiB are 'unsupported'. */
export function fileDigests(tree: Tree, paths: Iterable<string>): Map<string, FileDigest> {
  const digests = new Map<string, FileDigest>();
  for (const path of paths) {
    const stat = tree.stat(path);
    if (stat) digests.set(path, digestOf(tree, path, stat));
  }
  return digests;
}

function digestOf(tree: Tree, path: string, stat: Stat): FileDigest {
  const { type, mode, uid, gid } = stat;
  const label = tree.xattrs(path).get('security.selinux');
  return {
    type, mode, uid, gid,
    sha256: type === 'file' ? contentDigest(tree, path, stat.size) : null,
    label: label === undefined ? null : Buffer.from(label).toString('utf8').replace(/\0+$/, ''),
    ...(type === 'symlink' && { target: tree.readLink(path) }),
  };
}

function contentDigest(tree: Tree, path: string, size: number): string {
  if (size > LARGEST) throw new RockberryError('unsupported', `expected at most ${LARGEST} bytes in ${path}, found a file of ${size}, too large for the manifest`);
  const hash = createHash('sha256');
  for (let at = 0; at < size; at += PIECE) hash.update(tree.read(path, at, Math.min(PIECE, size - at)));
  return hash.digest('hex');
}
