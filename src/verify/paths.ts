/** Questions about paths that several rules ask: which exist, what is below them, where labels and modes count, and what a profile of the call places. */
import { RockberryError } from '../errors.js';
import type { Stat } from '../fs/filesystem.js';
import type { Node } from './node.js';
import type { Problem } from './rule.js';

export interface Visited {
  readonly path: string;
  /** Of the entry itself: links are not followed. */
  readonly stat: Stat;
}

export interface Walk {
  /** Sorted as directories list them, a directory before what is in it; the root itself is the first. */
  readonly found: readonly Visited[];
  /** false: there is more below it than was looked at. */
  readonly isWhole: boolean;
}

const MAX_ENTRIES = 20_000; // EL9's /etc has about 2,000
const MAX_DEPTH = 64; // a directory that is its own grandchild never ends
const SHOWN = 10; // problems of one kind in a report

/** Everything at and below a path, links inside it not followed; nothing when there is no such path. */
export function walk(node: Node, root: string, entries = MAX_ENTRIES): Walk {
  if (!node.stat(root)) return { found: [], isWhole: true };
  const start = node.tree.resolve(root);
  const found: Visited[] = [];
  const pending = [{ path: start, depth: 0 }];
  while (pending.length > 0 && found.length < entries) {
    const { path, depth } = pending.pop()!;
    const stat = node.tree.stat(path);
    if (!stat) continue;
    found.push({ path, stat });
    if (stat.type !== 'directory') continue;
    if (depth === MAX_DEPTH) return { found, isWhole: false };
    const below = node.tree.list(path).map(({ name }) => ({ path: `${path === '/' ? '' : path}/${name}`, depth: depth + 1 }));
    for (const next of below.reverse()) pending.push(next);
  }
  return { found, isWhole: pending.length === 0 };
}

/** The paths that a pattern names, sorted by component; "*" stands for any characters of one component, and only what exists is returned. */
export function matching(node: Node, pattern: string): string[] {
  let paths = [''];
  for (const component of pattern.split('/').slice(1)) {
    if (!component.includes('*')) paths = paths.map((path) => `${path}/${component}`);
    else {
      const wanted = new RegExp(`^${component.split('*').map((text) => text.replace(/[.+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`, 's');
      paths = paths.flatMap((path) => node.names(path).filter((name) => wanted.test(name)).map((name) => `${path}/${name}`));
    }
  }
  return paths.filter((path) => lstat(node, path) !== undefined);
}

/** Of the entry itself, a link too; undefined when nothing is there, also where a loop of links is on the way. */
export function lstat(node: Node, path: string): Stat | undefined {
  try {
    return node.tree.stat(path);
  } catch (error) {
    if (error instanceof RockberryError && error.code === 'path') return undefined;
    throw error;
  }
}

/** Where modes, owners and labels mean nothing: on the firmware's FAT, and on any other. */
export function isOnFat(node: Node, path: string): boolean {
  const { image, tree } = node;
  const mounts = image.partitions.filter(({ holds }) => holds === 'vfat').map((partition) => image.mountedAt(partition));
  if (image.roles.boot) mounts.push(tree.bootDirectory);
  return mounts.some((mount) => mount !== undefined && mount.startsWith('/') && mount !== '/' && isAtOrBelow(path, mount));
}

export function isAtOrBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

/** Whether a profile of the call places the path or something below it. */
export function isPlaced(node: Node, path: string): boolean {
  return node.placed.some((one) => !one.removed && isAtOrBelow(one.path, path));
}

/** The first problems as they are and the rest as one of the same severity: a report is for reading. */
export function atMost(problems: readonly Problem[], shown = SHOWN): Problem[] {
  const rest = problems.length - shown;
  if (rest <= 1) return [...problems];
  const severity = (['error', 'warning', 'info'] as const).find((one) => problems.slice(shown).some((problem) => problem.severity === one))!;
  return [...problems.slice(0, shown), { severity, subject: problems[shown]!.subject, message: `and ${rest} more like these, here and elsewhere` }];
}
