import { describe, expect, test } from 'vitest';
import { openExt4 } from '../../../src/fs/ext4/ext4.js';
import { findBit, setBits, testBit } from '../../../src/fs/ext4/bits.js';
import { needs, output } from '../../support/oracle.js';
import { Ext4Image, withDirectory } from '../../support/image-file.js';

/** Block numbers of the first group, as dumpe2fs tells them. */
function firstGroup(image: Ext4Image): { descriptors: number; blockBitmap: number; inodeBitmap: number; inodeTable: number } {
  const text = output('dumpe2fs', [image.path]).toString();
  const number = (name: RegExp): number => Number(name.exec(text)![1]);
  return { descriptors: number(/Group descriptors at (\d+)/), blockBitmap: number(/Block bitmap at (\d+)/), inodeBitmap: number(/Inode bitmap at (\d+)/), inodeTable: number(/Inode table at (\d+)/) };
}

function flip(image: Ext4Image, offset: number): void {
  const device = image.open();
  const [byte] = device.read(offset, 1);
  device.write(offset, Uint8Array.of(byte! ^ 0x10));
  device.close();
}

describe('groups that were never used get their bitmaps when they are', () => {
  for (const options of [['-b', '1024'], ['-b', '1024', '-O', '^metadata_csum,uninit_bg'], ['-b', '1024', '-O', '^metadata_csum,uninit_bg,^flex_bg,^64bit'], ['-b', '1024', '-G', '4'],
    ['-b', '1024', '-O', 'sparse_super2,^resize_inode'], ['-b', '1024', '-O', 'meta_bg,^resize_inode'], ['-b', '1024', '-g', '1024']]) {
    needs('mke2fs', 'e2fsck', 'dumpe2fs')(options.join(' '), () => withDirectory((directory) => {
      const image = new Ext4Image(directory, ['-t', 'ext4', '-N', '4096', ...options], 64);
      const before = output('dumpe2fs', [image.path]).toString();
      expect(before).toContain('BLOCK_UNINIT');
      const fs = openExt4(image.open())!;
      fs.write('/large', new Uint8Array(40 * 2 ** 20));
      for (let at = 0; at < 600; at++) fs.write(`/small-${at}`, Uint8Array.of(at));
      fs.flush();
      expect(image.problems()).toBe('');
      const after = output('dumpe2fs', [image.path]).toString();
      expect((after.match(/BLOCK_UNINIT/g) ?? []).length).toBeLessThan(before.match(/BLOCK_UNINIT/g)!.length);
      expect((after.match(/INODE_UNINIT/g) ?? []).length).toBeLessThan(before.match(/INODE_UNINIT/g)!.length);
      fs.remove('/large');
      fs.flush();
      expect(image.problems()).toBe('');
      const free = (text: string): number => Number(/Free blocks:\s+(\d+)/.exec(text)![1]);
      expect(fs.info().free).toBe(free(output('dumpe2fs', ['-h', image.path]).toString()) * 1024);
      expect(fs.check()).toEqual([]);
    }));
  }
});

describe('on a disk that was not empty, with inode tables that mke2fs left for the kernel to clear', () => {
  for (const options of [['-b', '1024'], ['-b', '1024', '-O', '^metadata_csum,uninit_bg'], ['-b', '1024', '-O', '^flex_bg']]) {
    needs('mke2fs', 'e2fsck')(options.join(' '), () => withDirectory((directory) => {
      const image = new Ext4Image(directory, ['-t', 'ext4', '-N', '2048', '-E', 'lazy_itable_init=1,nodiscard', ...options], 32, true);
      const fs = openExt4(image.open())!;
      const name = (at: number): string => `/file-${at}`;
      for (let at = 0; at < 1000; at++) fs.write(name(at), new Uint8Array(at % 50));
      fs.makeLink('/slow', 's'.repeat(100));
      for (let at = 0; at < 1000; at += 3) fs.remove(name(at));
      for (let at = 0; at < 10; at++) fs.makeDirectory(`/directory-${at}`);
      fs.flush();
      expect(image.problems()).toBe('');
      fs.write('/hole', new Uint8Array(10));
      fs.truncate('/hole', 5000);
      fs.flush();
      expect(image.dump('/hole').every((byte) => byte === 0)).toBe(true);
      expect(fs.check()).toEqual([]);
    }));
  }
});

describe('one wrong byte is one error', () => {
  for (const options of [['-t', 'ext4', '-b', '1024'], ['-t', 'ext4', '-b', '1024', '-O', '^metadata_csum,uninit_bg']]) {
    needs('mke2fs', 'dumpe2fs')(`in a descriptor: ${options.join(' ')}`, () => withDirectory((directory) => {
      const image = new Ext4Image(directory, options, 16);
      flip(image, firstGroup(image).descriptors * 1024 + 0x10);
      expect(() => openExt4(image.open())).toThrow(expect.objectContaining({ code: 'corrupt', message: expect.stringContaining('group 0') as string }));
    }));
  }

  needs('mke2fs', 'dumpe2fs')('in a bitmap or an inode', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-b', '1024'], 8); // one group
    const at = firstGroup(image);
    for (const [offset, what] of [[at.blockBitmap * 1024 + 3, 'block bitmap'], [at.inodeBitmap * 1024 + 3, 'inode bitmap'], [at.inodeTable * 1024 + 256 + 0x40, 'inode 2']] as const) {
      flip(image, offset);
      expect(() => openExt4(image.open())!.write('/x', Uint8Array.of(1)), what).toThrow(expect.objectContaining({ code: 'corrupt', message: expect.stringContaining(what) as string }));
      flip(image, offset);
    }
    openExt4(image.open())!.write('/x', Uint8Array.of(1));
  }));

  needs('mke2fs', 'dumpe2fs')('in a bitmap that was not needed stays visible', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-b', '1024'], 8);
    const fs = openExt4(image.open())!;
    fs.write('/x', Uint8Array.of(1));
    fs.flush();
    flip(image, firstGroup(image).inodeBitmap * 1024 + 3);
    const again = openExt4(image.open())!;
    again.append('/x', new Uint8Array(5000)); // block bitmap and descriptor change, the inode bitmap does not
    again.flush();
    expect(image.problems()).toContain('inode bitmap');
    expect(() => openExt4(image.open())!.write('/y', Uint8Array.of(1))).toThrow(expect.objectContaining({ code: 'corrupt' }));
  }));

  needs('mke2fs', 'dumpe2fs')('a descriptor that points outside, without any checksum', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext2', '-b', '1024'], 16);
    const { descriptors } = firstGroup(image);
    const device = image.open();
    for (const field of [0, 4, 8]) {
      const before = device.read(descriptors * 1024 + field, 4);
      device.write(descriptors * 1024 + field, Uint8Array.of(0xff, 0xff, 0xff, 0x7f));
      expect(() => openExt4(device), `field ${field}`).toThrow(expect.objectContaining({ code: 'corrupt' }));
      device.write(descriptors * 1024 + field, before);
    }
  }));
});

test('runs of bits', () => {
  const bitmap = new Uint8Array(8);
  setBits(bitmap, 3, 30, true);
  expect([findBit(bitmap, 0, 64, true), findBit(bitmap, 3, 64, false), findBit(bitmap, 40, 64, true)]).toEqual([3, 33, 64]);
  setBits(bitmap, 10, 12, false);
  expect([testBit(bitmap, 9), testBit(bitmap, 10), testBit(bitmap, 21), testBit(bitmap, 22)]).toEqual([true, false, false, true]);
});

needs('mke2fs', 'e2fsck', 'debugfs')('stale totals in the superblock are no reason to refuse: the groups count', () => withDirectory((directory) => {
  const image = new Ext4Image(directory, ['-t', 'ext4'], 32);
  output('debugfs', ['-w', '-R', 'ssv free_blocks_count 7', image.path]);
  output('debugfs', ['-w', '-R', 'ssv free_inodes_count 0', image.path]);
  const fs = openExt4(image.open())!;
  fs.write('/file', new Uint8Array(1 << 20).fill(1));
  fs.remove('/file');
  fs.write('/again', new Uint8Array(1 << 20).fill(2));
  fs.flush();
  expect(image.problems()).toBe('');
  expect(fs.check()).toEqual([]);
}));

needs('mke2fs', 'e2fsck')('a removal as the first change counts once in the superblock', () => withDirectory((directory) => {
  const image = new Ext4Image(directory, ['-t', 'ext4'], 32);
  const before = openExt4(image.open())!;
  before.write('/file', new Uint8Array(1 << 20).fill(1));
  before.flush();
  const fs = openExt4(image.open())!;
  fs.remove('/file');
  fs.flush();
  expect(openExt4(image.open())!.check()).toEqual([]);
}));
