/**
 * A golden image on a real filesystem: read by debugfs, and booted with Debian's kernel in qemu on a board whose device tree has a serial number. The machine ends
 * without unmounting, the moment after rockberry-node has: what is then on the disk is what it synced.
 */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execaSync } from 'execa';
import { beforeAll, describe, expect, test as plain } from 'vitest';
import { memoryDevice } from '../../../src/device/device.js';
import { goldenSteps } from '../../../src/fleet/golden.js';
import type { GoldenEntry } from '../../../src/fleet/golden/entry.js';
import { openExt4 } from '../../../src/fs/ext4/ext4.js';
import { createTree } from '../../../src/fs/tree.js';
import { readReport, type Section } from '../../boot/console.js';
import { initramfs } from '../../boot/initramfs.js';
import { busybox, loadOrder, needsKit, vmlinuz } from '../../boot/kit.js';
import { scratch } from '../../support/cli.js';
import { testTime } from '../../support/memory-tree.js';
import { needs, oracleEnvironment, output, run, SAME_EVERY_TIME } from '../../support/oracle.js';
import { entry, MADE_BY, MAC, SERIAL } from './board.js';

const folder = scratch();
const disk = join(folder, 'root.img');
const NODES = '/etc/rockberry/nodes';
const withExt4 = needs('mke2fs', 'debugfs', 'e2fsck');
const withKit = needsKit('mke2fs', 'debugfs', 'e2fsck', 'qemu-system-aarch64', 'fdtput', 'busybox');

/** Owners that only root could give away on this machine are no matter in an image. */
const owned = { owner: 70001, group: 65537 };
const early = { path: '/etc/fstab', content: Buffer.from('# node1\n'), mode: 0o644, owner: 0, group: 0 };
const base = entry('node1', { serial: SERIAL });
const mine: GoldenEntry = {
  ...base, files: [early, ...base.files.map((file) => (file.path.endsWith('odd') ? { ...file, ...owned } : { ...file, owner: 0, group: 0 }))],
  links: [{ path: '/etc/localtime', target: '../usr/share/zoneinfo/Etc/node1', owner: 0, group: 0 }], directories: [{ path: '/etc/rancher', mode: 0o750, ...owned }],
};
const entries = [entry('node2', { serial: '1000000012345678', mac: 'dc:a6:32:99:99:99' }), mine];

/** A small root with a busybox, an ext4 of e2fsprogs, and on it the steps by our own driver. */
async function makeDisk(): Promise<void> {
  const root = join(folder, 'root');
  for (const path of ['dev', 'proc', 'sys/fs/cgroup', 'run', 'boot', 'usr/bin', 'usr/lib/systemd/system', 'etc/old.d', 'var/lib']) mkdirSync(join(root, path), { recursive: true });
  for (const [path, text] of Object.entries({ 'usr/lib/systemd/system/sysinit.target': '[Unit]\n', 'etc/hostname': 'localhost\n', 'etc/fstab': '', 'etc/old.conf': 'old', 'etc/old.d/a': 'old' })) writeFileSync(join(root, path), text);
  symlinkSync('usr/bin', join(root, 'bin'));
  symlinkSync('busybox', join(root, 'usr/bin/sh'));
  if (withKit === plain) writeFileSync(join(root, 'usr/bin/busybox'), readFileSync(busybox), { mode: 0o755 });
  output('mke2fs', ['-q', '-t', 'ext4', ...SAME_EVERY_TIME, '-E', 'root_owner=0:0', '-d', root, disk, '32M']);
  const device = memoryDevice(new Uint8Array(readFileSync(disk)));
  const filesystem = openExt4(device)!;
  const tree = createTree([{ path: '/', filesystem }], { time: testTime, bootDirectory: '/boot' });
  for (const step of goldenSteps(entries, MADE_BY).steps) await step.apply(tree);
  tree.flush();
  writeFileSync(disk, device.read(0, device.size));
}

const debugfs = (command: string): string => run('debugfs', ['-R', command, disk]).output.split('\n').slice(1).join('\n');
const attributes = (path: string): string => {
  const [, type, mode, uid, gid] = /Type: (\S+)\s+Mode:\s+(\d+)[\s\S]*?User:\s+(\d+)\s+Group:\s+(\d+)/.exec(run('debugfs', ['-R', `stat "${path}"`, disk]).output) ?? [];
  return `${type} ${mode} ${uid}:${gid}`;
};

beforeAll(async () => {
  if (withExt4 === plain) await makeDisk();
});

withExt4('debugfs reads what was placed, and only root can', () => {
  expect(run('e2fsck', ['-fn', disk]).status).toBe(0);
  expect([NODES, `${NODES}/entries`, `${NODES}/contents`].map(attributes)).toEqual(Array(3).fill('directory 0700 0:0'));
  expect([`${NODES}/table`, `${NODES}/entries/node1`].map(attributes)).toEqual(Array(2).fill('regular 0600 0:0'));
  expect(attributes('/usr/local/sbin/rockberry-node')).toBe('regular 0755 0:0');
  expect(output('debugfs', ['-R', 'cat /usr/local/sbin/rockberry-node', disk]).equals(readFileSync(new URL('../../../profiles/files/rockberry-node', import.meta.url)))).toBe(true);
  expect(output('debugfs', ['-R', `cat ${NODES}/table`, disk]).toString()).toMatch(/^serial 1000000012345678 node2 [0-9a-f]{64}\nmac dc:a6:32:99:99:99 node2 [0-9a-f]{64}\nserial 10000000abcdef01 node1 [0-9a-f]{64}\n$/);
  expect(debugfs('stat /etc/systemd/system/sysinit.target.wants/rockberry-node.service')).toContain('Fast link dest: "/etc/systemd/system/rockberry-node.service"');
});

/** After guest/init: what systemd would start, twice, with a systemctl that only says that it was called. */
const REPORT = `PATH=/usr/local/sbin:/run/bin:/usr/bin
mkdir /run/bin
busybox --install -s /run/bin
printf '#!/bin/sh\\necho "systemctl $*"\\n' >/run/bin/systemctl
chmod 755 /run/bin/systemctl
for boot in first second; do
    printf '\\n@@ begin %s\\n' $boot
    rockberry-node 2>&1
    printf '\\n@@ end %s %s\\n' $boot $?
done
printf '\\n@@ begin name\\n'
uname -n
printf '\\n@@ end name 0\\n'
printf '\\n@@ done\\n'
poweroff -f
`;

/** The initramfs of the boot proof with another report and the driver of the network: of two archives, one after the other, the kernel takes a file from the second. */
function initrd(): Buffer {
  const [over, net] = [join(folder, 'over'), loadOrder(['virtio_pci', 'virtio_blk', 'virtio_net'])];
  mkdirSync(join(over, 'modules'), { recursive: true });
  writeFileSync(join(over, 'report'), REPORT);
  writeFileSync(join(over, 'modules/order'), net.map(({ name }) => `${name}\n`).join(''));
  for (const { name, path } of net) writeFileSync(join(over, 'modules', name), readFileSync(path));
  const names = ['report', 'modules/order', ...net.map(({ name }) => `modules/${name}`)].map((name) => `${name}\n`).join('');
  const { stdout } = execaSync('busybox', ['cpio', '-o', '-H', 'newc'], { cwd: over, input: names, encoding: 'buffer', stripFinalNewline: false });
  return Buffer.concat([initramfs({ boot: '/boot' }), stdout]);
}

describe('booted', () => {
  let guest: Map<string, Section>;

  beforeAll(() => {
    if (withKit !== plain) return; // skipped
    const [tree, ramdisk] = [join(folder, 'virt.dtb'), join(folder, 'initrd')];
    const machine = ['-cpu', 'cortex-a72', '-accel', 'tcg', '-m', '256', '-display', 'none', '-no-reboot', '-nodefaults', '-serial', 'stdio'];
    run('qemu-system-aarch64', ['-M', `virt,dumpdtb=${tree}`, ...machine]);
    output('fdtput', ['-t', 's', tree, '/', 'serial-number', SERIAL]);
    writeFileSync(ramdisk, initrd());
    const { stdout } = execaSync('qemu-system-aarch64', [
      '-M', 'virt', ...machine, '-dtb', tree, '-kernel', vmlinuz, '-initrd', ramdisk, '-append', 'root=/dev/vda rootfstype=ext4 console=ttyAMA0 panic=-1',
      '-drive', `file=${disk},format=raw,if=virtio`, '-device', `virtio-net-pci,mac=${MAC},romfile=`,
    ], { env: oracleEnvironment, reject: false, timeout: 200_000 });
    guest = readReport(stdout);
    run('e2fsck', ['-fp', disk]); // the journal of a disk that was not unmounted
  }, 240_000);

  withKit('the board is found by what a real kernel tells of it, and named at once', () => {
    expect(guest.get('first')).toEqual({
      status: 0,
      text: `rockberry-node: this board is node1: serial ${SERIAL}, MAC ${MAC} (eth0)\nrockberry-node: starting again, once: /etc/fstab has been read already\nsystemctl --no-block reboot\n`,
    });
    expect(guest.get('second')).toEqual({ status: 0, text: '' });
    expect(guest.get('name')!.text).toBe('node1\n');
  });

  withKit('what was put in place is on the disk', () => {
    expect(run('e2fsck', ['-fn', disk]).status).toBe(0);
    for (const { path, content, mode, owner, group } of mine.files) {
      expect([path, attributes(path)]).toEqual([path, `regular 0${mode.toString(8)} ${owner}:${group}`]);
      expect(output('debugfs', ['-R', `cat "${path}"`, disk]).toString()).toBe(Buffer.from(content).toString());
    }
    expect(attributes('/etc/rancher')).toBe('directory 0750 70001:65537');
    expect(debugfs('stat /etc/localtime')).toContain('Fast link dest: "../usr/share/zoneinfo/Etc/node1"');
    expect(attributes('/var/lib/rockberry/node.done')).toBe('regular 0600 0:0');
    for (const path of [NODES, '/etc/old.conf', '/etc/old.d']) expect(run('debugfs', ['-R', `stat ${path}`, disk]).output).toContain('File not found');
  });
});
