/** `rockberry boot` around qemu: what it prints and refuses, and that nothing is left behind. A stand-in for qemu, a shell script, tells what it was given; proof.test.ts has the real one. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa, execaSync } from 'execa';
import { describe, expect, test } from 'vitest';
import type { BootResult } from '../../src/boot/boot.js';
import { left, PROGRAM, rockberry, rockberryJson, ROOT, scratch } from '../support/cli.js';

const SAMPLE = join(ROOT, 'images/rocky9-pi-sample.img.xz');
const folder = scratch();
const kernel = join(folder, 'my kernel');
writeFileSync(kernel, 'any');
let cases = 0;

/** A folder with a "qemu" that does what the script says, and an empty one for temporary files. */
function standIn(script: string): { env: Record<string, string>; home: string; temporary: string } {
  const home = join(folder, `case${cases++}`);
  const temporary = join(home, 'tmp');
  mkdirSync(temporary, { recursive: true });
  const path = join(home, 'qemu-system-aarch64');
  writeFileSync(path, `#!/bin/sh\n[ "$1" = --version ] && exit 0\n${script}\n`);
  chmodSync(path, 0o755);
  return { env: { PATH: `${home}:${process.env.PATH}`, TMPDIR: temporary }, home, temporary };
}

const COMMAND = ['-M', 'virt', '-cpu', 'cortex-a72', '-accel', 'tcg', '-smp', '2', '-m', '1024', '-nic', 'none', '-nographic', '-no-reboot'];
const LINE = 'console=ttyAMA0,115200 console=tty1 root=PARTUUID=5f2d8c41-03 rootfstype=ext4 elevator=deadline rootwait';

test('--print is a command that a shell reads as it is meant, and starts nothing', async () => {
  const { env } = standIn('exit 9');
  const { status, stdout } = await rockberry(['boot', SAMPLE, '--kernel', kernel, '--append', `init="it's me"`, '--print'], { env, cwd: folder });
  const words = execaSync('sh', ['-c', `${stdout}\n`.replace(/^qemu/m, 'printf "%s\\n" qemu')]).stdout.split('\n');
  expect({ status, words }).toEqual({ status: 0, words: [
    'qemu-system-aarch64', ...COMMAND, '-kernel', kernel, '-append', `${LINE} console=ttyAMA0 init="it's me"`, '-drive', `file=${folder}/rocky9-pi-sample.img,format=raw,if=virtio,snapshot=on`,
  ] });
  expect(stdout).toMatch(/^# first: rockberry prepare \S+\.img\.xz -o rocky9-pi-sample\.img\n/);
  expect(left(folder)).not.toContain('rocky9-pi-sample.img');
});

test('qemu gets the decoded image with holes, the image\'s line, and what was asked for', async () => {
  const { env, home, temporary } = standIn(`printf '%s\\n' "$@" >"$(dirname "$0")/given"\nfor last; do :; done\ndisk=\${last#file=}\nstat -c '%s %b' "\${disk%%,*}"`);
  const { status, stdout } = await rockberry(['boot', SAMPLE, '--kernel', kernel, '--initrd', kernel, '--prepend', 'cgroup_disable=memory', '--memory', '512'], { env });
  expect(status).toBe(0);
  const given = readFileSync(join(home, 'given'), 'utf8').split('\n');
  expect(given.slice(0, -2)).toEqual([...COMMAND.map((word) => (word === '1024' ? '512' : word)), '-kernel', kernel, '-initrd', kernel, '-append', `cgroup_disable=memory ${LINE} console=ttyAMA0`, '-drive']);
  const [size, sectors] = /^(\d+) (\d+)$/m.exec(stdout)!.slice(1).map(Number);
  expect(size).toBe(7397376 * 512);
  expect(sectors).toBeLessThan(512 * 2048);
  expect(left(temporary)).toEqual([]);
});

test('with --json the console is on stderr, and stdout is one document', async () => {
  const { env } = standIn('echo "Linux version 6.1"');
  const { status, stdout, stderr } = await rockberry(['boot', SAMPLE, '--kernel', kernel, '--json'], { env });
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ image: SAMPLE, commandLine: `${LINE} console=ttyAMA0`, ended: 'guest', before: [] } satisfies Partial<BootResult>);
  expect(stderr).toMatch(/Linux version 6\.1\n$/);
});

describe('refused', () => {
  test.each<[what: string, args: readonly string[], status: number, sentence: RegExp]>([
    ['a Pi\'s kernel', [], 3, /expected a kernel that runs on qemu's virt machine, found \/boot\/kernel8\.img without .*\n {2}hint: give an arm64 kernel that has them: --kernel FILE/],
    ['a kernel that is not there', ['--kernel', '/nowhere/Image'], 5, /cannot read \/nowhere\/Image: it does not exist/],
    ['an initramfs that is not there', ['--kernel', kernel, '--initrd', '/nowhere/initrd'], 5, /cannot read \/nowhere\/initrd/],
    ['no memory', ['--kernel', kernel, '--memory', '0'], 2, /expected a whole number above 0/],
    ['too long a line', ['--kernel', kernel, '--append', 'x'.repeat(2000)], 2, /expected a kernel command line of at most 2047 bytes/],
  ])('%s', async (_, args, status, sentence) => {
    const { env, temporary } = standIn('echo started');
    const outcome = await rockberry(['boot', SAMPLE, ...args], { env });
    expect(outcome).toMatchObject({ status, stdout: '', stderr: expect.stringMatching(sentence) });
    expect(left(temporary)).toEqual([]);
  });

  test('no qemu: which package has it', async () => {
    const outcome = await rockberry(['boot', SAMPLE, '--kernel', kernel], { env: { PATH: folder } });
    expect(outcome).toMatchObject({ status: 5, stderr: expect.stringMatching(/expected the program qemu-system-aarch64, found none\n {2}hint: install it \(apt install qemu-system-arm, dnf install/) });
    expect(await rockberryJson(['boot', SAMPLE, '--kernel', kernel, '--print'], { env: { PATH: folder } })).toMatchObject({ ended: null });
  });

  test('a qemu that fails', async () => {
    const { env, temporary } = standIn('echo "qemu: no such machine" >&2; exit 1');
    const outcome = await rockberry(['boot', SAMPLE, '--kernel', kernel], { env });
    expect(outcome).toMatchObject({ status: 5, stderr: expect.stringMatching(/^qemu: no such machine\nrockberry: expected qemu-system-aarch64 to run the machine, but it ended with status 1\n/m) });
    expect(left(temporary)).toEqual([]);
  });
});

describe('ended', () => {
  const QUIET = expect.not.stringMatching(/rockberry: |^\s+at /m); // how far it is may stand there on a slow machine
  const alive = (pid: number): boolean => !execaSync('kill', ['-0', String(pid)], { reject: false }).failed;

  test('by the timeout: exit status 1', async () => {
    const { env, home, temporary } = standIn('echo $$ >"$(dirname "$0")/pid"; exec sleep 60');
    const outcome = await rockberry(['boot', SAMPLE, '--kernel', kernel, '--timeout', '1'], { env });
    expect(outcome).toMatchObject({ status: 1, stdout: `the machine was ended by the timeout; ${SAMPLE} is as it was\n` });
    expect(alive(Number(readFileSync(join(home, 'pid'), 'utf8')))).toBe(false);
    expect(left(temporary)).toEqual([]);
  });

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('by %s while the machine runs: it ends too, and nothing is left', async (signal) => {
    const { env, home, temporary } = standIn('echo $$ >"$(dirname "$0")/pid"; exec sleep 60');
    const child = execa(process.execPath, [PROGRAM, 'boot', SAMPLE, '--kernel', kernel], { env, reject: false });
    while (!existsSync(join(home, 'pid')) || readFileSync(join(home, 'pid'), 'utf8') === '') await sleep(20);
    expect(left(temporary)).toHaveLength(1);
    child.kill(signal);
    expect(await child).toMatchObject({ signal, stdout: '', stderr: QUIET });
    expect(alive(Number(readFileSync(join(home, 'pid'), 'utf8')))).toBe(false);
    expect(left(temporary)).toEqual([]);
  });

  test('by Ctrl-C while the image is decoded: nothing is left', async () => {
    const { env, temporary } = standIn('exec sleep 60'); // a slow test may come so late that it runs
    const child = execa(process.execPath, [PROGRAM, 'boot', SAMPLE, '--kernel', kernel], { env, reject: false });
    while (left(temporary).length === 0) await sleep(1);
    child.kill('SIGINT');
    expect(await child).toMatchObject({ signal: 'SIGINT', stdout: '', stderr: QUIET });
    expect(left(temporary)).toEqual([]);
  });
});
