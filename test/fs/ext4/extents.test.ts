import { closeSync, openSync, truncateSync, writeFileSync, writeSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import type { ReadableDevice } from '../../../src/device/device.js';
import { openExt4 } from '../../../src/fs/ext4/ext4.js';
import { needs } from '../../support/oracle.js';
import { Ext4Image, withDirectory } from '../../support/image-file.js';

const KIB = 1024;

/** A content of which only some blocks of 1 KiB are not zero. */
function sparseContent(size: number, blocks: (block: number) => boolean): ReadableDevice & { longest: number } {
  return {
    size, longest: 0,
    read(offset, length) {
      this.longest = Math.max(this.longest, length);
      const data = new Uint8Array(length);
      for (let at = 0; at < length; ) {
        const block = Math.floor((offset + at) / KIB);
        const end = Math.min(length, (block + 1) * KIB - offset);
        if (blocks(block)) data.fill(block % 255 + 1, at, end);
        at = end;
      }
      return data;
    },
    close: () => undefined,
  };
}

const whole = (content: ReadableDevice): Buffer => Buffer.from(content.read(0, content.size));

describe('trees', () => {
  for (const [blockSize, options, counts] of [
    ['1024', [], [8000, 3, 4, 5, 84, 85, 336, 337, 340, 2]], ['1024', ['-O', '^metadata_csum'], [1500, 4, 85, 337]], ['4096', [], [2500, 340, 341, 1361]],
  ] as const) {
    needs('mke2fs', 'e2fsck', 'debugfs')(`of many extents, written: ${blockSize} ${options.join(' ')}`, () => withDirectory((directory) => {
      const image = new Ext4Image(directory, ['-t', 'ext4', '-b', blockSize, ...options], 48);
      const fs = openExt4(image.open())!;
      const unit = Number(blockSize) / KIB;
      const [deepest] = counts;
      for (const count of counts) {
        const content = sparseContent(count * 2 * unit * KIB, (block) => Math.floor(block / unit) % 2 === 0);
        fs.write('/file', content);
        expect(content.longest).toBeLessThanOrEqual(2 ** 20);
        fs.flush();
        expect(image.problems(), `${count} extents`).toBe('');
        expect(Buffer.compare(image.dump('/file'), whole(content)), `${count} extents`).toBe(0);
        expect(Buffer.compare(fs.read('/file'), whole(content))).toBe(0);
      }
      const deep = sparseContent(deepest * 2 * unit * KIB, (block) => Math.floor(block / unit) % 2 === 0);
      fs.write('/file', deep);
      fs.flush();
      expect(/^\s*0\/ 2/m.test(image.debugfs('dump_extents /file'))).toBe(true); // a tree of depth 2
      fs.append('/file', new Uint8Array(1000).fill(7));
      fs.truncate('/file', 2_000_001);
      fs.flush();
      expect(image.problems()).toBe('');
      expect(Buffer.compare(image.dump('/file'), whole(deep).subarray(0, 2_000_001))).toBe(0);
      const free = fs.info().free;
      fs.remove('/file');
      fs.flush();
      expect(image.problems()).toBe('');
      expect(fs.info().free).toBeGreaterThan(free + 900_000);
    }));
  }

  needs('mke2fs', 'debugfs', 'e2fsck')('of many extents, read and changed', () => withDirectory((directory) => {
    const tree = join(directory, 'tree');
    mkdirSync(tree);
    const content = sparseContent(6000 * KIB, (block) => block % 3 === 0);
    const file = openSync(join(tree, 'file'), 'w');
    for (let block = 0; block < 6000; block += 3) writeSync(file, content.read(block * KIB, KIB), 0, KIB, block * KIB);
    closeSync(file);
    truncateSync(join(tree, 'file'), 6000 * KIB);
    const image = new Ext4Image(directory, ['-t', 'ext4', '-b', '1024', '-d', tree], 32);
    expect(image.debugfs('dump_extents /file')).toMatch(/^\s*0\/ 2/m);
    const fs = openExt4(image.open())!;
    expect(Buffer.compare(fs.read('/file'), whole(content))).toBe(0);
    fs.truncate('/file', 3000 * KIB);
    fs.append('/file', new Uint8Array(3000 * KIB).fill(1));
    fs.flush();
    expect(image.problems()).toBe('');
    expect(Buffer.compare(image.dump('/file').subarray(0, 3000 * KIB), whole(content).subarray(0, 3000 * KIB))).toBe(0);
  }));

  needs('mke2fs', 'e2fsck', 'debugfs')('over a filesystem in which every second block is taken', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-b', '1024', '-N', '3000', '-O', '^has_journal'], 4);
    const fs = openExt4(image.open())!;
    fs.makeDirectory('/d');
    let count = 0;
    try {
      for (; ; count++) fs.write(`/d/${count}`, new Uint8Array(KIB).fill(count));
    } catch (error) {
      expect(error).toMatchObject({ code: 'no-space' });
    }
    for (let at = 0; at < count; at += 2) fs.remove(`/d/${at}`);
    const content = sparseContent((Math.floor(fs.info().free / KIB) - 20) * KIB, () => true);
    fs.write('/fragments', content);
    fs.flush();
    expect(image.problems()).toBe('');
    expect(image.debugfs('dump_extents /fragments').split('\n').length).toBeGreaterThan(1000);
    expect(Buffer.compare(image.dump('/fragments'), whole(content))).toBe(0);
  }));

  needs('mke2fs', 'e2fsck', 'debugfs')('with unwritten extents: they read as zeros and are written in place', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-b', '1024'], 16);
    image.edit('write /dev/null file', 'fallocate /file 0 99', 'sif /file size 50000');
    const fs = openExt4(image.open())!;
    expect(image.debugfs('dump_extents /file')).toContain('Uninit');
    expect(fs.read('/file').every((byte) => byte === 0)).toBe(true);
    fs.append('/file', new Uint8Array(30_000).fill(9));
    fs.flush();
    expect(Buffer.compare(image.dump('/file'), Buffer.concat([Buffer.alloc(50_000), Buffer.alloc(30_000, 9)]))).toBe(0);
    fs.write('/file', new Uint8Array(60_000).fill(3));
    fs.flush();
    expect(image.problems()).toBe('');
    expect(image.debugfs('dump_extents /file')).not.toContain('Uninit');
    expect(Buffer.compare(image.dump('/file'), Buffer.alloc(60_000, 3))).toBe(0);
  }));

  needs('mke2fs', 'e2fsck')('of a file of more than 2 GiB', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-O', '^large_file'], 16);
    const fs = openExt4(image.open())!;
    fs.write('/file', Uint8Array.of(1));
    fs.truncate('/file', 5 * 2 ** 30);
    fs.append('/file', Uint8Array.of(2));
    fs.flush();
    expect(image.problems()).toBe('');
    expect(image.debugfs('stats')).toContain('large_file');
    expect(fs.stat('/file')!.size).toBe(5 * 2 ** 30 + 1);
    expect([...fs.read('/file', 5 * 2 ** 30 - 1)]).toEqual([0, 2]);
    expect(() => fs.read('/file')).toThrow(expect.objectContaining({ code: 'unsupported' }));
    expect(() => fs.truncate('/file', 2 ** 50)).toThrow(expect.objectContaining({ code: 'unsupported' }));
  }));
});

describe('broken trees are corrupt, whatever is wrong', () => {
  needs('mke2fs', 'debugfs')('one poke, one error', () => withDirectory((directory) => {
    const tree = join(directory, 'tree');
    mkdirSync(tree);
    const file = openSync(join(tree, 'file'), 'w');
    for (let block = 0; block < 900; block += 2) writeSync(file, Buffer.alloc(KIB, 1), 0, KIB, block * KIB);
    closeSync(file);
    writeFileSync(join(tree, 'other'), 'o');
    const image = new Ext4Image(directory, ['-t', 'ext4', '-b', '1024', '-O', '^metadata_csum', '-d', tree], 16);
    const [, block, offset] = /located at block (\d+), offset (0x[0-9a-f]+)/.exec(image.debugfs('imap /file'))!;
    const root = Number(block) * KIB + Number(offset) + 0x28;
    const device = image.open();
    const node = Buffer.from(device.read(root + 16, 4)).readUInt32LE(0) * KIB;
    const pokes: readonly (readonly [string, number, number[]])[] = [
      ['magic', root, [0]], ['too many entries', root + 2, [9]], ['maximum', root + 4, [200, 0]], ['depth', root + 6, [9]], ['depth down', root + 6, [1]],
      ['child outside', root + 16, [0xff, 0xff, 0xff, 0x7f]], ['child in the inode table', root + 16, [...u32Bytes(Number(block))]], ['two children are one', node + 28, [...device.read(node + 16, 4)]],
      ['node magic', node, [1]], ['node depth', node + 6, [2]], ['node entries', node + 2, [0xff, 0xff]], ['child of child is itself', node + 16, [...u32Bytes(node / KIB)]],
    ];
    for (const [what, at, values] of pokes) {
      const before = device.read(at, values.length);
      device.write(at, Uint8Array.from(values));
      expect(() => openExt4(device)!.read('/file'), what).toThrow(expect.objectContaining({ name: 'RockberryError', code: 'corrupt' }));
      device.write(at, before);
    }
    expect(openExt4(device)!.read('/file')).toHaveLength(899 * KIB);
  }));

  needs('mke2fs', 'debugfs')('a node with a wrong checksum', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-b', '1024'], 16);
    const device = image.open();
    const fs = openExt4(device)!;
    fs.write('/file', sparseContent(100 * KIB, (block) => block % 2 === 0));
    fs.flush();
    const node = Number(/\(ETB0\):(\d+)/.exec(image.debugfs('stat /file'))![1]) * KIB;
    device.write(node + 1000, Uint8Array.of(1));
    expect(() => openExt4(device)!.read('/file')).toThrow(expect.objectContaining({ code: 'corrupt', message: expect.stringContaining('checksum') as string }));
  }));
});

function u32Bytes(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
