/** An image that tries to reach the host: by its links before the command runs, and by the command. */
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, openSync, readFileSync, readlinkSync, rmSync, symlinkSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { locate } from '../../src/run/inside.js';
import { bundled } from './bundle.js';
import { everything, folder, makeRoot, rooted, runThere } from './roots.js';

/** A directory of the host that looks like what the links want; and what happens to it. */
function victim(): { readonly path: string; readonly events: string[]; unchanged(): void } {
  const path = folder('/var/tmp'); // not in /tmp, which is another one inside
  for (const name of ['etc', 'run', 'proc', 'dev', 'tmp', 'sys']) mkdirSync(join(path, name));
  writeFileSync(join(path, 'etc/resolv.conf'), 'the host\'s own\n');
  writeFileSync(join(path, 'resolv.conf'), 'the host\'s own\n');
  const before = everything(path, true);
  const events: string[] = [];
  const watcher = watch(path, { recursive: true }, (event, name) => events.push(`${event} ${name}`));
  return {
    path, events,
    unchanged: () => {
      watcher.close();
      expect(events).toEqual([]);
      expect(everything(path, true)).toEqual(before);
    },
  };
}

const REFUSED: Readonly<Record<string, readonly [name: string, target: (host: string) => string]>> = {
  'etc in a circle': ['etc', () => '/etc'],
  'run as the root': ['run', () => '/'],
  'run on the host': ['run', (host) => join(host, 'run')],
  'proc by too many ..': ['proc', () => '/../../proc'],
  'dev elsewhere': ['dev', () => '/tmp/x'],
  'dev on the host': ['dev', (host) => `../../../../../../..${host}/dev`],
  'sys by way of proc': ['sys', () => '/proc/1/root/sys'],
  'tmp on the host': ['tmp', (host) => join(host, 'tmp')],
};

for (const [what, [name, target]] of Object.entries(REFUSED)) {
  rooted(`refused: ${what}`, async () => {
    const [root, host] = [makeRoot('own', [name]), victim()];
    symlinkSync(target(host.path), join(root, name));
    const before = everything(root);
    await expect(runThere(root, ['true'], { network: 'host' })).rejects.toMatchObject({ code: 'refused' });
    expect(everything(root)).toEqual(before);
    host.unchanged();
  });
}

rooted('links out of the image end in the image', async () => {
  const host = victim();
  const kinds: readonly ((root: string) => void)[] = [
    (root) => symlinkSync(join(host.path, 'etc'), join(root, 'etc')),
    (root) => symlinkSync(`../../../../../../../../..${host.path}`, join(root, 'etc')),
    (root) => {
      mkdirSync(join(root, 'etc'));
      symlinkSync(join(host.path, 'etc/resolv.conf'), join(root, 'etc/resolv.conf'));
    },
    (root) => {
      mkdirSync(join(root, 'etc'));
      symlinkSync(`/proc/self/root${host.path}/etc/resolv.conf`, join(root, 'etc/resolv.conf'));
    },
  ];
  for (const make of kinds) {
    const root = makeRoot('own', ['etc']);
    make(root);
    symlinkSync(host.path, join(root, 'srv'));
    const before = everything(root);
    const binds = [{ from: folder(), to: '/srv/cache', readOnly: false }];
    const ran = await runThere(root, 'echo done; echo x >/etc/resolv.conf || true; echo y >/srv/cache/y', { network: 'host', binds }).catch((error: unknown) => error);
    expect(ran).toMatchObject(make === kinds.at(-1) ? { code: 'refused' } : { status: 0 });
    expect(everything(root)).toEqual(before);
  }
  host.unchanged();
});

rooted('a shell that is a link out of the image is none', async () => {
  const root = makeRoot();
  rmSync(join(root, 'bin/sh'));
  symlinkSync('../../../../../../../../bin/sh-of-the-host', join(root, 'bin/sh'));
  await expect(runThere(root, ['true'])).rejects.toMatchObject({ code: 'unsupported', message: expect.stringContaining('/bin/sh') });
});

rooted('the command cannot get out', async () => {
  const [root, host] = [makeRoot(), victim()];
  const attempts = [
    'ls /proc/1/root/etc', 'readlink /proc/1/exe', 'cat /proc/1/environ', 'readlink /proc/1/fd/3', 'cat /proc/1/maps', 'mount -t tmpfs none /root', 'umount /proc', 'mknod /root/disk b 254 0', 'echo 1 >/proc/sys/kernel/sysrq',
    'echo x >/proc/sys/kernel/core_pattern', 'echo h >/proc/sysrq-trigger', 'echo 0 >/sys/kernel/mm/ksm/run', 'hostname other', 'mknod /dev/disk b 254 0', 'cat /proc/kcore', 'ls /sys/fs/cgroup/memory',
    // out of a chroot within the root: works where the host's tree is still mounted underneath
    `mkdir /jail && cp -r /bin /lib* /jail/ 2>/dev/null; cd / && chroot /jail /bin/sh -c 'cd ../../../../../../..' && cd ../../../../../.. && ls .${host.path}`,
    `ls ${host.path}`, 'kill -9 1 && sleep 0.2 && kill -0 2 && false',
  ];
  for (const attempt of attempts) {
    const { lines } = await runThere(root, ['sh', '-c', `( ${attempt} ) >/dev/null 2>&1 && echo out; echo alive`]);
    expect({ attempt, lines }).toEqual({ attempt, lines: ['alive'] });
  }
  host.unchanged();
  expect((await runThere(root, 'cat /proc/mounts')).lines.filter((line) => !/^\S+ (\/|\/proc|\/sys|\/dev|\/dev\/pts|\/run|\/tmp) /.test(line))).toEqual([]);
});

rooted('device files of the image are dead, setuid programs are not', async () => {
  const root = makeRoot();
  expect(spawnSync('mknod', [join(root, 'null'), 'c', '1', '3']).status).toBe(0);
  const { lines } = await runThere(root, 'echo x >/null || echo dead; echo x >/dev/null && echo works; grep " / " /proc/mounts');
  expect(lines).toEqual([expect.stringContaining('Permission denied'), 'dead', 'works', expect.stringMatching(/[ ,]nodev[, ]/)]);
  expect(lines[3]).not.toMatch(/nosuid/);
});

rooted('what the caller\'s parent left open does not reach the command', async () => {
  const [root, host] = [makeRoot(), victim()];
  const open = openSync(host.path, 'r');
  const stdio = Array.from({ length: 41 }, (_, fd) => (fd < 3 ? 'pipe' : fd === 40 ? open : 'ignore'));
  const caller = spawnSync(process.execPath, [await bundled(), JSON.stringify({ root, script: 'ls /proc/self/fd' })], { stdio: stdio as ('pipe' | 'ignore' | number)[], encoding: 'utf8' });
  expect(caller.stderr).toBe('');
  expect(caller.stdout.trim().split('\n')).toEqual(['0', '1', '2', '3', 'status 0']); // 3 is the directory that ls reads
  host.unchanged();
});

test('a path is followed as inside', () => {
  const root = folder();
  mkdirSync(join(root, 'a/b'), { recursive: true });
  writeFileSync(join(root, 'a/file'), '');
  const links: readonly (readonly [string, string])[] = [['abs', '/a/b'], ['up', '../../../../a'], ['a/b/rel', '../file'], ['circle', 'circle'], ['gone', '/x/y'], ['a/chain', '/up/b']];
  for (const [name, to] of links) symlinkSync(to, join(root, name));
  const found = (path: string): unknown => {
    const { path: at, missing, stat } = locate(root, path);
    return [at, missing, stat !== undefined];
  };
  expect(['/', '/abs', '/up/b/rel', '/gone', '/a/chain/../file', '/../../a', '/abs/new/one', '//a/./b/'].map(found)).toEqual([
    ['/', 0, true], ['/a/b', 0, true], ['/a/file', 0, true], ['/x/y', 2, false], ['/a/file', 0, true], ['/a', 0, true], ['/a/b/new/one', 2, false], ['/a/b', 0, true],
  ]);
  expect(() => locate(root, '/circle')).toThrow('/circle in the image: expected at most 40 symbolic links, found more');
  expect(() => locate(root, '/a/file/x')).toThrow('expected a directory at /a/file, found a file');
  expect(() => locate(root, '/gone/../../a')).toThrow('expected a directory at /x/y, found nothing');
  expect([readlinkSync(join(root, 'abs')), existsSync(join(root, 'x')), lstatSync(join(root, 'gone')).isSymbolicLink(), readFileSync(join(root, 'a/file'), 'utf8')]).toEqual(['/a/b', false, true, '']);
});
