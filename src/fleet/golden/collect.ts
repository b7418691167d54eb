/**
 * What each node has alone, found by comparing the nodes' own trees: each is looked at once, while it is open, and what is kept of it is small. The golden image is
 * then a copy of what they all began with, plus `shared`, plus the entries; no byte of a node's own was ever in it, not even in a block that is free again.
 */
import { RockberryError } from '../../errors.js';
import type { Tree } from '../../fs/filesystem.js';
import { fileDigests } from '../../manifest-files.js';
import type { FileDigest } from '../../output/manifest.js';
import type { BoundStep } from '../../profile.js';
import { notAsAsked, readText } from '../../steps/content.js';
import { filesStep } from '../../steps/files.js';
import { PRESET } from '../../steps/services.js';
import type { Where } from '../model.js';
import type { BoardMatch, GoldenEntry } from './entry.js';

/** Larger files are not kept in memory: they may be the same for all nodes, but not belong to one alone. */
const LARGEST = 1 << 20; // bytes
const HINT = 'build an image or a patch for each node';

export interface NodeOfImage {
  readonly name: string;
  readonly match: BoardMatch;
  /** Names of the secret variables that its steps use. */
  readonly secrets: readonly string[];
  readonly where: Where;
}

export interface Difference {
  readonly entries: GoldenEntry[];
  /** Paths that every node has in the same form, which is not that of `base`; sorted. */
  readonly shared: string[];
}

export interface Collector {
  /** Remembers what the node's steps made of these paths (those of `tree.actions()`). */
  add(node: NodeOfImage, tree: Tree, paths: readonly string[]): void;
  /** `base`: the tree that all nodes began with. Errors: `unsupported` for what an entry cannot hold (a large file, a device, a directory in a file's place). */
  difference(base: Tree): Difference;
}

type Digests = ReadonlyMap<string, FileDigest>;
interface Seen { readonly node: NodeOfImage; readonly digests: Digests; readonly paths: ReadonlySet<string> }

export function collectNodes(): Collector {
  const nodes: Seen[] = [];
  const contents = new Map<string, Uint8Array>(); // by SHA-256: what is equal on many nodes is kept once
  return {
    add(node, tree, paths) {
      const digests = fileDigests(tree, paths);
      for (const [path, { sha256 }] of digests) if (sha256 !== null && !contents.has(sha256) && tree.stat(path)!.size <= LARGEST) contents.set(sha256, tree.read(path));
      nodes.push({ node, digests, paths: new Set(paths) });
    },
    difference(base) {
      const paths = [...new Set(nodes.flatMap((one) => [...one.paths]))].sort();
      const before = fileDigests(base, paths);
      const stateOf = (seen: Seen, path: string): FileDigest | undefined => (seen.paths.has(path) ? seen.digests : before).get(path);
      const shared = new Set(paths.filter((path) => nodes.every((seen) => isSame(stateOf(seen, path), stateOf(nodes[0]!, path)))));
      const changedBy = (seen: Seen, among: readonly string[]): Own[] => among.map((path) => ({ path, state: stateOf(seen, path), was: before.get(path) }))
        .filter(({ state, was }) => !isSame(state, was));
      const own = paths.filter((path) => !shared.has(path));
      return {
        entries: nodes.map((seen) => entryOf(seen.node, changedBy(seen, own), contents)),
        shared: nodes.slice(0, 1).flatMap((seen) => changedBy(seen, [...shared])).map(({ path }) => path),
      };
    },
  };
}

/** Labels follow from the path, and the mode of a link means nothing. */
function isSame(one: FileDigest | undefined, other: FileDigest | undefined): boolean {
  if (!one || !other) return one === other;
  const comparable = ({ type, mode, uid, gid, sha256, target }: FileDigest): string => JSON.stringify([type, type === 'symlink' ? 0 : mode, uid, gid, sha256, target]);
  return comparable(one) === comparable(other);
}

interface Own { readonly path: string; readonly state: FileDigest | undefined; readonly was: FileDigest | undefined }

function entryOf(node: NodeOfImage, own: readonly Own[], contents: ReadonlyMap<string, Uint8Array>): GoldenEntry {
  for (const one of own) refuseStrange(node, one);
  const ofType = (type: string): { path: string; state: FileDigest }[] => own.flatMap(({ path, state }) => (state?.type === type ? [{ path, state }] : []));
  const owned = ({ uid, gid }: FileDigest): { owner: number; group: number } => ({ owner: uid, group: gid });
  return {
    ...node,
    files: ofType('file').map(({ path, state }) => ({ path, mode: state.mode, ...owned(state), content: contentOf(node, path, contents.get(state.sha256!)) })),
    links: ofType('symlink').map(({ path, state }) => ({ path, target: state.target!, ...owned(state) })),
    directories: ofType('directory').map(({ path, state }) => ({ path, mode: state.mode, ...owned(state) })),
    remove: own.filter(({ state }) => state === undefined).map(({ path }) => path),
  };
}

function refuseStrange({ name, where }: NodeOfImage, { path, state, was }: Own): void {
  const isStrange = state !== undefined && !['file', 'symlink', 'directory'].includes(state.type);
  const isInPlace = state !== undefined && was !== undefined && state.type !== was.type && [state.type, was.type].includes('directory');
  if (!isStrange && !isInPlace) return;
  const found = isStrange ? `a ${state.type}` : `a ${state!.type} where the image has a ${was!.type}`;
  throw new RockberryError('unsupported', `${where}: expected files, links and directories of ${name} alone, found ${found} at ${path}`, { hint: HINT });
}

function contentOf({ name, where }: NodeOfImage, path: string, content: Uint8Array | undefined): Uint8Array {
  if (content) return content;
  throw new RockberryError('unsupported', `${where}: expected files of at most ${LARGEST} bytes of ${name} alone, found a larger one at ${path}`, { hint: HINT });
}

/** The step that brings what is shared into the golden image, from the tree of any of the nodes, which has to stay open until then. */
export function sharedStep(paths: readonly string[], from: Tree, where: Where): BoundStep {
  const title = `${paths.length} paths that all nodes share`;
  return {
    step: 'golden', title, where, describe: () => title,
    async apply(tree) {
      const gone = paths.filter((path) => !from.stat(path) && tree.stat(path));
      await filesStep.apply(tree, gone.map((path) => ({ path, absent: true as const })), { directory: '/' });
      for (const path of paths) if (from.stat(path)) await copy(from, tree, path);
    },
    verify(tree) {
      const [wanted, found] = [from, tree].map((one) => fileDigests(one, paths));
      const wrong = paths.filter((path) => !isSame(wanted!.get(path), found!.get(path)) && !(path === PRESET && hasLines(tree, from)));
      return Promise.resolve(wrong.map((path) => notAsAsked('golden', path, `expected ${path} as every node has it, found another`)));
    },
  };
}

/** The unit of golden images gets a line of its own in the preset that nodes share. */
function hasLines(tree: Tree, from: Tree): boolean {
  const lines = (one: Tree): string[] => (readText(one, PRESET) ?? '').split('\n');
  return lines(from).every((line) => lines(tree).includes(line));
}

/** With mode, owner, time and labels. Contents may be larger than memory. */
async function copy(from: Tree, to: Tree, path: string): Promise<void> {
  const { type, mode, uid, gid, mtime, size } = from.stat(path)!;
  const attributes = { mode, uid, gid, mtime, xattrs: from.xattrs(path) };
  const there = to.stat(path);
  if (there && there.type !== type) await filesStep.apply(to, [{ path, absent: true }], { directory: '/' });
  if (type === 'directory') to.makeDirectory(path, attributes);
  else if (type === 'symlink') to.makeLink(path, from.readLink(path), { uid, gid, mtime, xattrs: attributes.xattrs });
  else if (type === 'file') to.write(path, { size, read: (offset, length) => from.read(path, offset, length), close: () => undefined }, attributes);
  else throw new RockberryError('unsupported', `expected files, links and directories, found a ${type} at ${path}`);
}
