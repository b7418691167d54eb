/**
 * An image made larger before anything is done to it: the image, its last partition, and the ext4 on that, in user space. What is new reads as zeros, of which a
 * compressed image has next to nothing.
 */
import { RockberryError } from '../errors.js';
import { checkBounds, sliceDevice, type BlockDevice, type ReadableDevice } from '../device/device.js';
import { growExt4, largestGrowth } from '../fs/ext4/grow.js';
import type { StoredFileSystem } from '../fs/filesystem.js';
import type { Partition } from '../partition/partition.js';
import { largestPartition, resizePartition } from '../partition/resize.js';

/** A partition, and what is on it. */
export interface Held extends Partition {
  readonly holds: string;
  readonly filesystem: StoredFileSystem | undefined;
}

export interface Growth {
  /** Bytes of the raw image, at least. */
  readonly size?: number;
  /** Free bytes in the root filesystem before anything is placed, at least. */
  readonly free?: number;
}

const MIB = 2 ** 20;
/** Of what a filesystem grows, about so much goes to inode tables and bitmaps (mke2fs's inode_ratio of 16 KiB: a sixty-fourth) and what is reserved for root. */
const OVERHEAD = 1.1;

/** Bytes that the image has to have; its own size where it is large enough. */
export function grownSize(size: number, root: Held, { size: wanted = 0, free = 0 }: Growth): number {
  const missing = free - (root.filesystem?.info().free ?? 0);
  const needed = missing > 0 ? size + missing * OVERHEAD : 0;
  return Math.max(size, Math.ceil(Math.max(wanted, needed) / MIB) * MIB);
}

/** The device with zeros behind its end. */
export function padded(device: ReadableDevice, size: number): ReadableDevice {
  return {
    ...device, size,
    read(offset, length) {
      checkBounds(size, offset, length, 'image');
      const inside = Math.max(0, Math.min(length, device.size - offset));
      if (inside === length) return device.read(offset, length);
      const result = Buffer.alloc(length);
      if (inside > 0) result.set(device.read(offset, inside));
      return result;
    },
  };
}

/** Grows the root partition of `image`, which has its new size, and the filesystem on it, to the end. Errors: `unsupported` where root is not the last partition, or no ext4. */
export function growLast(image: BlockDevice, root: Held, others: readonly Held[]): void {
  const behind = others.find(({ start, extended }) => start > root.start && !extended);
  if (behind) throw new RockberryError('unsupported', `expected the root filesystem on the last partition to grow it, found partition ${behind.number} behind it`);
  if (root.holds !== 'ext4') throw new RockberryError('unsupported', `expected an ext4 root filesystem to grow, found ${root.holds}`, { hint: 'grow it on the node, at its first boot' });
  const length = largestPartition(image, root.number);
  if (root.start + length + MIB < image.size) {
    throw new RockberryError('unsupported', `expected a partition table that holds a partition up to byte ${image.size}, found that this one ends at ${root.start + length}`, { hint: 'ask for less: an MBR knows 2 TiB' });
  }
  const partition = sliceDevice(image, root.start, length);
  const { blockSize } = root.filesystem!.info();
  const blocks = Math.floor(length / blockSize);
  if (blocks > largestGrowth(partition)) {
    throw new RockberryError('unsupported', `expected to grow the root filesystem to ${length} bytes, found that without moving its blocks it grows to ${largestGrowth(partition) * blockSize}`, { hint: 'ask for less, or grow it with resize2fs' });
  }
  resizePartition(image, root.number, length);
  growExt4(partition, blocks);
}
