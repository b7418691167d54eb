/** A partition that the kernel mounts, as a filesystem on a device of its own. Where our own driver reads it too, that one tells what only the device's bytes do. */
import { statfsSync } from 'node:fs';
import type { Range } from '../bytes/ranges.js';
import type { BlockDevice } from '../device/device.js';
import type { FileSystemInfo, Footprint, Owner, StoredFileSystem } from '../fs/filesystem.js';
import type { PlacedPartition } from '../image/backend.js';
import type { Finding } from '../report.js';
import { kernelFiles, type KernelFiles } from './files.js';
import type { MountPoint } from './mounts.js';
import { namesOf } from './superblocks.js';

let opened = 0;

export type KernelFileSystem = StoredFileSystem & Pick<KernelFiles, 'forget' | 'labelMissing'>;

export function kernelFileSystem({ device, holds, own, time }: PlacedPartition, mount: MountPoint): KernelFileSystem {
  const files = kernelFiles(mount, time);
  const number = ++opened;
  const whole = [{ offset: 0, length: device.size }];
  /** Our own driver needs a filesystem that is not mounted for writing, and with everything on the device. */
  const settled = (): StoredFileSystem | undefined => {
    mount.release();
    return own();
  };
  return Object.assign(files, {
    type: holds,
    info: () => settled()?.info() ?? infoOf(holds, device, mount),
    flush: () => mount.release(),
    check(): Finding[] {
      const checked = settled();
      if (!checked) mount.directory(); // as sound as the kernel can tell
      return checked?.check() ?? [];
    },
    allocated: () => settled()?.allocated() ?? whole,
    metadata: () => settled()?.metadata() ?? { places: [], blockSize: 4096, looksLike: () => false },
    layout: () => `${holds} mounted as number ${number}`, // never that of another one: only their files are compared
    footprint: () => whole,
    footprints: (directory: string): Footprint[] => files.list(directory).map((entry) => ({ ...entry, ranges: whole })),
    owners: (ranges: readonly Range[]): Owner[] => settled()?.owners(ranges) ?? ranges.map((range) => ({ range, words: `the ${holds} filesystem`, about: null, at: null })),
    written: (path: string) => settled()?.written(path) ?? [{ offset: 0, length: files.stat(path)?.size ?? 0 }],
  });
}

function infoOf(type: string, device: BlockDevice, mount: MountPoint): FileSystemInfo {
  const { bsize, bavail } = statfsSync(mount.directory());
  return { type, variant: type === 'xfs' ? 'XFS' : type, ...namesOf(type, device), blockSize: Number(bsize), size: device.size, free: Number(bsize) * Number(bavail) };
}
