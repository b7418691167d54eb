/** Economy: where two filesystems keep everything at the same places, only what changed is looked at. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { RangeSet } from '../../src/bytes/range-set.js';
import { Walk, type FileChange } from '../../src/diff/walk.js';
import { openExt4 } from '../../src/fs/ext4/ext4.js';
import { loadFat } from '../../src/fs/fat/fat.js';
import type { OpenFileSystem, StoredFileSystem } from '../../src/fs/filesystem.js';
import { scratch } from '../support/cli.js';
import { openImageFile } from '../support/image-file.js';
import { needs, run } from '../support/oracle.js';

const test = needs('mke2fs', 'debugfs', 'mkfs.vfat', 'mcopy');
const SECTOR = 512;

/** Which paths were read or looked at, through a filesystem that passes everything on. */
function watched(filesystem: StoredFileSystem): { filesystem: StoredFileSystem; read: Set<string>; described: Set<string> } {
  const [read, described] = [new Set<string>(), new Set<string>()];
  const proxy = new Proxy(filesystem, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]): unknown => {
        if (name === 'read') read.add(String(args[0]));
        if (name === 'xattrs') described.add(String(args[0]));
        return Reflect.apply(member, target, args);
      };
    },
  });
  return { filesystem: proxy, read, described };
}

function sectorsThatDiffer(a: Buffer, b: Buffer): RangeSet {
  const offsets = Array.from({ length: a.length / SECTOR }, (_, at) => at * SECTOR);
  return new RangeSet(offsets.filter((at) => a.compare(b, at, at + SECTOR, at, at + SECTOR) !== 0).map((offset) => ({ offset, length: SECTOR })));
}

function compare(a: string, b: string, open: OpenFileSystem, shared: boolean): { changes: FileChange[]; read: string[]; described: string[] } {
  const devices = [openImageFile(a), openImageFile(b)];
  const [left, right] = devices.map((device) => open(device)!) as [StoredFileSystem, StoredFileSystem];
  expect(left.layout()).toBe(right.layout());
  const { filesystem, read, described } = watched(left);
  const different = shared ? sectorsThatDiffer(readFileSync(a), readFileSync(b)) : undefined;
  const changes = new Walk(filesystem, right, { times: true, text: false, prefix: '', covered: new Set(), different }).compare();
  devices.forEach((device) => device.close());
  return { changes, read: [...read].sort(), described: [...described].sort() };
}

test('ext4: an edit in place is found without looking at its neighbours, and tells the same as reading everything', () => {
  const folder = scratch();
  const [a, b] = [join(folder, 'a'), join(folder, 'b')];
  writeFileSync(a, '');
  run('truncate', ['-s', '32M', a]);
  run('mke2fs', ['-q', '-F', '-t', 'ext4', a]);
  writeFileSync(join(folder, 'data'), Buffer.alloc(9000, 'data'));
  const directories = Array.from({ length: 6 }, (_, at) => `d${at}`);
  run('debugfs', ['-w', '-f', '-', a], directories.flatMap((name) => [`mkdir ${name}`, ...[0, 1, 2, 3].map((at) => `write ${join(folder, 'data')} ${name}/f${at}`)]).join('\n'));
  copyFileSync(a, b);
  const place = /\(0[^)]*\):(\d+)/.exec(run('debugfs', ['-R', 'stat d3/f2', a]).output)!;
  const blockSize = Number(/Block size:\s+(\d+)/.exec(run('dumpe2fs', ['-h', a]).output)![1]);
  run('sh', ['-c', 'printf X | dd of="$1" bs=1 seek="$2" conv=notrunc', 'sh', b, String(Number(place[1]) * blockSize + 77)]);
  run('debugfs', ['-w', '-R', 'sif d5/f1 mode 0100600', b]);
  const quick = compare(a, b, openExt4, true);
  const whole = compare(a, b, openExt4, false);
  expect(quick.changes).toEqual(whole.changes);
  expect(quick.changes.map(({ path, aspects }) => [path, ...aspects])).toEqual([['/d3/f2', 'content'], ['/d5/f1', 'mode']]);
  expect(whole.read).toHaveLength(24);
  expect(quick.read).toContain('/d3/f2');
  expect(quick.read.every((path) => path.startsWith('/d5/') || path === '/d3/f2')).toBe(true); // two inodes share a sector of their table
  expect(quick.described.length).toBeLessThan(6);
});

test('FAT: a file that got longer', async () => {
  const folder = scratch();
  const [a, b] = [join(folder, 'a'), join(folder, 'b')];
  writeFileSync(a, '');
  run('truncate', ['-s', '36M', a]);
  run('mkfs.vfat', ['-F', '16', a]);
  for (let at = 0; at < 20; at++) {
    writeFileSync(join(folder, 'data'), Buffer.alloc(300_000, `${at}`));
    run('mcopy', ['-i', a, join(folder, 'data'), `::file${at}.txt`]);
  }
  copyFileSync(a, b);
  writeFileSync(join(folder, 'data'), Buffer.alloc(300_001, '7'));
  run('mcopy', ['-o', '-i', b, join(folder, 'data'), '::file7.txt']);
  const open = await loadFat();
  const quick = compare(a, b, open, true);
  expect(quick.changes).toEqual(compare(a, b, open, false).changes);
  expect(quick.changes.map(({ path }) => path)).toEqual(['/file7.txt']);
  expect(quick.read.length).toBeLessThan(12);
});
