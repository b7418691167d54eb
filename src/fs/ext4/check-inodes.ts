/** First pass of a check: every inode in use, by the inode tables and not by names, with its checksum, its blocks and its attributes. */
import { u32 } from '../../bytes/fields.js';
import { getXattrs } from './attributes.js';
import type { Census } from './census.js';
import { GROUP_FLAG } from './groups.js';
import { entryType, type Inode, ROOT_INODE } from './inode.js';
import { hasMapping, readMapping } from './mapping.js';
import { blocksOf, runEnd, type Mapping, type Run } from './runs.js';
import { readTarget } from './symlink.js';
import type { Volume } from './volume.js';
import { xattrBlockReferences } from './xattr.js';

/** In use, but what as could not be read. */
export const UNKNOWN_TYPE = 255;
export const RESIZE_INODE = 7;
export const DOUBLE_INDIRECT_AT = 0x28 + 13 * 4;

/** Every inode that has links, by rising number. */
export function* linkedInodes(volume: Volume): Iterable<Inode> {
  const { sb, groups } = volume;
  for (let group = 0; group < groups.count; group++) {
    const { flags, inodesUnused } = groups.descriptor(group);
    if ((flags & GROUP_FLAG.inodeUninit) !== 0) continue;
    const first = group * sb.inodesPerGroup + 1;
    for (let number = first; number < first + sb.inodesPerGroup - inodesUnused; number++) {
      const inode = volume.load(number);
      if (inode.links !== 0) yield inode;
    }
  }
}

export function checkInodes(volume: Volume, census: Census): void {
  for (const inode of linkedInodes(volume)) {
    const subject = `inode ${inode.number}`;
    census.types[inode.number] = UNKNOWN_TYPE;
    const sound = census.attempt('ext4.inode', subject, () => checkInode(volume, census, inode, subject));
    if (!sound) census.blocksMissing = true;
  }
}

/** False when its blocks are not known. */
function checkInode(volume: Volume, census: Census, inode: Inode, subject: string): boolean {
  census.links[inode.number] = inode.links;
  inode.validate();
  if (inode.number === RESIZE_INODE) return claimResizeInode(volume, census, inode, subject);
  if (inode.mode === 0 && isNameless(volume, inode.number)) return true; // the kernel's own inodes may be without a type
  census.types[inode.number] = entryType(inode.type);
  if (inode.type === 'directory') census.directories.push(inode.number);
  const mapping = census.attempt('ext4.mapping', subject, () => readMapping(volume, inode));
  if (mapping) checkBlocks(volume, census, inode, subject, mapping);
  census.attempt('ext4.xattr', subject, () => getXattrs(volume, inode));
  if (inode.type === 'symlink') census.attempt('ext4.symlink', subject, () => readTarget(volume, inode));
  return mapping !== undefined;
}

/** The resize inode maps the descriptors' reserve, which belongs to the groups; its own is the double-indirect block over it. */
function claimResizeInode({ sb, groups }: Volume, census: Census, inode: Inode, subject: string): boolean {
  const block = u32(inode.raw, DOUBLE_INDIRECT_AT);
  if (!sb.compat('resize_inode') || block === 0) return true;
  const sound = groups.isDataRange(block, 1);
  if (sound) census.claim(subject, block, 1);
  else census.error('ext4.mapping', subject, `expected the resize inode's block among the data blocks, found ${block}`);
  return sound;
}

function checkBlocks(volume: Volume, census: Census, inode: Inode, subject: string, mapping: Mapping): void {
  for (const run of mapping.runs) census.claim(subject, run.physical, run.length);
  for (const block of mapping.tree) census.claim(subject, block, 1);
  const counted = blocksOf(mapping.runs) + mapping.tree.length + claimAttributes(volume, census, inode, subject);
  if (inode.blockCount !== counted) census.error('ext4.block-count', subject, `expected i_blocks for ${counted} blocks, found ${inode.blockCount}`);
  if (hasMapping(inode)) checkSize(volume, census, inode, subject, mapping.runs);
}

/** A file may be longer than its blocks (a hole at the end) but has none of its written blocks behind its end; a directory has all of its blocks. */
function checkSize({ sb }: Volume, census: Census, inode: Inode, subject: string, runs: readonly Run[]): void {
  const written = runs.filter((run) => !run.unwritten).at(-1);
  const end = written ? runEnd(written) : 0;
  const blocks = Math.ceil(inode.size / sb.blockSize);
  if (end > blocks) {
    census.error('ext4.size', subject, `expected a size of at least ${end - 1} whole blocks, as many as were written, found ${inode.size} bytes`);
  }
  if (inode.type === 'directory' && (blocksOf(runs) !== blocks || inode.size % sb.blockSize !== 0)) {
    census.error('ext4.size', subject, `expected a directory of ${blocksOf(runs)} whole blocks, found ${inode.size} bytes`);
  }
}

/** The attribute block, which several inodes may share; returns how many blocks it adds to this inode. */
function claimAttributes(volume: Volume, census: Census, inode: Inode, subject: string): number {
  const block = inode.xattrBlock;
  if (block === 0) return 0;
  const known = census.shared.get(block);
  if (known) known.met++;
  else if (volume.groups.isDataRange(block, 1)) {
    census.claim(subject, block, 1);
    census.shared.set(block, { met: 1, stated: xattrBlockReferences(volume.cache.get(block)) });
  }
  return 1;
}

/** Inodes that are in use without a name: those below s_first_ino, and the orphan file. */
export function isNameless({ sb }: Volume, number: number): boolean {
  return (number < sb.firstInode && number !== ROOT_INODE) || (sb.compat('orphan_file') && number === u32(sb.raw, 0x280));
}
