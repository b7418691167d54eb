/** `inspect`, `ls`, `cat`, `get`: what they tell is what sfdisk, blkid, debugfs and mtools tell. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import type { ImageReport } from '../../src/inspect.js';
import { rockberry, rockberryJson, ROOT, scratch } from '../support/cli.js';
import { debugfsCat, mtype, sfdiskParts, type Part } from '../support/disk.js';
import { needs, run } from '../support/oracle.js';
import { unpack } from '../support/unpack.js';

const test = needs('sfdisk', 'debugfs', 'mtype', 'xz', 'cp');
const folder = scratch();
const packed = join(ROOT, 'images/rocky9-pi-sample.img.xz');
const raw = join(folder, 'raw.img');
let parts: Part[];

beforeAll(() => {
  if (run('sh', ['-c', 'command -v sfdisk xz cp']).status !== 0) return;
  unpack(packed, raw);
  parts = sfdiskParts(raw);
});

describe('inspect', () => {
  test('partitions as sfdisk has them, roles by content, system, command line, users, units, SELinux', async () => {
    const report = await rockberryJson<ImageReport>(['inspect', packed]);
    expect(report.partitions.map(({ start, size }) => ({ start, size }))).toEqual(parts.map(({ start, size }) => ({ start, size })));
    expect(report.partitions.map(({ role, filesystem, mountedAt, label }) => [role, filesystem, mountedAt, label])).toEqual([
      ['boot', 'FAT16', '/boot', ''], [null, 'swap', 'swap', '_swap'], ['root', 'ext4', '/', '_/'],
    ]);
    expect(report).toMatchObject({ format: 'xz', scheme: 'mbr', diskId: '5f2d8c41', os: { id: 'rocky', version: '9.2' }, configTxt: null, selinux: { mode: 'enforcing', policy: 'targeted' }, problems: [] });
    expect(report.commandLines).toEqual([{ path: '/boot/cmdline.txt', line: mtype(raw, parts[0]!, '/cmdline.txt').toString().trimEnd() }]);
    expect(report.users.map(({ name, password }) => [name, password])).toEqual([['root', 'locked'], ['rocky', 'set']]);
    expect(report.enabledUnits).toContain('sshd.service');
    expect(report.kernels).toEqual(['6.1.31-v8.1.el9.altarch']);
    expect(JSON.stringify(report)).not.toContain('$6$'); // no password hash, whatever is printed
  });

  test('one thing that cannot be read is told, and the rest is still shown', async () => {
    const broken = join(folder, 'broken.img');
    run('cp', ['--sparse=always', raw, broken]);
    for (const command of ['rm /etc/passwd', 'mkdir /etc/passwd']) run('debugfs', ['-w', '-R', command, `${broken}?offset=${parts[2]!.start}`]);
    const report = await rockberryJson<ImageReport>(['inspect', broken]);
    expect(report).toMatchObject({ users: [], os: { id: 'rocky' } });
    expect(report.problems.join()).toMatch(/\/etc\/passwd/);
  });
});

describe('ls, cat, get', () => {
  test('paths as the running system sees them', async () => {
    expect((await rockberry(['cat', packed, '/boot/cmdline.txt'])).stdout).toBe(mtype(raw, parts[0]!, '/cmdline.txt').toString());
    expect((await rockberry(['cat', packed, '/etc/fstab'])).stdout).toBe(debugfsCat(raw, parts[2]!, '/etc/fstab').toString());
    const entries = await rockberryJson<{ name: string; type: string; mode: number; label: string | null }[]>(['ls', packed, '/etc']);
    expect(entries.find(({ name }) => name === 'shadow')).toMatchObject({ type: 'file', mode: 0, label: 'system_u:object_r:shadow_t:s0' });
    expect((await rockberry(['ls', packed, '/boot'])).stdout).toMatch(/kernel8\.img/);
  });

  test('a file is copied out, never over another; a path that is not there is a usage error', async () => {
    const to = join(folder, 'os-release');
    expect(await rockberry(['get', packed, '/etc/os-release', to])).toMatchObject({ status: 0 });
    expect(readFileSync(to)).toEqual(debugfsCat(raw, parts[2]!, '/usr/lib/os-release'));
    expect(await rockberry(['get', packed, '/etc/os-release', to])).toMatchObject({ status: 4 });
    expect(await rockberry(['cat', packed, '/etc/none'])).toMatchObject({ status: 2, stderr: expect.stringMatching(/\/etc\/none/) });
  });
});

test('--debug shows the stack, with lines of the sources', async () => {
  const [plain, debug] = [await rockberry(['inspect', '/does/not/exist']), await rockberry(['inspect', '/does/not/exist', '--debug'])];
  expect([plain.status, debug.status]).toEqual([5, 5]);
  expect(plain.stderr).not.toMatch(/^ +at /m);
  expect(debug.stderr).toMatch(/^ +at .*\/src\/inspect\.ts:\d+:\d+\)$/m);
});
