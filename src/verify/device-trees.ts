/**
 * The device trees that the firmware may hand to the kernel: *.dtb at the top of the boot partition and under every os_prefix. The firmware puts what a tree's
 * /chosen says in `bootargs` in front of cmdline.txt (raspberrypi/linux PR #6439: since 6.12 it says cgroup_disable=memory there).
 */
import { RockberryError } from '../errors.js';
import { DEVICE_TREE_LIMIT, deviceTreeNode, deviceTreeText, readDeviceTree } from './formats/fdt.js';
import { osFolders } from './firmware.js';
import type { Node } from './node.js';
import { remembered } from './remembered.js';

export interface DeviceTree {
  readonly path: string;
  /** One character per byte; undefined when the tree has none, or cannot be read. */
  readonly bootargs: string | undefined;
  /** Why it cannot be read. */
  readonly problem?: string;
}

const MOST = 256; // a vendor's image has some forty; the rest of a hostile one is named and not read

/** Sorted by path; read once per node. */
export const deviceTrees: (node: Node) => readonly DeviceTree[] = remembered((node) => {
  const paths = osFolders(node).flatMap((folder) => node.names(folder).filter((name) => /\.dtb$/i.test(name)).map((name) => `${folder}/${name}`));
  const files = [...new Set(paths)].sort().filter((path) => node.stat(path)?.type === 'file');
  return files.map((path, at) => (at < MOST ? read(node, path) : { path, bootargs: undefined, problem: `only the first ${MOST} device trees are read` }));
});

function read(node: Node, path: string): DeviceTree {
  try {
    const size = node.stat(path)!.size;
    if (size > DEVICE_TREE_LIMIT) throw new RockberryError('unsupported', `expected a device tree of at most ${DEVICE_TREE_LIMIT} bytes, found ${size}`);
    const chosen = deviceTreeNode(readDeviceTree(node.tree.read(path)), '/chosen');
    return { path, bootargs: chosen && deviceTreeText(chosen, 'bootargs') };
  } catch (error) {
    if (!(error instanceof RockberryError)) throw error;
    return { path, bootargs: undefined, problem: error.message };
  }
}
