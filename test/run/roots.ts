/** Small roots to run commands in: a busybox and the directories of a system. As everything that needs root, tests with them are skipped on a laptop, with a reason. */
import { copyFileSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, test } from 'vitest';
import type { RunRequest } from '../../src/run/request.js';
import { runInRoot, type RunResult } from '../../src/run/run.js';
import { busybox as arm64Busybox, needsKit } from '../boot/kit.js';
import { hasProgram, needs, output, run } from '../support/oracle.js';

const APPLETS = ['sh', 'cat', 'chown', 'chroot', 'cp', 'dd', 'echo', 'env', 'false', 'grep', 'hostname', 'id', 'kill', 'ln', 'ls', 'mkdir', 'mknod', 'mount', 'mv', 'printf', 'ps', 'readlink', 'rm', 'seq',
  'setsid', 'sleep', 'stat', 'sync', 'touch', 'true', 'umount', 'uname', 'yes'];
const DIRECTORIES = ['bin', 'dev', 'etc', 'proc', 'root', 'run', 'sys', 'tmp', 'var'];

const PROGRAMS = ['unshare', 'nsenter', 'setpriv', 'pivot_root', 'busybox'];

function skipped(reason: string): typeof test {
  process.stderr.write(`skipped: ${reason}\n`);
  return test.skip as unknown as typeof test;
}

/** A test that runs commands in a root. */
export const rooted = process.getuid?.() !== 0 ? skipped('running commands in a root needs root') : needs(...PROGRAMS);

/** One that runs arm64 programs on x86. */
export function emulated(): typeof test {
  if (process.getuid?.() !== 0) return rooted;
  if (process.arch !== 'x64') return skipped(`programs for aarch64 are emulated on x86 only, this is ${process.arch}`);
  return hasProgram('qemu-aarch64-static') ? needsKit(...PROGRAMS) : needs('qemu-aarch64-static');
}

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A directory of the host until the file's tests are done. */
export function folder(parent = tmpdir()): string {
  folders.push(mkdtempSync(join(parent, 'rockberry-run-test-')));
  return folders.at(-1)!;
}

export function makeRoot(machine: 'own' | 'aarch64' = 'own', without: readonly string[] = []): string {
  const root = join(folder(), 'root');
  for (const name of DIRECTORIES.filter((one) => !without.includes(one))) mkdirSync(join(root, name), { recursive: true });
  const source = machine === 'own' ? output('sh', ['-c', 'command -v busybox']).toString().trim() : arm64Busybox;
  copyFileSync(source, join(root, 'bin/busybox'));
  if (machine === 'own') copyLibraries(source, root);
  for (const applet of APPLETS) symlinkSync('busybox', join(root, 'bin', applet));
  return root;
}

/** Debian's busybox is linked with the C library, busybox-static is not. */
function copyLibraries(program: string, root: string): void {
  for (const [path] of run('ldd', [program]).output.matchAll(/\/\S+/g)) {
    if (path.endsWith(':') || !existsSync(path)) continue;
    mkdirSync(dirname(join(root, path)), { recursive: true });
    copyFileSync(path, join(root, path));
  }
}

export interface Ran extends RunResult {
  readonly lines: readonly string[];
}

/** Runs there, without a network unless it is asked for. */
export async function runThere(root: string, command: RunRequest['command'] | string, more: Partial<RunRequest> = {}): Promise<Ran> {
  const said: string[] = [];
  const result = await runInRoot({ ...requestFor(root, typeof command === 'string' ? { script: command } : command), output: (line) => said.push(line), ...more });
  return { ...result, lines: said };
}

export function requestFor(root: string, command: RunRequest['command']): RunRequest {
  return { root, command, network: 'none', environment: new Map(), secrets: new Map(), binds: [], timeoutSeconds: 60, output: () => undefined, mask: (text) => text };
}

/** Everything in a directory: what it is, its mode, and its content or target; with `times`, when it was last changed in any way. */
export function everything(directory: string, times = false, below = ''): string[] {
  return readdirSync(join(directory, below)).sort().flatMap((name) => {
    const path = join(below, name);
    const stat = lstatSync(join(directory, path));
    const what = stat.isSymbolicLink() ? readlinkSync(join(directory, path)) : stat.isFile() ? readFileSync(join(directory, path)).toString('latin1').slice(0, 4096) : 'other';
    return [`${path} ${stat.mode.toString(8)} ${stat.uid} ${what}${times ? ` ${stat.ctimeMs} ${stat.mtimeMs}` : ''}`, ...(stat.isDirectory() ? everything(directory, times, path) : [])];
  });
}
