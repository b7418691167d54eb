/** What the command finds around it: the image's root without device files, and on top of it what a running system has and an image must not get. */
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { RockberryError } from '../errors.js';
import type { Holder } from './holder.js';
import { locate } from './inside.js';
import { makePlace, type Remove } from './placeholder.js';
import { call, findProgram } from './programs.js';

const DEVICES = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];
const LINKS: readonly (readonly [name: string, to: string])[] = [['fd', '/proc/self/fd'], ['stdin', 'fd/0'], ['stdout', 'fd/1'], ['stderr', 'fd/2'], ['ptmx', 'pts/ptmx']];

/** Where the kernel's and our own filesystems come; a link there would put them somewhere else. */
export const MOUNT_POINTS = ['/proc', '/sys', '/dev', '/run', '/tmp'] as const;

/** Makes the mount points that are missing; `made` gets what removes them. Errors: `refused` for one that is no directory. */
export function makeMountPoints(root: string, made: Remove[]): void {
  const places = MOUNT_POINTS.map((path) => {
    const found = locate(root, path);
    if (found.path === path && (found.stat?.isDirectory() ?? true)) return found;
    const instead = found.path === path ? 'a file' : `a symbolic link to ${found.path}`;
    throw new RockberryError('refused', `running commands in the image: expected a directory at ${path}, found ${instead}`);
  });
  for (const one of places) makePlace(root, one, 'directory', made);
}

/** `root` is the path on the host, `view` the same as the namespace sees it. */
export async function furnish(holder: Holder, root: string, view: string, network: 'host' | 'none'): Promise<void> {
  await holder.inside('mount the root', ['mount', '--rbind', root, root]);
  for (const { path, options } of mountsBelow(holder.pid, root)) {
    if (!options.includes('nodev')) await holder.inside('forbid device files in the image', ['mount', '-o', ['remount', 'bind', 'nodev', ...options].join(','), path]);
  }
  const at = (path: string): string => join(root, path);
  const [ofPids, ofNetwork] = [`--pid=/proc/${holder.pid}/ns/pid_for_children`, '--net'];
  // read-only: /proc/sys and /proc/sysrq-trigger are the host's, and root's to write
  await holder.inside('mount /proc', ['mount', '-t', 'proc', '-o', 'ro,nosuid,nodev,noexec', 'proc', at('proc')], [ofPids]);
  await holder.inside('mount /sys', ['mount', '-t', 'sysfs', '-o', 'ro,nosuid,nodev,noexec', 'sysfs', at('sys')], [ofNetwork]);
  await holder.inside('mount /dev', ['mount', '-t', 'tmpfs', '-o', 'mode=0755,nosuid,noexec', 'dev', at('dev')]);
  await holder.inside('mount /run', ['mount', '-t', 'tmpfs', '-o', 'mode=0755,nosuid,nodev', 'run', at('run')]);
  await holder.inside('mount /tmp', ['mount', '-t', 'tmpfs', '-o', 'mode=1777,nosuid,nodev', 'tmp', at('tmp')]);
  await fillDevices(join(view, 'dev'));
  await holder.inside('mount /dev/pts', ['mount', '-t', 'devpts', '-o', 'newinstance,ptmxmode=0666,mode=0620,gid=5,nosuid,noexec', 'devpts', at('dev/pts')]);
  await call('set the host name', 'nsenter', ['--target', String(holder.pid), '--uts', 'tee', '/proc/sys/kernel/hostname'], 'localhost');
  if (network === 'none' && findProgram('ip') !== undefined) await call('start the loopback device', 'nsenter', ['--target', String(holder.pid), '--net', 'ip', 'link', 'set', 'lo', 'up']);
}

async function fillDevices(folder: string): Promise<void> {
  await call('make device files', 'cp', ['--archive', ...DEVICES.map((name) => `/dev/${name}`), folder]);
  for (const name of DEVICES) chmodSync(join(folder, name), 0o666);
  for (const [name, to] of LINKS) symlinkSync(to, join(folder, name));
  placeDirectory(join(folder, 'pts'), 0o755);
  placeDirectory(join(folder, 'shm'), 0o1777);
}

const KEPT = new Set(['ro', 'rw', 'nosuid', 'nodev', 'noexec', 'noatime', 'nodiratime', 'relatime', 'nosymfollow']); // a remount forgets those that it does not name

interface Mounted {
  readonly path: string;
  /** Those of the mount, not of its filesystem. */
  readonly options: readonly string[];
}

/** /proc/PID/mountinfo (proc(5)): the mount point is the fifth field, its options the sixth. Of several on one path the last is on top. */
function mountsBelow(pid: number, root: string): Mounted[] {
  const fields = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').trim().split('\n').map((line) => line.split(' '));
  const mounted = fields.map((line): [string, readonly string[]] => [unescaped(line[4]!), line[5]!.split(',').filter((option) => KEPT.has(option))]);
  return [...new Map(mounted)].filter(([path]) => path === root || path.startsWith(`${root}/`)).map(([path, options]) => ({ path, options }));
}

/** Blanks and backslashes are octal there. */
function unescaped(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
}

/** The last step: the image's root becomes the namespace's, and the host's tree is taken off it. */
export async function enter(holder: Holder, root: string): Promise<void> {
  // "." twice puts the old root on top of the new one (pivot_root(2), NOTES), where the next program that enters finds it, with the host's umount
  await holder.inside('change the root', ['sh', '-c', 'cd -- "$1" && exec pivot_root . .', 'sh', root]); // nsenter has --wdns only since util-linux 2.38
  await holder.inside('leave the host\'s root', ['umount', '--lazy', '/']);
}

/** A file in one of our own tmpfs. Modes are set by themselves: the umask is the caller's. */
export function place(path: string, content: string, mode: number): void {
  writeFileSync(path, content, { flag: 'wx', mode });
  chmodSync(path, mode);
}

/** A directory in one of our own tmpfs; one that is there stays. */
export function placeDirectory(path: string, mode: number): void {
  if (existsSync(path)) return;
  placeDirectory(dirname(path), mode);
  mkdirSync(path, { mode });
  chmodSync(path, mode);
}
