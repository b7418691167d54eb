/**
 * Everything is a device: a file, a decoded .xz, a partition, a copy-on-write overlay. Storeys of the house are functions from device to device.
 * Reads are exact or throw; offsets, lengths and sizes are in bytes.
 */
import { RockberryError } from '../errors.js';
import type { Range } from '../bytes/ranges.js';

export interface ReadableDevice {
  readonly size: number;
  /** Exactly `length` bytes, or an error. The caller may keep and change what it gets. */
  read(offset: number, length: number): Uint8Array;
  close(): void;
}

export interface BlockDevice extends ReadableDevice {
  write(offset: number, data: Uint8Array): void;
  flush(): void;
}

export interface Overlay extends BlockDevice {
  /** The bytes that differ from the base, compared and not remembered: writing what is already there changes nothing. */
  changes(): readonly Range[];
  /** The same bytes, to be written to independently; it costs what was changed, not what there is. */
  fork(): Overlay;
}

/** Throws unless [offset, offset + length) lies inside a device of `size` bytes. */
export function checkBounds(size: number, offset: number, length: number, what = 'device'): void {
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0 || offset + length > size) {
    throw new RockberryError('corrupt', `expected ${length} bytes at offset ${offset}, but the ${what} ends at ${size}`);
  }
}

/** A window of a device. Closing it leaves the device open: the one who opened it closes it. */
export function sliceDevice(device: BlockDevice, offset: number, length: number, what = 'partition'): BlockDevice {
  checkBounds(device.size, offset, length, 'image');
  return {
    size: length,
    read(at, count) {
      checkBounds(length, at, count, what);
      return device.read(offset + at, count);
    },
    write(at, data) {
      checkBounds(length, at, data.length, what);
      device.write(offset + at, data);
    },
    flush: () => device.flush(),
    close: () => undefined,
  };
}

/** A device over memory; used for tests and small contents. */
export function memoryDevice(data: Uint8Array): BlockDevice {
  return {
    size: data.length,
    read(offset, length) {
      checkBounds(data.length, offset, length);
      return new Uint8Array(data.subarray(offset, offset + length)); // not slice(): a Buffer would hand out its own memory
    },
    write(offset, bytes) {
      checkBounds(data.length, offset, bytes.length);
      data.set(bytes, offset);
    },
    flush: () => undefined,
    close: () => undefined,
  };
}
