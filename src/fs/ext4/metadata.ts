/**
 * Telling an ext4's metadata from file contents without following anything: inode tables and bitmaps by their place, directories, extent trees, attribute
 * blocks and long link targets by what they look like. A guess in both directions: whoever asks wants to keep at hand what will be read, and reads the rest.
 */
import { isZero, u16, u32 } from '../../bytes/fields.js';
import { subtract, type Range } from '../../bytes/ranges.js';
import { unreadTables } from './allocated.js';
import type { Metadata } from '../filesystem.js';
import type { Volume } from './volume.js';

const EXTENT_MAGIC = 0xf30a;
const XATTR_MAGIC = 0xea020000;
const HEADER = 8;
const SMALLEST_RECORD = 12;
const LONGEST_TARGET = 1024;
const SHORTEST_TARGET = 60; // shorter ones stand in the inode

export function metadataOf({ sb, groups }: Volume): Metadata {
  const bytes = ({ offset, length }: Range): Range => ({ offset: offset * sb.blockSize, length: length * sb.blockSize });
  return {
    places: subtract(groups.systemZones(), unreadTables(sb, groups)).map(bytes),
    blockSize: sb.blockSize,
    looksLike: (block) => u16(block, 0) === EXTENT_MAGIC || u32(block, 0) === XATTR_MAGIC || isDirectory(block, sb.inodesCount) || isTarget(block),
  };
}

/** Records that fill the block (see dirent.ts): also the root of a hash tree, and its inner blocks, which hide in a record without a name. */
function isDirectory(block: Uint8Array, inodesCount: number): boolean {
  for (let at = 0; at < block.length;) {
    if (at + HEADER > block.length) return false;
    const length = u16(block, at + 4) || 65_536;
    if (length < SMALLEST_RECORD || length % 4 !== 0 || at + length > block.length || u32(block, at) > inodesCount || block[at + 6]! + HEADER > length) return false;
    at += length;
  }
  return true;
}

function isTarget(block: Uint8Array): boolean {
  if (block[LONGEST_TARGET] !== 0 || block[SHORTEST_TARGET - 1] === 0) return false;
  const end = block.indexOf(0);
  return end >= SHORTEST_TARGET && end <= LONGEST_TARGET && isZero(block.subarray(end));
}
