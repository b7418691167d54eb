/** Places of an image by name, judged by debugfs (icheck, ncheck, testb) and mshowfat on random blocks of the sample images. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { cutByClaims } from '../../src/bytes/claims.js';
import { coalesce, type Range } from '../../src/bytes/ranges.js';
import { locate, placeText, type Place } from '../../src/flash/locate.js';
import { openImageFile, type Image } from '../../src/image/image.js';
import { copyOf, editRoot, imagePrograms, makeImage, ROOT_PART } from '../diff/image.js';
import { scratch } from '../support/cli.js';
import { needs, output, run } from '../support/oracle.js';
import { sample, samplePrograms, type SampleName } from '../support/samples.js';

const folder = scratch();
const seed = Number(process.env.ROCKBERRY_SEED ?? Math.floor(Math.random() * 2 ** 31));
console.info(`seed ${seed}`);
const opened: Image[] = [];
afterAll(() => opened.forEach((image) => image.close()));
async function open(path: string): Promise<Image> {
  const image = await openImageFile(path);
  opened.push(image);
  return image;
}

/** Numbers below `limit`, always the same for the seed (xorshift32). */
function randomFrom(start: number): (limit: number) => number {
  let state = start | 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

const icheck = (image: string, start: number, blocks: readonly number[]): Map<number, number | undefined> => {
  const text = output('debugfs', ['-R', `icheck ${blocks.join(' ')}`, `${image}?offset=${start}`]).toString();
  return new Map([...text.matchAll(/^(\d+)\t(\d+|<.*>)$/gm)].map(([, block, inode]) => [Number(block), /^\d/.test(inode!) ? Number(inode) : undefined]));
};
/** All names of each inode. */
const ncheck = (image: string, start: number, inodes: readonly number[]): Map<number, string[]> => {
  const text = output('debugfs', ['-R', `ncheck ${[...new Set(inodes)].join(' ')}`, `${image}?offset=${start}`]).toString();
  const names = new Map<number, string[]>();
  for (const [, inode, name] of text.matchAll(/^(\d+)\t(.*)$/gm)) names.set(Number(inode), [...(names.get(Number(inode)) ?? []), name!.replace(/^\/{2,}/, '/').replace(/(.)\/$/, '$1')]);
  return names;
};
const isUsed = (image: string, start: number, block: number): boolean => !output('debugfs', ['-R', `testb ${block}`, `${image}?offset=${start}`]).toString().includes('not in use');

/** Whether a place's name is what debugfs knows of the block: its inode, that inode's names, and the bitmap's bit. */
function agrees(place: Place, inode: number | undefined, names: readonly string[] | undefined, used: boolean): boolean {
  if (place.path !== null) return names !== undefined && names.includes(place.path);
  if (place.what === 'free space') return !used && inode === undefined;
  if (place.what === 'the journal') return inode === 8;
  if (/reserve for group descriptors/.test(place.what)) return inode === 7;
  const about = /^(?:block map of|extended attributes of|space kept for|the target of link) (.*)$/.exec(place.what)?.[1];
  if (about !== undefined) return names?.includes(about) ?? false;
  return used && inode === undefined && /superblock|group descriptors|bitmap of block group|inode table of/.test(place.what);
}

const ext4Names: readonly SampleName[] = ['rocky9-pi-sample', 'rocky10-sbc', 'rpios-like'];
describe.each(ext4Names)('%s', (name) => {
  needs(...samplePrograms)('random blocks of the root filesystem have the names that debugfs gives them', async () => {
    const path = sample(name);
    const image = await open(path);
    const root = image.roles.root!;
    const { blockSize, size } = root.filesystem!.info();
    const random = randomFrom(seed);
    const allocated = root.filesystem!.allocated();
    const anywhere = Array.from({ length: 100 }, () => random(size / blockSize - 1) + 1);
    const used = Array.from({ length: 300 }, () => {
      const { offset, length } = allocated[random(allocated.length)]!;
      return Math.floor(offset / blockSize) + random(length / blockSize);
    }).filter((block) => block > 0);
    const blocks = [...new Set([...anywhere, ...used])].sort((a, b) => a - b);
    const places = locate(image, blocks.map((block) => ({ offset: root.start + block * blockSize, length: blockSize })));
    const at = (block: number): Place => places.find(({ range }) => range.offset <= root.start + block * blockSize && range.offset + range.length >= root.start + (block + 1) * blockSize)!;
    const inodes = icheck(path, root.start, blocks);
    const names = ncheck(path, root.start, [2, ...inodes.values()].filter((inode) => inode !== undefined));
    names.set(2, ['/']);
    const wrong = blocks.filter((block) => {
      const inode = inodes.get(block);
      return !agrees(at(block), inode, inode === undefined ? undefined : names.get(inode), at(block).what === 'free space' || inode === undefined ? isUsed(path, root.start, block) : true);
    });
    expect(wrong.map((block) => [block, at(block).what, inodes.get(block), names.get(inodes.get(block) ?? 0)])).toEqual([]);
    expect(places.every(({ partition, holds }) => partition === root.number && holds === 'ext4')).toBe(true);
    expect(places.filter(({ at: byte }) => byte !== null).length).toBeGreaterThan(5);
  });

  needs(...samplePrograms, 'mshowfat', 'mdir')('every cluster of the boot partition belongs to the file that mshowfat says', async () => {
    const path = sample(name);
    const image = await open(path);
    const boot = image.roles.boot!;
    const volume = `${path}@@${boot.start}`;
    const files = output('mdir', ['-/', '-a', '-b', '-i', volume]).toString().split('\n').filter((line) => line !== '');
    const clusters = boot.filesystem!.info().blockSize;
    const data = dataOffset(path, boot.start);
    const mount = image.tree().bootDirectory;
    let checked = 0;
    for (const file of files) {
      const runs = [...run('mshowfat', ['-i', volume, file]).output.matchAll(/<(\d+)(?:-(\d+))?>/g)].map(([, from, to]) => [Number(from), Number(to ?? from)] as const);
      if (runs.length === 0) continue;
      const ranges = runs.map(([from, to]): Range => ({ offset: boot.start + data + (from - 2) * clusters, length: (to - from + 1) * clusters }));
      const places = locate(image, ranges);
      const name = `${mount}${file.replace(/^::/, '').replace(/\/$/, '')}`;
      expect(places.map(({ path: found }) => found), file).toEqual(places.map(() => name));
      expect(places.map(({ range }) => range)).toEqual(coalesce(ranges));
      expect(places[0]!.what).toBe(file.endsWith('/') ? `directory ${name}` : name);
      checked += 1;
    }
    expect(checked).toBeGreaterThan(3);
    const names = locate(image, [{ offset: boot.start, length: boot.length }]).map(({ what }) => what);
    expect(names[0]).toBe('the boot sector');
    expect(names).toContain('the file allocation table');
    expect(names).toContain(`directory ${mount}`);
    expect(names).toContain('free space');
  });

  needs(...samplePrograms)('outside the partitions, and all of the image: every byte once', async () => {
    const image = await open(sample(name));
    const places = locate(image, [{ offset: 0, length: image.overlay.size }]);
    expect(coalesce(places.map(({ range }) => range))).toEqual([{ offset: 0, length: image.overlay.size }]);
    expect(places.reduce((sum, { range }) => sum + range.length, 0)).toBe(image.overlay.size);
    expect(places[0]).toMatchObject({ partition: null, what: 'the partition table', path: null });
    expect(places.some(({ what }) => what === 'the space before the first partition')).toBe(true);
    expect(places.filter(({ what }) => what === 'blocks in use that no file has' || what === 'clusters in use that no file has')).toEqual([]);
  });
});

/** Bytes before cluster 2, from the boot sector as minfo reads it. */
function dataOffset(path: string, start: number): number {
  const text = run('minfo', ['-i', `${path}@@${start}`]).output;
  const field = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0);
  const fat = field(/sectors per FAT: (\d+)/i) || field(/Big fatlen=(\d+)/);
  return field(/sector size: (\d+)/) * (field(/reserved \(boot\) sectors: (\d+)/) + field(/fats: (\d+)/) * fat) + field(/max available root directory slots: (\d+)/) * 32;
}

describe('single blocks', () => {
  needs(...imagePrograms)('of a file in pieces, its extent tree, attributes, a link, holes: each by name and byte', async () => {
    const base = makeImage(folder);
    const image = copyOf(base, 'single.img');
    const local = join(folder, 'local');
    mkdirSync(local);
    writeFileSync(join(local, 'value'), 'v'.repeat(600));
    editRoot(image, 'cd /srv', `symlink longlink /${'target/'.repeat(30)}`, `ea_set -f ${join(local, 'value')} /etc/hosts user.note`,
      ...Array.from({ length: 12 }, (_, at) => `rm deep/file${20 + at * 3}`));
    const source = await open(image);
    const stat = (path: string): string => output('debugfs', ['-R', `stat ${path}`, `${image}?offset=${ROOT_PART.start}`]).toString();
    const place = (block: number): Place => locate(source, [{ offset: ROOT_PART.start + block * 1024 + 100, length: 10 }])[0]!;
    const blob = [...output('debugfs', ['-R', 'blocks /srv/blob', `${image}?offset=${ROOT_PART.start}`]).toString().matchAll(/\d+/g)].map(Number);
    for (const at of [0, 1, 700, 3000]) expect(place(blob[at]!)).toMatchObject({ what: '/srv/blob', path: '/srv/blob', partition: 2, at: at * 1024 + 100 });
    const attributes = Number(/File ACL: (\d+)/.exec(stat('/etc/hosts'))![1]);
    expect(place(attributes)).toMatchObject({ what: 'extended attributes of /etc/hosts', path: null, at: null });
    const target = Number(/EXTENTS:\n\(0\):(\d+)|BLOCKS:\n\(0\):(\d+)/.exec(stat('/srv/longlink'))?.slice(1).find((one) => one) ?? 0);
    expect(place(target)).toMatchObject({ what: 'the target of link /srv/longlink', path: '/srv/longlink' });
    const directory = Number(/\(0\):(\d+)|\(0-\d+\):(\d+)/.exec(stat('/srv/deep'))!.slice(1).find((one) => one));
    expect(place(directory)).toMatchObject({ what: 'directory /srv/deep', path: '/srv/deep', at: null });
    expect(placeText([place(blob[700]!)])).toBe('partition 2 (ext4): /srv/blob, byte 716900');
    expect(locate(source, [{ offset: ROOT_PART.start + 1024 + 56, length: 2 }])[0]!.what).toBe('the superblock');
    expect(locate(source, [{ offset: 446, length: 16 }])[0]!.what).toBe('the partition table');
  });

  needs('mke2fs', 'debugfs', 'sfdisk', 'dd')('extent index blocks and block maps are parts of their files', async () => {
    for (const features of ['extent', '^extent,^64bit']) {
      const image = join(folder, `index-${features.length}.img`);
      const [tree, part] = [join(folder, 'sparse-tree'), join(folder, 'part')];
      mkdirSync(tree, { recursive: true });
      writeFileSync(join(tree, 'sparse'), '');
      output('sh', ['-c', 'for i in $(seq 0 2 60); do dd if=/dev/urandom of="$1/sparse" bs=4k count=1 seek=$i conv=notrunc status=none; done; rm -f "$2"', 'sh', tree, part]);
      output('mke2fs', ['-q', '-t', 'ext4', '-O', features, '-b', '4096', '-d', tree, part, '30M']);
      output('sh', ['-c', 'truncate -s 32M "$1"; echo "start=2048, type=83" | sfdisk -q "$1"; dd if="$2" of="$1" bs=1M seek=1 conv=notrunc,sparse status=none', 'sh', image, part]);
      const stat = output('debugfs', ['-R', 'stat /sparse', part]).toString();
      const index = Number(/\((?:ETB\d+|IND)\):(\d+)/.exec(stat)![1]);
      const [place] = locate(await open(image), [{ offset: 2 ** 20 + index * 4096, length: 4096 }]);
      expect(place).toMatchObject({ what: 'block map of /sparse', path: null, partition: 1 });
    }
  });
});

describe('text', () => {
  const place = (what: string, partition: number | null, at: number | null = null): Place => ({ range: { offset: 0, length: 1 }, partition, holds: partition === null ? null : partition === 1 ? 'vfat' : 'ext4', what, path: null, at });
  test('one sentence, names once, the rest counted', () => {
    expect(placeText([place('/usr/lib/libc.so.6', 3, 81920), place('/etc/hosts', 3, 0), place('the journal', 3)], 1)).toBe('partition 3 (ext4): /usr/lib/libc.so.6, byte 81920, and 2 more places');
    expect(placeText([place('the partition table', null), place('/boot/config.txt', 1, 0), place('/boot/config.txt', 1, 4096), place('the journal', 3)])).toBe('the partition table; partition 1 (vfat): /boot/config.txt, byte 0; partition 3 (ext4): the journal');
    expect(placeText([place('/a', 3, 0), place('/b', 3, 0), place('/c', 3, 0), place('/d', 3, 0)])).toBe('partition 3 (ext4): /a, byte 0; /b, byte 0; /c, byte 0, and 1 more place');
    expect(placeText([])).toBe('no place');
  });

  test('claims cut ranges, each byte once', () => {
    const random = randomFrom(seed);
    for (let turn = 0; turn < 200; turn++) {
      const ranges = Array.from({ length: random(6) }, () => ({ offset: random(50), length: random(12) }));
      const claims: { range: Range; name: number }[] = [];
      for (let at = random(4), name = 0; at < 60; name++) {
        const length = 1 + random(8);
        claims.push({ range: { offset: at, length }, name });
        at += length + random(5);
      }
      const byByte = new Map<number, number | undefined>();
      for (const { offset, length } of ranges) for (let at = offset; at < offset + length; at++) byByte.set(at, claims.find(({ range }) => at >= range.offset && at < range.offset + range.length)?.name);
      const cuts = cutByClaims(ranges, [...claims].reverse());
      const found = cuts.flatMap(({ range, claim }) => Array.from({ length: range.length }, (_, at) => [range.offset + at, claim?.name] as const));
      expect(found).toEqual([...byByte].sort(([a], [b]) => a - b));
    }
  });
});
