/** `--backend loop`: the image's partitions are mounted by the kernel, each from its place in one raw file. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Range } from '../bytes/ranges.js';
import type { Overlay } from '../device/device.js';
import { RockberryError } from '../errors.js';
import type { StoredFileSystem } from '../fs/filesystem.js';
import type { Backend, PlacedPartition } from '../image/backend.js';
import type { Progress } from '../report.js';
import { kernelFileSystem, type KernelFileSystem } from './filesystem.js';
import { machine } from './machine.js';
import { mountPoint, type MountPoint } from './mounts.js';
import { decodeToFile } from './work-file.js';

/** Filesystems that are asked of the kernel, by the names that both use. */
const TYPES = new Set(['ext4', 'vfat', 'xfs', 'btrfs']);
/** Where distributions put the root in btrfs: Fedora, Debian and openSUSE. */
const SUBVOLUMES = ['root', '@', '@rootfs'];

/** What is open on one overlay. */
interface Session {
  readonly file: string;
  readonly writable: boolean;
  /** Something is about to be written. */
  written(): void;
  readonly mounts: Map<number, { readonly point: MountPoint; readonly filesystem: KernelFileSystem }>;
}

export interface LoopOptions {
  /** Where the decoded image goes; it needs room for it. */
  readonly directory: string;
  readonly progress: Progress;
}

export function loopBackend({ directory, progress }: LoopOptions): Backend {
  const sessions = new WeakMap<Overlay, Session>();
  const notes = new Map<number, string>();
  const track = (overlay: Overlay, file: string, writable: boolean): Overlay => {
    let known: readonly Range[] | undefined; // to find them is to read the whole image
    const session: Session = { file, writable, mounts: new Map(), written: () => { known = undefined; } };
    const tracked: Overlay = {
      ...overlay,
      write(offset, data) {
        known = undefined;
        overlay.write(offset, data);
      },
      changes() {
        for (const { point } of session.mounts.values()) point.release();
        return (known ??= overlay.changes());
      },
      close() {
        for (const { point } of session.mounts.values()) point.release();
        overlay.close();
      },
      fork: () => track(overlay.fork(), file, false),
    };
    sessions.set(tracked, session);
    return tracked;
  };
  return {
    async overlay(decoded) {
      const work = await decodeToFile(decoded, directory, progress);
      return track(work.overlay, work.path, true);
    },
    open(overlay, placed) {
      const session = sessions.get(overlay);
      if (!session || !TYPES.has(placed.holds)) return undefined;
      const { number } = placed.partition;
      const opened = openMount(session, placed);
      if (opened instanceof RockberryError) {
        notes.set(number, `partition ${number} (${placed.holds}) is done by the built-in driver: ${opened.message.replace(/^.*?: /, '')}`);
        return undefined;
      }
      session.mounts.set(number, opened);
      return opened.filesystem;
    },
    machine: (overlay, parts, label) => machine(parts, sessions.get(overlay)?.mounts ?? new Map(), label, progress),
    notes: () => [...notes.values()],
  };
}

/** The error of a kernel that lacks the filesystem, where our own driver reads it; any other is thrown. */
function openMount({ file, writable, written }: Session, placed: PlacedPartition): { point: MountPoint; filesystem: KernelFileSystem } | RockberryError {
  const { partition, holds } = placed;
  const mountable = { file, part: { offset: partition.start, length: partition.length }, type: holds, name: `partition ${partition.number} (${holds})`, writable, written };
  try {
    const first = mountPoint(mountable);
    const point = holds === 'btrfs' ? withSubvolume(first, (subvolume) => mountPoint({ ...mountable, subvolume })) : first;
    point.directory();
    return { point, filesystem: kernelFileSystem(placed, point) };
  } catch (error) {
    if (error instanceof RockberryError && error.code === 'unsupported' && ownReads(placed)) return error;
    throw error;
  }
}

function ownReads({ own }: PlacedPartition): StoredFileSystem | undefined {
  return own();
}

function withSubvolume(point: MountPoint, open: (subvolume: string) => MountPoint): MountPoint {
  const hasSystem = (at: string): boolean => existsSync(join(at, 'usr/lib')) && existsSync(join(at, 'etc'));
  const top = point.directory();
  const found = hasSystem(top) ? undefined : SUBVOLUMES.find((name) => hasSystem(join(top, name)));
  if (found === undefined) return point;
  point.release();
  return open(found);
}
