/** What the tests of the kernel's way share: who may run them, images with roots that only the kernel reads, and what a build may leave behind. */
import { closeSync, ftruncateSync, openSync, readFileSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { test } from 'vitest';
import { needs, output, run } from '../support/oracle.js';
import { smallImage, smallPrograms } from '../support/small.js';

export const kernelPrograms = ['unshare', 'setpriv', 'mount', 'umount', 'losetup', 'getfattr', 'setfattr', ...smallPrograms] as const;

/** A test that mounts. */
export function mounting(...programs: string[]): typeof test {
  const it = needs(...kernelPrograms, ...programs);
  if (process.getuid?.() === 0) return it;
  process.stderr.write('skipped: mounting needs root\n');
  return it.skip as unknown as typeof test;
}

/** Whether this kernel has a filesystem; mount loads what is a module. */
export function kernelHas(type: string): boolean {
  run('modprobe', ['-q', type]);
  return new RegExp(`\\t${type}$`, 'm').test(readFileSync('/proc/filesystems', 'utf8'));
}

const MIB = 2 ** 20;
const [FAT_START, ROOT_START, ROOT_MIB] = [1, 41, 400]; // MiB: the small image's places, and a root as large as mkfs.xfs asks for

/** The small image with its root in another filesystem, made by mkfs and filled through a mount by cp: our code has no part in it. */
export function imageWith(type: 'xfs' | 'btrfs', folder: string): string {
  const small = smallImage(folder);
  const image = join(folder, `${type}.img`);
  const root = join(folder, `${type}.root`);
  for (const [path, mib] of [[image, ROOT_START + ROOT_MIB + 1], [root, ROOT_MIB]] as const) {
    const handle = openSync(path, 'w');
    ftruncateSync(handle, mib * MIB);
    closeSync(handle);
  }
  output('sfdisk', ['-q', image], `label: dos\nlabel-id: 0x5f2d8c41\nstart=2048, size=81920, type=c\nstart=83968, size=${ROOT_MIB * 2048}, type=83\n`);
  output('dd', [`if=${small}`, `of=${image}`, 'bs=1M', `skip=${FAT_START}`, `seek=${FAT_START}`, 'count=40', 'conv=notrunc', 'status=none']);
  output(`mkfs.${type}`, type === 'xfs' ? ['-q', '-L', 'root', root] : ['-q', '-L', 'root', root]);
  const script = 'set -e; mkdir "$1/a" "$1/b"; mount -o ro,loop,offset=$4 "$2" "$1/a"; mount -o loop "$3" "$1/b"; cp -a "$1/a/." "$1/b/"; umount "$1/a" "$1/b"; rmdir "$1/a" "$1/b"';
  output('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', folder, small, root, String(ROOT_START * MIB)]);
  output('dd', [`if=${root}`, `of=${image}`, 'bs=1M', `seek=${ROOT_START}`, 'conv=notrunc,sparse', 'status=none']);
  rmSync(root);
  rmSync(small);
  return image;
}

/** The root partition of such an image as a file of its own, for xfs_repair and btrfs check. */
export function rootOf(image: string, folder: string): string {
  const root = join(folder, 'root.part');
  output('dd', [`if=${image}`, `of=${root}`, 'bs=1M', `skip=${ROOT_START}`, `count=${ROOT_MIB}`, 'conv=sparse', 'status=none']);
  return root;
}

export interface Leftovers {
  readonly loops: string[];
  readonly mounts: string[];
  readonly processes: string[];
  readonly namespaces: string[];
  readonly files: string[];
}

/** The process in the namespace that a command has started: it has the number of its child from the first moment on. */
export async function innerOf(outer: number | undefined): Promise<number | undefined> {
  for (let tries = 0; tries < 400; tries++) {
    try {
      const [child] = readFileSync(`/proc/${outer}/task/${outer}/children`, 'latin1').trim().split(' ');
      if (child) return Number(child);
    } catch {
      return undefined; // it has ended before it started one
    }
    await sleep(10);
  }
  return undefined;
}

/**
 * What the machine still has of builds in `folder`: loop devices on files of it, or on those that the processes `inner` hid; mounts here and in their processes;
 * processes, and files that are not outputs. Other tests mount at the same time: nothing of theirs is looked at.
 */
export function leftovers(folder: string, outputs: readonly string[], inner: readonly (number | undefined)[] = []): Leftovers {
  const names = [folder, ...inner.filter((pid) => pid !== undefined).map((pid) => `/file${pid}-`)];
  const loops = output('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE']).toString().split('\n').filter((line) => names.some((name) => line.includes(name)));
  const found: Leftovers = { loops, mounts: [], processes: [], namespaces: [], files: readdirSync(folder).filter((name) => !outputs.includes(name)).sort() };
  const own = readlinkSync('/proc/self/ns/mnt');
  const read = (pid: string, name: string): string => {
    try {
      return readFileSync(`/proc/${pid}/${name}`, 'latin1');
    } catch {
      return ''; // it is gone
    }
  };
  if (/ rockberry /.test(read('self', 'mountinfo')) || read('self', 'mountinfo').includes(folder)) found.mounts.push('here');
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (!read(pid, 'environ').includes(`ROCKBERRY_MARK=${folder}\0`)) continue;
    found.processes.push(read(pid, 'cmdline').replaceAll('\0', ' '));
    try {
      const namespace = readlinkSync(`/proc/${pid}/ns/mnt`);
      if (namespace !== own) found.namespaces.push(namespace);
    } catch {
      // gone meanwhile
    }
  }
  return found;
}

export const nothingLeft: Leftovers = { loops: [], mounts: [], processes: [], namespaces: [], files: [] };
