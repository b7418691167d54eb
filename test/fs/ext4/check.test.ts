/** The check is trusted as far as this table shows: what debugfs breaks is found, as what it is, and e2fsck sees it too. */
import { execaSync } from 'execa';
import { linkSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { memoryDevice } from '../../../src/device/device.js';
import { openExt4 } from '../../../src/fs/ext4/ext4.js';
import { SAME_EVERY_TIME, needs, oracleEnvironment, output, run } from '../../support/oracle.js';
import { inTemporaryDirectory } from './directory-images.js';

function makeTree(path: string): string {
  const root = join(path, 'root');
  mkdirSync(join(root, 'many'), { recursive: true });
  mkdirSync(join(root, 'd', 'sub'), { recursive: true });
  for (let index = 0; index < 400; index++) writeFileSync(join(root, 'many', `entry-number-${index}`), '');
  writeFileSync(join(root, 'f'), Buffer.alloc(30_000, 1));
  writeFileSync(join(root, 'g'), Buffer.alloc(300_000, 2));
  writeFileSync(join(root, 'd', 'h'), 'small');
  for (const name of ['twin1', 'twin2']) writeFileSync(join(root, 'd', name), name);
  linkSync(join(root, 'f'), join(root, 'd', 'hard'));
  symlinkSync('x'.repeat(200), join(root, 'slow'));
  symlinkSync('fast', join(root, 'fast'));
  return root;
}

const made = new Map<string, Buffer>();

/** Made once for each set of options. */
function makeImage(path: string, options: readonly string[]): string {
  const image = join(path, 'image');
  const key = options.join(' ');
  if (!made.has(key)) made.set(key, readFileSync(freshImage(path, options)));
  writeFileSync(image, made.get(key)!);
  return image;
}

function freshImage(path: string, options: readonly string[]): string {
  const image = join(path, 'fresh');
  output('mke2fs', ['-q', '-F', ...SAME_EVERY_TIME, '-d', makeTree(path), ...options, image, '16M']);
  run('debugfs', ['-w', '-f', '-', image], ['a', 'b', 'c'].map((name) => `ea_set g user.${name} ${name.repeat(150)}\n`).join(''));
  run('e2fsck', ['-fyD', image]);
  return image;
}

function check(image: string): string[] {
  const findings = openExt4(memoryDevice(new Uint8Array(readFileSync(image))))!.check();
  return [...new Set(findings.map((finding) => finding.id))].sort();
}

const SOUND: Readonly<Record<string, readonly string[]>> = {
  'ext4 as today': ['-t', 'ext4'],
  'ext4, 1 KiB blocks': ['-t', 'ext4', '-b', '1024'],
  'ext4 with an orphan file and a fast-commit journal': ['-t', 'ext4', '-O', 'orphan_file,fast_commit'],
  'ext4 with sparse_super2': ['-t', 'ext4', '-O', 'sparse_super2,^resize_inode'],
  'ext4 with meta_bg': ['-t', 'ext4', '-b', '1024', '-O', 'meta_bg,^resize_inode'],
  'ext4 with uninit_bg': ['-t', 'ext4', '-b', '1024', '-g', '2048', '-O', '^metadata_csum,uninit_bg'],
  'ext3': ['-t', 'ext3', '-b', '2048'],
  'ext2 with 128-byte inodes': ['-t', 'ext2', '-b', '1024', '-I', '128'],
};

describe('check of sound filesystems', () => {
  for (const [title, options] of Object.entries(SOUND)) {
    needs('mke2fs', 'e2fsck', 'debugfs')(`nothing is found: ${title}`, () => inTemporaryDirectory((path) => {
      const image = makeImage(path, options);
      expect(run('e2fsck', ['-fn', image]).status).toBe(0);
      expect(check(image)).toEqual([]);
    }));
  }
});

interface Damage {
  /** Lines for debugfs -w; it keeps all checksums right. */
  readonly commands: (image: string) => readonly string[];
  readonly ids: readonly string[];
  /** e2fsck puts it right without a word. */
  readonly silent?: boolean;
}

function blockOf(image: string, path: string, index: number): number {
  return Number(output('debugfs', ['-R', `bmap ${path} ${index}`, image]).toString().trim());
}

function inodeOf(image: string, path: string): number {
  return Number(/Inode: (\d+)/.exec(output('debugfs', ['-R', `stat ${path}`, image]).toString())![1]);
}

/** Group descriptors get their checksum again. */
const group = (field: string, value: number): Damage['commands'] => () => [`set_bg 0 ${field} ${value}`, 'set_bg 0 checksum calc'];

const DAMAGE: Readonly<Record<string, Damage>> = {
  'free blocks of the superblock': { commands: () => ['set_super_value free_blocks_count 7'], ids: ['ext4.superblock'], silent: true },
  'free inodes of the superblock': { commands: () => ['set_super_value free_inodes_count 7'], ids: ['ext4.superblock'], silent: true },
  'free blocks of a group': { commands: group('free_blocks_count', 77), ids: ['ext4.free-blocks', 'ext4.superblock'] },
  'free inodes of a group': { commands: group('free_inodes_count', 77), ids: ['ext4.free-inodes', 'ext4.superblock'] },
  'directories of a group': { commands: group('used_dirs_count', 77), ids: ['ext4.directories'] },
  'a used block marked free': { commands: (image) => [`freeb ${blockOf(image, 'g', 3)}`], ids: ['ext4.block-bitmap', 'ext4.free-blocks'] },
  'a free block marked used': { commands: () => ['setb 7000'], ids: ['ext4.block-bitmap', 'ext4.free-blocks'] },
  'a used inode marked free': { commands: () => ['freei f'], ids: ['ext4.free-inodes', 'ext4.inode-bitmap'] },
  'a free inode marked used': { commands: () => ['seti <1000>'], ids: ['ext4.free-inodes', 'ext4.inode-bitmap', 'ext4.inodes-unused'] },
  'link count of a file': { commands: () => ['sif f links_count 5'], ids: ['ext4.links'] },
  'link count of a directory': { commands: () => ['sif d links_count 7'], ids: ['ext4.links'] },
  'blocks of a file': { commands: () => ['sif f blocks 2'], ids: ['ext4.block-count'] },
  'size of a file': { commands: () => ['sif g size 2000'], ids: ['ext4.size'] },
  'size of a directory': { commands: () => ['sif many size 4096'], ids: ['ext4.directory', 'ext4.size'] },
  'mode without a type': { commands: () => ['sif f mode 0644'], ids: ['ext4.inode'] },
  'a name too few': { commands: () => ['unlink d/h'], ids: ['ext4.unattached'] },
  'a name too many': { commands: () => ['ln d/h d/more'], ids: ['ext4.links'] },
  'a directory without a name': { commands: () => ['unlink d/sub'], ids: ['ext4.links', 'ext4.unattached'] },
  'a directory with two names': { commands: () => ['ln d/sub sub2'], ids: ['ext4.directory', 'ext4.entry', 'ext4.links'] },
  'a name of an inode that is not in use': { commands: (image) => [`freei d/h`, `clri d/h`, `freeb ${blockOf(image, 'd/h', 0)}`], ids: ['ext4.entry', 'ext4.free-blocks', 'ext4.free-inodes'] },
  'an attribute block that is gone': { commands: () => ['sif g file_acl 0'], ids: ['ext4.block-bitmap', 'ext4.block-count'] },
  'an attribute block shared without a count': { commands: (image) => [`sif f file_acl ${/File ACL: (\d+)/.exec(output('debugfs', ['-R', 'stat g', image]).toString())![1]}`],
    ids: ['ext4.block-count', 'ext4.xattr'] },
  'i_extra_isize': { commands: () => ['sif f extra_isize 255'], ids: ['ext4.inode'] },
  'a tree of extents that is none': { commands: () => ['sif f block[0] 0'], ids: ['ext4.mapping'] },
  'blocks of another file': { commands: (image) => [`sif f block[5] ${blockOf(image, 'g', 0)}`], ids: ['ext4.block-bitmap', 'ext4.block-owner'] },
  'blocks of the inode table': { commands: () => ['sif f block[5] 100'], ids: ['ext4.mapping'] },
  'blocks beyond the end': { commands: () => ['sif f block[5] 1000000'], ids: ['ext4.mapping'] },
  'length of a link': { commands: () => ['sif slow size 5000'], ids: ['ext4.symlink'] },
  'a directory moved under itself': { commands: (image) => ['unlink d', `ln <${inodeOf(image, 'd')}> d/sub/d`], ids: ['ext4.links', 'ext4.unattached'] },
};

describe('check of damaged filesystems', () => {
  for (const [title, { commands, ids, silent }] of Object.entries(DAMAGE)) {
    needs('mke2fs', 'e2fsck', 'debugfs')(`${title} is found, by e2fsck too`, () => inTemporaryDirectory((path) => {
      const image = makeImage(path, ['-t', 'ext4', '-b', '1024', '-N', '2048']);
      const lines = commands(image);
      execaSync('debugfs', ['-w', '-f', '-', image], { env: oracleEnvironment, input: `${lines.join('\n')}\n` });
      if (!silent) expect(run('e2fsck', ['-fn', image]).status).not.toBe(0);
      expect(check(image)).toEqual(ids);
    }));
  }
});

interface Edit {
  /** Which block of the image (1 KiB each) and which byte in it. */
  readonly place: (image: string) => { block: number; at: number };
  readonly bytes: readonly number[];
  readonly ids: readonly string[];
}

/** Where the record of a name lies, in the blocks of its directory. */
function record(image: string, directory: string, name: string): { block: number; at: number } {
  const bytes = readFileSync(image);
  for (const block of output('debugfs', ['-R', `blocks ${directory}`, image]).toString().trim().split(/\s+/).map(Number)) {
    const at = bytes.subarray(block * 1024, (block + 1) * 1024).indexOf(Buffer.concat([Buffer.of(name.length), Buffer.of(1), Buffer.from(name)]));
    if (at >= 0) return { block, at: at - 6 };
  }
  throw new Error(`no record of ${name}`);
}

const inDirectory = (path: string, block: number, at: number): Edit['place'] => (image) => ({ block: blockOf(image, path, block), at });
const later = (place: { block: number; at: number }, bytes: number): { block: number; at: number } => ({ ...place, at: place.at + bytes });

const EDITS: Readonly<Record<string, Edit>> = {
  '".." of another directory': { place: inDirectory('d/sub', 0, 12), bytes: [2, 0, 0, 0], ids: ['ext4.directory'] },
  '"." of another directory': { place: inDirectory('d/sub', 0, 0), bytes: [2, 0, 0, 0], ids: ['ext4.directory'] },
  'no "."': { place: inDirectory('d/sub', 0, 8), bytes: [0x2d], ids: ['ext4.directory', 'ext4.entry'] },
  'file type of an entry': { place: (image) => later(record(image, 'd', 'h'), 7), bytes: [7], ids: ['ext4.entry'] },
  'inode of an entry beyond the last': { place: (image) => record(image, 'd', 'h'), bytes: [0xff, 0xff, 0xff, 0x7f], ids: ['ext4.entry', 'ext4.unattached'] },
  'inode of an entry that is the journal': { place: (image) => record(image, 'd', 'h'), bytes: [8, 0, 0, 0], ids: ['ext4.entry', 'ext4.unattached'] },
  'a name twice': { place: (image) => later(record(image, 'd', 'twin2'), 8), bytes: [...Buffer.from('twin1')], ids: ['ext4.directory'] },
  'a name with a slash': { place: (image) => later(record(image, 'd', 'hard'), 9), bytes: [0x2f], ids: ['ext4.directory'] },
  'a name where lookups do not search it': { place: (image) => later(record(image, 'many', 'entry-number-7'), 8), bytes: [...Buffer.from('entry-number-x')], ids: ['ext4.directory'] },
  'a record that leaves its block': { place: (image) => later(record(image, 'd', 'h'), 4), bytes: [0xf0, 0x0f], ids: ['ext4.directory'] },
  'hash of an index entry': { place: inDirectory('many', 0, 24 + 8 + 8), bytes: [0, 0, 0, 0], ids: ['ext4.directory'] },
  'block of an index entry': { place: inDirectory('many', 0, 24 + 8 + 8 + 4), bytes: [1, 0, 0, 0], ids: ['ext4.directory'] },
  'count of an index': { place: inDirectory('many', 0, 24 + 8 + 2), bytes: [1, 0], ids: ['ext4.directory'] },
  'hash version of an index': { place: inDirectory('many', 0, 24 + 4), bytes: [9], ids: ['ext4.directory'] },
  'references of an attribute block': { place: (image) => ({ block: Number(/File ACL: (\d+)/.exec(output('debugfs', ['-R', 'stat g', image]).toString())![1]), at: 4 }), bytes: [2],
    ids: ['ext4.xattr'] },
  'magic of an attribute block': { place: (image) => ({ block: Number(/File ACL: (\d+)/.exec(output('debugfs', ['-R', 'stat g', image]).toString())![1]), at: 0 }), bytes: [1],
    ids: ['ext4.xattr'] },
};

describe('check of filesystems without checksums, a few bytes changed', () => {
  for (const [title, { place, bytes, ids }] of Object.entries(EDITS)) {
    needs('mke2fs', 'e2fsck', 'debugfs')(`${title} is found, by e2fsck too`, () => inTemporaryDirectory((path) => {
      const image = makeImage(path, ['-t', 'ext4', '-b', '1024', '-N', '2048', '-O', '^metadata_csum']);
      const { block, at } = place(image);
      const data = readFileSync(image);
      data.set(bytes, block * 1024 + at);
      writeFileSync(image, data);
      expect(run('e2fsck', ['-fn', image]).status).not.toBe(0);
      expect(check(image)).toEqual(ids);
    }));
  }
});
