/** Shrinking an ext4 whose files lie at its end: e2fsck must find nothing, resize2fs must come to the same size, and every file, link, name and attribute must be there. */
import { truncateSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { memoryDevice, type BlockDevice } from '../../../src/device/device.js';
import type { FileSystem } from '../../../src/fs/filesystem.js';
import { openExt4 } from '../../../src/fs/ext4/ext4.js';
import { growExt4, type Resized } from '../../../src/fs/ext4/grow.js';
import { minimumBlocks } from '../../../src/fs/ext4/minimum.js';
import { shrinkExt4 } from '../../../src/fs/ext4/shrink.js';
import { Ext4Image, openImageFile, withDirectory } from '../../support/image-file.js';
import { needs, run } from '../../support/oracle.js';
import { contents, copyOf, figures, whatMke2fsMakes, type Figures } from './resizing.js';

const MIB = 2 ** 20;
const SEED = Number(process.env.ROCKBERRY_SEED ?? 20_261_126);
const CUTS = Number(process.env.ROCKBERRY_CUTS ?? 9);
const RUNS = Number(process.env.ROCKBERRY_RUNS ?? 3);

interface Case {
  readonly options: readonly string[];
  /** MiB. */
  readonly from: number;
  readonly to: number;
}

const CASES: readonly Case[] = [
  { options: ['-t', 'ext4', '-m', '1', '-b', '4096', '-N', '2000'], from: 160, to: 60 },
  { options: ['-t', 'ext4', '-b', '1024', '-N', '2200'], from: 64, to: 30 },
  { options: ['-t', 'ext4', '-b', '1024', '-N', '2200', '-O', '^64bit'], from: 64, to: 28 },
  { options: ['-t', 'ext4', '-b', '1024', '-N', '2200', '-O', '^metadata_csum,uninit_bg'], from: 64, to: 31 },
  { options: ['-t', 'ext4', '-b', '1024', '-N', '2200', '-O', '^resize_inode,sparse_super2'], from: 64, to: 30 },
  { options: ['-t', 'ext4', '-b', '1024', '-N', '2200', '-O', 'sparse_super2,^flex_bg'], from: 64, to: 32 },
  { options: ['-t', 'ext4', '-b', '1024', '-N', '2200', '-O', 'meta_bg,^resize_inode'], from: 150, to: 40 },
  { options: ['-t', 'ext4', '-b', '1024', '-N', '2200', '-O', '^extent,^64bit'], from: 64, to: 30 },
  { options: ['-t', 'ext2', '-b', '1024', '-N', '2200', '-I', '128'], from: 64, to: 30 },
  { options: ['-t', 'ext4', '-b', '1024', '-N', '2200', '-O', '^flex_bg', '-E', 'stride=100'], from: 64, to: 31 },
  { options: ['-t', 'ext3', '-b', '2048', '-N', '1200'], from: 64, to: 30 },
];

/** Room for these, in blocks and inodes, is kept in front of what the test looks at, and given free when that is written. */
function scatter(device: BlockDevice, mebibytes: number, inodes: number): void {
  const fs = openExt4(device)!;
  fs.makeDirectory('/before');
  fs.write('/before/file', new Uint8Array(50_000).fill(7));
  fs.makeDirectory('/filler');
  for (let at = 0; at < inodes; at++) fs.write(`/filler/${at}`, new Uint8Array(0));
  fs.write('/filler/blocks', new Uint8Array(mebibytes * MIB));
  for (const path of ['/content', '/content/deep', '/content/deep/deeper']) fs.makeDirectory(path);
  for (let at = 0; at < 250; at++) fs.write(`/content/a-long-name-so-that-blocks-fill-${at}`, Buffer.from(`${at} `.repeat(at * 8)));
  for (let at = 0; at < 20; at++) {
    fs.makeDirectory(`/content/deep/directory-${at}`);
    fs.makeHardLink(`/content/deep/directory-${at}/link`, `/content/a-long-name-so-that-blocks-fill-${at}`);
    fs.makeLink(`/content/deep/directory-${at}/symlink`, `${at}`.repeat(50));
  }
  fs.change('/content/deep', { xattrs: new Map([['user.long', new Uint8Array(600).fill(3)]]) });
  for (let at = 0; at < 3; at++) fs.change(`/content/a-long-name-so-that-blocks-fill-${at}`, { xattrs: new Map([['user.same', new Uint8Array(700).fill(5)]]) });
  fs.write('/content/large', Uint8Array.from({ length: 5 * MIB }, (_, at) => at * 7 + (at >>> 11)));
  for (let at = 0; at < 120; at++) for (const name of ['one', 'other']) append(fs, `/content/${name}`, new Uint8Array(4096).fill(at));
  fs.remove('/filler/blocks');
  for (let at = 0; at < inodes; at++) fs.remove(`/filler/${at}`);
  fs.flush();
}

function append(fs: FileSystem, path: string, data: Uint8Array): void {
  if (fs.stat(path)) fs.append(path, data);
  else fs.write(path, data);
}

function attributesOf(device: BlockDevice): string[] {
  const fs = openExt4(device)!;
  expect(fs.check()).toEqual([]);
  return ['/content/deep', ...[0, 1, 2, 3].map((at) => `/content/a-long-name-so-that-blocks-fill-${at}`)].flatMap((path) => {
    const stat = fs.stat(path)!;
    return [`${path} ${stat.mode} ${stat.links} ${stat.mtime.seconds}`, ...[...fs.xattrs(path)].map(([name, value]) => `${name}=${Buffer.from(value).toString('hex')}`)];
  });
}

function onImage<T>(path: string, work: (device: BlockDevice) => T): T {
  const device = openImageFile(path);
  try {
    return work(device);
  } finally {
    device.close();
  }
}

function scattered(image: Ext4Image): Ext4Image {
  const free = figures(image.path);
  const { blockSize } = onImage(image.path, (device) => openExt4(device)!.info());
  onImage(image.path, (device) => scatter(device, Math.floor((Number(free['Free blocks']) * blockSize) / MIB) - 14, Math.max(0, Number(free['Free inodes']) - 350)));
  expect(image.problems()).toBe('');
  return image;
}

/** The figures that do not depend on how often a file had to be cut in pieces. */
function comparable(path: string): Figures {
  return { ...figures(path), 'Free blocks': '' };
}

function shrink(image: Ext4Image, blocks: number): Resized {
  const result = onImage(image.path, (device) => shrinkExt4(device, blocks));
  truncateSync(image.path, result.after * onImage(image.path, (device) => openExt4(device)!.info().blockSize));
  return result;
}

describe('comes to what resize2fs comes to', () => {
  for (const { options, from, to } of CASES) {
    needs('mke2fs', 'e2fsck', 'resize2fs', 'dumpe2fs', 'debugfs')(`${options.join(' ')}, ${from} to ${to} MiB`, () => withDirectory((directory) => {
      const image = scattered(new Ext4Image(directory, options, from));
      const files = contents(directory, image.path);
      const attributes = onImage(image.path, attributesOf);
      const inode = onImage(image.path, (device) => openExt4(device)!.stat('/content/deep/directory-7')!.inode);
      const blocks = (to * MIB) / Number(options[options.indexOf('-b') + 1]) + 5;
      const theirs = copyOf(image, 'theirs');
      expect(run('resize2fs', ['-f', theirs, String(blocks)])).toMatchObject({ status: 0 });
      const { after } = shrink(image, blocks);
      expect(image.problems()).toBe('');
      expect(contents(directory, image.path)).toBe(files);
      expect(onImage(image.path, attributesOf)).toEqual(attributes);
      expect(comparable(image.path)).toEqual(comparable(theirs));
      expect(inode).toBeGreaterThan(Number(figures(image.path)['Inode count']));
      const [ours, other] = [image.path, theirs].map((path) => Number(figures(path)['Free blocks']));
      expect(Math.abs(ours! - other!)).toBeLessThan(20);
      truncateSync(image.path, 2 * from * MIB);
      expect(onImage(image.path, (device) => growExt4(device, after * 2))).toMatchObject({ before: after });
      expect(image.problems()).toBe('');
      expect(contents(directory, image.path)).toBe(files);
    }));
  }
});

const scenario = fc.record({
  blockSize: fc.constantFrom(1024, 1024, 2048),
  features: fc.subarray(['^64bit', '^metadata_csum,uninit_bg', '^flex_bg', '^resize_inode', 'sparse_super2', '^extent,^64bit', '^dir_index', 'metadata_csum_seed'], { maxLength: 3 }),
  extra: fc.constantFrom([], ['-G', '2'], ['-g', '2048'], ['-I', '128']),
  from: fc.integer({ min: 30, max: 70 }),
  inodes: fc.integer({ min: 900, max: 3000 }),
  /** Where between the least possible and the old size, in thousandths. */
  parts: fc.array(fc.integer({ min: 15, max: 990 }), { minLength: 1, maxLength: 2 }),
});

needs('mke2fs', 'e2fsck', 'debugfs')(`random sizes and features, ROCKBERRY_SEED=${SEED}`, () => withDirectory((directory) => {
  fc.assert(fc.property(scenario, ({ blockSize, features, extra, from, inodes, parts }) => {
    const options = ['-t', 'ext4', '-b', String(blockSize), '-N', String(inodes), ...extra, ...features.length > 0 ? ['-O', features.join(',')] : []];
    const made = whatMke2fsMakes(directory, options, from * 1024);
    fc.pre(made !== undefined);
    const image = scattered(made!);
    const files = contents(directory, image.path);
    const attributes = onImage(image.path, attributesOf);
    for (const part of parts) {
      const [least, now] = [onImage(image.path, minimumBlocks), Number(figures(image.path)['Block count'])];
      shrink(image, least + Math.floor(((now - least) * part) / 1000));
      expect(image.problems()).toBe('');
      expect(contents(directory, image.path)).toBe(files);
      expect(onImage(image.path, attributesOf)).toEqual(attributes);
    }
  }), { seed: SEED, numRuns: RUNS, endOnFailure: true });
}));

describe('refuses, and changes nothing', () => {
  const refusal = (code: string, part: string): unknown => expect.objectContaining({ code, message: expect.stringContaining(part) as string });

  needs('mke2fs', 'debugfs')('by code', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-b', '1024', '-N', '800'], 40);
    onImage(image.path, (device) => scatter(device, 20, 0));
    const digest = image.digest();
    const least = onImage(image.path, minimumBlocks);
    expect(() => shrink(image, 40 * 1024 + 1)).toThrow(refusal('refused', 'at most 40960 blocks'));
    expect(() => shrink(image, least - 1)).toThrow(refusal('no-space', `at least ${least} blocks`));
    expect(onImage(image.path, (device) => shrinkExt4(device, 40 * 1024))).toEqual({ before: 40 * 1024, after: 40 * 1024 });
    expect(image.digest()).toBe(digest);
    expect(() => shrinkExt4(memoryDevice(new Uint8Array(MIB)), 1)).toThrow(refusal('unsupported', 'found none'));
  }));

  needs('mke2fs', 'e2fsck', 'debugfs')('or goes to the least size, or finds no room for the moving', () => withDirectory((directory) => {
    const image = scattered(new Ext4Image(directory, ['-t', 'ext4', '-b', '1024', '-N', '1500'], 40));
    const files = contents(directory, image.path);
    const least = onImage(image.path, minimumBlocks);
    let size = least;
    for (;;) {
      try {
        shrink(image, size);
        break;
      } catch (error) {
        expect(error).toMatchObject({ code: 'no-space' });
        expect(image.problems()).toBe('');
        size += 60;
      }
    }
    expect(size - least).toBeLessThan(least / 20);
    expect(image.problems()).toBe('');
    expect(contents(directory, image.path)).toBe(files);
  }));
});

needs('mke2fs', 'e2fsck', 'debugfs')('a large filesystem with little in it comes down to little more than that', () => withDirectory((directory) => {
  const image = new Ext4Image(directory, ['-t', 'ext4', '-b', '4096', '-m', '1', '-J', 'size=64'], 2500);
  onImage(image.path, (device) => scatter(device, 20, 100));
  const files = contents(directory, image.path);
  const least = onImage(image.path, minimumBlocks);
  const { after } = shrink(image, Math.ceil(least * 1.03));
  expect(after * 4096).toBeLessThan(110 * MIB);
  expect(image.problems()).toBe('');
  expect(contents(directory, image.path)).toBe(files);
}));

describe('when it is cut off', () => {
  for (const options of [['-t', 'ext4', '-b', '1024', '-N', '1200'], ['-t', 'ext4', '-b', '1024', '-N', '1200', '-O', '^metadata_csum,uninit_bg,^flex_bg']]) {
    needs('mke2fs', 'e2fsck', 'debugfs')(`e2fsck brings it to the old size or the new one: ${options.join(' ')}`, () => withDirectory((directory) => {
      const image = scattered(new Ext4Image(directory, options, 40));
      const files = contents(directory, image.path, ['lost+found']);
      const fresh = copyOf(image, 'fresh');
      const writes: [number, Uint8Array][] = [];
      const { before, after } = onImage(image.path, (device) => shrinkExt4({ ...device, write: (offset, data) => { writes.push([offset, data.slice()]); device.write(offset, data); } }, 20_000));
      const sizes = new Set<number>();
      for (let at = 0; at <= CUTS; at++) {
        const cut = Math.round(writes.length * Math.sqrt(at / CUTS)); // the last writes are those that matter
        run('cp', ['--sparse=always', fresh, image.path]);
        onImage(image.path, (device) => { for (const [offset, data] of writes.slice(0, cut)) device.write(offset, data); });
        const repaired = run('e2fsck', ['-fy', image.path]);
        expect(repaired.status, `after ${cut} of ${writes.length}: ${repaired.output}`).toBeLessThanOrEqual(3);
        expect(image.problems()).toBe('');
        sizes.add(Number(figures(image.path)['Block count']));
        expect(contents(directory, image.path, ['lost+found']), `after ${cut} of ${writes.length}: ${repaired.output}`).toBe(files);
      }
      expect([...sizes].sort((a, b) => b - a)).toEqual([before, after]);
    }));
  }
});
