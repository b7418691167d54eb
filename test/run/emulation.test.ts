/** arm64 programs on x86: qemu runs them, by a handler that is in no one else's namespace. */
import { lstatSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect } from 'vitest';
import { isStatic } from '../../src/run/elf.js';
import { output } from '../support/oracle.js';
import { bundled } from './bundle.js';
import { emulated, everything, folder, makeRoot, rooted, runThere } from './roots.js';

/** What the host's own binfmt_misc has, mounted where no one else sees it. */
function hostHandlers(): string {
  return output('unshare', ['--mount', 'sh', '-c', 'mount -t binfmt_misc none "$1" && cd "$1" && ls && for one in [!r]*; do echo "$one"; cat "$one"; done', 'sh', folder()]).toString();
}

emulated()('aarch64 programs really run, and what they make belongs to root', async () => {
  const root = makeRoot('aarch64');
  const before = hostHandlers();
  const ran = await runThere(root, 'uname -m; mkdir /var/made; touch /var/made/file; chown 1000:2000 /var/made; sh -c "exit 7"');
  expect(ran).toMatchObject({ lines: ['aarch64'], status: 7, ended: 'exit', emulated: true });
  expect([lstatSync(join(root, 'var/made/file')), lstatSync(join(root, 'var/made'))].map(({ uid, gid }) => [uid, gid])).toEqual([[0, 0], [1000, 2000]]);
  expect(hostHandlers()).toBe(before);
});

emulated()('the handler is there for the command and for no one else meanwhile', async () => {
  const root = makeRoot('aarch64');
  const before = hostHandlers();
  const seen: string[] = [];
  await runThere(root, 'echo running; sleep 1', { output: () => seen.push(hostHandlers()) });
  expect(seen).toEqual([before]);
});

emulated()('resolver, secrets, binds, time limits and the way out are as without an emulator', async () => {
  const root = makeRoot('aarch64', ['dev', 'sys']);
  const [cache, before] = [folder(), everything(root)];
  const { lines } = await runThere(root, 'echo "$WORD"; cat /run/secrets/key; echo; test -s /etc/resolv.conf && echo resolver; echo x >/var/cache/x; readlink /proc/1/exe || echo no; ls /proc/1/root/ || echo no', {
    network: 'host', environment: new Map([['WORD', 'word']]), secrets: new Map([['key', 'value']]), binds: [{ from: cache, to: '/var/cache', readOnly: false }],
  });
  expect(lines.filter((line) => !line.startsWith('ls: '))).toEqual(['word', 'value', 'resolver', 'no', 'no']);
  expect(everything(cache).length).toBe(1);
  expect(await runThere(root, 'trap "" TERM; setsid sleep 1000 & sleep 1000; sleep 1000', { timeoutSeconds: 1 })).toMatchObject({ ended: 'timeout' });
  expect(everything(root)).toEqual(before);
});

emulated()('own and foreign programs at the same time', async () => {
  const roots = [makeRoot('aarch64'), makeRoot(), makeRoot('aarch64')];
  const ran = await Promise.all(roots.map((root) => runThere(root, 'uname -m; sleep 1')));
  expect(ran.map(({ lines }) => lines)).toEqual([['aarch64'], ['x86_64'], ['aarch64']]);
});

/**
 * What openEmulator says on another host: one with these commands run in it before. That host is a user namespace with a binfmt_misc, $1 qemu, $2 the form that it
 * would be registered with; there is no qemu on its PATH when they hide it.
 */
async function emulatorOn(commands: string): Promise<string> {
  const script = `echo ready; read -r _; ${commands}\nshift 2; exec "$@"`;
  const qemu = output('sh', ['-c', 'command -v qemu-aarch64-static']).toString().trim();
  const form = String.raw`:theirs:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00::`;
  const host = execa('unshare', ['--user', '--mount', 'sh', '-e', '-c', script, 'sh', qemu, form, process.execPath, await bundled('emulator.mjs')], { buffer: false, stdin: 'pipe', stderr: 'inherit' });
  const lines = host.iterable();
  await lines.next();
  for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${host.pid}/${map}`, '0 0 4294967295\n');
  host.stdin.end('go\n');
  const { value } = await lines.next() as { value: string };
  await host;
  return value;
}

const MOUNT = 'mount -t binfmt_misc none /proc/sys/fs/binfmt_misc';
const NO_NAMESPACES = 'sh -c "echo 0 >/proc/sys/user/max_user_namespaces"'; // a shell of its own: the one that waits was begun without ids and has no rights
const HIDE = 'mount --bind /dev/null "$1"';

emulated()('a handler of the host is used where there is no qemu, if it works in a root without qemu', async () => {
  const register = (flags: string): string => `printf %s "$2$1:${flags}" >/proc/sys/fs/binfmt_misc/register`;
  expect(await emulatorOn(`${MOUNT}; ${register('F')}; ${HIDE}`)).toBe('the host\'s');
  expect(await emulatorOn(`${MOUNT}; ${register('OC')}; ${HIDE}`)).toMatch(/^missing-program: .*: expected the program qemu-aarch64-static, found none on PATH$/);
  expect(await emulatorOn(HIDE)).toMatch(/^missing-program: /);
  expect(await emulatorOn(`${MOUNT}; ${register('F')}`)).toBe('its own');
  expect(await emulatorOn(`${MOUNT}; ${register('F')}; ${NO_NAMESPACES}`)).toBe('the host\'s');
  expect(await emulatorOn(NO_NAMESPACES)).toMatch(/^unsupported: .*unshare failed: No space left on device$/);
});

emulated()('a program is static or not', () => {
  const path = (name: string): string => output('sh', ['-c', 'command -v "$1"', 'sh', name]).toString().trim();
  expect([isStatic(path('qemu-aarch64-static')), isStatic(process.execPath), isStatic('/etc/passwd'), isStatic('/dev/null')]).toEqual([true, false, false, false]);
});

rooted('programs for another processor, and a shell that is none', async () => {
  const root = makeRoot();
  const shell = join(root, 'bin/busybox');
  output('sh', ['-c', 'printf "\\363\\000" | dd of="$1" bs=1 seek=18 conv=notrunc status=none', 'sh', shell]);
  await expect(runThere(root, ['true'])).rejects.toMatchObject({ code: 'unsupported', message: expect.stringContaining('riscv64') });
  output('sh', ['-c', 'echo "#!/bin/other" >"$1"', 'sh', shell]);
  await expect(runThere(root, ['true'])).rejects.toMatchObject({ code: 'unsupported', message: 'running commands in the image: expected a program at /bin/busybox, found no ELF file' });
  mkdirSync(join(root, 'sub'));
  await expect(runThere(join(root, 'sub'), ['true'])).rejects.toMatchObject({ code: 'unsupported', message: 'running commands in the image: expected a shell at /bin/sh, found none' });
});
