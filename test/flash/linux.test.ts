/** The real lsblk of this machine, with loop devices; only root may make them. */
import { mkdtempSync, openSync, closeSync, ftruncateSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Disk, findDisk, listDisks } from '../../src/flash/disks.js';
import { needs, output, run } from '../support/oracle.js';

const isRoot = process.getuid?.() === 0 && process.platform === 'linux';
if (!isRoot) process.stderr.write('skipped: loop devices need root and Linux\n');
const live = isRoot ? needs('lsblk', 'blkid', 'losetup', 'mkfs.ext4', 'mkswap', 'mount', 'findmnt') : test.skip;

const undo: (() => void)[] = [];
let home = '';
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'rockberry-disks-'));
  undo.push(() => { rmSync(home, { recursive: true }); });
});
afterEach(() => {
  for (const step of undo.splice(0).reverse()) step();
});

const SIZE = 32 << 20;

/** A loop device over a file of 32 MiB that `fill` has filled. */
function loop(fill: (file: string, fd: number) => void, ...options: string[]): string {
  const file = join(home, 'disk.img');
  const fd = openSync(file, 'wx', 0o600);
  ftruncateSync(fd, SIZE);
  fill(file, fd);
  closeSync(fd);
  const device = output('losetup', [...options, '--find', '--show', file]).toString().trim();
  undo.push(() => { run('losetup', ['--detach', device]); });
  return device;
}

const ids = ({ refusals }: Disk): string[] => refusals.map(({ id }) => id);
const ext4 = (file: string): void => void output('mkfs.ext4', ['-q', '-L', 'rockroot', file]);

live('a loop device with ext4: mounted it is refused as mounted, unmounted only as fixed', async () => {
  const device = loop(ext4);
  const free = await findDisk(device);
  expect(ids(free)).toEqual(['fixed']);
  expect(free).toMatchObject({ path: device, size: SIZE, bus: 'loop', removable: false, readOnly: false, sector: 512, parts: [{ path: device, holds: 'ext4', label: 'rockroot', mountpoints: [] }] });
  output('mount', [device, home]);
  undo.push(() => { run('umount', [home]); });
  const mounted = await findDisk(device);
  expect(ids(mounted)).toEqual(['mounted', 'fixed']);
  expect(mounted.refusals[0]).toEqual({ id: 'mounted', message: `it is mounted: ${device} at ${home}`, hint: `umount ${device}` });
  expect((await listDisks()).map(({ path }) => path)).toContain(device);
});

live('a swap that is in use is refused, one that is not is what a card may hold', async ({ skip }) => {
  const device = loop((file) => void output('mkswap', ['-q', file]));
  expect(await findDisk(device)).toMatchObject({ parts: [{ holds: 'swap', mountpoints: [] }], refusals: [{ id: 'fixed' }] });
  if (run('swapon', [device]).status !== 0) skip('swapon is not permitted here');
  undo.push(() => { run('swapoff', [device]); });
  const disk = await findDisk(device);
  expect(ids(disk)).toEqual(['swap', 'fixed']);
  expect(disk.parts[0]!.mountpoints).toEqual(['[SWAP]']);
});

live('encrypted data is seen with and without udev', async () => {
  const device = loop((_file, fd) => void writeSync(fd, Buffer.from('LUKS\xba\xbe\0\x01', 'latin1'))); // the magic and version 1, LUKS On-Disk Format 1.2.3, figure 1
  expect(ids(await findDisk(device))).toEqual(['luks', 'fixed']);
});

live('a read-only one is refused as that', async () => {
  expect(ids(await findDisk(loop(ext4, '--read-only')))).toEqual(['read-only', 'fixed']);
});

live('sectors of 4 KiB are told', async ({ skip }) => {
  const file = loop(() => undefined);
  if (run('losetup', ['--sector-size', '4096', file]).status !== 0) skip('this losetup or kernel has no other sector sizes');
  expect((await findDisk(file)).sector).toBe(4096);
});

live('the disk of the running system is refused as that', async ({ skip }) => {
  const [source = ''] = run('findmnt', ['--noheadings', '--output', 'SOURCE', '/']).output.split('\n');
  if (!source.startsWith('/dev/') || statSync(source, { throwIfNoEntry: false })?.isBlockDevice() !== true) skip(`/ is on ${source}, which is no disk of this container`);
  expect((await listDisks()).filter((disk) => ids(disk).includes('system'))).not.toEqual([]);
});
