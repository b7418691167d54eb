/**
 * Which partition the firmware boots from and which is the root filesystem: by what they hold, never by number or type byte. The older Rocky image has
 * swap on p2 and root on p3, a FAT16 under type 0x0c, and no config.txt.
 */
import type { FileSystem } from '../fs/filesystem.js';
import { parseFstab, partitionNamed, type FstabEntry, type Named } from './fstab.js';

export interface Candidate extends Named {
  readonly filesystem: FileSystem | undefined;
}

export interface Roles<P extends Candidate> {
  readonly boot: P | undefined;
  readonly root: P | undefined;
  readonly fstab: readonly FstabEntry[];
  /** Why a role is not filled or could not be decided: one sentence each. */
  readonly problems: readonly string[];
}

export function assignRoles<P extends Candidate>(partitions: readonly P[]): Roles<P> {
  const bootable = partitions.filter(({ filesystem }) => filesystem?.type === 'vfat' && commandLineOf(filesystem) !== undefined);
  const roots = partitions.filter(({ filesystem }) => filesystem && filesystem.type !== 'vfat' && hasOsRelease(filesystem));
  const problems: string[] = [];
  const wanted = bootable.flatMap(({ filesystem }) => rootArgument(commandLineOf(filesystem!)!) ?? []);
  const named = wanted.map((source) => partitionNamed(source, partitions));
  const root = roots.find((partition) => named.includes(partition)) ?? (roots.length === 1 ? roots[0] : undefined);
  if (!root) problems.push(rootProblem(partitions, roots, wanted));
  const fstab = root ? readFstab(root.filesystem!) : [];
  const boot = chooseBoot(bootable, fstab, partitions);
  if (!boot) problems.push(bootProblem(partitions, bootable));
  return { boot, root, fstab, problems };
}

/** Where fstab mounts a partition; "swap" for swap; undefined when fstab does not name it. */
export function mountedAt<P extends Named>(partition: P, fstab: readonly FstabEntry[], partitions: readonly P[]): string | undefined {
  return fstab.find(({ source }) => partitionNamed(source, partitions) === partition)?.target;
}

function chooseBoot<P extends Candidate>(bootable: readonly P[], fstab: readonly FstabEntry[], partitions: readonly P[]): P | undefined {
  if (bootable.length <= 1) return bootable[0];
  const mounted = bootable.filter((partition) => mountedAt(partition, fstab, partitions) !== undefined);
  return mounted.length === 1 ? mounted[0] : undefined;
}

function hasOsRelease(filesystem: FileSystem): boolean {
  return filesystem.stat('/etc/os-release') !== undefined || filesystem.stat('/usr/lib/os-release')?.type === 'file';
}

/** The command line that the firmware would find: cmdline.txt, or the one under config.txt's os_prefix (Raspberry Pi documentation, boot_folder). */
function commandLineOf(filesystem: FileSystem): string | undefined {
  const prefix = /^[ \t]*os_prefix[ \t]*=[ \t]*(.*?)[ \t\r]*$/m.exec(text(filesystem, '/config.txt') ?? '')?.[1] ?? '';
  return text(filesystem, `/${prefix}cmdline.txt`) ?? text(filesystem, '/cmdline.txt');
}

/** The last one counts (Linux init/do_mounts.c, root_dev_setup). */
function rootArgument(commandLine: string): string | undefined {
  return [...commandLine.split('\n')[0]!.matchAll(/(?:^|\s)root=(\S+)/g)].at(-1)?.[1];
}

function readFstab(filesystem: FileSystem): FstabEntry[] {
  return parseFstab(text(filesystem, '/etc/fstab') ?? '');
}

const TEXT_LIMIT = 1 << 20; // bytes

function text(filesystem: FileSystem, path: string): string | undefined {
  const clean = path.replace(/\/{2,}/g, '/');
  const stat = clean.split('/').includes('..') ? undefined : filesystem.stat(clean);
  return stat?.type === 'file' && stat.size <= TEXT_LIMIT ? Buffer.from(filesystem.read(clean)).toString('utf8') : undefined;
}

function rootProblem(partitions: readonly Candidate[], roots: readonly Candidate[], wanted: readonly string[]): string {
  const held = partitions.map((partition) => `p${partition.number} ${partition.filesystem?.type ?? 'other'}`).join(', ');
  if (roots.length === 0) return `expected a root filesystem (ext4 with /etc/os-release), found none among: ${held}`;
  const numbers = roots.map(({ number }) => `p${number}`).join(' and ');
  return `expected one root filesystem, found ${numbers}, and root=${wanted.join(', ') || '(none)'} names neither`;
}

function bootProblem(partitions: readonly Candidate[], bootable: readonly Candidate[]): string {
  if (bootable.length > 1) {
    return `expected one FAT partition with cmdline.txt, found ${bootable.map(({ number }) => `p${number}`).join(' and ')}, and fstab does not tell which is in use`;
  }
  const grub = partitions.find(({ filesystem }) => filesystem?.type === 'vfat' && filesystem.stat('/EFI') !== undefined);
  const what = grub ? `p${grub.number} boots through EFI (GRUB keeps its own command line)` : 'no FAT partition has one';
  return `expected a FAT partition with the Raspberry Pi firmware's cmdline.txt, but ${what}`;
}
