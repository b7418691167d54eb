/** A node to put one defect into: the real tree over memory, and the parts of an opened image that rules look at. */
import type { Image, ImagePartition } from '../../src/image/image.js';
import { parseFstab } from '../../src/image/fstab.js';
import { mountedAt } from '../../src/image/roles.js';
import { openNode, type Node, type NodeOptions } from '../../src/verify/node.js';
import type { Problem, Rule } from '../../src/verify/rule.js';
import { memoryTree, type Seed } from '../support/memory-tree.js';

export type Files = Readonly<Record<string, string | Seed>>;

export interface NodeParts extends NodeOptions {
  readonly bootDirectory?: string;
  readonly partitions?: readonly ImagePartition[];
  readonly label?: (path: string) => string | undefined;
}

export const DISK_ID = '5f2d8c41';

/** Boot FAT on p1, swap on p2, root on p3, as the older Rocky image has them. */
export const PARTITIONS: readonly ImagePartition[] = [partition(1, 'vfat', ''), partition(2, 'swap', '_swap'), partition(3, 'ext4', '_/')];

export function partition(number: number, holds: string, label: string): ImagePartition {
  return {
    number, holds, label, start: number << 28, length: 1 << 28, type: holds === 'vfat' ? '0x0c' : '0x83', typeName: holds, bootable: false, name: '',
    uuid: `0000000${number}-0000-4000-8000-000000000000`, partuuid: `${DISK_ID}-0${number}`, filesystem: undefined, problem: undefined,
  } as ImagePartition;
}

export function memoryNode(files: Files, { bootDirectory, partitions = PARTITIONS, label, ...options }: NodeParts = {}): Node {
  const tree = memoryTree(files, { ...(bootDirectory && { bootDirectory }), ...(label && { label }) });
  const fstab = parseFstab(typeof files['/etc/fstab'] === 'string' ? files['/etc/fstab'] : '');
  const roles = { boot: partitions.find(({ holds }) => holds === 'vfat'), root: partitions.find(({ holds }) => holds === 'ext4'), fstab, problems: [] };
  const image = {
    path: 'memory.img', partitions, roles, tree: () => tree, mountedAt: (one: ImagePartition) => mountedAt(one, fstab, partitions),
    labels: () => label && { policy: 'targeted', label: (path: string) => label(path), problems: [] },
    table: { scheme: 'mbr', diskId: DISK_ID, partitions },
  } as unknown as Image;
  return openNode(image, options);
}

/** What a rule of the list says of a node; undefined when all is well, its reason when it was not judged. */
export function problemsOf(rules: readonly Rule[], id: string, node: Node): readonly Problem[] | string | undefined {
  const rule = rules.find((one) => one.id === id);
  if (!rule) throw new Error(`no rule ${id}`);
  const seen = rule.check(node);
  return 'problems' in seen ? seen.problems : 'skipped' in seen ? seen.skipped : undefined;
}
