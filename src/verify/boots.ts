/**
 * What the firmware will load on each board that the image has a device tree for: prefix, device tree, kernel, initramfs, command line
 * (raspberrypi documentation, config_txt.html, "Boot options"). Filters other than the board's own (a serial number, a monitor, a GPIO) are taken as not met.
 */
import { BOARDS, type Board } from './boards.js';
import { bootFile, bootPath, firmwareConfig, osFolders, osPrefixes, type FirmwareSetting } from './firmware.js';
import { KERNEL_LIMIT, readKernelImage, type KernelImage } from './formats/kernel-image.js';
import type { Node } from './node.js';
import { remembered } from './remembered.js';

export interface BootFile {
  readonly path: string;
  readonly present: boolean;
}

export interface Boot {
  readonly board: Board;
  /** os_prefix as it is in force: "" where the prefixed kernel and device tree are not there. */
  readonly prefix: string;
  /** undefined where config.txt turns the device tree off. */
  readonly deviceTree: BootFile | undefined;
  readonly kernel: BootFile;
  /** The file that config.txt names, or the one that auto_initramfs looks for; undefined when none is asked for. */
  readonly initramfs: (BootFile & { readonly automatic: boolean }) | undefined;
  readonly commandLine: BootFile;
  /** The last value of a setting on this board. */
  setting(name: string): string | undefined;
}

/** In the order of BOARDS; none when there is no device tree of any of them. */
export const boots: (node: Node) => readonly Boot[] = remembered((node) => BOARDS.filter((board) => hasDeviceTree(node, board)).map((board) => bootOf(node, board)));

const MOST = 32; // kernel files that are looked into
const KERNEL_NAME = /^(?:kernel.*\.img|vmlinuz.*|image(?:\.gz)?)$/i;

/** Every kernel file on the boot partition: those that are called like one, and those that a board boots. Sorted by path; read once per node. */
export const kernelImages: (node: Node) => readonly KernelImage[] = remembered((node) => {
  const named = osFolders(node).flatMap((folder) => node.names(folder).filter((name) => isKernel(node, name)).map((name) => `${folder}/${name}`));
  const booted = boots(node).filter(({ kernel }) => kernel.present).map(({ kernel }) => kernel.path);
  const files = [...new Set([...booted, ...named])].filter((path) => node.stat(path)?.type === 'file' && node.stat(path)!.size <= KERNEL_LIMIT);
  return files.slice(0, MOST).map((path) => readKernelImage(node.tree, path)).sort((a, b) => (a.path < b.path ? -1 : 1));
});

/** The kernel file that a board boots, looked into; undefined when it is not there. */
export function bootedImage(node: Node, { kernel }: Boot): KernelImage | undefined {
  return kernelImages(node).find(({ path }) => path === kernel.path);
}

/** Names of boards, for a sentence: "Pi 4, Pi 400". */
export function boardNames(list: readonly Boot[]): string {
  return list.map(({ board }) => board.name).join(', ');
}

function isKernel(node: Node, name: string): boolean {
  const starts = osPrefixes(node).map((prefix) => prefix.slice(prefix.lastIndexOf('/') + 1));
  return starts.some((start) => name.startsWith(start) && KERNEL_NAME.test(name.slice(start.length)));
}

function hasDeviceTree(node: Node, { deviceTrees, upstreamDeviceTrees }: Board): boolean {
  return osPrefixes(node).some((prefix) => [...deviceTrees, ...upstreamDeviceTrees].some((name) => bootFile(node, `${prefix}${name}.dtb`) !== undefined));
}

function bootOf(node: Node, board: Board): Boot {
  const settings = firmwareConfig(node).settings.filter(({ filters }) => filters.every((filter) => board.filters.includes(filter)));
  const setting = (name: string): string | undefined => settings.findLast(({ key }) => key === name)?.value;
  const wanted = setting('os_prefix') ?? (setting('upstream_kernel') === '1' ? 'upstream/' : '');
  const viable = pick(node, wanted, kernelNames(board, setting)).present && pick(node, wanted, treeNames(board, setting)).present;
  const prefix = viable ? wanted : '';
  const kernel = pick(node, prefix, kernelNames(board, setting), -1);
  return {
    board, prefix, kernel, setting,
    deviceTree: setting('device_tree') === '' ? undefined : pick(node, prefix, treeNames(board, setting)),
    initramfs: initramfsOf(node, prefix, kernel, settings),
    commandLine: pick(node, prefix, [setting('cmdline') ?? 'cmdline.txt']),
  };
}

/** The first of these files that is there, else the one at `otherwise`; a name that starts with "/" has no prefix. */
function pick(node: Node, prefix: string, names: readonly string[], otherwise = 0): BootFile {
  const paths = names.map((name) => (name.startsWith('/') ? name : prefix + name));
  const present = paths.find((path) => bootFile(node, path) !== undefined);
  const path = present ?? paths.at(otherwise)!;
  return { path: bootPath(node, path) ?? path, present: present !== undefined };
}

function treeNames({ deviceTrees, upstreamDeviceTrees }: Board, setting: Boot['setting']): string[] {
  const named = setting('device_tree');
  if (named) return [named];
  const order = setting('upstream_kernel') === '1' ? [...upstreamDeviceTrees, ...deviceTrees] : [...deviceTrees, ...upstreamDeviceTrees];
  return order.map((name) => `${name}.dtb`);
}

/** The last one is the 64-bit kernel for all. The 32-bit one goes first unless arm_64bit says otherwise, its default on the Pi 4; where it is not there the 64-bit one is taken (raspberrypi/firmware#1193). */
function kernelNames({ processor }: Board, setting: Boot['setting']): string[] {
  const named = setting('kernel');
  if (named) return [named];
  if (processor === 'BCM2712') return ['kernel_2712.img', 'kernel8.img'];
  const wide = setting('arm_64bit') ?? (processor === 'BCM2711' ? '1' : '0');
  const narrow = processor === 'BCM2711' ? 'kernel7l.img' : 'kernel7.img';
  return wide === '0' ? [narrow, 'kernel8.img'] : ['kernel8.img'];
}

/** auto_initramfs takes the kernel's name: kernel8.img → initramfs8, kernel_2712.img → initramfs_2712. Of several files in a list the first is looked for. */
function initramfsOf(node: Node, prefix: string, kernel: BootFile, settings: readonly FirmwareSetting[]): Boot['initramfs'] {
  const named = settings.findLast(({ key }) => key === 'initramfs' || key === 'ramfsfile')?.value.split(/\s/)[0];
  if (named) {
    const files = named.split(',').filter((name) => name !== '').map((name) => pick(node, prefix, [name]));
    const shown = files.find(({ present }) => !present) ?? files[0];
    return shown && { ...shown, automatic: false };
  }
  const name = /kernel([^/]*?)(?:\.img)?$/.exec(kernel.path)?.[1];
  const wanted = settings.findLast(({ key }) => key === 'auto_initramfs')?.value === '1';
  return wanted && name !== undefined ? { ...pick(node, prefix, [`initramfs${name}`]), automatic: true } : undefined;
}
