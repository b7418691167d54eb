/**
 * What a copy of an ext4 must have: its own structures, and every block that a bitmap says is in use. Groups with BLOCK_UNINIT have no bitmap on disk; theirs
 * is computed, as the kernel does.
 *
 * The one exception are inode tables that were never cleared. Without INODE_ZEROED nobody reads past the used part: e2fsck and the kernel go by
 * bg_itable_unused, and the kernel clears the rest after the first mount (fs/ext4/ialloc.c, ext4_init_inode_table). With INODE_ZEROED they rely on zeros
 * there, so what an old card has in these blocks would be taken for inodes one day.
 */
import { coalesce, subtract, type Range } from '../../bytes/ranges.js';
import { findBit } from './bits.js';
import { GROUP_FLAG, type Groups } from './groups.js';
import type { Superblock } from './superblock.js';

/** Sorted and coalesced, in bytes of the device. Errors: 'corrupt' for a bitmap whose checksum is wrong. */
export function allocatedBytes(sb: Superblock, groups: Groups): Range[] {
  const blocks: Range[] = [...groups.systemZones()];
  for (let group = 0; group < groups.count; group++) usedBlocks(groups, group, blocks);
  const bytes = (range: Range): Range => ({ offset: range.offset * sb.blockSize, length: range.length * sb.blockSize });
  return subtract(coalesce(blocks), unreadTables(sb, groups)).map(bytes);
}

/** Of all groups, sorted and coalesced, in blocks. */
export function unreadTables(sb: Superblock, groups: Groups): Range[] {
  return coalesce(Array.from({ length: groups.count }, (_, group) => unreadTable(sb, groups, group)));
}

function usedBlocks(groups: Groups, group: number, into: Range[]): void {
  const bitmap = groups.blockBitmap(group);
  const [first, end] = [groups.firstBlock(group), groups.blocksIn(group)];
  for (let at = findBit(bitmap, 0, end, true); at < end;) {
    const free = findBit(bitmap, at, end, false);
    into.push({ offset: first + at, length: free - at });
    at = findBit(bitmap, free, end, true);
  }
}

/** The blocks at the end of a group's inode table that nobody reads. */
function unreadTable(sb: Superblock, groups: Groups, group: number): Range {
  const { inodeTable, inodesUnused, flags } = groups.descriptor(group);
  const uninit = (flags & GROUP_FLAG.inodeUninit) !== 0;
  const inodes = (flags & GROUP_FLAG.inodeZeroed) !== 0 ? sb.inodesPerGroup : uninit ? 0 : sb.inodesPerGroup - inodesUnused;
  const read = Math.ceil((inodes * sb.inodeSize) / sb.blockSize);
  return { offset: inodeTable + read, length: groups.tableBlocks - read };
}
