import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { needs } from '../support/oracle.js';
import { openFileDevice } from '../../src/device/file.js';
import { RockberryError } from '../../src/errors.js';

const directory = mkdtempSync(join(tmpdir(), 'rockberry-file-'));
afterAll(() => rmSync(directory, { recursive: true }));

function failure(work: () => unknown): RockberryError {
  try {
    work();
  } catch (error) {
    if (error instanceof RockberryError) return error;
    throw error;
  }
  throw new Error('expected an error');
}

describe('file device', () => {
  test('reads exactly what is asked for', () => {
    const path = join(directory, 'a.img');
    writeFileSync(path, Buffer.from('0123456789'));
    const device = openFileDevice(path);
    expect(device.size).toBe(10);
    expect(Buffer.from(device.read(3, 4)).toString()).toBe('3456');
    expect(device.read(10, 0)).toHaveLength(0);
    expect(failure(() => device.read(8, 3))).toMatchObject({ code: 'corrupt' });
    device.close();
    device.close();
  });

  test('what cannot be opened is said in a sentence', () => {
    expect(failure(() => openFileDevice(directory))).toMatchObject({ code: 'io', message: `expected an image file, found a directory: ${directory}` });
    expect(failure(() => openFileDevice(join(directory, 'none')))).toMatchObject({ code: 'io', message: `cannot open ${join(directory, 'none')}: it does not exist` });
    expect(failure(() => openFileDevice('/dev/null'))).toMatchObject({ code: 'io', message: 'expected a file or a block device, found neither: /dev/null' });
  });

  test('a file without permission', () => {
    const path = join(directory, 'secret.img');
    writeFileSync(path, 'x', { mode: 0 });
    chmodSync(directory, 0o755);
    const isRoot = process.getuid?.() === 0; // who may open it
    if (isRoot) process.seteuid!(65534);
    try {
      expect(failure(() => openFileDevice(path))).toMatchObject({ code: 'io', message: `cannot open ${path}: permission denied` });
    } finally {
      if (isRoot) process.seteuid!(0);
    }
  });

  needs('mkfifo')('a fifo is refused without waiting for a writer', () => {
    const path = join(directory, 'fifo');
    execFileSync('mkfifo', [path]);
    expect(failure(() => openFileDevice(path))).toMatchObject({ code: 'io', message: `expected a file or a block device, found neither: ${path}` });
  });

  test('a file that becomes shorter while it is open', () => {
    const path = join(directory, 'shrinking.img');
    writeFileSync(path, Buffer.alloc(10000));
    const device = openFileDevice(path);
    truncateSync(path, 5000);
    expect(failure(() => device.read(4000, 2000))).toMatchObject({ code: 'io' });
    device.close();
  });
});
