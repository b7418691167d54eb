/** Files of a partition that the kernel cannot mount: out to a directory, and back with what was changed there; no name leads out of it. */
import { mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { FileSystem } from '../../src/fs/filesystem.js';
import { copyOut } from '../../src/kernel/copied-part.js';
import { memoryDevice } from '../../src/device/device.js';
import { loadFat } from '../../src/fs/fat/fat.js';
import { scratch } from '../support/cli.js';
import { needs, output } from '../support/oracle.js';

needs('mkfs.vfat', 'fsck.vfat', 'mtype')('what changed comes back, and nothing else is written', async () => {
  const folder = scratch();
  const path = join(folder, 'fat');
  output('mkfs.vfat', ['-C', path, '4096']);
  const bytes = readFileSync(path);
  const fat = (await loadFat())(memoryDevice(bytes))!;
  fat.makeDirectory('/overlays');
  for (const name of ['/cmdline.txt', '/config.txt', '/overlays/one.dtbo', '/overlays/two.dtbo']) fat.write(name, Buffer.from(`${name}\n`));
  fat.flush();
  const before = Buffer.from(bytes);
  const place = join(folder, 'place');
  mkdirSync(place);
  const same = copyOut(fat, place, 'partition 1');
  expect(readdirSync(place).sort()).toEqual(['cmdline.txt', 'config.txt', 'overlays']);
  expect(same.bringBack()).toEqual([]);
  fat.flush();
  expect(bytes.equals(before)).toBe(true);
  writeFileSync(join(place, 'config.txt'), 'arm_64bit=1\n');
  mkdirSync(join(place, 'new'));
  writeFileSync(join(place, 'new/kernel.img'), 'kernel\n');
  symlinkSync('/etc/passwd', join(place, 'link'));
  rmSync(join(place, 'overlays'), { recursive: true });
  expect(same.bringBack()).toEqual([
    { path: '/config.txt', existed: true, exists: true }, { path: '/new', existed: false, exists: true }, { path: '/new/kernel.img', existed: false, exists: true },
    { path: '/overlays', existed: true, exists: false }, { path: '/overlays/one.dtbo', existed: true, exists: false }, { path: '/overlays/two.dtbo', existed: true, exists: false },
  ]);
  fat.flush();
  writeFileSync(path, bytes);
  output('fsck.vfat', ['-n', path]);
  expect(output('mtype', ['-i', path, '::/new/kernel.img']).toString()).toBe('kernel\n');
  expect(output('mtype', ['-i', path, '::/config.txt']).toString()).toBe('arm_64bit=1\n');
});

test.each(['..', '.', '', 'a/../../b', 'nul\0'])('a file that is called %j is refused', (name) => {
  const place = join(scratch(), 'place');
  mkdirSync(place);
  const hostile = { list: () => [{ name, type: 'file' }], read: () => new Uint8Array(3) } as unknown as FileSystem;
  expect(() => copyOut(hostile, place, 'partition 1')).toThrow(/expected the name of a file in \//);
  expect(readdirSync(join(place, '..'))).toEqual(['place']);
});
