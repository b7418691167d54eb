/** Will the firmware find its command line, and the kernel its root? */
import type { Finding } from '../report.js';
import type { Image } from '../image/image.js';
import { partitionNamed } from '../image/fstab.js';
import { findCommandLines } from '../steps/cmdline.js';

export function verifyBoot(image: Image): Finding[] {
  return findCommandLines(image.tree()).flatMap(({ path, line }): Finding[] => {
    const source = /(?:^|\s)root=(\S+)/.exec(line)?.[1];
    if (source === undefined) {
      return [{ severity: 'warning', id: 'boot-root-missing', subject: path, message: 'expected root= on the kernel command line, found none' }];
    }
    if (!/^(LABEL|UUID|PARTUUID|PARTLABEL)=|^\/dev\//.test(source)) return [];
    const partition = partitionNamed(source, image.partitions);
    if (partition === image.roles.root) return [];
    const found = partition ? `partition ${partition.number} (${partition.holds})` : 'no partition of this image';
    return [{
      severity: 'error', id: 'boot-root-unresolved', subject: path,
      message: `expected root=${source} to name the root filesystem, partition ${image.roles.root?.number}, but it names ${found}`,
      hint: 'correct root= in the command line (cmdline step), or use a base whose table and command line belong together',
    }];
  });
}
