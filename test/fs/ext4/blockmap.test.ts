import { describe, expect } from 'vitest';
import type { ReadableDevice } from '../../../src/device/device.js';
import { openExt4 } from '../../../src/fs/ext4/ext4.js';
import { needs } from '../../support/oracle.js';
import { Ext4Image, withDirectory } from '../../support/image-file.js';

const KIB = 1024;

/** Zeros but for single bytes at the start of some blocks. */
function sparse(size: number, blocks: readonly number[]): ReadableDevice {
  return {
    size,
    read(offset, length) {
      const data = new Uint8Array(length);
      for (const block of blocks) {
        const at = block * KIB - offset;
        if (at >= 0 && at < length) data[at] = block % 250 + 1;
      }
      return data;
    },
    close: () => undefined,
  };
}

const EDGES = [0, 11, 12, 267, 268, 269, 523, 524, 65803, 65804, 65805, 66060, 131340, 140000]; // first and last of each level, on 1 KiB blocks

describe('block maps', () => {
  needs('mke2fs', 'e2fsck', 'debugfs')('through triple indirection, growing and shrinking', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext2', '-b', '1024'], 16);
    const fs = openExt4(image.open())!;
    const free = fs.info().free;
    for (const count of [1, 3, 5, 9, 11, 14, 10, 8, 4, 2, 14]) {
      const blocks = EDGES.slice(0, count);
      const content = sparse(blocks.at(-1)! * KIB + 5, blocks);
      fs.write('/file', content);
      fs.flush();
      expect(image.problems(), `${count} blocks`).toBe('');
      const read = image.dump('/file');
      expect(read.length).toBe(content.size);
      expect(Buffer.compare(read, Buffer.from(content.read(0, content.size))), `${count} blocks`).toBe(0);
    }
    expect(Buffer.compare(fs.read('/file'), image.dump('/file'))).toBe(0);
    fs.truncate('/file', 270 * KIB);
    fs.append('/file', new Uint8Array(700 * KIB).fill(8));
    fs.flush();
    expect(image.problems()).toBe('');
    expect(image.dump('/file').subarray(270 * KIB).every((byte) => byte === 8)).toBe(true);
    fs.remove('/file');
    fs.flush();
    expect(image.problems()).toBe('');
    expect(fs.info().free).toBe(free);
  }));

  needs('mke2fs', 'e2fsck', 'debugfs')('a long dense file', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext3', '-b', '1024'], 96);
    const fs = openExt4(image.open())!;
    const content = new Uint8Array(70 * 2 ** 20).map((_, at) => at >>> 10);
    fs.write('/file', content);
    fs.flush();
    expect(image.problems()).toBe('');
    expect(image.debugfs('stat /file')).toContain('TIND');
    expect(Buffer.compare(image.dump('/file'), content)).toBe(0);
  }));

  needs('mke2fs', 'debugfs')('that point outside or in circles are corrupt', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext2', '-b', '1024'], 16);
    const device = image.open();
    const fs = openExt4(device)!;
    fs.write('/file', sparse(140_000 * KIB + 5, EDGES));
    fs.flush();
    const [, block, offset] = /located at block (\d+), offset (0x[0-9a-f]+)/.exec(image.debugfs('imap /file'))!;
    const map = Number(block) * KIB + Number(offset) + 0x28;
    const pointer = (at: number): Buffer => Buffer.from(device.read(at, 4));
    const triple = pointer(map + 14 * 4);
    const outside = Buffer.from([0xff, 0xff, 0xff, 0x7f]);
    const pokes: readonly (readonly [string, number, Buffer])[] = [
      ['direct outside', map, outside], ['single outside', map + 12 * 4, outside], ['triple outside', map + 14 * 4, outside], ['same block twice', map + 12 * 4, triple],
      ['triple in a circle', triple.readUInt32LE(0) * KIB, triple], ['in the inode table', map, Buffer.from(Uint32Array.of(Number(block)).buffer)],
    ];
    for (const [what, at, value] of pokes) {
      const before = pointer(at);
      device.write(at, value);
      expect(() => openExt4(device)!.read('/file', 0, 1), what).toThrow(expect.objectContaining({ name: 'RockberryError', code: 'corrupt' }));
      device.write(at, before);
    }
  }));

  needs('mke2fs')('that would need more than three levels are refused', () => withDirectory((directory) => {
    const fs = openExt4(new Ext4Image(directory, ['-t', 'ext2', '-b', '1024'], 16).open())!;
    fs.write('/file', Uint8Array.of(1));
    expect(() => fs.truncate('/file', 17 * 2 ** 30)).toThrow(expect.objectContaining({ code: 'unsupported' }));
  }));
});
