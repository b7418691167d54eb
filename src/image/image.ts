/**
 * An image, opened: file → codec → overlay → partition table → filesystems → one tree. The file itself is only ever read; what is written lands in the
 * overlay. Opening decodes as little as it can, so `inspect` and `cat` on a compressed image are quick.
 */
import { RockberryError, withPlace } from '../errors.js';
import type { Progress } from '../report.js';
import { prefetchAt } from '../codec/chunks.js';
import { openImage, type DecodedImage } from '../codec/codec.js';
import { sliceDevice, type BlockDevice, type Overlay, type ReadableDevice } from '../device/device.js';
import { createOverlay } from '../device/overlay.js';
import { openExt4, superblockTime } from '../fs/ext4/ext4.js';
import { loadFat } from '../fs/fat/fat.js';
import type { FileSystem, OpenFileSystem, StoredFileSystem, Time, Tree } from '../fs/filesystem.js';
import { openLabels, type Labels } from '../fs/labels.js';
import { createTree } from '../fs/tree.js';
import type { Backend, MountedPart } from './backend.js';
import { readPartitionTable, type Partition, type PartitionTable } from '../partition/table.js';
import { grownSize, growLast, padded, type Growth } from './grow.js';
import { identify, readSwapHeader } from './identify.js';
import { assignRoles, mountedAt, type Roles } from './roles.js';

export interface ImagePartition extends Partition {
  /** What it holds: "ext4", "vfat", "swap", or the name of something we do not edit ("xfs", "empty", "unknown"). */
  readonly holds: string;
  readonly filesystem: StoredFileSystem | undefined;
  readonly label: string;
  readonly uuid: string;
  /** Why a filesystem of a kind we know could not be opened. */
  readonly problem: RockberryError | undefined;
}

export interface Image {
  readonly path: string;
  readonly decoded: DecodedImage;
  readonly overlay: Overlay;
  readonly table: PartitionTable;
  readonly partitions: readonly ImagePartition[];
  readonly roles: Roles<ImagePartition>;
  readonly time: Time;
  /** Who reads and writes its filesystems; undefined: our own drivers. */
  readonly backend: Backend | undefined;
  /** Reads the image's SELinux policy on first use; undefined when it has none. */
  labels(): Labels | undefined;
  /** Where fstab mounts a partition; "swap" for swap. */
  mountedAt(partition: ImagePartition): string | undefined;
  /** The root filesystem with everything mounted in it; throws 'unsupported' when there is none. */
  tree(): Tree;
  close(): void;
}

export interface OpenImageOptions {
  readonly progress?: Progress;
  readonly temporaryDirectory?: string;
  /** For those who only read, here and there: see OpenOptions. */
  readonly wide?: boolean;
  /** Puts a device with the same bytes in front of the decoded one. Whoever makes it closes it. */
  readonly through?: (decoded: DecodedImage) => DecodedImage | Promise<DecodedImage>;
  readonly backend?: Backend;
  /** Makes the root filesystem larger, and with it its partition and the image. */
  readonly grow?: Growth;
}

/** What our own drivers read. */
const OWN = new Set(['ext4', 'vfat']);
const FAT_EPOCH = 315_532_800; // 1980-01-01: the earliest time that FAT can store
const FAT_END = 4_354_819_199; // 2107-12-31: the latest; ext4 ends later

export async function openImageFile(path: string, options: OpenImageOptions = {}): Promise<Image> {
  const decoded = await openImage(path, options);
  try {
    return await openDecoded(path, (await options.through?.(decoded)) ?? decoded, options);
  } catch (error) {
    decoded.close();
    throw error;
  }
}

/** The same image once more, without what was written to it; it lives as long as the first one, and needs no closing. */
export function openUnchanged(image: Image): Promise<Image> {
  return openDecoded(image.path, image.decoded, neededBackend(image));
}

/** For those who only read: our own drivers, independent of whoever wrote, where they can. */
export function neededBackend({ backend, partitions }: Image): { readonly backend?: Backend } {
  return backend && partitions.some(({ filesystem, holds }) => filesystem && !OWN.has(holds)) ? { backend } : {};
}

/**
 * The image as it is now, with what was written to it (and flushed), to be written to independently. It lives as long as the first one; closing its overlay
 * frees what it keeps.
 */
export function forkImage(image: Image): Promise<Image> {
  return openOver(image.path, image.decoded, image.overlay.fork(), neededBackend(image).backend);
}

async function openDecoded(path: string, decoded: DecodedImage, options: OpenImageOptions): Promise<Image> {
  const { temporaryDirectory, backend, grow, wide } = options;
  const on = (device: ReadableDevice): Overlay => createOverlay(device, temporaryDirectory ? { temporaryDirectory } : {});
  if (!grow) return openOver(path, decoded, backend ? await backend.overlay(decoded) : on(decoded.device), backend, wide);
  const now = await openOver(path, decoded, on(decoded.device), undefined);
  try {
    requireRoles(now);
    const root = now.roles.root!;
    const size = grownSize(decoded.device.size, root, grow);
    const device = size > decoded.device.size ? padded(decoded.device, size) : decoded.device;
    const overlay = backend ? await backend.overlay({ ...decoded, device }) : on(device);
    await closingOnError(overlay, () => device !== decoded.device && growLast(overlay, root, now.partitions));
    return await openOver(path, decoded, overlay, backend, wide);
  } finally {
    now.overlay.close();
  }
}

/** What was written to an overlay may lie in a temporary file. */
async function closingOnError<T>(overlay: Overlay, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    overlay.close();
    throw error;
  }
}

/** Closes the overlay when that is no image. */
function openOver(path: string, decoded: DecodedImage, overlay: Overlay, backend: Backend | undefined, wide = false): Promise<Image> {
  return closingOnError(overlay, async () => {
    if (wide) await prefetchAt(decoded, [0], wide); // with the table comes what the firmware reads
    const table = readPartitionTable(overlay);
    await prefetchAt(decoded, table.partitions.map(({ start }) => start), wide);
    const time = imageTime(overlay, table);
    const openFat = await loadFat();
    const partitions = table.partitions.map((partition) => openPartition(overlay, partition, [openExt4, openFat], time, backend));
    return assemble({ path, decoded, overlay, table, partitions, time, backend });
  });
}

/** Filesystems that rockberry leaves to the kernel. */
const KERNELS = new Set(['xfs', 'btrfs']);

/** The error of an image whose root filesystem seems to be one that only the kernel reads; undefined for any other image, and where the kernel was asked. */
export function kernelNeed({ path, roles, partitions, backend }: Pick<Image, 'path' | 'roles' | 'partitions' | 'backend'>): RockberryError | undefined {
  const found = roles.root || backend ? undefined : partitions.find(({ holds }) => KERNELS.has(holds));
  return found && new RockberryError('unsupported', `${path}: expected a root filesystem that rockberry reads itself (ext4), found ${found.holds} on partition ${found.number}`, {
    hint: 'as root on Linux, add --backend loop', needsKernel: true,
  });
}

/** The image must have both roles; otherwise an error that says which is missing and why. */
export function requireRoles(image: Image): void {
  const broken = image.partitions.find(({ problem }) => problem);
  if (image.roles.problems.length === 0) return;
  const need = kernelNeed(image);
  if (need) throw need;
  if (broken?.problem) throw broken.problem;
  throw new RockberryError('unsupported', `${image.path}: ${image.roles.problems.join('; ')}`, {
    hint: 'rockberry customizes images that the Raspberry Pi firmware boots directly; see "Limits" in the README',
  });
}

type Opened = Pick<Image, 'path' | 'decoded' | 'overlay' | 'table' | 'partitions' | 'time' | 'backend'>;

function assemble(opened: Opened): Image {
  const roles = assignRoles(opened.partitions);
  const where = (partition: ImagePartition): string | undefined => mountedAt(partition, roles.fstab, opened.partitions);
  let labels: { found: Labels | undefined } | undefined;
  let tree: Tree | undefined;
  const image: Image = {
    ...opened, roles, mountedAt: where,
    labels: () => (labels ??= { found: rootLabels(roles.root?.filesystem, opened) }).found,
    tree: () => (tree ??= buildTree(image)),
    close: () => {
      opened.overlay.close();
      opened.decoded.close();
    },
  };
  return image;
}

/** A /boot that is a link, or no directory, has none. */
function hasFirmwareDirectory(root: FileSystem): boolean {
  return root.stat('/boot')?.type === 'directory' && root.stat('/boot/firmware') !== undefined;
}

function buildTree(image: Image): Tree {
  const { boot, root } = image.roles;
  if (!root?.filesystem) {
    throw kernelNeed(image) ?? image.partitions.find(({ problem }) => problem)?.problem
      ?? new RockberryError('unsupported', `${image.path}: ${image.roles.problems.join('; ')}`);
  }
  const bootDirectory = (boot && image.mountedAt(boot)) ?? (hasFirmwareDirectory(root.filesystem) ? '/boot/firmware' : '/boot');
  const others = image.partitions.filter((partition) => partition !== root && partition.filesystem).flatMap((partition): MountedPart[] => {
    const path = partition === boot ? bootDirectory : image.mountedAt(partition);
    return path?.startsWith('/') && path !== '/' ? [{ path: path.replace(/\/+$/, ''), filesystem: partition.filesystem!, number: partition.number }] : [];
  });
  const label: Labels['label'] = (path, type) => image.labels()?.label(path, type);
  const parts: MountedPart[] = [{ path: '/', filesystem: root.filesystem, number: root.number }, ...others];
  return createTree(parts, { time: image.time, bootDirectory, label, machine: image.backend?.machine(image.overlay, parts, label) });
}

function rootLabels(root: FileSystem | undefined, opened: Opened): Labels | undefined {
  if (!root) return undefined;
  const plain = createTree([{ path: '/', filesystem: root }], { time: opened.time, bootDirectory: '/boot' });
  return openLabels({
    read(path) {
      const real = plain.resolve(path);
      return plain.stat(real)?.type === 'file' ? plain.read(real) : undefined;
    },
  });
}

function openPartition(image: Overlay, partition: Partition, openers: readonly OpenFileSystem[], time: Time, backend: Backend | undefined): ImagePartition {
  const device = sliceDevice(image, partition.start, partition.length);
  const swap = readSwapHeader(device);
  if (swap) return { ...partition, ...swap, holds: 'swap', filesystem: undefined, problem: undefined };
  const none = { filesystem: undefined, label: '', uuid: '', problem: undefined };
  try {
    const own = (): StoredFileSystem | undefined => withPlace(`partition ${partition.number}`, () => firstThatOpens(device, openers, time));
    const found = own();
    const filesystem = backend?.open(image, { partition, device, holds: found?.type ?? identify(device), own, time }) ?? found;
    if (!filesystem) return { ...partition, ...none, holds: identify(device) };
    const { type, label, uuid } = filesystem.info();
    return { ...partition, holds: type, filesystem, label, uuid, problem: undefined };
  } catch (error) {
    if (!(error instanceof RockberryError)) throw error;
    return { ...partition, ...none, holds: 'damaged', problem: error };
  }
}

function firstThatOpens(device: BlockDevice, openers: readonly OpenFileSystem[], time: Time): StoredFileSystem | undefined {
  for (const open of openers) {
    const filesystem = open(device, { time });
    if (filesystem) return filesystem;
  }
  return undefined;
}

/** SOURCE_DATE_EPOCH, else the newest time in the base's own superblocks: never the clock, so that the same inputs give the same bytes. */
function imageTime(image: BlockDevice, table: PartitionTable): Time {
  const epoch = process.env.SOURCE_DATE_EPOCH;
  if (epoch !== undefined && epoch !== '') {
    if (!/^\d{1,11}$/.test(epoch) || Number(epoch) > FAT_END) {
      throw new RockberryError('usage', `expected whole seconds since 1970, at most ${FAT_END}, in SOURCE_DATE_EPOCH, found "${epoch}"`);
    }
    return { seconds: Number(epoch), nanoseconds: 0 };
  }
  const times = table.partitions.map(({ start, length }) => superblockTime(sliceDevice(image, start, length))?.seconds ?? FAT_EPOCH);
  return { seconds: Math.max(FAT_EPOCH, ...times), nanoseconds: 0 };
}
