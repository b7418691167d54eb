/** A small bootable-looking image (160 MiB) for tests that build many times: FAT with cmdline.txt, ext4 with os-release, and 16 MiB that do not compress away. */
import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { output } from './oracle.js';

const MIB = 2 ** 20;
export const smallPrograms = ['sfdisk', 'mkfs.vfat', 'mcopy', 'mke2fs', 'dd', 'xz'] as const;

export function smallImage(folder: string): string {
  const image = join(folder, 'small.img');
  const handle = openSync(image, 'w');
  ftruncateSync(handle, 160 * MIB);
  closeSync(handle);
  output('sfdisk', ['-q', image], 'label: dos\nlabel-id: 0x5f2d8c41\nstart=2048, size=81920, type=c\nstart=83968, type=83\n');
  const [fat, root, tree] = ['p1', 'p2', 'tree'].map((name) => join(folder, name)) as [string, string, string];
  output('mkfs.vfat', ['-C', '-i', '5A7C1E20', fat, String(40 * 1024)]);
  writeFileSync(join(folder, 'cmdline.txt'), 'console=tty1 root=PARTUUID=5f2d8c41-02 rootfstype=ext4 rootwait\n');
  writeFileSync(join(folder, 'bootcode.bin'), 'firmware');
  for (const name of ['cmdline.txt', 'bootcode.bin']) output('mcopy', ['-i', fat, join(folder, name), '::']);
  for (const name of ['etc', 'boot', 'usr/share']) mkdirSync(join(tree, name), { recursive: true });
  writeFileSync(join(tree, 'etc/os-release'), 'ID=rocky\nNAME="Rocky Linux"\nVERSION_ID="9.2"\n');
  writeFileSync(join(tree, 'etc/fstab'), 'UUID=5A7C-1E20 /boot vfat defaults 0 0\n');
  writeFileSync(join(tree, 'etc/hosts'), '127.0.0.1 localhost\n');
  for (let at = 0; at < 16; at++) writeFileSync(join(tree, `usr/share/data${at}`), noise(at, MIB));
  output('mke2fs', ['-q', '-t', 'ext4', '-d', tree, root, '100M']);
  for (const [part, start] of [[fat, 1], [root, 41]] as const) output('dd', [`if=${part}`, `of=${image}`, 'bs=1M', `seek=${start}`, 'conv=notrunc,sparse', 'status=none']);
  for (const part of [fat, root, tree]) rmSync(part, { recursive: true });
  return image;
}

function noise(seed: number, length: number): Buffer {
  const pieces = Array.from({ length: length / 32 }, (_, at) => createHash('sha256').update(`${seed}:${at}`).digest());
  return Buffer.concat(pieces);
}
