/** How small an ext4 could become. Numbers are blocks. Compare e2fsprogs resize/resize2fs.c (calculate_minimum_resize_size), which adds slack of its own. */
import { baseBlocks, groupFirst, tableBlocks } from './geometry.js';
import { openSuperblock } from './grow.js';
import { resizedSuperblock } from './grow-limits.js';
import { Groups } from './groups.js';
import { BlockCache } from './cache.js';
import type { BlockDevice } from '../../device/device.js';
import type { Superblock } from './superblock.js';
import { UndoLog } from './undo.js';

/** Blocks for files that resize2fs wants in a last group, and mke2fs too: with fewer it is left out. */
const WORTH_A_GROUP = 50;

/** What must find a place: blocks of files (with their extent trees and directories), and inodes. */
interface Content {
  readonly blocks: number;
  readonly inodes: number;
}

function contentOf(sb: Superblock, groups: Groups): Content {
  let [free, freeInodes] = [0, 0];
  for (let group = 0; group < groups.count; group++) {
    free += groups.descriptor(group).freeBlocks;
    freeInodes += groups.descriptor(group).freeInodes;
  }
  const structures = groups.systemZones().reduce((sum, zone) => sum + zone.length, 0);
  return { blocks: sb.blocksCount - structures - free, inodes: sb.inodesCount - freeInodes };
}

/** Blocks that the structures of the first `count` groups take, if the filesystem had so many. */
function structuresOf(sb: Superblock, count: number): number {
  const resized = resizedSuperblock(sb, groupFirst(sb, count));
  let total = sb.firstDataBlock;
  for (let group = 0; group < count; group++) total += baseBlocks(resized, group) + 2 + tableBlocks(sb);
  return total;
}

/**
 * The size in filesystem blocks below which no shrinking can go: as many groups as the inodes in use need, their structures, and the blocks in use, packed without a gap. It is a lower
 * bound: moving takes some room of its own, so that shrinking to exactly this size may find none. Errors: those of opening the filesystem.
 */
export function minimumBlocks(device: BlockDevice): number {
  const sb = openSuperblock(device);
  const undo = new UndoLog();
  return minimumOf(sb, new Groups(device, sb, new BlockCache(device, sb.blockSize, undo), undo));
}

function minimumOf(sb: Superblock, groups: Groups): number {
  const content = contentOf(sb, groups);
  for (let count = Math.ceil(content.inodes / sb.inodesPerGroup); count < sb.groupCount; count++) {
    const whole = groupFirst(sb, count);
    const spare = whole - structuresOf(sb, count) - content.blocks;
    if (spare < 0) continue;
    const least = count === 1 ? 0 : structuresOf(sb, count) - structuresOf(sb, count - 1) + WORTH_A_GROUP;
    return Math.max(whole - spare, groupFirst(sb, count - 1) + least);
  }
  return Math.min(sb.blocksCount, structuresOf(sb, sb.groupCount) + content.blocks);
}
