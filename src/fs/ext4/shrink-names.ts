/** Directories after inodes were given other numbers: entries name the new ones, and each block's checksum is made for the number that its directory has now. */
import { setU32, u32 } from '../../bytes/fields.js';
import { readLeaf, recordLength, recordSpace, sealLeaf, type DirectoryFile, type DirectoryFormat } from './dirent.js';
import { DOT_DOT_AT, looksLikeNode, readNode, readRoot, writeNode } from './dxnode.js';

type Numbers = ReadonlyMap<number, number>;

/** Rewrites one directory from its old blocks to its new ones, which may be the same; blocks in which nothing changes are not written, unless all are to be. */
export function renumberDirectory(from: DirectoryFile, to: DirectoryFile, format: DirectoryFormat, numbers: Numbers, all: boolean): void {
  for (let block = 0; block < from.blocks; block++) {
    if (from.hashed && block === 0) renumberRoot(from, to, format, numbers, all);
    else if (from.hashed && looksLikeNode(format, from.read(block))) {
      const node = readNode(from, format, block);
      if (all) writeNode(to, format, node);
    } else renumberLeaf(from, to, { format, numbers, all, block });
  }
}

function renumber(data: Uint8Array, at: number, numbers: Numbers): boolean {
  const number = numbers.get(u32(data, at));
  if (number !== undefined) setU32(data, at, number);
  return number !== undefined;
}

function renumberRoot(from: DirectoryFile, to: DirectoryFile, format: DirectoryFormat, numbers: Numbers, all: boolean): void {
  const root = readRoot(from, format);
  const changed = [0, DOT_DOT_AT].map((at) => renumber(root.data, at, numbers));
  if (all || changed.includes(true)) writeNode(to, format, root);
}

function renumberLeaf(from: DirectoryFile, to: DirectoryFile, { format, numbers, all, block }: { format: DirectoryFormat; numbers: Numbers; all: boolean; block: number }): void {
  const data = readLeaf(from, format, block);
  const end = recordSpace(format);
  let changed = all;
  for (let at = 0; at < end; at += recordLength(from, block, data, at, end)) {
    recordLength(from, block, data, at, end);
    if (renumber(data, at, numbers)) changed = true;
  }
  if (changed) to.write(block, sealLeaf(to, format, data));
}
