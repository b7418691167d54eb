/** Will the kernel find its root? One answer for the result of a build and for the rule of `verify`. */
import type { Finding } from '../report.js';
import { partitionNamed } from '../image/fstab.js';
import type { Image } from '../image/image.js';
import { valueOf } from '../steps/command-line.js';
import { findCommandLines, type CommandLineFile } from '../steps/cmdline.js';

export function verifyBoot(image: Image): Finding[] {
  return findCommandLines(image.tree()).flatMap((file): Finding[] => {
    if (rootOf(file) === undefined) return [{ severity: 'warning', id: 'boot-root-missing', subject: file.path, message: ROOT_MISSING }];
    const problem = rootProblem(image, file);
    return problem === undefined ? [] : [{ severity: 'error', id: 'boot-root-unresolved', subject: file.path, message: problem, hint: ROOT_HINT }];
  });
}

export const ROOT_MISSING = 'expected root= on the kernel command line, found none';
export const ROOT_HINT = 'correct root= in the command line (cmdline step), or use a base whose table and command line belong together';

/** The root= that is in force: the last one (init/do_mounts.c: root_dev_setup overwrites). undefined when there is none. */
export function rootOf({ line }: CommandLineFile): string | undefined {
  return valueOf(line, 'root') || undefined;
}

/** Why root= does not name the root filesystem of this image; undefined when it does, or names something that is no partition (31:2, nfs). */
export function rootProblem(image: Image, file: CommandLineFile): string | undefined {
  const source = rootOf(file);
  if (source === undefined || !/^(LABEL|UUID|PARTUUID|PARTLABEL)=|^\/dev\//.test(source)) return undefined;
  const partition = partitionNamed(source, image.partitions);
  if (partition !== undefined && partition === image.roles.root) return undefined;
  const found = partition ? `partition ${partition.number} (${partition.holds})` : 'no partition of this image';
  return `expected root=${source} to name the root filesystem, partition ${image.roles.root?.number}, but it names ${found}`;
}
