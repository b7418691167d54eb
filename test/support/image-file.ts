/** Image files for tests: a block device over a file, and ext4 images made and judged by e2fsprogs. */
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkBounds, type BlockDevice } from '../../src/device/device.js';
import { output, run } from './oracle.js';

/** Reads hand out Buffers, as the product's own file device does: a Buffer's slice() is no copy. */
export function openImageFile(path: string): BlockDevice {
  const fd = openSync(path, 'r+');
  const { size } = fstatSync(fd);
  return {
    size,
    read(offset, length) {
      checkBounds(size, offset, length, path);
      const data = Buffer.allocUnsafe(length);
      if (readSync(fd, data, 0, length, offset) !== length) throw new Error(`short read at ${offset}`);
      return data;
    },
    write(offset, data) {
      checkBounds(size, offset, data.length, path);
      writeSync(fd, data, 0, data.length, offset);
    },
    flush: () => undefined,
    close: () => closeSync(fd),
  };
}

/** Counts reads and bytes written. */
export function countingDevice(device: BlockDevice): BlockDevice & { reads: number; readBytes: number; written: { offset: number; length: number }[] } {
  return {
    ...device, reads: 0, readBytes: 0, written: [],
    read(offset, length) {
      this.reads += 1;
      this.readBytes += length;
      return device.read(offset, length);
    },
    write(offset, data) {
      this.written.push({ offset, length: data.length });
      device.write(offset, data);
    },
  };
}

/** Calls `work` with a temporary directory that is removed afterwards. */
export function withDirectory<T>(work: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'rockberry-ext4-'));
  try {
    return work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** An ext4 image in a directory of its own. */
export class Ext4Image {
  readonly path: string;

  /** `dirty` fills the file with 0xaa first: what mke2fs leaves alone is no zeros then. */
  constructor(private readonly directory: string, options: readonly string[], mebibytes = 32, dirty = false) {
    this.path = join(directory, 'image');
    writeFileSync(this.path, dirty ? Buffer.alloc(mebibytes * 2 ** 20, 0xaa) : '');
    truncateSync(this.path, mebibytes * 2 ** 20);
    const made = run('mke2fs', ['-q', '-F', '-E', 'hash_seed=6ed4a4a8-0cd4-4b54-b1fc-6cc1a4b7c1d1', '-U', '01234567-89ab-cdef-0123-456789abcdef', ...options, this.path]);
    if (made.status !== 0) throw new Error(`mke2fs ${options.join(' ')}: ${made.output}`);
  }

  open(): BlockDevice {
    return openImageFile(this.path);
  }

  /** What e2fsck finds wrong; empty when it is clean. */
  problems(): string {
    const { status, output: text } = run('e2fsck', ['-fn', this.path]);
    return status === 0 ? '' : text;
  }

  /** What one debugfs command prints. */
  debugfs(command: string): string {
    return run('debugfs', ['-R', command, this.path]).output.replace(/^debugfs [\d.]+ .*\n/, '');
  }

  /** Writes with debugfs. */
  edit(...commands: readonly string[]): void {
    run('debugfs', ['-w', '-f', '-', this.path], commands.join('\n'));
  }

  /** A file as debugfs reads it. */
  dump(file: string): Buffer {
    const target = join(this.directory, 'dump');
    output('debugfs', ['-R', `dump "${file}" ${target}`, this.path]);
    return readFileSync(target);
  }

  digest(): string {
    return createHash('sha256').update(readFileSync(this.path)).digest('hex');
  }
}
