/** FAT volumes for the tests: made by mkfs.vfat, filled and read back by mtools. */
import { closeSync, openSync, readFileSync, readSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import type { BlockDevice } from '../../../src/device/device.js';
import { checkBounds } from '../../../src/device/device.js';
import { output, run } from '../../support/oracle.js';

export const MIB = 1 << 20;

export function makeVolume(path: string, bytes: number, ...options: string[]): void {
  writeFileSync(path, '');
  truncateSync(path, bytes);
  output('mkfs.vfat', [...options, path]);
}

export interface CountingDevice extends BlockDevice {
  /** Bytes written, each counted once per write. */
  written: number;
  readonly sectors: Set<number>;
}

export function fileDevice(path: string, size: number): CountingDevice {
  const descriptor = openSync(path, 'r+');
  return {
    size, written: 0, sectors: new Set(),
    read(offset, length) {
      checkBounds(size, offset, length);
      const data = new Uint8Array(length);
      readSync(descriptor, data, 0, length, offset);
      return data;
    },
    write(offset, data) {
      checkBounds(size, offset, data.length);
      this.written += data.length;
      for (let at = offset; at < offset + data.length; at += 512) this.sectors.add(Math.floor(at / 512));
      writeSync(descriptor, data, 0, data.length, offset);
    },
    flush: () => undefined,
    close: () => closeSync(descriptor),
  };
}

/** What fsck.vfat says; '' when it is clean. */
export function complaints(path: string): string {
  const { status, output: text } = run('fsck.vfat', ['-n', path]);
  return status === 0 && !/dirty|differ|wrong|lost|uninit/i.test(text) ? '' : `status ${status}: ${text}`;
}

export function mcopyIn(image: string, local: string, target: string): void {
  output('mcopy', ['-i', image, '-s', '-m', local, `::${target}`]);
}

/** The bytes of a file as mtools reads them. */
export function mtype(image: string, path: string): Buffer {
  const copy = `${image}.copy`;
  output('mcopy', ['-n', '-i', image, `::${path}`, copy]);
  const data = readFileSync(copy);
  rmSync(copy);
  return data;
}
