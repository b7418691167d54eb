/**
 * What a copy must have: images made by mke2fs, mkfs.vfat, mkswap and sfdisk are copied by our map onto a card full of garbage, with bmaptool's copier, and
 * e2fsck, fsck.vfat, blkid and sfdisk find there what they find in the image.
 */
import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { coalesce, rangeEnd, type Range } from '../../src/bytes/ranges.js';
import { openImageFile } from '../../src/image/image.js';
import { mappedRanges } from '../../src/image/mapped.js';
import { bmapText, planRanges } from '../../src/output/bmap.js';
import { cardPrograms, copyOntoCard, usedCard } from '../support/card.js';
import { e2fsck, extractPart, sfdiskParts, type Part } from '../support/disk.js';
import { needs, output, run } from '../support/oracle.js';

const MIB = 1 << 20;
const programs = [...cardPrograms, 'mke2fs', 'e2fsck', 'dumpe2fs', 'debugfs', 'mkfs.vfat', 'fsck.vfat', 'mcopy', 'mkswap', 'blkid', 'sfdisk'] as const;
let folder: string;
let seed: string; // a directory of files
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rockberry-mapped-'));
  seed = join(folder, 'seed');
  mkdirSync(join(seed, 'deep/er'), { recursive: true });
  [0, 1, 511, 512, 4096, 5000, 70_001, 700_000].forEach((size, index) => {
    writeFileSync(join(seed, index % 2 ? 'deep/er' : '', `file${index}`), Buffer.alloc(size, `content ${index} `));
  });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** How a partition is filled: makes a file of its size into a filesystem. The file is full of 0xcc before. */
type Fill = (path: string) => void;
const ext = (type: string, extended: string, ...options: string[]): Fill => (path) => {
  // Without nodiscard, mke2fs makes the file one hole first and counts the inode tables as cleared.
  output('mke2fs', ['-q', '-F', '-t', type, '-d', seed, '-E', `nodiscard,${extended}`, ...options, path]);
};
const ext4 = (...options: string[]): Fill => ext('ext4', 'lazy_itable_init=0', ...options);
const lazyExt4 = (...options: string[]): Fill => ext('ext4', 'lazy_itable_init=1', ...options);
const fat = (...options: string[]): Fill => (path) => {
  output('mkfs.vfat', options.concat(path));
  output('mcopy', ['-i', path, '-s', seed, '::seed']);
};
const swap: Fill = (path) => { output('mkswap', ['-L', 'SWAP', path]); };
const zeros: Fill = (path) => writeFileSync(path, Buffer.alloc(statSync(path).size));
const unknown: Fill = () => undefined;

interface Built { readonly path: string; readonly parts: readonly Part[]; readonly size: number }

function buildDisk(name: string, mebibytes: number, script: string, fills: readonly Fill[]): Built {
  const path = join(folder, `${name}.img`);
  const size = mebibytes * MIB;
  const disk = openSync(path, 'w');
  ftruncateSync(disk, size);
  output('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', path], script);
  const parts = sfdiskParts(path).filter(({ type }) => type !== 'f' && type !== '5');
  fills.forEach((fill, index) => {
    const { start, size: length } = parts[index]!;
    const alone = join(folder, 'part');
    writeFileSync(alone, Buffer.alloc(length, 0xcc));
    fill(alone);
    writeSync(disk, readFileSync(alone), 0, length, start);
  });
  closeSync(disk);
  return { path, parts, size };
}

async function mapOf(path: string): Promise<Range[]> {
  const image = await openImageFile(path);
  try {
    return mappedRanges(image);
  } finally {
    image.close();
  }
}

/** Numbers of the blocks of a partition that its filesystem allocates. */
async function allocatedBlocks(path: string, index: number, blockSize: number): Promise<number[]> {
  const image = await openImageFile(path);
  const ranges = image.partitions[index]!.filesystem!.allocated();
  image.close();
  return ranges.flatMap(({ offset, length }) => Array.from({ length: length / blockSize }, (_, at) => offset / blockSize + at));
}

function digest(path: string, { offset, length }: Range): string {
  const hash = createHash('sha256');
  const descriptor = openSync(path, 'r');
  const piece = Buffer.alloc(MIB);
  for (let at = 0; at < length; at += piece.length) {
    const count = readSync(descriptor, piece, 0, Math.min(piece.length, length - at), offset + at);
    hash.update(piece.subarray(0, count));
  }
  closeSync(descriptor);
  return hash.digest('hex');
}

function flash({ path, size }: Pick<Built, 'path' | 'size'>, mapped: readonly Range[], card: string): void {
  const map = `${path}.bmap`;
  writeFileSync(map, bmapText(size, planRanges(mapped, []).map((range) => ({ ...range, sha256: digest(path, range) }))));
  expect(copyOntoCard(path, map, card)).toEqual({ status: 0, output: '' });
}

/** Every file of an ext4 and its content, as debugfs takes them out. */
function contents(part: string): string {
  const target = mkdtempSync(join(folder, 'dump-'));
  run('debugfs', ['-R', `rdump / ${target}`, part]);
  const listing = output('sh', ['-c', 'cd "$1" && find . -type f -exec sha256sum {} + | sort -k 2', 'sh', target]).toString();
  rmSync(target, { recursive: true });
  return listing;
}

/** What udev would know of the partition: TYPE, LABEL, UUID; nothing when signatures contradict each other. */
const label = (path: string, { start, size }: Part): string => run('blkid', ['-p', '-o', 'export', '-O', String(start), '-S', String(size), path]).output.replace(/^DEVNAME=.*$/m, '');

/** New files take inodes and blocks that were free when it was copied: what the card had there must not come back. */
function livesOn(part: string): void {
  const files = Array.from({ length: 60 }, (_, index) => `mkdir later${index}\nwrite ${join(seed, 'file4')} later${index}/file`);
  run('debugfs', ['-w', '-f', '-', part], files.join('\n'));
  expect(run('debugfs', ['-R', 'stat /later59/file', part]).output).toContain('Size: 4096');
  expect(run('e2fsck', ['-fn', part])).toMatchObject({ status: 0 });
}

/** The partition is the same to those who look at it. */
function compare(image: string, card: string, part: Part, kind: string): void {
  expect(label(card, part)).toBe(label(image, part));
  const [original, copy] = [extractPart(image, part, join(folder, 'original')), extractPart(card, part, join(folder, 'copy'))];
  if (kind === 'ext') {
    expect(e2fsck(card, part)).toMatchObject({ status: 0 });
    const listing = contents(original);
    expect(listing.split('\n').length).toBeGreaterThan(8);
    expect(contents(copy)).toBe(listing);
    expect(run('dumpe2fs', [copy]).output).toBe(run('dumpe2fs', [original]).output);
    livesOn(copy);
  } else if (kind === 'fat') {
    const { status, output: text } = run('fsck.vfat', ['-n', copy]);
    expect(`${status} ${text.replace(copy, '')}`).toBe(`0 ${run('fsck.vfat', ['-n', original]).output.replace(original, '')}`);
    const files = [0, 2, 4, 6].map((n) => `::seed/file${n}`).concat([1, 3, 5, 7].map((n) => `::seed/deep/er/file${n}`));
    for (const file of files) expect(output('mtype', ['-i', copy, file]).equals(output('mtype', ['-i', original, file]))).toBe(true);
  } else if (kind === 'whole') {
    const range = { offset: part.start, length: part.size };
    expect(digest(card, range)).toBe(digest(image, range));
  }
}

const MBR = 'label: dos\nlabel-id: 0xdeadbe0f\n';
type Disk = readonly [name: string, mebibytes: number, script: string, fills: readonly (readonly [kind: string, fill: Fill])[]];
const DISKS: readonly Disk[] = [
  ['as Rocky has it', 80, `${MBR}start=8192,size=16MiB,type=c\nsize=8MiB,type=82\nsize=75001,type=83\n`,
    [['fat', fat('-F16')], ['swap', swap], ['ext', lazyExt4('-b', '4096', '-O', 'metadata_csum,64bit')]]],
  ['1 KiB blocks, many groups, most of them never used', 64, `${MBR}start=2048,size=40MiB,type=83\nsize=20MiB,type=83\n`,
    [['ext', lazyExt4('-b', '1024', '-g', '2048', '-O', 'metadata_csum,^resize_inode')],
      ['ext', lazyExt4('-b', '1024', '-O', 'uninit_bg,^metadata_csum,^flex_bg')]]],
  ['tables cleared, ext3, ext2 of revision 0', 64, `${MBR}start=2048,size=20MiB,type=83\nsize=20MiB,type=83\nsize=20MiB,type=83\n`,
    [['ext', ext4('-g', '1024', '-b', '1024')], ['ext', ext('ext3', 'lazy_itable_init=0')], ['ext', ext('ext2', 'lazy_itable_init=0', '-O', 'none', '-r', '0')]]],
  ['meta_bg, sparse_super2, bigger inodes', 48, `${MBR}start=2048,size=20MiB,type=83\nsize=20MiB,type=83\n`,
    [['ext', ext4('-O', 'meta_bg,^resize_inode,metadata_csum', '-g', '512', '-b', '1024')], ['ext', lazyExt4('-O', 'sparse_super2', '-I', '512')]]],
  ['FAT12, FAT32, and logical partitions', 120, `${MBR}x1: size=4MiB,type=1\nx2: size=110MiB,type=f\nx5: size=40MiB,type=c\nx6: size=8MiB,type=82\nx7: size=20MiB,type=83\n`,
    [['fat', fat('-F12')], ['fat', fat('-F32', '-s1')], ['swap', swap], ['ext', ext4()]]],
  ['a GPT, an empty and an unknown partition', 64, 'label: gpt\nstart=4096,size=16MiB\nsize=8MiB\nsize=8MiB\nsize=20MiB\n',
    [['fat', fat('-F16', '-s', '4')], ['whole', zeros], ['whole', unknown], ['ext', ext4()]]],
];

describe('a copy on a card that was used before', () => {
  needs(...programs).each(DISKS)('%s', async (name, mebibytes, script, fills) => {
    const disk = buildDisk(name.replaceAll(/\W/g, '-'), mebibytes, script, fills.map(([, fill]) => fill));
    const mapped = await mapOf(disk.path);
    const card = usedCard(join(folder, 'card'), disk.size);
    flash(disk, mapped, card);
    const table = (path: string): string => output('sfdisk', ['--dump', path]).toString().replaceAll(path, '');
    expect(table(card)).toBe(table(disk.path));
    expect(run('sfdisk', ['--verify', card]).status).toBe(0);
    fills.forEach(([kind], index) => compare(disk.path, card, disk.parts[index]!, kind));
    expect(mapped.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(0.75 * disk.size); // it is a map, and not everything
    rmSync(disk.path);
  });
});

describe('the map', () => {
  needs(...programs)('is sorted, on borders of 4096 bytes, and within the image also where that ends between two', async () => {
    const disk = buildDisk('odd', 32, `${MBR}start=63,size=20001,type=83\nstart=30001,size=35534,type=83\n`, [ext4('-b', '1024'), unknown]);
    const end = (30001 + 35534) * 512;
    const shorter = openSync(disk.path, 'r+');
    ftruncateSync(shorter, end);
    closeSync(shorter);
    const mapped = await mapOf(disk.path);
    expect(coalesce(mapped)).toEqual(mapped);
    for (const range of mapped) {
      expect(range.offset % 4096).toBe(0);
      if (range !== mapped.at(-1)) expect(range.length % 4096).toBe(0);
    }
    expect(end % 4096).not.toBe(0);
    expect(rangeEnd(mapped.at(-1)!)).toBe(end);
  });

  needs(...programs).each([false, true])('of ext4 has the blocks that dumpe2fs does not call free, but for inode tables never cleared (lazy: %s)', async (lazy) => {
    const disk = buildDisk(`exact-${lazy}`, 64, `${MBR}start=2048,size=60MiB,type=83\n`, [(lazy ? lazyExt4 : ext4)('-b', '4096', '-g', '2048', '-O', 'metadata_csum')]);
    const text = output('dumpe2fs', [extractPart(disk.path, disk.parts[0]!, join(folder, 'exact'))]).toString();
    const perGroup = Number(/Inodes per group: +(\d+)/.exec(text)![1]);
    const unmapped = text.split(/^Group \d+:/m).slice(1).flatMap((group) => {
      const found = (pattern: RegExp): string => pattern.exec(group)![1]!;
      const [first, last] = found(/Inode table at (\d+-\d+)/).split('-').map(Number) as [number, number];
      const used = group.includes('INODE_UNINIT') ? 0 : perGroup - Number(found(/(\d+) unused inodes/));
      expect(group.includes('ITABLE_ZEROED')).toBe(!lazy);
      const free = found(/Free blocks: (.*)/).split(', ').filter((span) => span !== '').map((span) => span.split('-').map(Number)).map(([from, to = from]) => [from, to]);
      return lazy ? [...free, [first + Math.ceil((used * 256) / 4096), last]] : free;
    });
    const expected = new Set(Array.from({ length: (60 * MIB) / 4096 }, (_, block) => block));
    for (const [first, last] of unmapped) for (let block = first!; block <= last!; block++) expected.delete(block);
    expect(await allocatedBlocks(disk.path, 0, 4096)).toEqual([...expected]);
  });

  needs(...programs, 'mshowfat').each(['-F12', '-F16', '-F32'])('of FAT (%s) has what stands before the data, and the clusters that mshowfat shows', async (width) => {
    const cluster = { '-F12': 32, '-F16': 2, '-F32': 1 }[width]!; // sectors
    const disk = buildDisk(`fat${width}`, 64, `${MBR}start=2048,size=40MiB,type=c\n`, [fat(width, '-s', String(cluster))]);
    const alone = extractPart(disk.path, disk.parts[0]!, join(folder, 'fat'));
    output('mdel', ['-i', alone, '::seed/file6']); // a gap
    const changed = openSync(disk.path, 'r+');
    writeSync(changed, readFileSync(alone), 0, 40 * MIB, MIB);
    closeSync(changed);
    const data = Number(/Data area starts at byte (\d+)/.exec(run('fsck.vfat', ['-nv', alone]).output)![1]);
    const names = ['seed', 'seed/deep', 'seed/deep/er', 'seed/file2', 'seed/file4', ...[1, 3, 5, 7].map((n) => `seed/deep/er/file${n}`), ...(width === '-F32' ? ['/'] : [])];
    const shown = output('mshowfat', ['-i', alone, ...names.map((name) => `::${name}`)]).toString();
    const clusters = [...shown.matchAll(/<(\d+)(?:-(\d+))?>/g)].flatMap(([, first, last = first]) => Array.from({ length: Number(last) - Number(first) + 1 }, (_, index) => Number(first) + index));
    const sectors = clusters.flatMap((number) => Array.from({ length: cluster }, (_, index) => data / 512 + (number - 2) * cluster + index));
    const before = Array.from({ length: data / 512 }, (_, sector) => sector);
    expect(await allocatedBlocks(disk.path, 0, 512)).toEqual([...before, ...sectors.sort((a, b) => a - b)]);
  });

  needs(...programs)('covers what a boot loader may use before the first partition, all of a damaged filesystem, and no space behind', async () => {
    const disk = buildDisk('damaged', 64, `${MBR}start=16384,size=20MiB,type=83\nstart=81920,size=16MiB,type=83\n`, [ext4(), ext4('-b', '4096', '-O', 'metadata_csum')]);
    const bitmap = Number(/Block bitmap at (\d+)/.exec(run('dumpe2fs', [extractPart(disk.path, disk.parts[1]!, join(folder, 'damaged'))]).output)![1]);
    const file = openSync(disk.path, 'r+');
    writeSync(file, Buffer.alloc(4, 0xff), 0, 4, 16384 * 512 + 1024 + 96); // incompatible features that nobody knows
    writeSync(file, Buffer.alloc(4, 0x55), 0, 4, 81920 * 512 + bitmap * 4096); // the bitmap's check sum is wrong now
    closeSync(file);
    expect(await mapOf(disk.path)).toEqual([{ offset: 0, length: 28 * MIB }, { offset: 40 * MIB, length: 16 * MIB }]);
  });

  needs(...programs)('of swap takes old signatures away, also where blkid looks beyond the header', async () => {
    const disk = buildDisk('signatures', 40, `${MBR}start=2048,size=32MiB,type=82\n`, [swap]);
    const part = disk.parts[0]!;
    const card = usedCard(join(folder, 'card'), disk.size);
    const file = openSync(card, 'r+');
    const put = (at: number, text: string): void => { writeSync(file, Buffer.from(text, 'latin1'), 0, text.length, part.start + at); };
    put(0x10040, '_BHRfS_M'); // btrfs
    put(4086, 'S1SUSPEND\0'); // a suspended system
    put(65536 - 10, 'S1SUSPEND\0'); // and one with pages of 64 KiB
    closeSync(file);
    flash(disk, await mapOf(disk.path), card);
    expect(label(card, part)).toContain('LABEL=SWAP');
    expect(label(card, part)).toBe(label(disk.path, part));
    const start = Buffer.alloc(65536);
    const copy = openSync(card, 'r');
    readSync(copy, start, 0, start.length, part.start);
    closeSync(copy);
    expect(start.includes('SUSPEND')).toBe(false);
  });

  test('is made without reading what partitions hold', () => {
    const read = (): never => { throw new Error('read'); };
    const partitions = [{ start: 8 * MIB, length: 8 * MIB, extended: false, holds: 'swap', filesystem: undefined }];
    const table = { structures: [{ offset: 0, length: 512 }, { offset: 20 * MIB - 512, length: 512 }] };
    expect(mappedRanges({ overlay: { size: 20 * MIB, read }, table, partitions } as unknown as Parameters<typeof mappedRanges>[0])).toEqual([
      { offset: 0, length: 9 * MIB }, { offset: 15 * MIB, length: MIB }, { offset: 20 * MIB - 4096, length: 4096 },
    ]);
  });
});
