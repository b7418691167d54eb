/** Both ways give the same image; roots that only the kernel reads are built; whoever cannot mount is told what to do. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import type { BuildResult } from '../../src/build.js';
import type { ImageReport } from '../../src/inspect.js';
import { releases, settingsOf, TOKEN } from '../profiles/material.js';
import { rockberry, rockberryJson, ROOT, scratch } from '../support/cli.js';
import { output, run } from '../support/oracle.js';
import { smallImage } from '../support/small.js';
import { imageWith, kernelHas, leftovers, mounting, nothingLeft, rootOf } from './support.js';

const PROFILES = ['cgroups', 'node', 'kubernetes-node', 'kubespray-node', 'kubeadm-node', 'k3s-server', 'k3s-agent', 'rke2-server', 'rke2-agent'];
const given = releases();

describe('every profile gives the same files by both backends', () => {
  const folder = scratch();
  const token = join(folder, 'token');
  writeFileSync(token, TOKEN, { mode: 0o600 });
  const arguments_ = (profile: string): string[] => [
    '-p', profile, ...settingsOf(profile, given).flatMap((setting) => ['--set', setting]), ...(/^(k3s|rke2)-/.test(profile) ? ['--secret', `token=${token}`] : []), '--image-only', '--force', '--json',
  ];
  const build = (image: string, profile: string, backend: string): Promise<{ status: number; stdout: string; stderr: string }> =>
    rockberry(['build', image, ...arguments_(profile), '-o', join(folder, `${backend}.img.xz`), '--backend', backend]);

  for (const profile of PROFILES) {
    const sample = profile === 'node' || profile === 'rke2-agent' ? 'rocky9-sbc-sample' : 'rocky9-pi-sample';
    mounting()(`${profile} on ${sample}`, async () => {
      const image = join(ROOT, `images/${sample}.img.xz`);
      const [user, loop] = [await build(image, profile, 'user'), await build(image, profile, 'loop')];
      expect([user.status, loop.status], user.stderr + loop.stderr).toEqual([0, 0]);
      const [a, b] = [JSON.parse(user.stdout) as BuildResult, JSON.parse(loop.stdout) as BuildResult];
      expect(b.backend).toBe('loop');
      expect(b.files).toEqual(a.files);
      expect(b.notes.length).toBe(kernelHas('vfat') ? 0 : 1);
      const diff = await rockberry(['diff', join(folder, 'user.img.xz'), join(folder, 'loop.img.xz'), '--backend', 'user']);
      expect(diff.stdout).toMatch(/ are (?:equal|identical)/);
      expect(diff.status).toBe(0);
    }, 600_000);
  }
});

describe.each(['xfs', 'btrfs'] as const)('a root in %s', (type) => {
  const checker: readonly [string, ...string[]] = type === 'xfs' ? ['xfs_repair', '-n'] : ['btrfs', 'check'];
  const it = kernelHas(type) ? mounting(`mkfs.${type}`, checker[0]) : mounting('a kernel with this filesystem');
  const folder = scratch();

  it('is inspected, built and compared, by auto', async () => {
    const image = imageWith(type, folder);
    const report = await rockberryJson<ImageReport>(['inspect', image]);
    expect(report.partitions.find(({ role }) => role === 'root')).toMatchObject({ number: 2, label: 'root', filesystem: type === 'xfs' ? 'XFS' : 'btrfs' });
    const out = join(folder, 'out.img');
    const built = await rockberryJson<BuildResult>(['build', image, '-p', 'node', '--set', 'hostname=node7', '--set', 'user=ops', '-o', out]);
    expect(built).toMatchObject({ backend: 'loop', output: out });
    const checked = run(checker[0], [...checker.slice(1), rootOf(out, folder)]);
    expect(checked.status, checked.output).toBe(0);
    expect((await rockberry(['cat', out, '/etc/hostname'])).stdout).toBe('node7\n');
    const script = 'mkdir "$1/m" && mount -o ro,loop "$1/root.part" "$1/m" && cat "$1/m/etc/hostname" && stat -c "%a %u:%g" "$1/m/etc/hostname" && umount "$1/m" && rmdir "$1/m"';
    expect(output('unshare', ['--mount', '--propagation', 'private', 'sh', '-ec', script, 'sh', folder]).toString()).toBe('node7\n644 0:0\n');
    const diff = await rockberry(['diff', image, out]);
    expect([diff.status, diff.stderr.includes('rockberry:')]).toEqual([1, false]);
    expect(diff.stdout).toMatch(/A .*\/etc\/hostname|M .*\/etc\/hostname/);
    expect((await rockberry(['verify', out])).stdout).toContain('filesystems open');
    expect(leftovers(folder, ['out.img', 'out.img.bmap', 'out.img.json', 'out.img.sha256', `${type}.img`, 'root.part', 'cmdline.txt', 'bootcode.bin'])).toEqual(nothingLeft);
  }, 600_000);

  it('is refused to whoever cannot mount, with the command that would do', async () => {
    const image = imageWith(type, folder);
    const { status, stderr } = await rockberry(['cat', image, '/etc/os-release'], { nobody: true });
    expect(status).toBe(3);
    expect(stderr).toContain(`found ${type} on partition 2; the kernel can, but mounting needs root`);
    expect(stderr).toContain(`sudo rockberry cat ${image} /etc/os-release --backend loop`);
    const asked = await rockberry(['cat', image, '/etc/os-release', '--backend', 'loop'], { nobody: true });
    expect([asked.status, asked.stderr]).toEqual([2, expect.stringContaining('found that mounting needs root')]);
    expect((await rockberry(['cat', image, '/etc/os-release', '--backend', 'user'])).stderr).toContain('add --backend loop');
    const other = await rockberry(['shrink', image, '-o', join(folder, 'small.img')]); // a command without the flag does not advise it
    expect([other.status, other.stderr]).toEqual([3, expect.stringContaining('shrink does not read such an image; build, inspect,')]);
    expect(other.stderr).not.toContain('--backend');
  }, 600_000);
});

mounting()('reading commands say the same by both backends', async () => {
  const folder = scratch();
  const image = smallImage(folder);
  mkdirSync(join(folder, 'got'));
  for (const args of [['ls', image, '/etc'], ['ls', image, '/boot'], ['cat', image, '/etc/hosts'], ['cat', image, '/boot/cmdline.txt'], ['verify', image], ['inspect', image]]) {
    const [user, loop] = [await rockberry([...args, '--backend', 'user']), await rockberry([...args, '--backend', 'loop'])];
    expect(loop.status).toBe(user.status);
    expect(loop.stdout.replaceAll(/\d+(?:\.\d)? MiB/g, '')).toBe(user.stdout.replaceAll(/\d+(?:\.\d)? MiB/g, '')); // free space: statfs leaves out what is reserved
  }
}, 600_000);
