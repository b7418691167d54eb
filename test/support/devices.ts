/** Faults and counters of the shape of the product's own devices. */
import type { BlockDevice, ReadableDevice } from '../../src/device/device.js';
import type { Range } from '../../src/bytes/ranges.js';
import { RockberryError } from '../../src/errors.js';

export interface CountingDevice extends BlockDevice {
  readonly reads: readonly Range[];
  readonly writes: readonly Range[];
  reset(): void;
}

function writeTo(device: ReadableDevice | BlockDevice, offset: number, data: Uint8Array): void {
  if (!('write' in device)) throw new Error('the test wrote to a device that is for reading only');
  device.write(offset, data);
}

function flushOf(device: ReadableDevice | BlockDevice): void {
  if ('flush' in device) device.flush();
}

/** Remembers every read and write, in order. */
export function countingDevice(device: ReadableDevice | BlockDevice): CountingDevice {
  const reads: Range[] = [];
  const writes: Range[] = [];
  return {
    size: device.size, reads, writes,
    read(offset, length) {
      reads.push({ offset, length });
      return device.read(offset, length);
    },
    write(offset, data) {
      writes.push({ offset, length: data.length });
      writeTo(device, offset, data);
    },
    flush: () => flushOf(device),
    close: () => device.close(),
    reset() {
      reads.length = 0;
      writes.length = 0;
    },
  };
}

/** Works for `after` reads and writes, then every one fails as a broken disk does. */
export function failingDevice(device: ReadableDevice | BlockDevice, after: number): BlockDevice {
  let left = after;
  const use = (): void => {
    if (left-- <= 0) throw new RockberryError('io', 'cannot read the disk: the device reports an input/output error');
  };
  return {
    size: device.size,
    read(offset, length) {
      use();
      return device.read(offset, length);
    },
    write(offset, data) {
      use();
      writeTo(device, offset, data);
    },
    flush: () => flushOf(device),
    close: () => device.close(),
  };
}

/** Reads one bit wrong: the lowest of the byte at `offset`. */
export function corruptingDevice(device: ReadableDevice | BlockDevice, offset: number): BlockDevice {
  return {
    size: device.size,
    read(from, length) {
      const data = device.read(from, length);
      if (offset >= from && offset < from + length) data[offset - from]! ^= 1;
      return data;
    },
    write: (at, data) => writeTo(device, at, data),
    flush: () => flushOf(device),
    close: () => device.close(),
  };
}
