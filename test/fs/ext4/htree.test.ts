/** Names of equal hash, more than one leaf holds; trees that run full; trees that lead nowhere or round in circles. */
import { describe, expect, test } from 'vitest';
import { setU16, setU32 } from '../../../src/bytes/fields.js';
import { createDirectory, entries, insert, lookup, remove, replace, type DirectoryFormat } from '../../../src/fs/ext4/directory.js';
import { nameHash } from '../../../src/fs/ext4/dxhash.js';
import { treeProblems } from '../../../src/fs/ext4/htree-check.js';
import { needs } from '../../support/oracle.js';
import { directoryBench, inTemporaryDirectory, memoryDirectory, type MemoryDirectory } from './directory-images.js';

/** Behind 245 times "p" these give names of 251 bytes with one legacy hash, found by solving the hash for the last byte. */
const ENDINGS = ['O1202Y', 'a:f1k:', 'Gfm1^^', 'jNJ2Hk', '7@h5X;', 'DBc6D*', 'kNQ8?|', '_:79Y1', 'f>Y9W;', 'U9d:Az', '>dk;lb'];
const LEGACY = { version: 0, seed: new Uint8Array(16), unsigned: false };

describe('names of equal hash', () => {
  needs('mke2fs', 'e2fsck', 'debugfs', 'dumpe2fs')('fill several leaves, are all found, and satisfy e2fsck', () => inTemporaryDirectory((path) => {
    const colliding = ENDINGS.map((ending) => Buffer.from('p'.repeat(245) + ending));
    expect(new Set(colliding.map((name) => nameHash(name, LEGACY))).size).toBe(1);
    const { format: today, directory, target, check } = directoryBench(path, ['-b', '1024']);
    const format = { ...today, hashVersion: 0 };
    const others = Array.from({ length: 60 }, (_, index) => Buffer.from(`${index}-`.padEnd(200, 'o')));
    const names: Uint8Array[] = [];
    others.forEach((name, index) => names.push(name, ...colliding.slice(index / 5, index % 5 === 0 ? index / 5 + 1 : 0)));
    for (const name of names) insert(directory, format, { name, inode: target, fileType: 1 });
    expect(names).toHaveLength(71);
    for (const name of names) expect(lookup(directory, format, name)?.inode).toBe(target);
    expect(treeProblems(directory, format)).toEqual([]);
    const removed = names.filter((_, index) => index % 4 === 0);
    for (const name of removed) remove(directory, format, name);
    for (const name of removed) expect(lookup(directory, format, name)).toBeUndefined();
    const checked = check(names.length - removed.length);
    expect(checked, checked.output).toMatchObject({ status: 0 });
  }));
});

const FORMAT: DirectoryFormat = {
  blockSize: 1024, filetype: true, checksumSeed: undefined, indexed: true, hashSeed: new Uint8Array(16), hashVersion: 1, unsignedHash: false, largeDir: false,
};

function filled(count: number, maximum = Infinity): MemoryDirectory {
  const directory = memoryDirectory(12, 0, [], false, maximum);
  createDirectory(directory, FORMAT, 12, 2);
  for (let index = 0; index < count; index++) insert(directory, FORMAT, { name: Buffer.from(`${index}-`.padEnd(250, 'z')), inode: 13, fileType: 1 });
  return directory;
}

describe('growth', () => {
  test('a split that does not get its blocks leaves the directory as it was', () => {
    let refused = 0;
    for (let maximum = 1; maximum < 100; maximum += 9) {
      const directory = filled(0, maximum);
      let count = 0;
      for (; count < 1_000; count++) {
        const before = directory.data.map((block) => block.slice());
        try {
          insert(directory, FORMAT, { name: Buffer.from(`${count}-`.padEnd(250, 'z')), inode: 13, fileType: 1 });
        } catch {
          refused++;
          expect(directory.data).toEqual(before);
          break;
        }
      }
      expect([...entries(directory, FORMAT)]).toHaveLength(count + 2);
      if (directory.hashed) expect(treeProblems(directory, FORMAT)).toEqual([]);
    }
    expect(refused).toBeGreaterThan(8);
  });

  test('".." is replaced in the root of a tree', () => {
    const directory = filled(50);
    replace(directory, FORMAT, { name: Buffer.from('..'), inode: 99, fileType: 2 });
    expect(lookup(directory, FORMAT, Buffer.from('..'))?.inode).toBe(99);
    expect(treeProblems(directory, FORMAT)).toEqual([]);
  });

  test('a full tree of two levels is no-space', () => {
    const directory = filled(20);
    const root = directory.data[0]!;
    setU16(root, 34, 124); // as many entries as the root has room for
    root[30] = 1;
    const node = new Uint8Array(1024);
    setU16(node, 4, 1024);
    setU16(node, 8, 127);
    setU16(node, 10, 127);
    for (let index = 0; index < 127; index++) setU32(node, 8 + index * 8 + 4, 1);
    const at = directory.append(node);
    for (let index = 0; index < 124; index++) setU32(root, 32 + index * 8 + 4, at);
    directory.data[1] = filled(3).data[0]!; // any full leaf
    expect(() => { for (let index = 0; index < 9; index++) insert(directory, FORMAT, { name: Buffer.from(`${index}`.padEnd(250, 'q')), inode: 13, fileType: 1 }); })
      .toThrow(expect.objectContaining({ code: 'no-space' }));
  });
});

const NAME = Buffer.from('7-'.padEnd(250, 'z'));
const DAMAGE: readonly [string, (directory: MemoryDirectory) => void][] = [
  ['no entries', ({ data }) => setU16(data[0]!, 34, 0)],
  ['more entries than room', ({ data }) => setU16(data[0]!, 34, 500)],
  ['another limit', ({ data }) => setU16(data[0]!, 32, 90)],
  ['levels', ({ data }) => { data[0]![30] = 2; }],
  ['one level more, over leaves', ({ data }) => { data[0]![30] = 1; }],
  ['length of the information', ({ data }) => { data[0]![29] = 16; }],
  ['hash version', ({ data }) => { data[0]![28] = 7; }],
  ['incompatible flags', ({ data }) => { data[0]![31] = 1; }],
  ['".." that is not there', ({ data }) => { data[0]![20] = 0x61; }],
  ['blocks beyond the end', ({ data }) => { for (let at = 36; at < 1024; at += 8) setU32(data[0]!, at, 4000); }],
  ['the root as a leaf', ({ data }) => { for (let at = 36; at < 1024; at += 8) setU32(data[0]!, at, 0); }],
  ['records of length 0', ({ data }) => { for (const block of data.slice(1)) setU16(block, 4, 0); }],
  ['records of odd length', ({ data }) => { for (const block of data.slice(1)) setU16(block, 4, 13); }],
  ['records past the end', ({ data }) => { for (const block of data.slice(1)) setU16(block, 4, 2048); }],
  ['names longer than their records', ({ data }) => { for (const block of data.slice(1)) block[6] = 255; }],
];

describe('broken trees', () => {
  test.each(DAMAGE)('%s: a lookup is an error, not silence', (_, change) => {
    const directory = filled(30);
    change(directory);
    expect(() => lookup(directory, FORMAT, NAME)).toThrow(expect.objectContaining({ name: 'RockberryError', code: expect.stringMatching(/^(corrupt|unsupported)$/) }));
    expect(() => insert(directory, FORMAT, { name: NAME, inode: 13, fileType: 1 })).toThrow(expect.objectContaining({ name: 'RockberryError' }));
  });

  test('continuations that lead to the same leaf for ever are found', () => {
    const directory = filled(30);
    const hash = nameHash(NAME, { version: 1, seed: FORMAT.hashSeed, unsigned: false });
    const root = directory.data[0]!;
    setU16(root, 34, 124);
    for (let index = 1; index < 124; index++) setU32(root, 32 + index * 8, hash + 1);
    for (let index = 0; index < 124; index++) setU32(root, 32 + index * 8 + 4, 1);
    remove(directory, FORMAT, [...entries(directory, FORMAT)].find((entry) => entry.name.length > 2)!.name);
    const gone = Buffer.from('nothing of that name');
    expect(() => lookup(directory, { ...FORMAT }, gone)).not.toThrow();
    expect(() => lookup(directory, FORMAT, NAME)).toThrow(expect.objectContaining({ code: 'corrupt' }));
  });

  test('a tree on a filesystem without dir_index is corrupt', () => {
    expect(() => lookup(filled(30), { ...FORMAT, indexed: false }, NAME)).toThrow(expect.objectContaining({ code: 'corrupt' }));
  });
});
