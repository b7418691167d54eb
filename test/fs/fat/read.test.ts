import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoryDevice } from '../../../src/device/device.js';
import { readFatBootSector } from '../../../src/fs/fat/bootsector.js';
import { loadFat } from '../../../src/fs/fat/fat.js';
import type { FileSystem, OpenFileSystem } from '../../../src/fs/filesystem.js';
import { needs, output, run } from '../../support/oracle.js';
import { MIB, fileDevice, makeVolume } from './volume.js';

let folder: string;
let open: OpenFileSystem;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rockberry-fatread-'));
  open = await loadFat();
  makeTree(join(folder, 'tree'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function put(path: string, size: number): void {
  writeFileSync(path, Buffer.alloc(size, `${path} `));
  utimesSync(path, 1_600_000_000 + 2 * size, 1_600_000_000 + 2 * size);
}

/** Names as the firmware's, long ones, ones with spaces and umlauts, a deep path, a directory of many clusters, files of no, one and many clusters. */
function makeTree(root: string): void {
  mkdirSync(join(root, 'overlays/a/b/c/d/e/f/g/h'), { recursive: true });
  for (const [name, size] of [['cmdline.txt', 96], ['config.txt', 0], ['KERNEL8.IMG', 300_000], ['config-6.1.31-v8.1.el9.altarch', 512], ['Ein Name mit Ümläuten.txt', 513]] as const) put(join(root, name), size);
  put(join(root, 'overlays/a/b/c/d/e/f/g/h/deep file.bin'), 5000);
  put(join(root, `overlays/${'n'.repeat(200)}.dtbo`), 2048);
  for (let index = 0; index < 250; index++) put(join(root, `overlays/overlay number ${index}.dtbo`), index);
}

type Row = [path: string, size: number, mtime: number, content: string];

function theirWalk(root: string, base = ''): Row[] {
  return readdirSync(join(root, base)).sort().flatMap((name): Row[] => {
    const path = `${base}/${name}`;
    const stat = statSync(join(root, path));
    return stat.isDirectory() ? [[path, 0, 0, 'directory'], ...theirWalk(root, path)] : [[path, stat.size, stat.mtimeMs / 1000, readFileSync(join(root, path)).toString('base64')]];
  });
}

function ourWalk(fs: FileSystem, base = ''): Row[] {
  return fs.list(base || '/').flatMap((entry): Row[] => {
    const path = `${base}/${entry.name}`;
    const stat = fs.stat(path)!;
    return entry.type === 'directory' ? [[path, 0, 0, 'directory'], ...ourWalk(fs, path)]
      : [[path, stat.size, stat.mtime.seconds, Buffer.from(fs.read(path)).toString('base64')]];
  });
}

const VOLUMES: [string, number, string[], object][] = [
  ['FAT12', 4 * MIB, ['-F12', '-n', 'SMALL'], { variant: 'FAT12', label: 'SMALL' }],
  ['FAT16 with one FAT and sectors of 2048', 64 * MIB, ['-F16', '-f1', '-S2048'], { variant: 'FAT16', sectorSize: 2048, fatCount: 1 }],
  ['FAT32 with one sector per cluster', 64 * MIB, ['-F32', '-s1'], { variant: 'FAT32', clusterSize: 512 }],
  ['Rocky legacy: 286 MiB, mkfs.vfat', 286 * MIB, [], { variant: 'FAT16', clusterSize: 16 * 512, label: '' }],
  ['Rocky kiwi: 500 MiB, mkdosfs -F16 -n EFI', 500 * MIB, ['-F16', '-n', 'EFI'], { variant: 'FAT16', label: 'EFI' }],
  ['Raspberry Pi OS: 512 MiB FAT32 bootfs', 512 * MIB, ['-F32', '-s4', '-n', 'bootfs'], { variant: 'FAT32', label: 'bootfs', clusterSize: 2048 }],
];

describe('volumes that mkfs.vfat made and mtools filled', () => {
  needs('mkfs.vfat', 'mcopy', 'fsck.vfat').each(VOLUMES)('%s', (_name, size, options, expected) => {
    const image = join(folder, 'volume.img');
    makeVolume(image, size, '-i', 'deadbe0f', ...options);
    output('env', ['LC_ALL=C.UTF-8', 'mcopy', '-m', '-s', '-i', image, ...readdirSync(join(folder, 'tree')).map((name) => join(folder, 'tree', name)), '::']);
    const device = fileDevice(image, size);
    expect(readFatBootSector(device)).toMatchObject({ volumeId: 'DEAD-BE0F', dirty: false, ...expected });
    const fs = open(device)!;
    expect(ourWalk(fs)).toEqual(theirWalk(join(folder, 'tree')));
    expect(fs.check()).toEqual([]);
    const info = fs.info();
    const [, used, total] = /(\d+)\/(\d+) clusters/.exec(run('fsck.vfat', ['-n', image]).output)!.map(Number);
    expect(info).toMatchObject({ type: 'vfat', uuid: 'DEAD-BE0F', free: (total! - used!) * info.blockSize });
    expect(device.written).toBe(0);
    device.close();
  });
});

describe('reading', () => {
  needs('mkfs.vfat', 'mcopy')('finds names in any case and by the short name, reads pieces, says what is not there', () => {
    const image = join(folder, 'cases.img');
    makeVolume(image, 4 * MIB, '-F12');
    output('mcopy', ['-i', image, join(folder, 'tree/config-6.1.31-v8.1.el9.altarch'), '::']);
    output('mcopy', ['-i', image, join(folder, 'tree/KERNEL8.IMG'), '::kernel8.img']);
    const fs = open(fileDevice(image, 4 * MIB))!;
    expect(fs.list('/').map((entry) => entry.name)).toEqual(['config-6.1.31-v8.1.el9.altarch', 'kernel8.img']);
    expect(fs.stat('/CONFIG-6.1.31-V8.1.EL9.ALTARCH')).toMatchObject({ type: 'file', size: 512, mode: 0o755, uid: 0, gid: 0 });
    expect(fs.stat('/CONFIG~1.ALT')?.size).toBe(512);
    const whole = readFileSync(join(folder, 'tree/KERNEL8.IMG'));
    expect(Buffer.from(fs.read('/Kernel8.IMG', 99_999, 100_002))).toEqual(whole.subarray(99_999, 200_001));
    expect(Buffer.from(fs.read('/kernel8.img', 299_990, 100))).toEqual(whole.subarray(299_990));
    expect(fs.read('/kernel8.img', 300_000, 5)).toHaveLength(0);
    expect(fs.stat('/nothing')).toBeUndefined();
    expect(fs.stat('/kernel8.img/below')).toBeUndefined();
    expect(fs.stat('/')).toMatchObject({ type: 'directory', inode: 1 });
    expect(() => fs.read('/nothing')).toThrow(/expected a file or directory at \/nothing, found nothing/);
    expect(() => fs.read('/')).toThrow(/found a directory/);
    expect(() => fs.list('/kernel8.img')).toThrow(/found a file/);
    expect(() => fs.readLink('/kernel8.img')).toThrow(/symbolic link/);
    expect(fs.xattrs('/kernel8.img').size).toBe(0);
  });

  test('what is not FAT is not ours', () => {
    expect(open(memoryDevice(new Uint8Array(MIB)))).toBeUndefined();
    expect(open(memoryDevice(new Uint8Array(MIB).fill(0xff)))).toBeUndefined();
    const ntfs = new Uint8Array(MIB);
    ntfs.set([0xeb, 0x52, 0x90, ...Buffer.from('NTFS    '), 0, 2, 8], 0);
    ntfs.set([0x55, 0xaa], 510);
    expect(open(memoryDevice(ntfs))).toBeUndefined();
  });
});
