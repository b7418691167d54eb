/** A partition that the kernel mounts, as a filesystem on a device of its own. Where our own driver reads it too, that one tells what only the device's bytes do. */
import { statfsSync } from 'node:fs';
import type { BlockDevice } from '../device/device.js';
import type { FileSystemInfo, Footprint, StoredFileSystem } from '../fs/filesystem.js';
import type { PlacedPartition } from '../image/backend.js';
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
  const bound = bind(files);
  return {
    ...bound,
    type: holds,
    info: () => settled()?.info() ?? infoOf(holds, device, mount),
    flush: () => mount.release(),
    check: () => settled()?.check() ?? bound.check(),
    allocated: () => settled()?.allocated() ?? whole,
    metadata: () => settled()?.metadata() ?? { places: [], blockSize: 4096, looksLike: () => false },
    layout: () => `${holds} mounted as number ${number}`, // never that of another one: only their files are compared
    footprint: () => whole,
    footprints: (directory): Footprint[] => bound.list(directory).map((entry) => ({ ...entry, ranges: whole })),
    owners: (ranges) => settled()?.owners(ranges) ?? ranges.map((range) => ({ range, words: `the ${holds} filesystem`, about: null, at: null })),
    written: (path) => settled()?.written(path) ?? [{ offset: 0, length: bound.stat(path)?.size ?? 0 }],
  };
}

/** Its functions as values: they are spread over another object. */
function bind(files: KernelFiles): KernelFiles {
  return {
    stat: (path) => files.stat(path), list: (path) => files.list(path), read: (path, offset, length) => files.read(path, offset, length), readLink: (path) => files.readLink(path),
    xattrs: (path) => files.xattrs(path), write: (path, content, attributes) => files.write(path, content, attributes), append: (path, content) => files.append(path, content),
    truncate: (path, size) => files.truncate(path, size), makeDirectory: (path, attributes) => files.makeDirectory(path, attributes),
    makeLink: (path, target, attributes) => files.makeLink(path, target, attributes), makeHardLink: (path, existing) => files.makeHardLink(path, existing),
    rename: (from, to) => files.rename(from, to), change: (path, attributes) => files.change(path, attributes), remove: (path) => files.remove(path), check: () => files.check(),
    forget: () => files.forget(), labelMissing: (wanted) => files.labelMissing(wanted),
  };
}

function infoOf(type: string, device: BlockDevice, mount: MountPoint): FileSystemInfo {
  const { bsize, bavail } = statfsSync(mount.directory());
  return { type, variant: type === 'xfs' ? 'XFS' : type, ...namesOf(type, device), blockSize: Number(bsize), size: device.size, free: Number(bsize) * Number(bavail) };
}
