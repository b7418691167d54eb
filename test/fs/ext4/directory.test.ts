import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { entries, insert, isEmpty, lookup, remove, type DirectoryFormat } from '../../../src/fs/ext4/directory.js';
import { SAME_EVERY_TIME, needs, output, run } from '../../support/oracle.js';
import { directoryBench, extractDirectory, formatOf, inTemporaryDirectory, type MemoryDirectory } from './directory-images.js';

const OPTIONS: Readonly<Record<string, { options: readonly string[]; count: number }>> = {
  '1 KiB blocks, metadata_csum': { options: ['-b', '1024'], count: 10_000 },
  '1 KiB blocks, no checksums': { options: ['-b', '1024', '-O', '^metadata_csum'], count: 1_000 },
  '4 KiB blocks, metadata_csum': { options: ['-b', '4096'], count: 2_000 },
  '2 KiB blocks, fixed hash seed, no checksums': { options: ['-b', '2048', '-O', '^metadata_csum', '-E', 'hash_seed=8c1f6d2a-95d3-4b7e-a1f0-3e5c7b9d1f23'], count: 1_000 },
  '4 KiB blocks, no filetype': { options: ['-b', '4096', '-O', '^filetype'], count: 1_000 },
};

const text = new TextEncoder();

function namesOf(directory: MemoryDirectory, format: DirectoryFormat): string[] {
  return [...entries(directory, format)].map((entry) => Buffer.from(entry.name).toString());
}

/** Names of very different lengths, so that blocks fill unevenly. */
function makeNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `n${index}-${'x'.repeat((index * 7919) % (index % 50 === 0 ? 240 : 30))}é`);
}

function sourceTree(path: string, names: readonly string[]): string {
  const root = join(path, 'root');
  mkdirSync(join(root, 'd'), { recursive: true });
  for (const name of names) writeFileSync(join(root, 'd', name), '');
  return root;
}

describe('directories that mke2fs and e2fsck made', () => {
  for (const [title, { options, count }] of Object.entries(OPTIONS)) {
    needs('mke2fs', 'e2fsck', 'debugfs', 'dumpe2fs')(`${count} names, linear and hashed, ${title}`, () => inTemporaryDirectory((path) => {
      const image = join(path, 'image');
      const names = makeNames(count);
      output('mke2fs', ['-q', '-F', ...SAME_EVERY_TIME, '-t', 'ext4', '-N', '12000', '-d', sourceTree(path, names), ...options, image, '64M']);
      const format = formatOf(image);
      for (const hashed of [false, true]) {
        if (hashed) run('e2fsck', ['-fyD', image]);
        const directory = extractDirectory(image, '/d', format);
        expect(directory.hashed).toBe(hashed);
        expect(namesOf(directory, format).sort()).toEqual(['.', '..', ...names].sort());
        for (const name of hashed ? names : names.slice(-50)) if (!lookup(directory, format, text.encode(name))) expect.fail(`${name} not found`);
        expect(lookup(directory, format, text.encode('not there'))).toBeUndefined();
        expect(lookup(directory, format, text.encode('..'))?.inode).toBe(2);
        directory.reads = 0;
        lookup(directory, format, text.encode(names[77]!));
        if (hashed) expect(directory.reads).toBeLessThanOrEqual(3);
      }
    }));
  }
});

interface Writing {
  readonly options: readonly string[];
  readonly count: number;
  readonly name?: (index: number) => string;
}

const longName = (index: number): string => `${index}-`.padEnd(250, 'y');

const WRITE_OPTIONS: Readonly<Record<string, Writing>> = {
  '1 KiB blocks, metadata_csum, two levels': { options: ['-b', '1024'], count: 10_000 },
  '1 KiB blocks, no checksums': { options: ['-b', '1024', '-O', '^metadata_csum'], count: 3_000 },
  '1 KiB blocks, large_dir, three levels': { options: ['-b', '1024', '-O', 'large_dir'], count: 50_000, name: longName },
  '2 KiB blocks': { options: ['-b', '2048'], count: 3_000 },
  '4 KiB blocks, short names': { options: ['-b', '4096'], count: 100_000, name: (index) => `name-${index}` },
  '4 KiB blocks, no dir_index': { options: ['-b', '4096', '-O', '^dir_index'], count: 2_000 },
  '4 KiB blocks, no filetype': { options: ['-b', '4096', '-O', '^filetype'], count: 1_000 },
};

describe('directories that we made', () => {
  for (const [title, { options, count, name: nameOf }] of Object.entries(WRITE_OPTIONS)) {
    needs('mke2fs', 'e2fsck', 'debugfs', 'dumpe2fs')(`${count} names, then half removed: e2fsck is content, ${title}`, () => inTemporaryDirectory((path) => {
      const { image, format, directory, target, check } = directoryBench(path, options);
      const names = nameOf ? Array.from({ length: count }, (_, index) => nameOf(index)) : makeNames(count);
      expect(isEmpty(directory, format)).toBe(true);
      for (const name of names) insert(directory, format, { name: text.encode(name), inode: target, fileType: 1 });
      const left = names.filter((_, index) => index % 2 !== 0);
      for (const name of names.filter((_, index) => index % 2 === 0)) remove(directory, format, text.encode(name));
      expect(directory.hashed).toBe(format.indexed);
      const checked = check(left.length);
      expect(checked, checked.output).toMatchObject({ status: 0 });
      expect(namesOf(directory, format).sort()).toEqual(['.', '..', ...left].sort());
      for (const name of left.slice(0, 1_000)) expect(lookup(directory, format, text.encode(name))?.inode).toBe(target);
      for (const name of names.slice(0, 300).filter((_, index) => index % 2 === 0)) expect(lookup(directory, format, text.encode(name))).toBeUndefined();
      const listed = output('debugfs', ['-R', 'ls -p /dir', image]).toString().split('\n').filter((line) => line !== '' && !line.startsWith('/0/'));
      expect(listed.map((line) => line.split('/')[5]).sort()).toEqual(['.', '..', ...left].sort());
    }));
  }
});
