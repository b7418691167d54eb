/** The steps that run the image's own programs: really executed, recorded, labelled; a failure leaves no output; a secret is nowhere. */
import { closeSync, existsSync, openSync, readSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import type { BuildResult } from '../../src/build.js';
import { busybox, needsKit } from '../boot/kit.js';
import { rockberry, ROOT, scratch } from '../support/cli.js';
import { debugfsCat, debugfsStat, e2fsck, mtype, sfdiskParts } from '../support/disk.js';
import { hasProgram } from '../support/oracle.js';
import { unpack } from '../support/unpack.js';
import { leftovers, mounting } from './support.js';

const SAMPLE = join(ROOT, 'images/rocky9-pi-sample.img.xz');
const canRun = process.arch !== 'x64' || hasProgram('qemu-aarch64-static') || Boolean(process.env.CI);
const it = canRun ? (mounting('debugfs', 'mtype', 'pivot_root') === needsKit() ? needsKit() : mounting()) : mounting('qemu-aarch64-static');

/** The sample's programs are placeholders: busybox for arm64 takes the place of its shell. */
function profileOf(folder: string, steps: string): string {
  const path = join(folder, `p${readdirSync(folder).length}.yaml`);
  const files = ['/usr/bin/bash', '/usr/bin/busybox'].map((name) => `      - { path: ${name}, source: ${JSON.stringify(busybox)}, mode: "0755" }\n`).join('');
  writeFileSync(path, `name: runs\ndescription: runs the image's programs\nvariables:\n  token: { type: string, secret: true, description: a secret, default: "" }\nsteps:\n  - files:\n${files}${steps}`);
  return path;
}

/** Whether a text stands anywhere in a file, in what is free, too. */
function holds(path: string, text: string): boolean {
  const [handle, room, overlap] = [openSync(path, 'r'), Buffer.alloc(4 << 20), text.length - 1];
  try {
    for (let at = 0, count = room.length; count === room.length; at += room.length - overlap) {
      count = readSync(handle, room, 0, room.length, at);
      if (room.subarray(0, count).includes(text)) return true;
    }
    return false;
  } finally {
    closeSync(handle);
  }
}

describe('run', () => {
  const folder = scratch();
  const secret = 'geheim-4711-wort';
  writeFileSync(join(folder, 'token'), secret, { mode: 0o600 });
  const build = (profile: string, out: string, ...more: string[]): ReturnType<typeof rockberry> =>
    rockberry(['build', SAMPLE, '-p', profile, '--secret', `token=${join(folder, 'token')}`, '-o', join(folder, out), '--json', ...more], { env: { ROCKBERRY_MARK: folder } });

  it('executes arm64 programs, keeps what they say, labels what they make, and takes what they write to the boot partition', async () => {
    const commands = ['busybox uname -m; busybox id -u', 'echo made > /etc/made; busybox mkdir /srv/new; echo x > /srv/new/inner; echo boot > /boot/made.txt; busybox rm /etc/crontab; busybox cat /etc/resolv.conf > /dev/null',
      'echo "token: $TOKEN"; busybox test "$TOKEN" = "$(busybox cat /run/secrets/tok)"; echo to stderr >&2'];
    const profile = profileOf(folder, `  - run:\n      commands: ${JSON.stringify(commands)}\n      environment: { TOKEN: "{{ token }}" }\n      secrets: { tok: "{{ token }}" }\n`);
    const { status, stdout, stderr } = await build(profile, 'out.img.xz');
    expect(status, stderr).toBe(0);
    const built = JSON.parse(stdout) as BuildResult;
    expect(built.runs.map(({ output: said }) => said)).toEqual([['aarch64', '0'], [], ['token: ***', 'to stderr']]);
    expect(built.runs.every(({ emulated, how }) => emulated === (process.arch === 'x64') && how === 'namespaces')).toBe(true);
    expect(built.files.filter(({ action }) => action !== 'unchanged').map(({ path, action }) => `${action} ${path}`)).toEqual([
      'created /boot/made.txt', 'removed /etc/crontab', 'created /etc/made', 'created /srv/new', 'created /srv/new/inner', 'changed /usr/bin/bash', 'created /usr/bin/busybox',
    ]);
    const image = join(folder, 'out.img');
    unpack(`${image}.xz`, image);
    const [firmware, , root] = sfdiskParts(image) as [ReturnType<typeof sfdiskParts>[0], unknown, ReturnType<typeof sfdiskParts>[0]];
    expect(e2fsck(image, root)).toMatchObject({ status: 0 });
    expect(mtype(image, firmware, '/made.txt').toString()).toBe('boot\n');
    expect(debugfsCat(image, root, '/etc/made').toString()).toBe('made\n');
    for (const [path, type] of [['/etc/made', 'etc_t'], ['/srv/new', 'var_t'], ['/srv/new/inner', 'var_t'], ['/usr/bin/busybox', 'bin_t']] as const) {
      expect({ path, type: debugfsStat(image, root, path).label?.split(':')[2] }).toEqual({ path, type });
    }
    const manifest = readFileSync(`${image}.xz.json`, 'utf8');
    expect(JSON.parse(manifest)).toMatchObject({ reproducible: false, runs: [{ network: 'host', status: 0, output: ['aarch64', '0'] }, {}, {}] });
    for (const text of [manifest, stdout, stderr]) expect(text).not.toContain(secret);
    expect(holds(image, secret)).toBe(false);
    expect(leftovers(folder, readdirSync(folder))).toMatchObject({ loops: [], mounts: [], processes: [], namespaces: [] });
  }, 600_000);

  it('fails the build when a command fails or takes too long, and nothing is left', async () => {
    const before = readdirSync(folder);
    const failing = profileOf(folder, '  - run:\n      commands: ["echo so far", "echo the reason; exit 3"]\n');
    const failed = await build(failing, 'failed.img');
    expect(failed.status).toBe(2);
    expect(failed.stdout + failed.stderr).toMatch(/expected exit status 0 of .*exit 3.*found 3; it said: the reason/);
    const slow = profileOf(folder, '  - run:\n      script: |\n        busybox sleep 60 &\n        busybox sleep 60\n      timeout: 2\n');
    const late = await build(slow, 'failed.img');
    expect(late.stdout + late.stderr).toContain('found it running after 2 seconds');
    expect(existsSync(join(folder, 'failed.img'))).toBe(false);
    expect(leftovers(folder, [...before, ...[failing, slow].map((path) => path.slice(folder.length + 1))])).toEqual({ loops: [], mounts: [], processes: [], namespaces: [], files: [] });
  });

  it('is left out where "creates" is there, and runs nothing in a dry run', async () => {
    const profile = profileOf(folder, '  - run: { commands: ["exit 9"], creates: /etc/os-release }\n');
    const built = await build(profile, 'creates.img.xz', '--image-only');
    expect([built.status, (JSON.parse(built.stdout) as BuildResult).runs]).toEqual([0, []]);
    const dry = await rockberry(['build', SAMPLE, '-p', profileOf(folder, '  - run: { commands: ["exit 9"] }\n'), '--set', 'token=x', '--dry-run'], { nobody: true });
    expect([dry.status, dry.stdout]).toEqual([0, expect.stringContaining('(nothing is run in a dry run)')]);
  });

  it('tells whoever cannot mount what to do', async () => {
    const { status, stderr } = await rockberry(['build', SAMPLE, '-p', profileOf(folder, '  - run: { commands: ["true"] }\n'), '--set', 'token=x', '-o', join(folder, 'never.img')], { nobody: true });
    expect(status).toBe(3);
    expect(stderr).toMatch(/the kernel can, but mounting needs root\n {2}hint: sudo rockberry build .* --backend loop/);
  });
});
