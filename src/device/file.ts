/** A file or block device of the host, read-only. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Range } from '../bytes/ranges.js';
import { RockberryError } from '../errors.js';
import { type ReadableDevice, checkBounds } from './device.js';
import { hostError, readFully } from './host.js';

const SECTOR = 512;

/** The size of a block device in bytes: its stat says 0, and Node has no ioctl, so the last readable sector is searched for. */
export function deviceSize(fd: number): number {
  const sector = Buffer.alloc(SECTOR);
  const readable = (at: number): boolean => readSync(fd, sector, 0, SECTOR, at * SECTOR) === SECTOR;
  let end = 1;
  while (end < 2 ** 43 && readable(end - 1)) end *= 2;
  let low = 0;
  while (low < end - 1) {
    const middle = Math.floor((low + end) / 2);
    if (readable(middle - 1)) low = middle;
    else end = middle;
  }
  return low * SECTOR;
}

function sizeOf(fd: number, path: string): number {
  const stat = fstatSync(fd);
  if (stat.isDirectory()) throw new RockberryError('io', `expected an image file, found a directory: ${path}`);
  if (stat.isBlockDevice()) return deviceSize(fd);
  if (!stat.isFile()) throw new RockberryError('io', `expected a file or a block device, found neither: ${path}`, { hint: 'write it to a file first' });
  return stat.size;
}

/** A file of the host. */
export interface FileDevice extends ReadableDevice {
  /** Its descriptor while it is open, for a thread that reads it. */
  readonly fd: number;
  readonly path: string;
  /** As read, into memory of the caller's, all of which is filled: for those who read much, and would make as much garbage. */
  readInto(offset: number, target: Uint8Array): void;
}

/** Bytes of a file, not read yet. */
export interface FilePart extends Range {
  readonly file: FileDevice;
}

/** Opens a regular file or a block device for reading. Errors are `io` and name the path; a file that shrank since is one too. */
export function openFileDevice(path: string): FileDevice {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // a fifo without a writer would block
    return fileDevice(fd, sizeOf(fd, path), path);
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw hostError(error, 'open', path);
  }
}

/** A device over an open file of `size` bytes; closing the device closes the file, and closing it twice is harmless. */
export function fileDevice(fd: number, size: number, path: string): FileDevice {
  let open = true;
  const readInto = (offset: number, target: Uint8Array): void => {
    checkBounds(size, offset, target.length, `file ${path}`);
    let complete: boolean;
    try {
      complete = readFully(fd, target, offset);
    } catch (error) {
      throw hostError(error, 'read', path);
    }
    if (!complete) throw new RockberryError('io', `expected ${target.length} bytes at offset ${offset} of ${path}, but the file has become shorter than ${size} bytes`);
  };
  return {
    size, fd, path, readInto,
    read(offset, length) {
      checkBounds(size, offset, length, `file ${path}`); // before so much is allocated
      const data = Buffer.allocUnsafe(length);
      readInto(offset, data);
      return data;
    },
    close() {
      if (open) closeSync(fd);
      open = false;
    },
  };
}
