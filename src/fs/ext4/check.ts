/**
 * A check of everything this driver relies on, as thorough as e2fsck's passes 1 to 5 where both look: inodes with their checksums and blocks,
 * names, link counts, and then bitmaps and counters against what the first passes counted. It reads what the open filesystem holds, flushed or
 * not, and repairs nothing.
 * Memory is about 8 bytes per inode and a bit per block.
 */
import { equalBytes } from '../../bytes/fields.js';
import type { Finding } from '../../report.js';
import { findBit, setBits, testBit } from './bits.js';
import { Census } from './census.js';
import { checkInodes, isNameless } from './check-inodes.js';
import { checkNames } from './check-names.js';
import type { DirectoryFormat } from './directory.js';
import { GROUP_FLAG } from './groups.js';
import { freeBlocks, freeInodes } from './superblock.js';
import type { Volume } from './volume.js';

/**
 * Findings with ids "ext4.…", at most 200, all of severity 'error' but for the superblock's totals. The subject is "inode 12", "group 3", "block 99" or
 * "superblock". What follows from a structure that could not be read is left out.
 */
export function checkVolume(volume: Volume, format: DirectoryFormat): Finding[] {
  const { sb } = volume;
  if (sb.inodesCount * sb.inodeSize > sb.blocksCount * sb.blockSize) {
    const message = `expected inode tables that fit the filesystem, found ${sb.inodesCount} inodes`;
    return [{ severity: 'error', id: 'ext4.superblock', subject: 'superblock', message }];
  }
  const census = new Census(sb);
  for (const zone of volume.groups.systemZones()) {
    const from = Math.max(0, zone.offset - sb.firstDataBlock);
    setBits(census.owned, from, zone.offset + zone.length - sb.firstDataBlock - from, true);
  }
  checkInodes(volume, census);
  checkNames(volume, census, format);
  for (const [block, { met, stated }] of census.shared) {
    if (met !== stated) census.error('ext4.xattr', `block ${block}`, `expected ${met} references to the attribute block, found ${stated}`);
  }
  for (let group = 0; group < volume.groups.count; group++) {
    census.attempt('ext4.block-bitmap', `group ${group}`, () => checkBlockBitmap(volume, census, group));
    census.attempt('ext4.inode-bitmap', `group ${group}`, () => checkInodeBitmap(volume, census, group));
  }
  checkTotals(volume, census);
  return census.findings;
}

interface Difference {
  readonly missing: number;
  readonly extra: number;
  readonly first: number;
}

/** Compares the first `count` bits; undefined when they are the same. */
function compareBits(expected: Uint8Array, found: Uint8Array, count: number): Difference | undefined {
  const whole = count >>> 3;
  if (count % 8 === 0 && equalBytes(expected.subarray(0, whole), found.subarray(0, whole))) return undefined;
  let [missing, extra, first] = [0, 0, -1];
  for (let bit = 0; bit < count; bit++) {
    const wanted = testBit(expected, bit);
    if (wanted === testBit(found, bit)) continue;
    if (first < 0) first = bit;
    if (wanted) missing++;
    else extra++;
  }
  return first < 0 ? undefined : { missing, extra, first };
}

function countBits(bitmap: Uint8Array, count: number): number {
  let total = 0;
  for (let at = findBit(bitmap, 0, count, true); at < count; at = findBit(bitmap, at + 1, count, true)) total++;
  return total;
}

function checkBlockBitmap({ sb, groups }: Volume, census: Census, group: number): void {
  const subject = `group ${group}`;
  const bitmap = groups.blockBitmap(group);
  const count = groups.blocksIn(group);
  const bytes = sb.blocksPerGroup / 8;
  const difference = compareBits(census.owned.subarray(group * bytes, (group + 1) * bytes), bitmap, count);
  if (difference && (difference.missing > 0 || !census.blocksMissing)) {
    const { missing, extra, first } = difference;
    const from = groups.firstBlock(group) + first;
    census.error('ext4.block-bitmap', subject,
      `expected a block bitmap that fits the files, found ${missing} blocks in use marked free and ${extra} free ones marked used, from block ${from} on`);
  }
  if (findBit(bitmap, count, sb.blockSize * 8, false) < sb.blockSize * 8) {
    census.error('ext4.block-bitmap', subject, 'expected all bits behind the last block set, found some clear');
  }
  const free = count - countBits(bitmap, count);
  const stated = groups.descriptor(group).freeBlocks;
  if (free !== stated) {
    census.error('ext4.free-blocks', subject, `expected a count of ${free} free blocks, as many as the bitmap has, found ${stated}`);
  }
}

/** The inodes that the first pass met, and those that are always taken. */
function inodesInUse(volume: Volume, census: Census, group: number): Uint8Array {
  const { inodesPerGroup, firstInode } = volume.sb;
  const used = new Uint8Array(inodesPerGroup / 8);
  for (let index = 0; index < inodesPerGroup; index++) {
    const number = group * inodesPerGroup + index + 1;
    if (number < firstInode || census.types[number] !== 0) setBits(used, index, 1, true);
  }
  return used;
}

function checkInodeBitmap(volume: Volume, census: Census, group: number): void {
  const { sb, groups } = volume;
  const subject = `group ${group}`;
  const { freeInodes: stated, usedDirectories, inodesUnused, flags } = groups.descriptor(group);
  const bitmap = groups.inodeBitmap(group);
  const difference = compareBits(inodesInUse(volume, census, group), bitmap, sb.inodesPerGroup);
  if (difference) {
    const { missing, extra, first } = difference;
    const from = group * sb.inodesPerGroup + first + 1;
    census.error('ext4.inode-bitmap', subject,
      `expected an inode bitmap that fits the inodes, found ${missing} in use marked free and ${extra} free ones marked used, from inode ${from} on`);
  }
  const free = sb.inodesPerGroup - countBits(bitmap, sb.inodesPerGroup);
  if (free !== stated) {
    census.error('ext4.free-inodes', subject, `expected a count of ${free} free inodes, as many as the bitmap has, found ${stated}`);
  }
  const tail = sb.inodesPerGroup - inodesUnused;
  if ((flags & GROUP_FLAG.inodeUninit) === 0 && findBit(bitmap, tail, sb.inodesPerGroup, true) < sb.inodesPerGroup) {
    census.error('ext4.inodes-unused', subject, `expected the last ${inodesUnused} inodes unused, found some in use`);
  }
  const directories = census.directories.filter((number) => groups.groupOfInode(number) === group && !isNameless(volume, number)).length;
  if (directories !== usedDirectories) {
    census.error('ext4.directories', subject, `expected a count of ${directories} directories, found ${usedDirectories}`);
  }
}

/** Linux keeps the superblock's totals up to date only now and then, and e2fsck takes the groups' word: a warning. */
function checkTotals({ sb, groups }: Volume, census: Census): void {
  let [blocks, inodes] = [0, 0];
  for (let group = 0; group < groups.count; group++) {
    const descriptor = groups.descriptor(group);
    blocks += descriptor.freeBlocks;
    inodes += descriptor.freeInodes;
  }
  for (const [what, expected, found] of [['blocks', blocks, freeBlocks(sb)], ['inodes', inodes, freeInodes(sb)]] as const) {
    if (expected === found) continue;
    const message = `expected ${expected} free ${what}, as many as in all groups, found ${found}`;
    census.add({ severity: 'warning', id: 'ext4.superblock', subject: 'superblock', message });
  }
}
