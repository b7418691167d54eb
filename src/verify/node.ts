/** The node that an image will be, as rules see it: its tree, what it is meant for, and what several rules ask, read once. */
import { RockberryError } from '../errors.js';
import type { Stat, Tree } from '../fs/filesystem.js';
import type { Image } from '../image/image.js';
import type { Readiness } from '../profile.js';
import { findCommandLines, type CommandLineFile } from '../steps/cmdline.js';
import { readText } from '../steps/content.js';
import { findKernels, type Kernel } from './kernels.js';

export interface Version {
  readonly major: number;
  readonly minor: number;
}

/** A path that a profile of the call places, or would. */
export interface Placed {
  readonly path: string;
  readonly removed: boolean;
}

export interface Node {
  /** Partitions, roles, the SELinux policy. Rules never write. */
  readonly image: Image;
  readonly tree: Tree;
  /** undefined: Kubernetes in general. */
  readonly target: Readiness | undefined;
  readonly kubernetes: Version;
  /** What the profiles of the call place, sorted; empty without profiles. */
  readonly placed: readonly Placed[];
  /** The file's text, one character per byte, links followed; undefined when there is no such file, also where something else has its name. */
  text(path: string): string | undefined;
  /** Links followed; undefined when nothing is there or a link leads nowhere. */
  stat(path: string): Stat | undefined;
  /** Names in a directory, sorted; none when there is no such directory. */
  names(path: string): readonly string[];
  /** Every file that the firmware may take the kernel command line from. */
  commandLines(): readonly CommandLineFile[];
  kernels(): readonly Kernel[];
}

export interface NodeOptions {
  readonly target?: Readiness | undefined;
  readonly kubernetes?: Version;
  readonly placed?: readonly Placed[];
}

/** The release that is asked for when none is named. */
export const KUBERNETES: Version = { major: 1, minor: 36 };

export function openNode(image: Image, { target, kubernetes = KUBERNETES, placed = [] }: NodeOptions = {}): Node {
  const tree = image.tree();
  const stat = oncePerPath((path) => quietly(() => tree.stat(tree.resolve(path))));
  return {
    image, tree, target, kubernetes, placed, stat,
    text: (path) => (stat(path)?.type === 'file' ? readText(tree, path) : undefined),
    names: oncePerPath((path) => (stat(path)?.type === 'directory' ? tree.list(path).map(({ name }) => name) : [])),
    commandLines: once(() => findCommandLines(tree)),
    kernels: once(() => findKernels(tree)),
  };
}

/** A loop of links, or a file where a directory should be, is to a rule what nothing is. */
function quietly<T>(work: () => T | undefined): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof RockberryError && error.code === 'path') return undefined;
    throw error;
  }
}

function once<T>(work: () => T): () => T {
  let known: { readonly value: T } | undefined;
  return () => (known ??= { value: work() }).value;
}

const MAXIMUM_KNOWN = 20_000; // paths

/** Rules ask the same of the same paths, and none of them writes. */
function oncePerPath<T>(work: (path: string) => T): (path: string) => T {
  const known = new Map<string, { readonly value: T }>();
  return (path) => {
    const found = known.get(path) ?? { value: work(path) };
    if (known.size < MAXIMUM_KNOWN) known.set(path, found);
    return found.value;
  };
}
