/** Growing an ext4: e2fsck must find nothing, resize2fs must come to the same figures, and no file may have changed. */
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { memoryDevice, type BlockDevice } from '../../../src/device/device.js';
import { openExt4 } from '../../../src/fs/ext4/ext4.js';
import { growExt4, largestGrowth, type Resized } from '../../../src/fs/ext4/grow.js';
import { needs, run } from '../../support/oracle.js';
import { countingDevice, Ext4Image, openImageFile, withDirectory } from '../../support/image-file.js';
import { contents, copyOf, figures, makeImage, sourceTree, whatMke2fsMakes, type Figures } from './resizing.js';

const SEED = Number(process.env.ROCKBERRY_SEED ?? 20_261_126);
const RUNS = Number(process.env.ROCKBERRY_RUNS ?? 10);

interface Case {
  readonly options: readonly string[];
  /** MiB. */
  readonly from: number;
  readonly to: number;
}

const CASES: readonly Case[] = [
  { options: ['-t', 'ext4', '-m', '1', '-b', '4096'], from: 64, to: 500 },
  { options: ['-t', 'ext4', '-m', '1', '-b', '4096'], from: 300, to: 400 },
  { options: ['-t', 'ext4', '-b', '1024'], from: 20, to: 300 },
  { options: ['-t', 'ext4', '-b', '1024', '-O', '^64bit'], from: 20, to: 301 },
  { options: ['-t', 'ext4', '-b', '1024', '-O', '^metadata_csum,uninit_bg'], from: 30, to: 200 },
  { options: ['-t', 'ext4', '-b', '1024', '-O', '^metadata_csum,^uninit_bg,^64bit'], from: 30, to: 200 },
  { options: ['-t', 'ext4', '-b', '1024', '-O', '^flex_bg'], from: 30, to: 200 },
  { options: ['-t', 'ext4', '-b', '2048', '-G', '4'], from: 30, to: 500 },
  { options: ['-t', 'ext4', '-b', '4096', '-O', '^resize_inode'], from: 64, to: 500 },
  { options: ['-t', 'ext4', '-b', '4096', '-O', '^resize_inode,sparse_super2'], from: 64, to: 500 },
  { options: ['-t', 'ext4', '-b', '1024', '-O', 'meta_bg,^resize_inode'], from: 20, to: 400 },
  { options: ['-t', 'ext4', '-b', '1024', '-O', '^sparse_super,^resize_inode,^64bit', '-g', '1024'], from: 12, to: 31 },
  { options: ['-t', 'ext4', '-b', '1024', '-O', 'sparse_super2', '-E', 'num_backup_sb=1,resize=300000'], from: 12, to: 200 },
  { options: ['-t', 'ext4', '-b', '1024', '-O', 'sparse_super2'], from: 8, to: 40 },
  { options: ['-t', 'ext3', '-b', '1024'], from: 20, to: 150 },
  { options: ['-t', 'ext2', '-b', '4096', '-I', '128'], from: 50, to: 500 },
  { options: ['-t', 'ext4', '-b', '1024', '-O', 'metadata_csum_seed,orphan_file'], from: 20, to: 100 },
];

function blockSizeOf(options: readonly string[]): number {
  return Number(options[options.indexOf('-b') + 1]);
}

/** Lengthens the file and grows what is in it; blocks by default as many as fit. */
function grow(image: Ext4Image, bytes: number, blocks?: number, around: (device: BlockDevice) => BlockDevice = (device) => device): Resized {
  truncateSync(image.path, bytes);
  const device = image.open();
  try {
    return growExt4(around(device), blocks ?? Math.floor(bytes / openExt4(device)!.info().blockSize));
  } finally {
    device.close();
  }
}

/** What resize2fs makes of a copy; undefined when it refuses. */
function theirFigures(image: Ext4Image, bytes: number, blocks: number): Figures | undefined {
  const path = copyOf(image, 'theirs', bytes);
  return run('resize2fs', ['-f', path, String(blocks)]).status === 0 ? figures(path) : undefined;
}

/**
 * With sparse_super2, resize2fs frees one block too many (clear_sparse_super2_last_group counts the superblock twice; its own e2fsck complains): there only e2fsck's count of
 * ours is a judge.
 */
function comparable(found: Figures): Figures {
  return found['Filesystem features']!.includes('sparse_super2') ? { ...found, 'Free blocks': '' } : found;
}

describe('comes to what resize2fs comes to', () => {
  for (const { options, from, to } of CASES) {
    needs('mke2fs', 'e2fsck', 'resize2fs', 'dumpe2fs', 'debugfs')(`${options.join(' ')}, ${from} to ${to} MiB`, () => withDirectory((directory) => {
      const image = makeImage(directory, options, from);
      const blockSize = blockSizeOf(options);
      const blocks = (to * 2 ** 20) / blockSize - 3;
      const files = contents(directory, image.path);
      const theirs = theirFigures(image, to * 2 ** 20, blocks);
      expect(largestOf(image)).toBeGreaterThanOrEqual(blocks);
      const { before, after } = grow(image, to * 2 ** 20, blocks);
      expect(before).toBe((from * 2 ** 20) / blockSize);
      expect(image.problems()).toBe('');
      expect(String(after)).toBe(figures(image.path)['Block count']);
      expect(comparable(figures(image.path))).toEqual(comparable(theirs!));
      expect(contents(directory, image.path)).toBe(files);
    }));
  }
});

function largestOf(image: Ext4Image): number {
  const device = image.open();
  try {
    return largestGrowth(device);
  } finally {
    device.close();
  }
}

/** Grows a copy with each and says how they differ; undefined when they do not. */
function difference(image: Ext4Image, options: readonly string[], sizes: readonly number[]): string | undefined {
  for (const size of sizes) {
    const blocks = Math.min(Math.floor((size * 1024) / blockSizeOf(options)), largestOf(image));
    const theirs = theirFigures(image, size * 1024, blocks);
    grow(image, size * 1024, blocks);
    if (image.problems() !== '') return `${size}: ${image.problems()}`;
    if (!theirs) continue;
    const [ours, other] = [comparable(figures(image.path)), comparable(theirs)].map((each) => JSON.stringify(each));
    if (ours !== other) return `${size}: ${ours} instead of ${other}`;
  }
  return undefined;
}

const FEATURES = ['^64bit', '^metadata_csum,uninit_bg', '^metadata_csum,^uninit_bg', '^flex_bg', '^resize_inode', 'meta_bg,^resize_inode', 'sparse_super2', '^extent,^64bit', '^has_journal'];
const scenario = fc.record({
  blockSize: fc.constantFrom(1024, 1024, 2048, 4096),
  features: fc.subarray(FEATURES, { maxLength: 3 }),
  extra: fc.constantFrom([], ['-G', '2'], ['-G', '64'], ['-g', '1024'], ['-I', '128'], ['-m', '0'], ['-m', '17'], ['-N', '20000']),
  from: fc.integer({ min: 9_000, max: 60_000 }),
  growth: fc.array(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 9_000 }), fc.integer({ min: 1, max: 150_000 })), { minLength: 1, maxLength: 3 }),
});

needs('mke2fs', 'e2fsck', 'resize2fs', 'dumpe2fs')(`random sizes and features, up to three times, ROCKBERRY_SEED=${SEED}`, () => withDirectory((directory) => {
  const tree = sourceTree(directory, 40, 100_000);
  fc.assert(fc.property(scenario, ({ blockSize, features, extra, from, growth }) => {
    const options = ['-t', 'ext4', '-b', String(blockSize), ...extra, ...features.length > 0 ? ['-O', features.join(',')] : []];
    let size = from;
    const image = whatMke2fsMakes(directory, [...options, '-d', tree], from);
    fc.pre(image !== undefined); // some sets are refused, and some leave no room for a journal
    const found = difference(image!, options, growth.map((more) => (size += more)));
    if (found !== undefined) throw new Error(`${options.join(' ')}: ${found}`);
  }), { seed: SEED, numRuns: RUNS, endOnFailure: true });
}));

const MIB = 2 ** 20;
const ROCKY = ['-t', 'ext4', '-m', '1', '-b', '4096'];

describe('what was grown', () => {
  needs('mke2fs', 'e2fsck', 'debugfs')('takes files in its new part, and grows again', () => withDirectory((directory) => {
    for (const options of [ROCKY, ['-t', 'ext4', '-b', '1024'], ['-t', 'ext4', '-b', '1024', '-O', '^metadata_csum,^uninit_bg,^64bit,^flex_bg']]) {
      const image = makeImage(directory, options, 24);
      let made = 0;
      for (const size of [40, 100]) {
        grow(image, size * MIB);
        expect(image.problems()).toBe('');
        const device = image.open();
        const fs = openExt4(device)!;
        fs.write(`/large-${size}`, new Uint8Array(fs.info().free - 12 * MIB).fill(size));
        for (let at = 0; at < 60; at++) fs.makeDirectory(`/directory-${++made}`);
        fs.flush();
        expect(fs.check()).toEqual([]);
        device.close();
        expect(image.problems()).toBe('');
        expect(image.dump(`/large-${size}`).every((byte) => byte === size % 256)).toBe(true);
      }
    }
  }));

  needs('mke2fs', 'e2fsck', 'debugfs')('has empty inode tables where the disk was not empty', () => withDirectory((directory) => {
    for (const options of [ROCKY, ['-t', 'ext4', '-b', '1024', '-O', '^metadata_csum,uninit_bg'], ['-t', 'ext2', '-b', '1024']]) {
      const image = makeImage(directory, options, 24);
      writeFileSync(image.path, Buffer.concat([readFileSync(image.path), Buffer.alloc(40 * MIB, 0xaa)]));
      grow(image, 64 * MIB);
      expect(image.problems()).toBe('');
      const device = image.open();
      const fs = openExt4(device)!;
      for (let at = Number(figures(image.path)['Free inodes']); at > 0; at -= 7) fs.write(`/many/more-${at}`, new Uint8Array(at % 40));
      fs.flush();
      device.close();
      expect(image.problems()).toBe('');
    }
  }));

  needs('mke2fs', 'e2fsck')('costs a few blocks a group on an empty disk, up to a size that needs more blocks of descriptors', () => withDirectory((directory) => {
    const image = makeImage(directory, ROCKY, 100);
    let written = 0;
    const { after } = grow(image, 20 * 1024 * MIB, undefined, (device) => {
      const counting = countingDevice(device);
      return { ...counting, write: (offset, data) => { written += data.length; device.write(offset, data); } };
    });
    expect(after).toBe(5 * 1024 * 1024);
    expect(image.problems()).toBe('');
    expect(written).toBeLessThan(4 * MIB);
    expect(statSync(image.path).blocks * 512).toBeLessThan(120 * MIB);
  }));

  needs('mke2fs', 'e2fsck')('can use up the last reserved block of descriptors', () => withDirectory((directory) => {
    for (const features of ['64bit', '^64bit', 'sparse_super2']) {
      const image = makeImage(directory, ['-t', 'ext4', '-b', '1024', '-O', features, '-E', 'resize=300000'], 24);
      const largest = largestOf(image);
      expect(grow(image, (largest + 20_000) * 1024, largest).after).toBe(largest);
      expect(figures(image.path)['Reserved GDT blocks'] ?? '').toMatch(/^0?$/);
      expect(image.problems()).toBe('');
      expect(largestOf(image)).toBe(largest);
      expect(() => grow(image, (largest + 20_000) * 1024)).toThrow(expect.objectContaining({ code: 'unsupported', message: expect.stringContaining(String(largest)) as string }));
    }
  }));
});

describe('refuses, and changes nothing', () => {
  const refusal = (code: string, part: string): unknown => expect.objectContaining({ code, message: expect.stringContaining(part) as string });

  needs('mke2fs', 'debugfs')('by code', () => withDirectory((directory) => {
    const image = makeImage(directory, ROCKY, 32);
    const digest = image.digest();
    expect(() => grow(image, 32 * MIB, 8000)).toThrow(refusal('refused', 'at least 8192 blocks'));
    expect(() => grow(image, 32 * MIB, 8193)).toThrow(refusal('no-space', String(8193 * 4096)));
    expect(() => grow(image, 32 * MIB, 2 ** 33)).toThrow(refusal('unsupported', 'at most'));
    expect(grow(image, 32 * MIB, 8192)).toEqual({ before: 8192, after: 8192 });
    expect(image.digest()).toBe(digest);
    image.edit('ssv state 0');
    expect(() => grow(image, 64 * MIB)).toThrow(refusal('refused', 's_state'));
    expect(() => growExt4(memoryDevice(new Uint8Array(MIB)), 1)).toThrow(refusal('unsupported', 'found none'));
    const clusters = new Ext4Image(directory, ['-t', 'ext4', '-b', '4096', '-O', 'bigalloc'], 64);
    expect(() => grow(clusters, 96 * MIB, 24_000)).toThrow(refusal('unsupported', 'bigalloc'));
  }));

  needs('mke2fs')('a last group that would be too small is left out', () => withDirectory((directory) => {
    const image = makeImage(directory, ['-t', 'ext4', '-b', '1024'], 24);
    const [whole, more] = [30 * 8192 + 1, 100];
    expect(grow(image, 260 * MIB, whole + more)).toEqual({ before: 24 * 1024, after: whole });
    expect(grow(image, 260 * MIB, whole + more)).toEqual({ before: whole, after: whole });
    expect(image.problems()).toBe('');
  }));
});

describe('when it is cut off', () => {
  for (const options of [ROCKY, ['-t', 'ext4', '-b', '1024'], ['-t', 'ext4', '-b', '1024', '-O', '^metadata_csum,uninit_bg,sparse_super2']]) {
    needs('mke2fs', 'e2fsck', 'debugfs')(`e2fsck brings it to the old size or the new one: ${options.join(' ')}`, () => withDirectory((directory) => {
      const image = makeImage(directory, options, 20);
      const files = contents(directory, image.path);
      truncateSync(image.path, 90 * MIB);
      const fresh = copyOf(image, 'fresh');
      const writes: [number, Uint8Array][] = [];
      const { before, after } = grow(image, 90 * MIB, undefined, (device) => ({ ...device, write: (offset, data) => { writes.push([offset, data.slice()]); device.write(offset, data); } }));
      expect(writes.length).toBeGreaterThan(5);
      const sizes = new Set<number>();
      for (let cut = 0; cut <= writes.length; cut += cut < writes.length - 5 ? Math.max(1, Math.floor(writes.length / 5)) : 1) {
        run('cp', ['--sparse=always', fresh, image.path]);
        const device = openImageFile(image.path);
        for (const [offset, data] of writes.slice(0, cut)) device.write(offset, data);
        device.close();
        expect(run('e2fsck', ['-fy', '-E', 'no_optimize_extents', image.path]).status, `after ${cut} of ${writes.length}`).toBeLessThanOrEqual(3);
        expect(image.problems()).toBe('');
        sizes.add(Number(figures(image.path)['Block count']));
        expect(contents(directory, image.path)).toBe(files);
      }
      expect([...sizes].sort((a, b) => a - b)).toEqual([before, after]);
    }));
  }
});
