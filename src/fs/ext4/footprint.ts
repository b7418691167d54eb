/**
 * The bytes that decide what one inode is: its slot in the inode table, its attribute block, the blocks of its mapping and of its contents. Two volumes that
 * keep everything at the same places (layoutOf) and agree in these bytes have the same file there; the comparison of two images lives on that.
 */
import type { Range } from '../../bytes/ranges.js';
import type { Inode } from './inode.js';
import { readMapping } from './mapping.js';
import type { Volume } from './volume.js';

/** In bytes of the device; contents in the order of the file, without holes. */
export function footprintOf(volume: Volume, inode: Inode): Range[] {
  const { blockSize, inodeSize } = volume.sb;
  const block = (number: number, count = 1): Range => ({ offset: number * blockSize, length: count * blockSize });
  const { runs, tree } = readMapping(volume, inode);
  return [
    { offset: volume.groups.inodeOffset(inode.number), length: inodeSize },
    ...(inode.xattrBlock === 0 ? [] : [block(inode.xattrBlock)]),
    ...tree.map((number) => block(number)),
    ...runs.filter(({ unwritten }) => !unwritten).map(({ physical, length }) => block(physical, length)),
  ];
}

/** The parts of a file that are no holes, in bytes of the file; the last one may end behind it. */
export function writtenParts(volume: Volume, inode: Inode): Range[] {
  const { blockSize } = volume.sb;
  return readMapping(volume, inode).runs.filter(({ unwritten }) => !unwritten)
    .map(({ logical, length }) => ({ offset: logical * blockSize, length: length * blockSize }));
}

/** Equal for two volumes with the same sizes, features, checksum seed and inode tables. */
export function layoutOf({ sb, groups }: Volume): string {
  const features = Buffer.from(sb.raw.subarray(0x5c, 0x68)).toString('hex');
  const tables = Array.from({ length: groups.count }, (_, group) => groups.descriptor(group).inodeTable);
  return JSON.stringify([sb.blockSize, sb.blocksCount, sb.inodeSize, sb.inodesPerGroup, sb.firstInode, features, sb.checksumSeed ?? null, tables]);
}
