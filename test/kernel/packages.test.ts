/** Packages by a real dnf: Debian's, for arm64, in the image and run by qemu, with rpms and a repository that rpmbuild and createrepo_c make. */
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import type { test } from 'vitest';
import type { BuildResult } from '../../src/build.js';
import { rockberry, ROOT, scratch, type Outcome } from '../support/cli.js';
import { debugfs, debugfsCat, e2fsck, sfdiskParts, type Part } from '../support/disk.js';
import { output } from '../support/oracle.js';
import { leftovers, mounting, nothingLeft, type Leftovers } from './support.js';

const KIT = join(ROOT, '.cache/dnf-kit');
const MIB = 2 ** 20;
const [FAT_MIB, ROOT_MIB] = [40, 320];

/** A test with the programs and the kit: a missing one skips, or fails in CI. */
function withDnf(): typeof test {
  const it = mounting('rpmbuild', 'createrepo_c', 'rpm', 'tar', 'debugfs', 'e2fsck', ...(process.arch === 'x64' ? ['qemu-aarch64-static'] : []));
  if (existsSync(join(KIT, 'packages.txt'))) return it;
  if (process.env.CI) throw new Error('expected the kit for test/kernel in .cache/dnf-kit, found none; .ci/dnf-kit makes it');
  process.stderr.write('skipped: no root filesystem with dnf in .cache/dnf-kit; .ci/dnf-kit fetches it\n');
  return it.skip as unknown as typeof test;
}

const it = withDnf();

/** The kit's root as a card has it; its root is ext4, for debugfs to look into. */
function makeImage(folder: string): string {
  const [image, fat, root, tree] = ['base.img', 'p1', 'p2', 'tree'].map((name) => join(folder, name)) as [string, string, string, string];
  const handle = openSync(image, 'w');
  ftruncateSync(handle, (1 + FAT_MIB + ROOT_MIB) * MIB);
  closeSync(handle);
  output('sfdisk', ['-q', image], `label: dos\nlabel-id: 0x5f2d8c41\nstart=2048, size=${FAT_MIB * 2048}, type=c\nstart=${(1 + FAT_MIB) * 2048}, type=83\n`);
  output('mkfs.vfat', ['-C', '-i', '5A7C1E20', fat, String(FAT_MIB * 1024)]);
  for (const [name, text] of [['cmdline.txt', 'console=tty1 root=PARTUUID=5f2d8c41-02 rootfstype=ext4 rootwait\n'], ['bootcode.bin', 'firmware']] as const) {
    writeFileSync(join(folder, name), text);
    output('mcopy', ['-i', fat, join(folder, name), '::']);
    rmSync(join(folder, name));
  }
  mkdirSync(tree);
  output('tar', ['-x', '-f', join(KIT, 'root.tar'), '-C', tree]);
  writeFileSync(join(tree, 'etc/fstab'), 'UUID=5A7C-1E20 /boot vfat defaults 0 0\n');
  output('mke2fs', ['-q', '-t', 'ext4', '-d', tree, root, `${ROOT_MIB}M`]);
  for (const [part, start] of [[fat, 1], [root, 1 + FAT_MIB]] as const) output('dd', [`if=${part}`, `of=${image}`, 'bs=1M', `seek=${start}`, 'conv=notrunc,sparse', 'status=none']);
  for (const path of [fat, root, tree]) rmSync(path, { recursive: true });
  return image;
}

interface Package {
  readonly name: string;
  readonly version: number;
  /** More lines of its header. */
  readonly header?: string;
  /** Run by rpm when it is installed. */
  readonly post?: string;
}

/** A package for aarch64 with a text and a script; the host's processor does not matter, as nothing in it is compiled. */
function buildPackage(repository: string, { name, version, header = '', post }: Package): void {
  const top = `${repository}.rpmbuild`;
  mkdirSync(top, { recursive: true });
  const spec = join(top, `${name}.spec`);
  writeFileSync(spec, `Name: ${name}\nVersion: ${version}\nRelease: 1\nSummary: A test\nLicense: MIT\n${header}\n%description\nA test.\n%install
mkdir -p %{buildroot}/usr/share/${name} %{buildroot}/usr/bin
echo 'version ${version}' > %{buildroot}/usr/share/${name}/greeting
printf '#!/bin/sh\\necho ${name} ${version}\\n' > %{buildroot}/usr/bin/${name}
${post === undefined ? '' : `%post\n${post}\n`}%files
/usr/share/${name}
%attr(0755,root,root) /usr/bin/${name}
`);
  const define = { _topdir: top, _rpmdir: repository, _rpmfilename: '%{name}-%{version}.rpm', __os_install_post: '%{nil}' };
  output('rpmbuild', ['-bb', '--quiet', '--nodeps', '--target', 'aarch64', ...Object.entries(define).flatMap(([name, value]) => ['-D', `${name} ${value}`]), spec]);
}

const COMPS = `<?xml version="1.0" encoding="UTF-8"?>
<comps><group><id>rockberry-tools</id><name>Tools</name><description/><default>false</default><uservisible>true</uservisible>
<packagelist><packagereq type="mandatory">rockberry-tool</packagereq></packagelist></group></comps>
`;
const REPOSITORIES = ['local', 'extra'].map((name) => `[${name}]\nname=${name}\nbaseurl=file:///opt/${name}\ngpgcheck=0\nenabled=${name === 'local' ? 1 : 0}\n`).join('\n');
const DNF_CONF = '[main]\ngpgcheck=1\ninstallonly_limit=3\nclean_requirements_on_remove=True\nbest=True\nskip_if_unavailable=False\n';
/** Of the older Rocky family, whose boot files a newer package would move. */
const FIRMWARE = 'raspberrypi2-firmware';

/** Version 1 of all: an image with no package in its database has no shell that rpm knows of, so one package says that it is that. */
function firstRepositories(folder: string): void {
  const [local, extra] = [join(folder, 'local'), join(folder, 'extra')];
  buildPackage(local, { name: 'debian-userland', version: 1, header: 'Provides: /bin/sh\nAutoReq: no' });
  buildPackage(local, { name: 'rockberry-hello', version: 1, header: 'Recommends: rockberry-weak', post: 'uname -m > /etc/rockberry-hello.machine' });
  buildPackage(local, { name: 'rockberry-other', version: 1 });
  buildPackage(local, { name: 'rockberry-weak', version: 1 });
  buildPackage(local, { name: 'rockberry-tool', version: 1, header: 'Recommends: rockberry-weak\nProvides: rockberry(tool)\nProvides: rockberry-virtual' });
  buildPackage(local, { name: FIRMWARE, version: 1, header: 'AutoReq: no' });
  buildPackage(extra, { name: 'rockberry-old', version: 1 });
  writeFileSync(join(folder, 'comps.xml'), COMPS);
  output('createrepo_c', ['--quiet', '--groupfile', join(folder, 'comps.xml'), local]);
  output('createrepo_c', ['--quiet', extra]);
}

function addSecondVersions(folder: string): void {
  const local = join(folder, 'local');
  buildPackage(local, { name: 'debian-userland', version: 2, header: 'Provides: /bin/sh\nAutoReq: no' });
  buildPackage(local, { name: 'rockberry-hello', version: 2 });
  buildPackage(local, { name: 'rockberry-other', version: 2 });
  buildPackage(local, { name: FIRMWARE, version: 2, header: 'AutoReq: no' });
  output('createrepo_c', ['--quiet', '--groupfile', join(folder, 'comps.xml'), local]);
}

const partOf = (image: string): Part => sfdiskParts(image)[1]!;
const text = (image: string, path: string): string => debugfsCat(image, partOf(image), path).toString();
const isThere = (image: string, path: string): boolean => !debugfs(image, partOf(image), `stat "${path}"`).includes('File not found');

/** What `look` finds in a directory of the image that debugfs took out. */
function dumped<T>(image: string, path: string, folder: string, look: (place: string) => T): T {
  const place = join(folder, 'dumped');
  mkdirSync(place);
  debugfs(image, partOf(image), `rdump ${path} ${place}`);
  try {
    return look(join(place, basename(path)));
  } finally {
    rmSync(place, { recursive: true });
  }
}

const filesIn = (place: string): string[] => readdirSync(place, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory()).map(({ name }) => name);

/** What the host's rpm finds in the image's database. */
const installed = (image: string, folder: string): string[] => dumped(image, '/var/lib/rpm', folder, (place) => (
  output('rpm', ['--dbpath', place, '-qa', '--queryformat', '%{name} %{version} %{arch}\n']).toString().trim().split('\n').sort()
));

const aarch64 = (...packages: string[]): string[] => packages.map((each) => `${each} aarch64`);
const manifestOf = (image: string): BuildResult & { reproducible?: boolean } => JSON.parse(readFileSync(`${image}.json`, 'utf8')) as BuildResult;

/**
 * What is left of our builds. A loop device is on a file that its process hid and named after itself (src/kernel/mounts.ts): those of processes that are there belong
 * to other tests. The kernel frees those of a process that has ended a moment later.
 */
async function left(folder: string, outputs: readonly string[]): Promise<Leftovers> {
  const isLeft = (line: string): boolean => line.includes(folder) || (/ \/(?:proc|sys)\//.test(line) && !existsSync(`/proc/${/\/file(\d+)-/.exec(line)?.[1] ?? 'none'}`));
  for (let tries = 0; ; tries++) {
    const loops = output('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE']).toString().split('\n').filter(isLeft);
    if (tries === 100 || loops.length === 0) return { ...leftovers(folder, outputs), loops };
    await sleep(100);
  }
}

describe('packages', () => {
  const folder = scratch();
  const repositories = join(folder, 'repositories');
  const [first, updated, kept] = ['first.img', 'updated.img', 'kept.img'].map((name) => join(folder, name)) as [string, string, string];
  const binds = ['local', 'extra'].map((name) => ({ from: join(repositories, name), to: `/opt/${name}`, read_only: true }));
  const packages = (options: object): object => ({ packages: { network: 'none', binds, ...options } });
  const run = (...commands: string[]): object => ({ run: { network: 'none', binds, commands } });

  /** A build with these steps; JSON is YAML, too. */
  const build = (from: string, out: string, steps: readonly object[]): Promise<Outcome> => {
    const profile = `${out}.yaml`;
    writeFileSync(profile, JSON.stringify({ name: 'packages', description: 'changes packages', steps }));
    return rockberry(['build', from, '-p', profile, '-o', out, '--json'], { env: { ROCKBERRY_MARK: folder } });
  };

  it('installs from repositories of the host, without what is only recommended, and leaves neither a cache nor a place for them', async () => {
    firstRepositories(repositories);
    const wanted = ['rockberry-hello', 'rockberry-old.aarch64', 'rockberry-other-1'];
    const files = { files: [{ path: '/etc/yum.repos.d/local.repo', content: REPOSITORIES }, { path: '/etc/dnf/dnf.conf', content: DNF_CONF }] };
    const { status, stdout, stderr } = await build(makeImage(folder), first, [
      files, packages({ install: wanted, enable: ['extra'] }), run(`rpm -i --force-debian /opt/local/${FIRMWARE}-1.rpm`),
    ]);
    expect(status, stderr).toBe(0);
    expect(text(first, '/usr/share/rockberry-hello/greeting')).toBe('version 1\n');
    expect(text(first, '/usr/bin/rockberry-old')).toBe('#!/bin/sh\necho rockberry-old 1\n');
    expect(text(first, '/etc/rockberry-hello.machine')).toBe('aarch64\n');
    expect(installed(first, folder)).toEqual(aarch64('debian-userland 1', `${FIRMWARE} 1`, 'rockberry-hello 1', 'rockberry-old 1', 'rockberry-other 1'));
    expect(e2fsck(first, partOf(first))).toMatchObject({ status: 0 });
    expect(isThere(first, '/opt')).toBe(false); // a place for the repositories was made, and taken away
    expect(dumped(first, '/var/cache/dnf', folder, filesIn).filter((name) => !/^(?:expired_repos|tempfiles)\.json$/.test(name))).toEqual([]); // dnf's own two lists
    const manifest = manifestOf(first);
    expect(manifest).toMatchObject({ reproducible: false });
    const dnf = ['dnf', '-y', '--setopt=install_weak_deps=False', '--enablerepo=extra'];
    expect(manifest.runs.map(({ command, status: ended }) => [command, ended])).toEqual([
      [[...dnf, 'install', ...wanted], 0], [[...dnf, 'clean', 'all'], 0], [expect.stringContaining(`for name in ${wanted.join(' ')};`), 0], [expect.stringContaining('rpm -i'), 0],
    ]);
    expect(manifest.runs[2]!.output).toEqual(['rockberry-hello-1-1.aarch64', 'rockberry-old-1-1.aarch64', 'rockberry-other-1-1.aarch64']);
    expect(manifest.runs.every(({ emulated, network }) => emulated === (process.arch === 'x64') && network === 'none')).toBe(true);
    const created = (JSON.parse(stdout) as BuildResult).files.filter(({ action }) => action === 'created').map(({ path }) => path);
    expect(created).toEqual(expect.arrayContaining(['/usr/bin/rockberry-hello', '/usr/share/rockberry-hello', '/usr/share/rockberry-hello/greeting', '/var/lib/rpm/rpmdb.sqlite']));
    expect(await left(folder, readdirSync(folder))).toEqual(nothingLeft);
  }, 300_000);

  it('removes, updates what is named, and installs a group and what provides a name, with what is recommended', async () => {
    addSecondVersions(repositories);
    const { status, stderr } = await build(first, updated, [
      packages({ remove: ['rockberry-old'], update: ['rockberry-hello', FIRMWARE], install: ['@rockberry-tools', 'rockberry-virtual'], weak: true, clean: false }),
    ]);
    expect(status, stderr).toBe(0);
    expect(text(updated, '/usr/share/rockberry-hello/greeting')).toBe('version 2\n');
    expect(['/usr/bin/rockberry-old', '/usr/share/rockberry-old', '/usr/bin/rockberry-tool'].map((path) => isThere(updated, path))).toEqual([false, false, true]);
    expect(installed(updated, folder)).toEqual(aarch64('debian-userland 1', `${FIRMWARE} 2`, 'rockberry-hello 2', 'rockberry-other 1', 'rockberry-tool 1', 'rockberry-weak 1'));
    expect(e2fsck(updated, partOf(updated))).toMatchObject({ status: 0 });
    expect(manifestOf(updated).runs.at(-1)!.output).toEqual(['rockberry-tool-1-1.aarch64']);
  }, 300_000);

  it('updates all but what dnf.conf excludes, and the firmware where it is in /boot', async () => {
    const { status, stderr } = await build(first, kept, [
      { dnf: { exclude: ['rockberry-hello'] } }, { files: [{ path: '/etc/rocky-release', content: 'Rocky Linux release 9.2 (Blue Onyx)\n' }] }, packages({ update: true, clean: false }),
    ]);
    expect(status, stderr).toBe(0);
    expect(text(kept, '/usr/share/rockberry-hello/greeting')).toBe('version 1\n');
    expect(text(kept, '/usr/share/rockberry-other/greeting')).toBe('version 2\n');
    expect(installed(kept, folder)).toEqual(aarch64('debian-userland 2', `${FIRMWARE} 1`, 'rockberry-hello 1', 'rockberry-old 1', 'rockberry-other 2'));
    expect(e2fsck(kept, partOf(kept))).toMatchObject({ status: 0 });
    expect(manifestOf(kept)).toMatchObject({ reproducible: false, runs: [{ status: 0, command: expect.arrayContaining(['dnf', 'upgrade', '--exclude=raspberrypi2*']) as unknown }] });
  }, 300_000);

  it('fails the build for a package that no repository has, with dnf\'s reason, and leaves nothing', async () => {
    const out = join(folder, 'never.img');
    const before = readdirSync(folder);
    const { status, stderr } = await build(first, out, [packages({ install: ['rockberry-missing'] })]);
    expect([status, stderr]).toEqual([2, expect.stringMatching(/expected exit status 0 of "dnf .*found 1; it said: .*Unable to find a match: rockberry-missing/)]);
    expect(existsSync(out)).toBe(false);
    expect(await left(folder, [...before, 'never.img.yaml'])).toEqual(nothingLeft);
  }, 300_000);
});
