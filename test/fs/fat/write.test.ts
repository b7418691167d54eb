import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { RockberryError } from '../../../src/errors.js';
import type { BlockDevice } from '../../../src/device/device.js';
import { readFatBootSector } from '../../../src/fs/fat/bootsector.js';
import { loadFat } from '../../../src/fs/fat/fat.js';
import type { OpenFileSystem } from '../../../src/fs/filesystem.js';
import { needs, output } from '../../support/oracle.js';
import { MIB, complaints, fileDevice, makeVolume, mtype } from './volume.js';

let folder: string;
let open: OpenFileSystem;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rockberry-fatwrite-'));
  open = await loadFat();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => { vi.useRealTimers(); });

const TIME = { seconds: 1_700_000_001, nanoseconds: 5 };
const needsFat = needs('mkfs.vfat', 'fsck.vfat', 'mcopy', 'mdir');
const text = (value: string): Uint8Array => Uint8Array.from(Buffer.from(value));

function volume(name: string, size = 4 * MIB, ...options: string[]): string {
  const path = join(folder, name);
  makeVolume(path, size, '-i', 'deadbe0f', ...options);
  return path;
}

function codeOf(work: () => void): string {
  try {
    work();
  } catch (error) {
    if (error instanceof RockberryError) return error.code;
    throw error;
  }
  return 'none';
}

const KINDS: [string, number, string[]][] = [['FAT12', 4 * MIB, ['-F12']], ['FAT16', 32 * MIB, ['-F16']], ['FAT32', 36 * MIB, ['-F32', '-s1']]];

describe('times', () => {
  needsFat.each(KINDS)('%s: two runs at different clocks give the same bytes', (kind, size, options) => {
    const runs = [new Date('2001-02-03T04:05:06Z'), new Date('2039-12-31T23:59:59Z')].map((clock) => {
      vi.useFakeTimers({ now: clock, toFake: ['Date'] });
      const path = volume(`${kind}.img`, size, ...options, '--invariant');
      const device = fileDevice(path, size);
      const fs = open(device, { time: TIME })!;
      fs.makeDirectory('/overlays');
      fs.write('/overlays/a long name.dtbo', new Uint8Array(70_000).fill(3));
      fs.write('/cmdline.txt', text('one'));
      fs.write('/cmdline.txt', text('three'));
      fs.append('/cmdline.txt', text(' four'));
      fs.rename('/cmdline.txt', '/overlays/moved.txt');
      fs.makeDirectory('/overlays/deeper');
      fs.remove('/overlays/deeper');
      device.close();
      vi.useRealTimers();
      expect(complaints(path)).toBe('');
      return readFileSync(path);
    });
    expect(runs[0]!.equals(runs[1]!)).toBe(true);
  });

  needsFat('created, modified and accessed are the given time in UTC; an mtime that is there already writes nothing', () => {
    const path = volume('times.img');
    const device = fileDevice(path, 4 * MIB);
    const fs = open(device, { time: TIME })!;
    fs.write('/a.txt', text('a'));
    fs.makeDirectory('/dir', { mtime: { seconds: 1_500_000_000, nanoseconds: 0 } });
    fs.write('/b.txt', text('b'), { mtime: { seconds: 1_600_000_000, nanoseconds: 0 }, mode: 0o600, uid: 5, gid: 5, xattrs: new Map([['security.selinux', text('x')]]) });
    expect(fs.stat('/a.txt')!.mtime).toEqual({ seconds: 1_700_000_000, nanoseconds: 0 });
    expect(fs.stat('/b.txt')).toMatchObject({ mtime: { seconds: 1_600_000_000, nanoseconds: 0 }, mode: 0o755, uid: 0 });
    const listing = output('mdir', ['-i', path, '::']).toString();
    expect(listing).toMatch(/a +txt +1 2023-11-14 +22:13/);
    expect(listing).toMatch(/b +txt +1 2020-09-13 +12:26/);
    expect(listing).toMatch(/dir +<DIR> +2017-07-14 +2:40/);
    const { rootOffset } = readFatBootSector(device)!;
    const [date, time] = [0x576e, 0xb1aa]; // 2023-11-14, 22:13:20
    expect(Buffer.from(device.read(rootOffset + 13, 13)).toString('hex')).toBe(`00${[time, date, date, 0, time, date].map((v) => Buffer.of(v & 255, v >> 8).toString('hex')).join('')}`);
    device.written = 0;
    fs.change('/a.txt', { mtime: TIME });
    fs.write('/a.txt', text('a'), { mtime: TIME, mode: 0o644 });
    fs.makeDirectory('/dir', { mode: 0o700 });
    fs.change('/', { mtime: TIME });
    expect(device.written).toBe(0);
    fs.change('/a.txt', { mtime: { seconds: 0, nanoseconds: 0 } });
    expect(fs.stat('/a.txt')!.mtime.seconds).toBe(Date.UTC(1980, 0, 1) / 1000);
    expect(fs.stat('/a.txt')!.size).toBe(1);
  });

  needsFat('without a time, the newest file of the root directory gives it', () => {
    const path = volume('newest.img');
    open(fileDevice(path, 4 * MIB), { time: TIME })!.write('/a.txt', text('a'));
    const fs = open(fileDevice(path, 4 * MIB))!;
    fs.write('/b.txt', text('b'));
    expect(fs.stat('/b.txt')!.mtime.seconds).toBe(1_700_000_000);
  });
});

describe('economy', () => {
  needsFat.each(KINDS)('%s: the same content writes nothing, a small change few sectors', (kind, size, options) => {
    const path = volume(`${kind}e.img`, size, ...options);
    const device = fileDevice(path, size);
    const fs = open(device, { time: TIME })!;
    const big = new Uint8Array(1_500_000).map((_, at) => at * 11);
    fs.write('/big.bin', big);
    fs.write('/cmdline.txt', text('console=tty1\n'));
    const reset = (): void => { device.sectors.clear(); };
    reset();
    fs.write('/big.bin', big.slice());
    fs.write('/cmdline.txt', text('console=tty1\n'));
    expect(device.sectors.size).toBe(0);
    fs.write('/cmdline.txt', text('console=tty1 cgroup_enable=memory\n'));
    expect(device.sectors.size).toBeLessThanOrEqual(2); // its entry, its cluster
    reset();
    big[700_000] = 1;
    fs.write('/big.bin', big);
    expect(device.sectors.size).toBeLessThanOrEqual(1 + 128); // its entry, one piece of 64 KiB
    reset();
    fs.append('/big.bin', text('end'));
    expect(device.sectors.size).toBeLessThanOrEqual(6); // its entry, a cluster, at most a sector of each FAT, FSInfo
    reset();
    fs.write('/new.txt', text('new'));
    expect(device.sectors.size).toBeLessThanOrEqual(6);
    expect(Buffer.from(fs.read('/big.bin', 1_499_999)).subarray(1).toString()).toBe('end');
    device.close();
    expect(complaints(path)).toBe('');
  });

  needsFat('a, then b, then a again is the same volume when b fits a\'s clusters, and the same FAT when it does not', () => {
    const path = volume('aba.img', 32 * MIB, '-F16');
    const device = fileDevice(path, 32 * MIB);
    const fs = open(device, { time: TIME })!;
    const [a, b] = [new Uint8Array(10_000).fill(1), new Uint8Array(10_000).fill(2)];
    fs.write('/file', a);
    fs.write('/next', a);
    const before = readFileSync(path);
    fs.write('/file', b);
    fs.write('/file', a);
    expect(readFileSync(path).equals(before)).toBe(true);
    fs.write('/file', new Uint8Array(50_000).fill(2));
    fs.write('/file', a);
    const { dataOffset } = readFatBootSector(device)!;
    expect(readFileSync(path).subarray(0, dataOffset).equals(before.subarray(0, dataOffset))).toBe(true);
    device.close();
    expect(complaints(path)).toBe('');
  });
});

describe('contents and names', () => {
  needsFat('a large file from a device, in pieces', () => {
    const path = volume('large.img', 64 * MIB, '-F32', '-s1');
    const device = fileDevice(path, 64 * MIB);
    const asked: number[] = [];
    const size = 40 * MIB + 7;
    open(device, { time: TIME })!.write('/initramfs.img', {
      size, close: () => undefined,
      read(offset, length) {
        asked.push(length);
        return new Uint8Array(length).map((_, at) => ((offset + at) * 2654435761) >>> 24);
      },
    });
    expect(Math.max(...asked)).toBeLessThanOrEqual(65536);
    const back = mtype(path, '/initramfs.img');
    expect(back).toHaveLength(size);
    for (const at of [0, 65535, 65536, 20_000_001, size - 1]) expect(back[at]).toBe((at * 2654435761) >>> 24 & 0xff);
    expect(complaints(path)).toBe('');
  });

  needsFat('names that FAT cannot hold are refused, and nothing is written', () => {
    const path = volume('names.img');
    const device = fileDevice(path, 4 * MIB);
    const fs = open(device, { time: TIME })!;
    for (const name of ['a:b', 'a*', 'a?', 'a"', 'a<', 'a>', 'a|', 'a\\b', 'end.', 'end ', 'tab\t', 'nul\0', 'x'.repeat(256), '\udc80', '\u007f']) {
      expect(codeOf(() => fs.write(`/${name}`, text('x'))), JSON.stringify(name)).toBe('path');
      expect(codeOf(() => fs.makeDirectory(`/${name}`)), JSON.stringify(name)).toBe('path');
    }
    expect(device.written).toBe(0);
    for (const name of ['x'.repeat(255), '😀 emoji.txt', '.profile', 'a+b,c;d=[e]', 'semi;colon', 'Größe', ' x']) {
      fs.write(`/${name}`, text(name));
      expect(Buffer.from(open(device)!.read(`/${name}`)).toString()).toBe(name);
    }
    expect(complaints(path)).toBe('');
    expect(fs.list('/').map((entry) => entry.name)).toContain('😀 emoji.txt');
  });

  needsFat('a directory of 600 long names grows, and is emptied again', () => {
    const path = volume('many.img', 32 * MIB, '-F16');
    const fs = open(fileDevice(path, 32 * MIB), { time: TIME })!;
    fs.makeDirectory('/many');
    for (let index = 0; index < 600; index++) fs.write(`/many/a long name number ${index}`, index % 100 === 0 ? text(`${index}`) : new Uint8Array(0));
    expect(fs.list('/many')).toHaveLength(600);
    expect(mtype(path, '/many/a long name number 500').toString()).toBe('500');
    expect(complaints(path)).toBe('');
    for (let index = 0; index < 600; index++) fs.remove(`/many/a long name number ${index}`);
    fs.remove('/many');
    expect(fs.list('/')).toEqual([]);
    expect(fs.check()).toEqual([]);
    expect(complaints(path)).toBe('');
  });

  needsFat('a read-only file is replaced and stays read-only', () => {
    const path = volume('ro.img');
    const fs = open(fileDevice(path, 4 * MIB), { time: TIME })!;
    fs.write('/ro.txt', text('one'));
    output('mattrib', ['-i', path, '+r', '::ro.txt']);
    const again = open(fileDevice(path, 4 * MIB), { time: TIME })!;
    again.write('/ro.txt', text('two'));
    expect(again.stat('/ro.txt')!.mode).toBe(0o555);
    expect(mtype(path, '/ro.txt').toString()).toBe('two');
    again.remove('/ro.txt');
    expect(complaints(path)).toBe('');
  });
});

describe('refusals', () => {
  needsFat.each(KINDS)('%s: a full volume is left as it was', (kind, size, options) => {
    const path = volume(`${kind}full.img`, size, ...options);
    const device = fileDevice(path, size);
    const fs = open(device, { time: TIME })!;
    fs.makeDirectory('/d');
    fs.write('/d/file', new Uint8Array(fs.info().free - fs.info().blockSize));
    const before = readFileSync(path);
    expect(codeOf(() => fs.write('/big', new Uint8Array(3 * fs.info().blockSize)))).toBe('no-space');
    expect(codeOf(() => fs.append('/d/file', new Uint8Array(2 * fs.info().blockSize)))).toBe('no-space');
    expect(codeOf(() => fs.truncate('/d/file', size))).toBe('no-space');
    fs.write('/last', text('x'));
    const full = readFileSync(path);
    expect(fs.info().free).toBe(0);
    expect(codeOf(() => fs.makeDirectory('/e'))).toBe('no-space');
    expect(codeOf(() => fs.write('/e', text('x')))).toBe('no-space');
    expect(readFileSync(path).equals(full)).toBe(true);
    fs.remove('/last');
    expect(fs.info().free).toBe(fs.info().blockSize);
    expect(complaints(path)).toBe('');
    expect(before.length).toBe(full.length);
  });

  needsFat('a full root directory', () => {
    const path = volume('root.img', 4 * MIB, '-F12', '-r', '64');
    const fs = open(fileDevice(path, 4 * MIB), { time: TIME })!;
    for (let index = 0; index < 16; index++) fs.write(`/long name number ${index} that takes four`, new Uint8Array(0));
    const before = readFileSync(path);
    expect(codeOf(() => fs.write('/one more', text('x')))).toBe('no-space');
    expect(codeOf(() => fs.makeDirectory('/one more'))).toBe('no-space');
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(complaints(path)).toBe('');
  });

  needsFat('links, wrong kinds, moves into oneself, the root', () => {
    const fs = open(fileDevice(volume('kinds.img'), 4 * MIB), { time: TIME })!;
    fs.makeDirectory('/d');
    fs.makeDirectory('/d/e');
    fs.write('/f', text('f'));
    const cases: [string, () => void][] = [
      ['unsupported', () => fs.makeLink('/l', '/f')], ['unsupported', () => fs.makeHardLink('/l', '/f')], ['unsupported', () => fs.truncate('/f', 2 ** 32)],
      ['path', () => fs.write('/d', text('x'))], ['path', () => fs.write('/none/x', text('x'))], ['path', () => fs.write('/f/x', text('x'))], ['path', () => fs.makeDirectory('/f')],
      ['path', () => fs.remove('/d')], ['path', () => fs.remove('/')], ['path', () => fs.remove('/none')], ['path', () => fs.rename('/d', '/d/e/x')], ['path', () => fs.rename('/d', '/D/E/x')],
      ['path', () => fs.rename('/f', '/d')], ['path', () => fs.rename('/d/e', '/f')], ['path', () => fs.rename('/none', '/x')], ['path', () => fs.rename('/', '/x')],
      ['path', () => fs.append('/none', text('x'))], ['path', () => fs.truncate('/d', 0)], ['path', () => fs.read('relative')], ['path', () => fs.read('/d/../f')],
    ];
    cases.forEach(([code, work], index) => expect(codeOf(work), `case ${index}`).toBe(code));
    expect(fs.check()).toEqual([]);
  });

  needsFat('an error of the device comes out as it is, also through the library', () => {
    const path = volume('fail.img');
    const device = fileDevice(path, 4 * MIB);
    let left = Infinity;
    const failing: BlockDevice = {
      ...device, read: device.read.bind(device),
      write(offset, data) {
        if (left-- <= 0) throw new RockberryError('io', 'the disk is gone');
        device.write(offset, data);
      },
    };
    const fs = open(failing, { time: TIME })!;
    fs.write('/a', text('a'));
    for (let after = 0; after < 4; after++) {
      left = after;
      expect(codeOf(() => fs.write(`/new ${after}`, text('x')))).toBe('io');
    }
    left = Infinity;
    expect(Buffer.from(fs.read('/a')).toString()).toBe('a');
  });
});

needsFat('several volumes at once do not disturb one another', () => {
  const open12 = KINDS.map(([kind, size, options]) => ({ path: volume(`${kind}many.img`, size, ...options), size }));
  const all = open12.map(({ path, size }) => open(fileDevice(path, size), { time: TIME })!);
  for (let round = 0; round < 20; round++) all.forEach((fs, index) => fs.write(`/file ${round}`, text(`${index} ${round}`)));
  open12.forEach(({ path }, index) => {
    expect(complaints(path)).toBe('');
    expect(mtype(path, '/file 7').toString()).toBe(`${index} 7`);
  });
});

test('loading the library twice gives two that work', async () => {
  expect(await loadFat()).not.toBe(open);
});
