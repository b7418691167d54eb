/** The kernels that the image's root filesystem has modules for. */
import type { Tree } from '../fs/filesystem.js';

export interface Kernel {
  /** What `uname -r` will say: "6.1.31-v8.1.el9.altarch". */
  readonly release: string;
  readonly major: number;
  readonly minor: number;
  /** "/usr/lib/modules/6.1.31-v8.1.el9.altarch" */
  readonly modules: string;
}

/** Sorted by version, the oldest first; directories that are not called like a release are left out. */
export function findKernels(tree: Tree): Kernel[] {
  const folder = tree.resolve('/lib/modules');
  if (tree.stat(folder)?.type !== 'directory') return [];
  const found = tree.list(folder).filter(({ type }) => type === 'directory').flatMap(({ name }): Kernel[] => {
    const [, major, minor] = /^(\d{1,3})\.(\d{1,3})/.exec(name) ?? [];
    return major === undefined ? [] : [{ release: name, major: Number(major), minor: Number(minor), modules: `${folder}/${name}` }];
  });
  return found.sort((a, b) => a.major - b.major || a.minor - b.minor || (a.release < b.release ? -1 : 1));
}
