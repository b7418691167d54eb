/** A small image with a boot FAT and an ext4 root, made by the real programs, and edits of it that rockberry has no part in. */
import { closeSync, copyFileSync, mkdirSync, openSync, readFileSync, symlinkSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { output, run } from '../support/oracle.js';

const MIB = 2 ** 20;
export const FAT = { start: 4 * MIB, size: 36 * MIB };
export const ROOT_PART = { start: 40 * MIB, size: 48 * MIB };
const SIZE = 96 * MIB;

export const imagePrograms = ['mke2fs', 'debugfs', 'mkfs.vfat', 'mcopy', 'mdel', 'sfdisk', 'e2fsck'] as const;

function must(program: string, args: readonly string[], input?: string): void {
  const { status, output: text } = run(program, args, input);
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${text}`);
}

function put(image: string, part: string, offset: number): void {
  const [data, file] = [readFileSync(part), openSync(image, 'r+')];
  writeSync(file, data, 0, data.length, offset);
  closeSync(file);
}

function rootFiles(folder: string): void {
  for (const path of ['etc', 'usr/lib', 'boot', 'srv/deep/deeper']) mkdirSync(join(folder, path), { recursive: true });
  writeFileSync(join(folder, 'etc/os-release'), 'ID=test\nVERSION_ID=1\nPRETTY_NAME="Test"\n');
  writeFileSync(join(folder, 'etc/fstab'), 'LABEL=ROOT / ext4 defaults 0 0\nLABEL=BOOT /boot vfat defaults 0 0\n');
  writeFileSync(join(folder, 'etc/hosts'), Array.from({ length: 40 }, (_, at) => `10.0.0.${at} host${at}\n`).join(''));
  writeFileSync(join(folder, 'etc/no-newline'), 'one\ntwo');
  writeFileSync(join(folder, 'srv/blob'), Buffer.from(Array.from({ length: 3 * MIB + 5 }, (_, at) => (at * 7919) >> 5)));
  for (let at = 0; at < 60; at++) writeFileSync(join(folder, `srv/deep/file${at}`), `${at}\n`.repeat(at * 40));
  writeFileSync(join(folder, 'srv/deep/deeper/leaf'), 'leaf\n');
  symlinkSync('os-release', join(folder, 'etc/link'));
}

/** The base, raw, in the folder. */
export function makeImage(folder: string): string {
  const image = join(folder, 'base.img');
  const [files, fat, ext4] = ['files', 'fat', 'ext4'].map((name) => join(folder, name)) as [string, string, string];
  writeFileSync(image, '');
  truncateSync(image, SIZE);
  must('sfdisk', ['-q', image], `label: dos\nlabel-id: 0x12345678\nstart=${FAT.start / 512}, size=${FAT.size / 512}, type=c\nstart=${ROOT_PART.start / 512}, size=${ROOT_PART.size / 512}, type=83\n`);
  rootFiles(files);
  writeFileSync(ext4, '');
  truncateSync(ext4, ROOT_PART.size);
  must('mke2fs', ['-q', '-F', '-t', 'ext4', '-b', '1024', '-L', 'ROOT', '-E', 'root_owner=0:0', '-d', files, ext4]);
  writeFileSync(fat, '');
  truncateSync(fat, FAT.size);
  must('mkfs.vfat', ['-F', '16', '-n', 'BOOT', fat]);
  writeFileSync(join(folder, 'cmdline.txt'), 'console=tty1 root=LABEL=ROOT rootwait\n');
  must('mcopy', ['-i', fat, join(folder, 'cmdline.txt'), '::cmdline.txt']);
  put(image, ext4, ROOT_PART.start);
  put(image, fat, FAT.start);
  return image;
}

export function copyOf(image: string, name: string): string {
  const copy = join(image, '..', name);
  copyFileSync(image, copy);
  return copy;
}

/** Edits the root filesystem with debugfs; a command that it refuses fails. */
export function editRoot(image: string, ...commands: readonly string[]): void {
  const { output: text } = run('debugfs', ['-w', '-f', '-', `${image}?offset=${ROOT_PART.start}`], `${commands.join('\n')}\n`);
  const complaints = text.split('\n').filter((line) => !/^debugfs( [\d.]+ .*|: .*)?$|^Allocated inode|^$/.test(line));
  if (complaints.length > 0) throw new Error(complaints.join('\n'));
}

export const mtools = (program: string, image: string, ...args: readonly string[]): void => must(program, ['-i', `${image}@@${FAT.start}`, ...args]);

export const rootFile = (image: string, path: string): Buffer => output('debugfs', ['-R', `cat "${path}"`, `${image}?offset=${ROOT_PART.start}`]);
