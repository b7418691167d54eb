/**
 * Issue 2, acceptance 4, for ext4: a byte flipped in each metadata structure is an error with the code 'corrupt', 'unsupported' or 'refused', or a finding of
 * check(). Never another kind of error, never a hang, and nothing of it is accepted in silence while the filesystem has checksums.
 */
import { linkSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import { memoryDevice } from '../../../src/device/device.js';
import { RockberryError } from '../../../src/errors.js';
import type { FileSystem } from '../../../src/fs/filesystem.js';
import { openExt4 } from '../../../src/fs/ext4/ext4.js';
import { SAME_EVERY_TIME, hasProgram, needs, output, run } from '../../support/oracle.js';
import { inTemporaryDirectory } from './directory-images.js';

const BLOCK = 1024;
const FLIPS = 32; // of each structure
const CODES = ['corrupt', 'unsupported', 'refused', 'path', 'no-space'];

interface Range {
  readonly offset: number;
  readonly length: number;
}

interface Sample {
  readonly image: Buffer;
  readonly structures: Readonly<Record<string, Range>>;
}

function makeImage(path: string, options: readonly string[]): string {
  const root = join(path, 'root');
  const image = join(path, 'image');
  mkdirSync(join(root, 'many'), { recursive: true });
  mkdirSync(join(root, 'd'));
  for (let index = 0; index < 300; index++) writeFileSync(join(root, 'many', `entry-number-${index}`), '');
  writeFileSync(join(root, 'f'), Buffer.alloc(40_000, 1));
  linkSync(join(root, 'f'), join(root, 'd', 'hard'));
  symlinkSync('x'.repeat(200), join(root, 'slow'));
  output('mke2fs', ['-q', '-F', ...SAME_EVERY_TIME, '-t', 'ext4', '-b', String(BLOCK), '-N', '1024', '-d', root, ...options, image, '6M']);
  run('debugfs', ['-w', '-f', '-', image], ['a', 'b', 'c'].map((name) => `ea_set f user.${name} ${name.repeat(150)}\n`).join(''));
  fragment(image);
  run('e2fsck', ['-fyD', image]);
  return image;
}

/** A file whose extents do not fit the inode: every second block of it is zero, and debugfs makes holes of zeros. */
function fragment(image: string): void {
  const pieces = Buffer.alloc(60 * BLOCK);
  for (let at = 0; at < 60; at += 2) pieces.fill(7, at * BLOCK, (at + 1) * BLOCK);
  writeFileSync(`${image}.pieces`, pieces);
  run('debugfs', ['-w', '-R', `write ${image}.pieces pieces`, image]);
}

function stat(image: string, name: string): string {
  return output('debugfs', ['-R', `stat ${name}`, image]).toString();
}

function inodeRange(image: string, name: string): Range {
  const place = /located at block (\d+), offset (0x[0-9a-f]+)/.exec(output('debugfs', ['-R', `imap ${name}`, image]).toString())!;
  return { offset: Number(place[1]) * BLOCK + Number(place[2]), length: 128 };
}

function block(number: string | undefined): Range {
  return { offset: Number(number) * BLOCK, length: BLOCK };
}

function bmap(image: string, name: string, index: number): Range {
  return block(output('debugfs', ['-R', `bmap ${name} ${index}`, image]).toString().trim());
}

function sample(options: readonly string[]): Sample {
  return inTemporaryDirectory((path) => {
    const image = makeImage(path, options);
    const group = output('dumpe2fs', [image]).toString();
    const extents = /\(ETB0\):(\d+)/.exec(stat(image, 'pieces'));
    if (!extents && !options.some((option) => option.includes('^extent'))) throw new Error('expected an extent block');
    return {
      image: readFileSync(image),
      structures: {
        superblock: { offset: 1024, length: 0x170 },
        'group descriptor': { offset: 2 * BLOCK, length: 0x20 },
        'block bitmap': { ...block(/Block bitmap at (\d+)/.exec(group)![1]), length: 6 * 128 },
        'inode bitmap': { ...block(/Inode bitmap at (\d+)/.exec(group)![1]), length: 128 },
        'inode of a file': inodeRange(image, 'f'),
        'inode of a directory': inodeRange(image, 'many'),
        'inode of a link': inodeRange(image, 'slow'),
        'root inode': inodeRange(image, '/'),
        'extent header': { offset: inodeRange(image, 'pieces').offset + 0x28, length: 12 },
        ...(extents ? { 'extent block': { ...block(extents[1]), length: 200 } } : {}),
        'directory block': { ...bmap(image, 'd', 0), length: 64 },
        'hash tree root': { ...bmap(image, 'many', 0), length: 80 },
        'hash tree leaf': { ...bmap(image, 'many', 1), length: 64 },
        'attribute block': { ...block(/File ACL: (\d+)/.exec(stat(image, 'f'))![1]), length: 100 },
      },
    };
  });
}

/** Everything that reads and writes, each for itself; RockberryErrors are noted, all others pass. */
function exercise(image: Uint8Array): { codes: string[]; findings: number } {
  const codes: string[] = [];
  const attempt = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      if (!(error instanceof RockberryError) || !CODES.includes(error.code)) throw error;
      if (error.code !== 'path' && error.code !== 'no-space') codes.push(error.code);
    }
  };
  let fs: FileSystem | undefined;
  attempt(() => { fs = openExt4(memoryDevice(image)); });
  if (!fs) return { codes: [...codes, 'not ext4'], findings: 0 };
  const open = fs;
  let findings = 0;
  attempt(() => { findings = open.check().length; });
  for (const path of ['/', '/d', '/many']) attempt(() => open.list(path));
  for (const path of ['/f', '/d/hard', '/pieces']) attempt(() => open.read(path));
  attempt(() => open.readLink('/slow'));
  for (const path of ['/f', '/d/hard', '/many/entry-number-7']) attempt(() => open.xattrs(path));
  attempt(() => open.write('/many/new-name', Buffer.alloc(3000, 5), { xattrs: new Map([['user.x', Buffer.alloc(300, 6)]]) }));
  attempt(() => open.append('/f', Buffer.alloc(5000, 8)));
  attempt(() => open.rename('/many/entry-number-3', '/d/moved'));
  attempt(() => open.truncate('/pieces', 100));
  attempt(() => open.change('/f', { mode: 0o600, xattrs: new Map([['user.a', null]]) }));
  for (const path of ['/d/hard', '/f', '/slow', '/many/entry-number-9']) attempt(() => open.remove(path));
  attempt(() => open.flush());
  return { codes, findings };
}

const IMAGES: Readonly<Record<string, { options: readonly string[]; checksums: boolean }>> = {
  'with metadata_csum': { options: [], checksums: true },
  'without checksums': { options: ['-O', '^metadata_csum,^uninit_bg'], checksums: false },
  'with block maps and 128-byte inodes': { options: ['-I', '128', '-O', '^metadata_csum,^extent,^64bit,^flex_bg,^uninit_bg'], checksums: false },
};

for (const [title, { options, checksums }] of Object.entries(IMAGES)) {
  describe(`flipped bits ${title}`, () => {
    let made: Sample;
    beforeAll(() => {
      if (['mke2fs', 'debugfs', 'e2fsck'].every(hasProgram)) made = sample(options);
    });

    needs('mke2fs', 'debugfs', 'e2fsck')('the sound image has no findings and no errors', () => {
      expect(exercise(new Uint8Array(made.image))).toEqual({ codes: [], findings: 0 });
    });

    const names = ['superblock', 'group descriptor', 'block bitmap', 'inode bitmap', 'inode of a file', 'inode of a directory', 'inode of a link', 'root inode', 'extent header',
      'extent block', 'directory block', 'hash tree root', 'hash tree leaf', 'attribute block'];
    for (const name of names) {
      needs('mke2fs', 'debugfs', 'e2fsck')(`${name}: nothing crashes${checksums ? ', and every flip is noticed' : ''}`, () => {
        const range = made.structures[name];
        if (!range) return expect(checksums).toBe(false); // a block map has no extents
        const step = Math.max(1, Math.floor(range.length / FLIPS));
        const silent: number[] = [];
        for (let at = 0; at < range.length; at += step) {
          const image = new Uint8Array(made.image);
          image[range.offset + at]! ^= 1 << (at % 8);
          const { codes, findings } = exercise(image);
          if (codes.length === 0 && findings === 0) silent.push(at);
        }
        if (checksums) expect(silent, 'bytes whose change nobody noticed').toEqual([]);
      });
    }
  });
}
