/**
 * From blocks back to names. Structures have fixed places; for everything else the inodes are gone through once, in the order of their tables, until each block
 * that was asked for has its inode, and then the directories from the root down, until each of these has a name.
 */
import { cutByClaims } from '../../bytes/claims.js';
import { u32 } from '../../bytes/fields.js';
import { coalesce, rangeEnd, subtract, type Range } from '../../bytes/ranges.js';
import { RangeSet } from '../../bytes/range-set.js';
import { RockberryError } from '../../errors.js';
import type { Owner } from '../filesystem.js';
import { decodeName } from '../names.js';
import { findBit, testBit } from './bits.js';
import { DOUBLE_INDIRECT_AT, linkedInodes, RESIZE_INODE } from './check-inodes.js';
import { InodeDirectory } from './directory-file.js';
import { entries, type DirectoryFormat } from './directory.js';
import { ROOT_INODE, typeOfEntry, type Inode } from './inode.js';
import { readMapping } from './mapping.js';
import { hasSuperblock, SUPERBLOCK_OFFSET } from './superblock.js';
import type { Volume } from './volume.js';

const JOURNAL_INODE = 8; // EXT4_JOURNAL_INO
const ORPHAN_FILE_AT = 0x280; // s_orphan_file_inum

/** Blocks of one inode. */
interface Claim {
  readonly range: Range; // in blocks
  readonly inode: Inode;
  readonly part: 'contents' | 'tree' | 'attributes' | 'unwritten';
  /** Block of the file; 0 for what is not contents. */
  readonly logical: number;
}

export function ownersOf(volume: Volume, format: DirectoryFormat, ranges: readonly Range[]): Owner[] {
  const { sb } = volume;
  const structures = structuresOf(volume);
  const left = subtract(coalesce(ranges), coalesce(structures.map(({ range }) => range)));
  const claims = claimsOn(volume, new RangeSet(left.map((range) => blocksOf(range, sb.blockSize))));
  const names = namesOf(volume, format, new Set(claims.map(({ inode }) => inode.number)));
  const owned = claims.map((claim) => ownerOf(volume, claim, names.get(claim.inode.number) ?? null));
  return cutByClaims(ranges, [...structures, ...owned]).flatMap(({ range, claim }) => {
    if (!claim) return unclaimed(volume, range);
    return [{ ...claim, range, at: claim.at === null ? null : claim.at + range.offset - claim.range.offset }];
  });
}

function blocksOf(range: Range, blockSize: number): Range {
  const offset = Math.floor(range.offset / blockSize);
  return { offset, length: Math.ceil(rangeEnd(range) / blockSize) - offset };
}

function structure(offset: number, length: number, words: string): Owner {
  return { range: { offset, length }, words, about: null, at: null };
}

/** Everything that has its place without an inode. */
function structuresOf({ sb, groups }: Volume): Owner[] {
  const { blockSize, firstDataBlock } = sb;
  const first = structure(0, SUPERBLOCK_OFFSET, 'the boot sectors before the superblock');
  const rest = Array.from({ length: groups.count }, (_, group) => {
    const { blockBitmap, inodeBitmap, inodeTable } = groups.descriptor(group);
    const at = (block: number, count: number, words: string): Owner => structure(block * blockSize, count * blockSize, words);
    return [
      ...baseOf(sb, group, groups.baseBlocks(group)).map(([offset, count, words]) => at(groups.firstBlock(group) + offset, count, words)),
      at(blockBitmap, 1, `block bitmap of block group ${group}`), at(inodeBitmap, 1, `inode bitmap of block group ${group}`),
      at(inodeTable, groups.tableBlocks, `inode table of block group ${group}`),
    ];
  }).flat();
  const main = structure(SUPERBLOCK_OFFSET, (firstDataBlock + 1) * blockSize - SUPERBLOCK_OFFSET, 'the superblock');
  return [first, main, ...rest.filter(({ range }) => range.offset >= (firstDataBlock + 1) * blockSize)];
}

/** The start of a group, in blocks from there: superblock, descriptors, and the reserve that lets the descriptors grow (none under meta_bg, where one block of them is all). */
function baseOf(sb: Volume['sb'], group: number, blocks: number): (readonly [offset: number, count: number, words: string])[] {
  const copy = hasSuperblock(sb, group) ? 1 : 0;
  const reserved = sb.raw[0xce]! + sb.raw[0xcf]! * 256; // s_reserved_gdt_blocks
  const reserve = blocks - copy > reserved ? reserved : 0;
  return [
    [0, copy, `the copy of the superblock in block group ${group}`],
    [copy, blocks - copy - reserve, group === 0 ? 'the group descriptors' : `the group descriptors in block group ${group}`],
    [blocks - reserve, reserve, `the reserve for group descriptors in block group ${group}`],
  ];
}

/** Which inodes have the wanted blocks. Where a shared attribute block is met, the first inode gives it its name. */
function claimsOn(volume: Volume, wanted: RangeSet): Claim[] {
  let missing = wanted.ranges.reduce((sum, { length }) => sum + length, 0);
  const claims: Claim[] = [];
  if (missing === 0) return claims;
  const shared = new Set<number>();
  for (const inode of linkedInodes(volume)) {
    for (const { range, part, logical } of partsOf(volume, inode)) {
      if (part === 'attributes' && shared.has(range.offset)) continue;
      if (part === 'attributes') shared.add(range.offset);
      for (const piece of wanted.within(range)) {
        claims.push({ range: piece, inode, part, logical: logical + piece.offset - range.offset });
        missing -= piece.length;
      }
    }
    if (missing <= 0) break;
  }
  return claims;
}

type Part = Omit<Claim, 'inode'>;

/** An inode that is damaged has no blocks here: who asks has a difference to explain already, and is not helped by another error. */
function partsOf(volume: Volume, inode: Inode): Part[] {
  const part = (offset: number, length: number, kind: Part['part'], logical = 0): Part => ({ range: { offset, length }, part: kind, logical });
  if (inode.number === RESIZE_INODE) return [part(u32(inode.raw, DOUBLE_INDIRECT_AT), 1, 'tree')];
  const mapping = tolerant(() => (inode.mode === 0 ? undefined : readMapping(volume, inode)));
  return [
    ...(mapping?.runs ?? []).map(({ physical, length, logical, unwritten }) => part(physical, length, unwritten ? 'unwritten' : 'contents', logical)),
    ...(mapping?.tree ?? []).map((block) => part(block, 1, 'tree')),
    ...(inode.xattrBlock === 0 ? [] : [part(inode.xattrBlock, 1, 'attributes')]),
  ];
}

function tolerant<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof RockberryError && (error.code === 'corrupt' || error.code === 'unsupported')) return undefined;
    throw error;
  }
}

/** A path for each of the inodes that has one: the shortest way from the root, and of a directory's entries the first. */
function namesOf(volume: Volume, format: DirectoryFormat, wanted: ReadonlySet<number>): Map<number, string> {
  const names = new Map<number, string>();
  const seen = new Set([ROOT_INODE]);
  const queue: (readonly [inode: number, path: string])[] = [[ROOT_INODE, '']];
  if (wanted.has(ROOT_INODE)) names.set(ROOT_INODE, '/');
  for (let at = 0; at < queue.length && names.size < wanted.size; at++) {
    const [directory, path] = queue[at]!;
    tolerant(() => {
      for (const entry of entries(new InodeDirectory(volume, volume.load(directory)), format)) {
        const name = decodeName(entry.name);
        if (name === '.' || name === '..') continue;
        if (wanted.has(entry.inode) && !names.has(entry.inode)) names.set(entry.inode, `${path}/${name}`);
        const isDirectory = (typeOfEntry(entry.fileType) ?? volume.inode(entry.inode).type) === 'directory';
        if (isDirectory && !seen.has(entry.inode)) queue.push([entry.inode, `${path}/${name}`]);
        if (isDirectory) seen.add(entry.inode);
      }
    });
  }
  return names;
}

function ownerOf({ sb }: Volume, { range, inode, part, logical }: Claim, path: string | null): Owner {
  const bytes = { offset: range.offset * sb.blockSize, length: range.length * sb.blockSize };
  const nameless = { range: bytes, about: null, at: null };
  if (inode.number === JOURNAL_INODE) return { ...nameless, words: 'the journal' };
  if (inode.number === RESIZE_INODE) return { ...nameless, words: 'the map of the reserve for group descriptors' };
  if (sb.compat('orphan_file') && inode.number === u32(sb.raw, ORPHAN_FILE_AT)) return { ...nameless, words: 'the orphan file' };
  const about = path ?? `inode ${inode.number}, which has no name`;
  if (part === 'contents' && path !== null) return { range: bytes, words: CONTENTS[inode.type] ?? '', about: path, at: logical * sb.blockSize };
  return { range: bytes, words: part === 'contents' ? 'contents of' : WORDS[part], about, at: null };
}

const CONTENTS: Partial<Readonly<Record<Inode['type'], string>>> = { directory: 'directory', symlink: 'the target of link' };
const WORDS = { tree: 'block map of', attributes: 'extended attributes of', unwritten: 'space kept for' } as const;

/** What no inode has: by its group's bitmap free, or in use for nobody knows what. */
function unclaimed({ sb, groups }: Volume, range: Range): Owner[] {
  const owners: Owner[] = [];
  const end = sb.blocksCount * sb.blockSize;
  for (let at = range.offset; at < rangeEnd(range);) {
    if (at >= end) return [...owners, structure(at, rangeEnd(range) - at, 'behind the filesystem')];
    const block = Math.floor(at / sb.blockSize);
    const group = groups.groupOfBlock(block);
    const index = block - groups.firstBlock(group);
    const bitmap = tolerant(() => groups.blockBitmap(group)) ?? new Uint8Array(sb.blockSize).fill(0xff);
    const used = testBit(bitmap, index);
    const until = (groups.firstBlock(group) + findBit(bitmap, index, groups.blocksIn(group), !used)) * sb.blockSize;
    const stop = Math.min(until, rangeEnd(range));
    owners.push(structure(at, stop - at, used ? 'blocks in use that no file has' : 'free space'));
    at = stop;
  }
  return owners;
}
