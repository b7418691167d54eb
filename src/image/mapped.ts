/**
 * Which bytes of an image a copy onto a card must have. The filesystems' own maps decide: not the holes of the host's file, and not zeros, which a file may
 * hold and a card does not have by itself. A card that got these bytes is the image to everyone who reads it, whatever it held before.
 *
 * Mapped are
 * - the partition table with all its parts, and everything before the first partition: boot loaders live there, unlisted;
 * - of FAT and ext4, what they allocate (see allocated.ts of either);
 * - of swap, its header, which also overwrites the signature of a suspended system; its pages are written before they are read;
 * - the first and the last MiB of each of these. An old signature there makes libblkid call the partition ambiguous, so that LABEL= and UUID= do not find it:
 *   btrfs stands at 64 KiB, a LUKS2 copy from 16 KiB on, ZFS and md RAID at the end (util-linux, libblkid/src/superblocks). Swap of any page size, too;
 * - every other partition whole: what is unknown, encrypted, damaged. Also an "empty" one, of which nothing is known but that its first 64 KiB are zeros.
 *
 * Space between and behind partitions is free and not mapped.
 */
import { alignedOut, coalesce, type Range } from '../bytes/ranges.js';
import { RockberryError } from '../errors.js';
import type { Image, ImagePartition } from './image.js';

/** Bytes of the blocks that ranges are aligned out to: bmap's block size. */
const BLOCK = 4096;
const PROBED = 1 << 20;

/** Sorted and coalesced, in bytes of the raw image, on borders of 4096 bytes (the last one may end where the image does). */
export function mappedRanges({ overlay, table, partitions }: Pick<Image, 'overlay' | 'table' | 'partitions'>): Range[] {
  const data = partitions.filter(({ extended }) => !extended);
  const first = Math.min(overlay.size, ...partitions.map(({ start }) => start));
  const ranges: Range[] = [{ offset: 0, length: first }, ...table.structures];
  for (const partition of data) {
    for (const { offset, length } of mappedIn(partition)) ranges.push({ offset: partition.start + offset, length });
  }
  return coalesce(ranges.map((range) => alignedOut(range, BLOCK, overlay.size)));
}

/** In bytes of the partition. */
function mappedIn(partition: ImagePartition): Range[] {
  const { length, holds } = partition;
  const inside = holds === 'swap' ? [] : allocatedIn(partition);
  if (!inside || length <= 2 * PROBED) return [{ offset: 0, length }];
  return [{ offset: 0, length: PROBED }, { offset: length - PROBED, length: PROBED }, ...inside];
}

/** undefined when nobody can tell: a filesystem whose maps are broken counts as unknown. */
function allocatedIn({ filesystem }: ImagePartition): Range[] | undefined {
  try {
    return filesystem?.allocated();
  } catch (error) {
    if (error instanceof RockberryError && (error.code === 'corrupt' || error.code === 'unsupported')) return undefined;
    throw error;
  }
}
