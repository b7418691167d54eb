import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execaSync } from 'execa';
import { describe, expect, test } from 'vitest';
import { growRootStep } from '../../src/steps/grow_root.js';
import { memoryTree, textOf } from '../support/memory-tree.js';
import { needs, run } from '../support/oracle.js';
import { applyTwice } from './support.js';

const script = new URL('../../profiles/files/grow-root.sh', import.meta.url).pathname;
const tools = { '/usr/bin/growpart': '' };

test('script, unit before Kubernetes, link', async () => {
  const tree = memoryTree(tools);
  expect(await applyTwice(growRootStep, tree, true)).toEqual([]);
  expect(textOf(tree, '/usr/libexec/rockberry/grow-root')).toBe(readFileSync(script, 'utf8'));
  const unit = textOf(tree, '/etc/systemd/system/rockberry-grow-root.service')!;
  for (const line of ['ConditionPathExists=!/var/lib/rockberry/grow-root.done', 'Before=kubelet.service', 'Before=containerd.service', 'ExecStart=/usr/libexec/rockberry/grow-root']) expect(unit).toContain(`${line}\n`);
  expect(tree.stat('/etc/systemd/system/multi-user.target.wants/rockberry-grow-root.service')).toMatchObject({ type: 'symlink' });
});

test('an image without growpart is told', async () => expect(await applyTwice(growRootStep, memoryTree({}), {})).toMatchObject([{ severity: 'warning', id: 'grow-root-tool' }]));
test.each([false, { x: 1 }, 'yes'])('refuses %j', (options) => expect(growRootStep.schema.safeParse(options).success).toBe(false));

needs('dash')('dash reads the script', () => expect(run('dash', ['-n', script])).toEqual({ status: 0, output: '' }));
needs('shellcheck')('shellcheck has nothing to say', () => expect(run('shellcheck', ['-s', 'sh', script])).toEqual({ status: 0, output: '' }));

/** Runs the script among programs that only say what they were called with: there is no disk to grow here. */
function grow(programs: Record<string, string>): { status: number; said: string; calls: string[] } {
  const directory = mkdtempSync(join(tmpdir(), 'rockberry-grow-'));
  try {
    const log = join(directory, 'log');
    for (const [name, body] of Object.entries(programs)) {
      writeFileSync(join(directory, name), `#!/bin/sh\necho "${name} $*" >> ${log}\n${body}\n`);
      chmodSync(join(directory, name), 0o755);
    }
    const { exitCode, all } = execaSync('/bin/sh', [script], { env: { PATH: directory }, extendEnv: false, reject: false, all: true });
    const calls = existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : [];
    return { status: exitCode ?? -1, said: all, calls: calls.filter((call) => !/^(findmnt|lsblk)/.test(call)) };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function programs(device: string, disk: string, type: string, rest: Record<string, string> = {}): Record<string, string> {
  return {
    findmnt: `case "$*" in *SOURCE*) echo ${device};; *FSTYPE*) echo ${type};; *) echo 28G;; esac`,
    lsblk: `case "$*" in *PKNAME*) echo ${disk};; *) echo ${disk === '' ? 'lvm' : 'part'};; esac`,
    growpart: 'echo "CHANGED: partition=3"', resize2fs: '', xfs_growfs: '', btrfs: '', ...rest,
  };
}

describe('the script', () => {
  test.each([
    ['SD card, ext4', programs('/dev/mmcblk0p3', '/dev/mmcblk0', 'ext4'), ['growpart /dev/mmcblk0 3', 'resize2fs /dev/mmcblk0p3']],
    ['USB disk, xfs', programs('/dev/sda12', '/dev/sda', 'xfs'), ['growpart /dev/sda 12', 'xfs_growfs /']],
    ['NVMe, btrfs', programs('/dev/nvme0n1p3', '/dev/nvme0n1', 'btrfs'), ['growpart /dev/nvme0n1 3', 'btrfs filesystem resize max /']],
    ['grown already', programs('/dev/mmcblk0p3', '/dev/mmcblk0', 'ext4', { growpart: 'echo "NOCHANGE: partition 3 is size 1"; exit 1' }), ['growpart /dev/mmcblk0 3', 'resize2fs /dev/mmcblk0p3']],
    ['no partition', programs('/dev/mapper/rl-root', '', 'xfs'), []],
  ])('%s', (_, tools, calls) => expect(grow(tools)).toMatchObject({ status: 0, calls }));

  test.each([
    ['growpart fails', programs('/dev/mmcblk0p3', '/dev/mmcblk0', 'ext4', { growpart: 'echo "FAILED: no"; exit 2' }), ['growpart /dev/mmcblk0 3'], 'failed: FAILED: no'],
    ['resize2fs fails', programs('/dev/mmcblk0p3', '/dev/mmcblk0', 'ext4', { resize2fs: 'exit 1' }), ['growpart /dev/mmcblk0 3', 'resize2fs /dev/mmcblk0p3'], ''],
    ['an unknown filesystem', programs('/dev/mmcblk0p3', '/dev/mmcblk0', 'f2fs'), [], 'found f2fs'],
    ['no growpart', Object.fromEntries(Object.entries(programs('/dev/mmcblk0p3', '/dev/mmcblk0', 'ext4')).filter(([name]) => name !== 'growpart')), [], 'expected the program growpart (package cloud-utils-growpart), found none'],
    ['no resize2fs: nothing is done halfway', Object.fromEntries(Object.entries(programs('/dev/mmcblk0p3', '/dev/mmcblk0', 'ext4')).filter(([name]) => name !== 'resize2fs')), [], 'resize2fs'],
  ])('%s: fails, so that the next boot tries again', (_, tools, calls, message) => {
    const ran = grow(tools);
    expect(ran.status).not.toBe(0);
    expect(ran.calls).toEqual(calls);
    expect(ran.said).toContain(message);
  });
});
