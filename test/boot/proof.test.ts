/**
 * Issue 4, "what it must show", 3: the built image boots. qemu emulates another board, and the kernel is Debian's: what is shown is that another kernel finds the image's root by
 * the image's own command line, reads every file as it was placed, takes its modules and parameters, and that rockberry-preflight tells the truth on a live /proc and /sys.
 * What cannot be shown with Debian's kernel, which does not know cgroup_enable=, is that this parameter turns the memory controller on.
 */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test as plain } from 'vitest';
import type { ImageReport } from '../../src/inspect.js';
import { left, rockberry, rockberryJson, ROOT, scratch } from '../support/cli.js';
import { smallImage, smallPrograms } from '../support/small.js';
import { readPreflight, readReport, type Section } from './console.js';
import { initramfs, type Wanted } from './initramfs.js';
import { kernelRelease, needsKit, vmlinuz } from './kit.js';
import { userland } from './userland.js';

const test = needsKit('qemu-system-aarch64');
const folder = scratch();
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGd0n8Pq0G4hbVPt0cKCtqvsaT/2bZWYO+5Y6h2q3nJz someone@laptop';
const SETTINGS = ['hostname=node1', 'user=ops', `ssh_keys=${KEY}`, 'address=192.0.2.11/24', 'gateway=192.0.2.1', 'dns=192.0.2.1'].flatMap((setting) => ['--set', setting]);
/** kubespray wants 1024 MB of a worker, after what the kernel keeps. */
const MEMORY = ['--memory', '1280'];
/** Of a test that boots, in milliseconds: 5 s on two idle cores, a minute on a machine that does ten things at once. */
const TIMEOUT = 240_000;

/** What the manifest beside an image says of a file. */
interface Placed { readonly path: string; readonly new: { readonly type: string; readonly sha256: string | null; readonly mode: string; readonly uid: number; readonly gid: number; readonly target?: string } | null }

const TYPE: Readonly<Record<string, number>> = { file: 0o100000, directory: 0o040000, symlink: 0o120000 };

/** The line of the guest's section "attributes" that the manifest promises. */
const attributesLine = ({ path, new: now }: Placed): string => `${(TYPE[now!.type]! | parseInt(now!.mode, 8)).toString(16)} ${now!.uid} ${now!.gid} ${path}`;
const lines = (all: readonly string[]): string => all.map((line) => `${line}\n`).join('');

/** Modes and owners of the facts' table 8.3, whatever the manifest says; "ops" is the image's first free id. */
const TABLE: readonly (readonly [path: RegExp, mode: string, owner: RegExp])[] = [
  [/^\/etc\/(hostname|hosts|fstab)$/, '81a4', /^0 0$/],
  [/^\/etc\/(modules-load|sysctl)\.d\//, '81a4', /^0 0$/],
  [/^\/etc\/NetworkManager\/conf\.d\//, '81a4', /^0 0$/],
  [/^\/etc\/NetworkManager\/system-connections\//, '8180', /^0 0$/],
  [/^\/etc\/sudoers\.d\//, '8120', /^0 0$/],
  [/^\/etc\/shadow$/, '8000', /^0 0$/],
  [/^\/etc\/passwd$/, '81a4', /^0 0$/],
  [/^\/home\/ops\/\.ssh$/, '41c0', /^(1\d{3}) \1$/],
  [/^\/home\/ops\/\.ssh\/authorized_keys$/, '8180', /^(1\d{3}) \1$/],
  [/^\/usr\/local\/sbin\/rockberry-preflight$/, '81ed', /^0 0$/],
  [/^\/srv\/odd$/, '89e9', /^70001 65537$/],
];

/** Boots an image to the end of its report. */
async function report(image: string, wanted: Wanted, args: readonly string[] = [], env: Record<string, string> = {}): Promise<Map<string, Section>> {
  const initrd = join(folder, 'initrd');
  writeFileSync(initrd, initramfs(wanted));
  const { status, stdout, stderr } = await rockberry(['boot', image, '--kernel', vmlinuz, '--initrd', initrd, '--timeout', '200', ...args], { env });
  expect({ status, stderr }).toMatchObject({ status: 0 });
  return readReport(stdout);
}

const failures = (guest: ReadonlyMap<string, Section>): string[] => readPreflight(guest).checks.filter(({ status }) => status === 'fail').map(({ id }) => id);
const check = (guest: ReadonlyMap<string, Section>, id: string): object | undefined => readPreflight(guest).checks.find((one) => one.id === id);

describe.each([{ sample: 'rocky9-pi-sample', boot: '/boot' }, { sample: 'rocky9-sbc-sample', boot: '/boot/efi' }])('$sample, built with kubespray-node', ({ sample, boot }) => {
  const image = join(folder, `${sample}.img.xz`);
  const temporary = join(folder, `${sample}.tmp`);
  let placed: Placed[];
  const ofType = (type: string): Placed[] => placed.filter(({ new: now }) => now!.type === type);
  let guest: Map<string, Section>;
  let line: string;

  beforeAll(async () => {
    if (test !== plain) return; // skipped
    mkdirSync(temporary);
    const profile = userland(join(folder, sample));
    await rockberryJson(['build', join(ROOT, `images/${sample}.img.xz`), '-p', 'kubespray-node', '-p', profile, ...SETTINGS, '-o', image]);
    const { files } = JSON.parse(readFileSync(`${image}.json`, 'utf8')) as { files: Placed[] };
    placed = files.filter(({ path, new: now }) => now && !path.startsWith(`${boot}/`));
    line = (await rockberry(['cat', image, `${boot}/cmdline.txt`])).stdout.trimEnd();
    const paths = (all: readonly Placed[]): string[] => all.map(({ path }) => path);
    guest = await report(image, { boot, paths: paths(placed), files: paths(ofType('file')), links: paths(ofType('symlink')) }, MEMORY, { TMPDIR: temporary });
  });

  test('the kernel gets the image\'s own command line, and only the console is added', () => {
    expect(line).toMatch(/ cgroup_enable=memory$/);
    expect(guest.get('cmdline')!.text).toBe(`${line} console=ttyAMA0\n`);
    expect(guest.get('cmdline.txt')).toEqual({ text: `${line}\n`, status: 0 });
  });

  test('root= leads the kernel to the partition that is the image\'s root, and fstab to the boot partition', async () => {
    const { partitions } = await rockberryJson<ImageReport>(['inspect', image]);
    const root = partitions.find(({ role }) => role === 'root')!;
    expect(guest.get('root')!.text).toBe(`${root.number}\n${root.start / 512}\n${root.size / 512}\n`);
    expect(guest.get('mounts')!.text).toMatch(new RegExp(`^/dev/vda${root.number} / ext4 `, 'm'));
    expect(guest.get('mounts')!.text).toMatch(new RegExp(`^/dev/vda1 ${boot} vfat `, 'm'));
    expect(guest.get('mount-boot')!.status).toBe(0);
  });

  test('the kernel reads every placed file as the manifest has it: type, mode, owner, content', () => {
    expect(placed.length).toBeGreaterThan(100);
    expect(guest.get('attributes')).toEqual({ text: lines(placed.map(attributesLine)), status: 0 });
    expect(guest.get('contents')).toEqual({ text: lines(ofType('file').map(({ path, new: now }) => `${now!.sha256}  ${path}`)), status: 0 });
    expect(guest.get('targets')).toEqual({ text: lines(ofType('symlink').map(({ new: now }) => now!.target!)), status: 0 });
  });

  test.each(TABLE)('modes and owners are those of the table: %s %s', (path, mode, owner) => {
    const seen = guest.get('attributes')!.text.trimEnd().split('\n').map((text) => text.split(' ')).filter(([bits, , , name]) => path.test(name!) && !bits!.startsWith('a'));
    expect(seen.length).toBeGreaterThan(0);
    for (const [bits, uid, gid, name] of seen) expect({ name, bits, owner: `${uid} ${gid}` }).toEqual({ name, bits: mode, owner: expect.stringMatching(owner) });
  });

  test('a real kernel has every module and takes every parameter that the image asks for', () => {
    expect(guest.get('modules')).toEqual({ text: '', status: 0 });
    expect(guest.get('sysctl')).toEqual({ text: '', status: 0 });
  });

  test('preflight on the live system finds nothing but the name server that a machine without a network lacks', () => {
    expect(readPreflight(guest)).toMatchObject({ host: 'node1', kernel: kernelRelease(), cmdline_file: `${boot}/cmdline.txt` });
    expect(check(guest, 'cgroup-memory')).toMatchObject({ status: 'ok' });
    expect(failures(guest)).toEqual(['dns']);
    expect(guest.get('unit')).toEqual({ text: expect.stringMatching(/^rockberry-preflight: FAIL: dns;/), status: 1 }); // to the console
  });

  test('Debian\'s kernel says that it does not know cgroup_enable=: that the parameter takes effect is not shown here', () => {
    expect(guest.get('said')!.text).toMatch(/Unknown kernel command line parameters "[^"]*cgroup_enable=memory[^"]*"/);
    expect(guest.get('controllers')!.text.trim().split(' ')).toContain('memory'); // on by default there
  });

  test('nothing of the decoded image is left behind', () => expect(left(temporary)).toEqual([]));

  if (boot === '/boot') test('with cgroup_disable=memory in front, as the firmware puts it, preflight names the cause', async () => {
    const disabled = await report(image, { boot }, [...MEMORY, '--prepend', 'cgroup_disable=memory']);
    expect(disabled.get('cmdline')!.text).toBe(`cgroup_disable=memory ${line} console=ttyAMA0\n`);
    expect(disabled.get('said')!.text).toMatch(/Disabling memory control group subsystem/);
    expect(disabled.get('controllers')!.text.trim().split(' ')).not.toContain('memory');
    expect(failures(disabled)).toEqual(['cgroup-memory', 'dns']);
    expect(check(disabled, 'cgroup-memory')).toMatchObject({
      reason: 'unknown-parameter', message: expect.stringMatching(/does not know cgroup_enable=memory/), hint: expect.stringMatching(/^cgroup_disable=memory comes from the device tree/),
    });
  }, TIMEOUT);
});

describe('a raw image', () => {
  const home = join(folder, 'raw');
  const temporary = join(home, 'tmp');
  const image = join(home, 'node, 1.img'); // a comma separates qemu's options
  const withSmall = needsKit('qemu-system-aarch64', ...smallPrograms);
  const sum = (): string => createHash('sha256').update(readFileSync(image)).digest('hex');

  beforeAll(async () => {
    if (withSmall !== plain) return; // skipped
    for (const directory of [home, temporary]) mkdirSync(directory);
    const preflight = join(home, 'preflight.yaml');
    const files = [
      ...['/proc', '/sys', '/dev', '/run'].map((path) => ({ path, directory: true })), { path: '/bin', link: 'usr/bin' },
      { path: '/usr/local/sbin/rockberry-preflight', source: join(ROOT, 'profiles/files/rockberry-preflight'), mode: '0755' },
    ];
    writeFileSync(preflight, JSON.stringify({ name: 'preflight', description: 'the check alone', steps: [{ files }] }));
    await rockberryJson(['build', smallImage(home), '-p', userland(home), '-p', preflight, '-o', image]);
    chmodSync(image, 0o444);
  });

  withSmall('is booted as it lies there, written by the guest, and the same afterwards; nothing is left behind', async () => {
    const before = sum();
    const guest = await report(image, { boot: '/boot' }, ['--prepend', 'cgroup_disable=memory'], { TMPDIR: temporary });
    expect(guest.get('mark')).toEqual({ text: 'the guest was here\n', status: 0 });
    expect(check(guest, 'cgroup-memory')).toMatchObject({ reason: 'disabled', message: expect.stringMatching(/cgroup_disable=memory is on the kernel command line/) }); // no cgroup_enable= here
    expect(sum()).toBe(before);
    expect(left(temporary)).toEqual([]);
  }, TIMEOUT);

  withSmall('whose root= names another disk is seen not to boot', async () => {
    await expect(report(image, { boot: '/boot' }, ['--append', 'root=PARTUUID=deadbeef-02'])).rejects.toThrow('root=PARTUUID=deadbeef-02 names no partition');
  }, TIMEOUT);
});
