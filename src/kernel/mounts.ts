/**
 * Mounts of parts of a file, in a mount namespace of our own (namespace.ts): nobody else sees them, and the kernel takes them away with the last process in it,
 * however that ends. `mount -o loop` makes a loop device that the kernel frees with its last user (LO_FLAGS_AUTOCLEAR, linux/loop.h), so that none can be left
 * behind. Parts are given by offset and size: partition nodes, which many kernels and containers do not make, are not needed.
 */
import { existsSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Range } from '../bytes/ranges.js';
import { RockberryError } from '../errors.js';
import { runProgram } from './program.js';

/** Directories that every Linux has, in which nobody keeps files: ours is mounted over one, so that the host's disk gets no directory for it. */
const PLACES = ['/proc/driver', '/proc/tty', '/sys/kernel'];

let home: string | undefined;
let count = 0;

/** A new directory in memory, seen in this namespace only. */
function newPlace(name: string): string {
  home ??= memoryDirectory();
  return join(home, `${name}${process.pid}-${++count}`); // the number tells loop devices of several builds apart
}

function memoryDirectory(): string {
  const tried = PLACES.filter((place) => existsSync(place)).map((place) => ({ place, ...runProgram('mount', ['-t', 'tmpfs', '-o', 'mode=0700,nodev,nosuid', 'rockberry', place]) }));
  const found = tried.find(({ status }) => status === 0);
  if (found) return found.place;
  throw new RockberryError('unsupported', `expected to mount a tmpfs for the image's filesystems, found that mount refuses: ${tried.at(-1)?.stderr ?? 'no place for it'}`, {
    hint: 'in a container, give it the right to mount (--privileged), or build without --backend loop',
  });
}

/** A second name for a file, in our own namespace: the first one can go, and nothing is left of the file when the process ends. */
export function hideFile(path: string): string {
  const name = newPlace('file');
  writeFileSync(name, '');
  mountOrThrow(['--bind', path, name], path);
  unlinkSync(path);
  return name;
}

/** The same directory at a second place. */
export function bindDirectory(from: string, to: string): void {
  mountOrThrow(['--bind', from, to], to);
}

/** An empty filesystem in memory over a directory. */
export function memoryAt(place: string): void {
  mountOrThrow(['-t', 'tmpfs', '-o', 'mode=0755,nodev', 'rockberry', place], place);
}

export function unmount(place: string): void {
  const { status, stderr } = runProgram('umount', [place]);
  if (status !== 0) throw new RockberryError('io', `expected to unmount ${place}, found that umount refuses: ${stderr}`);
}

function mountOrThrow(args: readonly string[], what: string): void {
  const { status, stderr } = runProgram('mount', args);
  if (status !== 0) throw new RockberryError('io', `expected to mount ${what}, found that mount refuses: ${stderr}`);
}

export interface Mountable {
  /** Of the host; reached through this namespace. */
  readonly file: string;
  readonly part: Range;
  /** As the kernel calls it: "ext4", "vfat", "xfs", "btrfs". */
  readonly type: string;
  /** For messages: "partition 3 (xfs)". */
  readonly name: string;
  /** False: the loop device itself takes no writes. */
  readonly writable: boolean;
  /** Called before it is mounted for writing. */
  written(): void;
  /** Of btrfs: the one that holds the root. */
  readonly subvolume?: string;
}

export interface MountPoint {
  /** Where it is mounted; it is mounted when it is first asked for, and for writing when that is asked for. Errors: `refused` for a filesystem that is not clean. */
  directory(writable?: boolean): string;
  /** Everything is on the file, as after a clean shutdown. It is mounted again when it is asked for again. */
  release(): void;
}

/**
 * btrfs knows a filesystem by its UUID, and before Linux 6.7 takes a second file with the same one for the first: only one is mounted at a time. XFS refuses it
 * unless it is told not to (xfs(5), nouuid).
 */
const alone = new Set<() => void>();
const OPTIONS: Readonly<Record<string, readonly string[]>> = { xfs: ['nouuid'], vfat: ['quiet', 'utf8'] };

type State = 'none' | 'read-only' | 'writable';

export function mountPoint({ file, part, type, name, writable: mayWrite, written, subvolume }: Mountable): MountPoint {
  const place = newPlace('mount');
  mkdirSync(place);
  let state: State = 'none';
  const release = (): void => {
    if (state === 'none') return;
    const device = deviceAt(place);
    const { status, stderr } = runProgram('umount', [place]);
    if (status !== 0) throw new RockberryError('io', `${name}: expected to unmount it, found that umount refuses: ${stderr}`);
    if (device !== undefined) waitUntilFree(device, part.offset, name);
    alone.delete(release);
    state = 'none';
  };
  return {
    directory(writable = false) {
      if (writable && !mayWrite) throw new RockberryError('refused', `${name}: expected to read it only, found a write`);
      if (state === 'writable' || (state === 'read-only' && !writable)) return place;
      release();
      if (writable) written();
      if (type === 'btrfs') for (const other of [...alone]) other();
      const options = [writable ? 'rw' : 'ro', 'loop', `offset=${part.offset}`, `sizelimit=${part.length}`, 'nodev', 'noatime', ...(OPTIONS[type] ?? []), ...(subvolume === undefined ? [] : [`subvol=${subvolume}`])];
      const { status, stderr } = runProgram('mount', ['-t', type, '-o', options.join(','), file, place]);
      if (status !== 0) throw refusal(name, stderr);
      state = writable ? 'writable' : 'read-only';
      if (type === 'btrfs') alone.add(release);
      return place;
    },
    release,
  };
}

/** The name of the loop device that is mounted at a place ("loop3"), by proc_pid_mountinfo(5). */
function deviceAt(place: string): string | undefined {
  const line = readFileSync('/proc/self/mountinfo', 'latin1').split('\n').find((each) => each.split(' ')[4] === place);
  return /^\/dev\/(loop\d+)$/.exec(line?.split(' - ')[1]?.split(' ')[1] ?? '')?.[1];
}

const PATIENCE = 10_000; // milliseconds

/** A namespace that ran programs of the image lets go of its mounts a moment after it is gone: only then is everything on the file. */
function waitUntilFree(device: string, offset: number, name: string): void {
  const read = (what: string): string => {
    try {
      return readFileSync(`/sys/block/${device}/loop/${what}`, 'latin1').trim();
    } catch {
      return ''; // it has no file any more
    }
  };
  const file = read('backing_file');
  const ours = (): boolean => file !== '' && read('backing_file') === file && read('offset') === String(offset);
  for (let waited = 0; ours(); waited += 5) {
    if (waited > PATIENCE) throw new RockberryError('io', `${name}: expected its loop device to be free after unmounting, found it in use: /dev/${device}`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  }
}

/** mount's own words, without the names of files that only this namespace has. */
function refusal(name: string, stderr: string): RockberryError {
  const reason = stderr.replace(/^mount: \S+: /, '').replace(/\s*dmesg\(1\)[^]*$/, '').trim();
  if (/unknown filesystem type/.test(reason)) return new RockberryError('unsupported', `${name}: expected a kernel that has this filesystem, found none: ${reason}`);
  if (/failed to setup loop device|could not (?:find|setup)/i.test(reason)) return new RockberryError('unsupported', `${name}: expected a free loop device, found that the kernel gives none: ${reason}`, { hint: 'in a container, give it /dev/loop-control and the right to mount (--privileged)' });
  return new RockberryError('refused', `${name}: expected a filesystem that the kernel mounts, found that it refuses: ${reason}`, { hint: 'if it was not unmounted cleanly, mount it on its own machine once, or repair it with fsck' });
}
