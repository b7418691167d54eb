/** Issue 2, "what it must show", 1 and 2: the sample builds without root, and other people's programs find the result sound and read back every file. */
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import { left, rockberry, rockberryJson, ROOT, scratch } from '../support/cli.js';
import { debugfsCat, debugfsStat, e2fsck, extractPart, extractPolicy, mtype, policyLabel, sfdiskParts, type Part } from '../support/disk.js';
import { needs, output, run } from '../support/oracle.js';
import { unpack } from '../support/unpack.js';
import type { BuildResult } from '../../src/build.js';

const test = needs('e2fsck', 'debugfs', 'fsck.vfat', 'mtype', 'sfdisk', 'xz', 'matchpathcon');
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGd0n8Pq0G4hbVPt0cKCtqvsaT/2bZWYO+5Y6h2q3nJz someone@laptop';
const SETTINGS = ['hostname=node1', 'user=ops', `ssh_keys=${KEY}`, 'address=192.0.2.11/24', 'gateway=192.0.2.1', 'dns=192.0.2.1'];
const KITCHEN = join(ROOT, 'test/e2e/kitchen.yaml');

interface Family { readonly sample: string; readonly boot: string; readonly root: number; readonly config: boolean }
const FAMILIES: readonly Family[] = [
  { sample: 'rocky9-pi-sample', boot: '/boot', root: 2, config: false },
  { sample: 'rocky9-sbc-sample', boot: '/boot/efi', root: 2, config: true },
];

/** path, mode, owner, what its text must match; the owner "ops" is the first free uid of the sample. */
const EXPECTED: readonly (readonly [path: string, mode: number, owner: string, text: RegExp])[] = [
  ['/etc/hostname', 0o644, '0:0', /^node1\n$/],
  ['/etc/hosts', 0o644, '0:0', /node1/],
  ['/etc/motd', 0o640, '1000:10', /^welcome to node1\n$/],
  ['/etc/shadow', 0, '0:0', /^ops:!/m],
  ['/etc/sudoers.d/90-rockberry-ops', 0o440, '0:0', /^ops ALL=/m],
  ['/home/ops/.ssh/authorized_keys', 0o600, 'ops', /^ssh-ed25519 AAAA/],
  ['/etc/NetworkManager/system-connections/rockberry.nmconnection', 0o600, '0:0', /address1=192\.0\.2\.11\/24/],
  ['/etc/systemd/system/hello.service', 0o644, '0:0', /Description=Hello/],
  ['/etc/vconsole.conf', 0o644, '0:0', /KEYMAP="?de"?/],
  ['/etc/locale.conf', 0o644, '0:0', /LANG="?en_US\.UTF-8"?/],
  ['/etc/fstab', 0o644, '0:0', /^(?![\s\S]*^[^#\n]*\sswap\s)/m],
];

function blockSums(file: string): { offset: number; size: number; sum: string }[] {
  const fields = output('xz', ['--robot', '--list', '-vv', file]).toString().split('\n').filter((line) => line.startsWith('block\t')).map((line) => line.split('\t'));
  return fields.map((field) => ({ offset: Number(field[5]), size: Number(field[7]), sum: `${field[7]} ${field[10]}` }));
}

function bytesThatDiffer(a: string, b: string, offset: number, size: number): number[] {
  const { output: text } = run('cmp', ['-l', `--ignore-initial=${offset}`, `--bytes=${size}`, a, b]);
  return text.split('\n').filter((line) => /^\s*\d/.test(line)).map((line) => offset + Number(line.trim().split(/\s+/)[0]) - 1);
}

describe.each(FAMILIES)('$sample', ({ sample, boot, root, config }) => {
  const folder = scratch();
  const packed = join(ROOT, `images/${sample}.img.xz`);
  const raw = join(folder, 'out.img');
  let built: BuildResult;
  let parts: Part[];
  const settings = SETTINGS.flatMap((setting) => ['--set', setting]);

  beforeAll(async () => {
    const loops = run('losetup', ['-a']).output;
    built = await rockberryJson(['build', packed, '-p', KITCHEN, ...settings, '-o', join(folder, 'out.img.xz')], { nobody: true, cwd: folder });
    expect(run('losetup', ['-a']).output, 'no loop device').toBe(loops);
    unpack(join(folder, 'out.img.xz'), raw);
    parts = sfdiskParts(raw);
  });

  test('xz, sfdisk, fsck.vfat and e2fsck find nothing', () => {
    expect(run('xz', ['-t', built.output!])).toMatchObject({ status: 0 });
    expect(run('sfdisk', ['--verify', raw]).output).toMatch(/No errors detected/);
    expect(run('fsck.vfat', ['-n', extractPart(raw, parts[0]!, join(folder, 'p1'))])).toMatchObject({ status: 0 });
    expect(e2fsck(raw, parts[root]!)).toMatchObject({ status: 0 });
    expect(built.findings).toEqual([]);
  });

  test('sha256, size and changed ranges are those of the files', () => {
    const bytes = readFileSync(built.output!);
    expect(built.bytes).toBe(bytes.length);
    expect(built.sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
    const base = unpack(packed, join(folder, 'base.img'));
    // What has the same check sum in xz's own list is the same; the rest is compared byte by byte.
    const same = new Map(blockSums(built.output!).map(({ offset, sum }) => [offset, sum]));
    const differing = blockSums(packed).filter(({ offset, sum }) => same.get(offset) !== sum).flatMap(({ offset, size }) => bytesThatDiffer(base, raw, offset, size));
    expect(differing.length).toBeGreaterThan(100);
    const outside = differing.filter((at) => !built.changed.some(({ offset, length }) => at >= offset && at < offset + length));
    expect(outside).toEqual([]);
  });

  test('the table and the disk id are the base\'s', () => {
    const head = (file: string): Buffer => output('sh', ['-c', 'head -c 512 "$1"', 'sh', file]);
    expect(head(raw)).toEqual(output('sh', ['-c', 'xz -dc "$1" | head -c 512', 'sh', packed]));
  });

  test('mtools reads the command line and config.txt', async () => {
    const line = mtype(raw, parts[0]!, '/cmdline.txt').toString();
    expect(line).toMatch(/^console=ttyAMA0,115200 console=tty1 root=\S+ .*rootwait cgroup_enable=cpuset cgroup_memory=1 cgroup_enable=memory\n$/);
    const text = mtype(raw, parts[0]!, '/config.txt').toString();
    expect(text).toMatch(/arm_64bit=1/);
    if (config) expect(text).toMatch(/\[pi5\]\ndtoverlay=vc4-kms-v3d/);
    expect((await rockberry(['cat', raw, `${boot}/cmdline.txt`])).stdout).toBe(line);
  });

  test('debugfs reads the files that were asked for, with mode and owner', () => {
    const part = parts[root]!;
    const account = /^ops:x:(\d+):(\d+):.*:\/home\/ops:/m.exec(debugfsCat(raw, part, '/etc/passwd').toString());
    expect(account, 'the user ops').not.toBeNull();
    for (const [path, mode, owner, text] of EXPECTED) {
      const stat = debugfsStat(raw, part, path);
      expect({ path, mode: stat.mode, owner: `${stat.uid}:${stat.gid}` }).toEqual({ path, mode, owner: owner === 'ops' ? `${account![1]}:${account![2]}` : owner });
      expect(debugfsCat(raw, part, path).toString(), path).toMatch(text);
    }
    expect(debugfsStat(raw, part, '/srv/data')).toMatchObject({ type: 'directory', mode: 0o2750, uid: 1000 });
    expect(debugfsStat(raw, part, '/srv/link')).toMatchObject({ type: 'symlink', target: '/etc/motd' });
    expect(debugfsStat(raw, part, '/etc/localtime').target).toMatch(/zoneinfo\/Europe\/Berlin$/);
    expect(debugfsStat(raw, part, '/etc/systemd/system/swap.target').target).toBe('/dev/null');
    expect(debugfsStat(raw, part, '/etc/machine-id')).toMatchObject({ type: 'regular', size: 0 });
  });

  test('every written file has the label that libselinux gives its path, and reads the same by debugfs and by rockberry', async () => {
    const part = parts[root]!;
    const policy = extractPolicy(raw, part, folder);
    const written = built.files.filter(({ path, action }) => action !== 'removed' && !path.startsWith(`${boot}/`));
    expect(written.length).toBeGreaterThan(25);
    for (const { path } of written) {
      const stat = debugfsStat(raw, part, path);
      expect({ path, label: stat.label }).toEqual({ path, label: policyLabel(policy, path, stat.type) });
      if (stat.type !== 'regular') continue;
      expect((await rockberry(['cat', raw, path])).stdout, path).toBe(debugfsCat(raw, part, path).toString());
    }
    for (const { path, action } of built.files) if (action === 'removed') expect(debugfsStat(raw, part, path).type, path).toBe('');
  });

  test('building on the result changes nothing, down to the sha256', async () => {
    const again: BuildResult = await rockberryJson(['build', built.output!, '-p', KITCHEN, ...settings, '-o', join(folder, 'again.img.xz')], { nobody: true });
    expect(again.changed).toEqual([]);
    expect(again.files.filter(({ action }) => action !== 'unchanged')).toEqual([]);
    expect(again.sha256).toBe(built.sha256);
  });

  test('two builds in another folder and at another time give the same bytes', async () => {
    const elsewhere = join(folder, 'else where');
    mkdirSync(elsewhere);
    chmodSync(elsewhere, 0o777);
    copyFileSync(packed, join(elsewhere, 'base.img.xz'));
    copyFileSync(KITCHEN, join(elsewhere, 'kitchen.yaml'));
    const env = { TZ: 'Pacific/Auckland', LC_ALL: 'de_DE.UTF-8' };
    const other: BuildResult = await rockberryJson(['build', 'base.img.xz', '-p', './kitchen.yaml', ...settings, '-o', 'other.img.xz'], { nobody: true, cwd: elsewhere, env });
    expect(other.sha256).toBe(built.sha256);
    expect(left(elsewhere)).toEqual(['base.img.xz', 'kitchen.yaml', 'other.img.xz', 'other.img.xz.bmap', 'other.img.xz.json', 'other.img.xz.sha256']);
  });
});
