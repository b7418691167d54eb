/** Whether a hash tree is whole: each block in it once, ranges in order, and every name in the leaf where a lookup will search it. */
import { leafEntries, type DirectoryFile, type DirectoryFormat } from './dirent.js';
import { nameHash } from './dxhash.js';
import { entryBlock, entryHash, nodeCount, readNode, readRoot, type IndexNode } from './dxnode.js';
import { readHashedLeaf } from './htree.js';

const MOST_PROBLEMS = 5;

interface Walk {
  readonly file: DirectoryFile;
  readonly format: DirectoryFormat;
  readonly hashVersion: number;
  readonly met: Uint8Array;
  readonly problems: string[];
}

/** Sentences that say what is wrong, the first few; empty for a sound tree. Broken blocks throw 'corrupt'. */
export function treeProblems(file: DirectoryFile, format: DirectoryFormat): string[] {
  const root = readRoot(file, format);
  const walk: Walk = { file, format, hashVersion: root.hashVersion, met: new Uint8Array(file.blocks), problems: [] };
  checkNode(walk, root, root.levels, 0, 2 ** 32);
  const missing = walk.met.indexOf(0, 1);
  if (missing > 0) walk.problems.push(`expected every block in the hash tree, found block ${missing} outside it`);
  return walk.problems.slice(0, MOST_PROBLEMS);
}

/** `low` and `high` bound the hashes below this node: low <= hash < high. */
function checkNode(walk: Walk, node: IndexNode, levels: number, low: number, high: number): void {
  for (let index = 0; index < nodeCount(node); index++) {
    const start = index === 0 ? low : entryHash(node, index);
    const end = index + 1 < nodeCount(node) ? entryHash(node, index + 1) : high;
    if (start > end || start < low || end > high) {
      walk.problems.push(`block ${node.block}: expected index entries in the order of their hashes, found entry ${index} out of order`);
    }
    const block = entryBlock(walk.file, node, index);
    if (walk.met[block]!++ > 0) walk.problems.push(`block ${node.block}: expected each block once in the hash tree, found block ${block} again`);
    else if (levels > 1) checkNode(walk, readNode(walk.file, walk.format, block), levels - 1, start, end);
    else checkLeaf(walk, block, start, end);
  }
}

/** An odd start continues the hash below it; an odd end lets this leaf hold names of the hash that goes on in the next. */
function checkLeaf({ file, format, hashVersion, problems }: Walk, block: number, start: number, end: number): void {
  const rules = { version: hashVersion, seed: format.hashSeed, unsigned: format.unsignedHash };
  const { data } = readHashedLeaf(file, format, block);
  for (const { name } of leafEntries(file, format, block, data)) {
    const hash = nameHash(name, rules);
    if (hash >= start - (start & 1) && hash < end) continue;
    problems.push(`block ${block}: expected names with hashes from ${start.toString(16)} to ${end.toString(16)}, found one with ${hash.toString(16)}`);
    return;
  }
}
