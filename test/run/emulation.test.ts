/** arm64 programs on x86: qemu runs them, by a handler that is in no one else's namespace. */
import { lstatSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { output } from '../support/oracle.js';
import { emulated, everything, folder, makeRoot, rooted, runThere } from './roots.js';

/** What the host's own binfmt_misc has, mounted where no one else sees it. */
function hostHandlers(): string {
  return output('unshare', ['--mount', 'sh', '-c', 'mount -t binfmt_misc none "$1" && cd "$1" && ls -l && for one in [!r]*; do echo "$one"; cat "$one"; done', 'sh', folder()]).toString();
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
