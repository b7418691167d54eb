/** What a command in the image finds, and what comes out of it. */
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { expect } from 'vitest';
import { masking } from '../../src/profile/masking.js';
import { runInRoot } from '../../src/run/run.js';
import { output } from '../support/oracle.js';
import { everything, folder, makeRoot, requestFor, rooted, runThere } from './roots.js';
import { traces } from './traces.js';

rooted('the exit status passes through; a signal is 128 and its number', async () => {
  const root = makeRoot();
  expect(await runThere(root, ['true'])).toMatchObject({ status: 0, ended: 'exit', how: 'namespaces', emulated: false });
  expect(await runThere(root, ['sh', '-c', 'exit 37'])).toMatchObject({ status: 37, ended: 'exit' });
  expect(await runThere(root, ['sh', '-c', 'kill -s KILL $$'])).toMatchObject({ status: 137, ended: 'signal' });
  expect(await runThere(root, ['no-such-program'])).toMatchObject({ status: 127, ended: 'exit', lines: [expect.stringContaining('no-such-program')] });
});

rooted('arguments arrive as they are', async () => {
  const odd = ['', ' a  b ', '$HOME', '"\'\\', '-n', '*', 'two\nlines', 'ä'];
  expect((await runThere(makeRoot(), ['sh', '-c', 'for one; do printf "<%s>" "$one"; done', 'sh', ...odd])).lines.join('\n')).toBe(odd.map((one) => `<${one}>`).join(''));
});

rooted('a script ends at the first command that fails, and leaves no trace of itself', async () => {
  const root = makeRoot();
  const before = everything(root);
  expect(await runThere(root, 'echo one\nfalse\necho two\n')).toMatchObject({ status: 1, ended: 'exit', lines: ['one'] });
  expect(everything(root)).toEqual(before);
});

rooted('stdout and stderr are one stream in the order of writing, and can be opened again by name', async () => {
  const script = 'for i in 1 2 3; do echo "out $i"; echo "err $i" >&2; done; echo again >/dev/stderr; echo more >/dev/stdout; printf end';
  expect((await runThere(makeRoot(), script)).lines).toEqual(['out 1', 'err 1', 'out 2', 'err 2', 'out 3', 'err 3', 'again', 'more', 'end']);
});

rooted('much output comes whole', async () => {
  const { lines } = await runThere(makeRoot(), 'seq 1 200000');
  expect(lines.length).toBe(200_000);
  expect(lines.at(-1)).toBe('200000');
});

rooted('output that cannot be taken ends the command', async () => {
  const request = requestFor(makeRoot(), ['yes']);
  await expect(runInRoot({ ...request, output: () => { throw new Error('no room'); } })).rejects.toThrow('no room');
});

rooted('a time limit ends everything that was started, also what ignores TERM and left the session', async () => {
  const root = makeRoot();
  const script = 'trap "" TERM HUP\nsetsid sh -c \'trap "" TERM HUP; while :; do echo alive >>/beat; sleep 0.1; done\' >/dev/null &\nsleep 1000\n';
  const started = Date.now();
  expect(await runThere(root, script, { timeoutSeconds: 2 })).toMatchObject({ ended: 'timeout' });
  expect(Date.now() - started).toBeGreaterThan(6900); // two seconds, and five in which it may end by itself
  const beats = readFileSync(join(root, 'beat')).length;
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(readFileSync(join(root, 'beat')).length).toBe(beats);
});

rooted('a time limit ends a command that has killed everything but itself', async () => {
  expect(await runThere(makeRoot(), 'trap "" TERM; kill -9 -1; while :; do sleep 1; done', { timeoutSeconds: 1 })).toMatchObject({ status: 137, ended: 'timeout' });
});

rooted('a command that heeds TERM ends at its time limit', async () => {
  const started = Date.now();
  expect(await runThere(makeRoot(), 'trap "echo bye; exit 3" TERM\nsleep 1000 & wait\n', { timeoutSeconds: 1 })).toMatchObject({ ended: 'timeout', status: 3, lines: ['bye'] });
  expect(Date.now() - started).toBeLessThan(5500);
});

rooted('what is left running in the background ends with the command', async () => {
  const root = makeRoot();
  const started = Date.now();
  expect(await runThere(root, 'setsid sleep 1000 &\necho done\n')).toMatchObject({ status: 0, lines: ['done'] });
  expect(Date.now() - started).toBeLessThan(10_000);
});

rooted('environment and secrets are readable inside, in no command line of the host, and not in the image afterwards', async () => {
  const root = makeRoot();
  const before = everything(root);
  const [variable, secret] = ['variable-value-ci0wae2Thee', 'secret-value-xoh7Ohz9aiy'];
  const script = 'echo "$TOKEN"; cat /run/secrets/key; echo; stat -c %a /run/secrets/key; echo "$MULTI"; env; echo ready; sleep 1';
  let seen = '';
  const ran = await runThere(root, script, {
    environment: new Map([['TOKEN', variable], ['MULTI', 'a\n"b\' $c'], ['LD_PRELOAD', '/no/such.so'], ['BASH_ENV', '/no/such'], ['PATH', '/bin:/odd']]), secrets: new Map([['key', secret]]),
    mask: (text) => {
      if (text === 'ready') seen = commandLines();
      return text;
    },
  });
  const lines = ran.lines.filter((line) => !line.startsWith('ERROR: ld.so')); // what the C library of the image says of it, if the image has one
  expect(lines.slice(0, 5)).toEqual([variable, secret, '400', 'a', '"b\' $c']);
  expect(lines).toContain('PATH=/bin:/odd');
  expect(lines).toContain('HOME=/root');
  const names = lines.filter((line) => /^[A-Za-z_]+=/.test(line)).map((line) => line.split('=')[0]);
  expect(names.sort()).toEqual(['BASH_ENV', 'HOME', 'LD_PRELOAD', 'MULTI', 'PATH', 'PWD', 'SHLVL', 'TOKEN']); // the two that the image's shell sets, and nothing of the host's
  expect(seen).toContain('/run/rockberry/script');
  expect(seen).not.toContain(variable);
  expect(seen).not.toContain(secret);
  expect(everything(root)).toEqual(before);
});

function commandLines(): string {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
    } catch {
      return '';
    }
  }).join('\n');
}

rooted('a secret that is written in two pieces is masked', async () => {
  const secret = 'correct-horse-battery';
  const { lines } = await runThere(makeRoot(), 'printf correct-hor; sleep 0.5; printf se-battery; echo " end"', { mask: masking([secret]) });
  expect(lines).toEqual(['*** end']);
});

rooted('errors are masked, too', async () => {
  const missing = join(folder(), 'word-that-is-secret');
  const error = await runThere(makeRoot(), ['true'], { binds: [{ from: missing, to: '/srv', readOnly: false }], mask: (text) => text.replaceAll('word-that-is-secret', '***') }).catch((one: unknown) => one);
  expect(error).toMatchObject({ code: 'io', message: expect.stringContaining('/***') });
  expect(String(error)).not.toContain('word-that-is-secret');
});

rooted('without a network there is a loopback device and nothing else', async () => {
  expect((await runThere(makeRoot(), 'ls /sys/class/net; cat /proc/net/dev')).lines.filter((line) => /^\s*\w+(:|$)/.test(line)).map((line) => line.trim().split(':')[0])).toEqual(['lo', 'lo']);
});

rooted('with the host\'s network there are its devices', async () => {
  const own = readdirSync('/sys/class/net').sort();
  expect((await runThere(makeRoot(), 'ls /sys/class/net', { network: 'host' })).lines).toEqual(own);
});

rooted('directories of the host are bound, read-only where asked; a target that was missing is missing again', async () => {
  const root = makeRoot();
  const [cache, fixed] = [folder(), folder()];
  writeFileSync(join(fixed, 'given'), 'given\n');
  const before = everything(root);
  const binds = [{ from: cache, to: '/var/cache/dnf', readOnly: false }, { from: fixed, to: '/srv', readOnly: true }];
  const { lines, status } = await runThere(root, 'echo kept >/var/cache/dnf/kept; cat /srv/given; echo no >/srv/new || echo refused', { binds });
  expect({ lines, status }).toEqual({ lines: ['given', expect.stringContaining('Read-only file system'), 'refused'], status: 0 });
  expect(readFileSync(join(cache, 'kept'), 'utf8')).toBe('kept\n');
  expect(everything(root)).toEqual(before);
});

rooted('other partitions that are mounted in the root are there, as they are; so is a root with an odd name', async () => {
  const root = join(folder(), ' a\\b,c=d ä\'"$x');
  renameSync(makeRoot(), root);
  mkdirSync(join(root, 'boot'));
  output('mount', ['-t', 'tmpfs', '-o', 'noexec,noatime', 'firmware', join(root, 'boot')]);
  try {
    writeFileSync(join(root, 'boot/config.txt'), 'arm_64bit=1\n');
    const { lines } = await runThere(root, 'cat /boot/config.txt; echo new >/boot/new; grep " /boot " /proc/mounts', { network: 'host', binds: [{ from: folder(), to: '/o d\\d', readOnly: false }] });
    expect(lines).toEqual(['arm_64bit=1', expect.stringMatching(/^firmware \/boot tmpfs rw,nodev,noexec,noatime/)]);
    expect(readFileSync(join(root, 'boot/new'), 'utf8')).toBe('new\n');
  } finally {
    output('umount', [join(root, 'boot')]);
  }
});

rooted('mount points that are missing are made for the run only, and nothing of /run, /tmp and /dev stays', async () => {
  const root = makeRoot('own', ['dev', 'proc', 'run', 'sys', 'tmp']);
  const before = everything(root);
  expect((await runThere(root, 'touch /run/a /tmp/b /dev/c /dev/shm/d; ls /proc/self/status; ls -d /sys/class')).lines).toEqual(['/proc/self/status', '/sys/class']);
  expect(everything(root)).toEqual(before);
});

rooted('several at once do not meet', async () => {
  const roots = [makeRoot(), makeRoot(), makeRoot()];
  const ran = await Promise.all(roots.map((root, at) => runThere(root, `echo ${at} >/mine; sleep 1; cat /mine; ps | grep -c "sleep [1]" || true`)));
  expect(ran.map(({ lines, status }) => [lines[0], status])).toEqual([['0', 0], ['1', 0], ['2', 0]]);
});

rooted('requests that cannot be', async () => {
  const root = makeRoot();
  await expect(runThere(root, [])).rejects.toMatchObject({ code: 'usage', message: 'running commands in the image: expected the name of a program, found none' });
  await expect(runThere('/', ['true'])).rejects.toMatchObject({ code: 'usage' });
  await expect(runThere(root, ['true'], { environment: new Map([['A-B', '']]) })).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('"A-B"') });
  await expect(runThere(root, ['true'], { secrets: new Map([['../x', '']]) })).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('"../x"') });
  await expect(runThere(root, ['true'], { timeoutSeconds: 0 })).rejects.toMatchObject({ code: 'usage' });
  await expect(runThere(root, ['true\0'])).rejects.toMatchObject({ code: 'usage' });
  await expect(runThere(root, ['true'], { binds: [{ from: root, to: '/proc/x', readOnly: false }] })).rejects.toMatchObject({ code: 'refused' });
  expect(existsSync(join(root, 'proc/x'))).toBe(false);
  expect(traces(basename(dirname(root)))).toEqual({ processes: [], mounts: [], namespaces: [] });
});
