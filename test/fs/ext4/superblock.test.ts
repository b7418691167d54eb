import { describe, expect } from 'vitest';
import { crc32c } from '../../../src/bytes/crc.js';
import { setU16, setU32, u32 } from '../../../src/bytes/fields.js';
import { openExt4 } from '../../../src/fs/ext4/ext4.js';
import { needs, run } from '../../support/oracle.js';
import { Ext4Image, withDirectory } from '../../support/image-file.js';

type Poke = (raw: Uint8Array) => void;

/** Opens the image with its superblock changed; the checksum is made right unless it is what the poke is about. */
function openPoked(image: Ext4Image, poke: Poke, seal = true): unknown {
  const device = image.open();
  const before = device.read(1024, 1024);
  const raw = Uint8Array.from(before);
  poke(raw);
  if (seal) setU32(raw, 0x3fc, crc32c(0xffffffff, raw.subarray(0, 0x3fc)));
  device.write(1024, raw);
  try {
    return openExt4(device);
  } finally {
    device.write(1024, before);
    device.close();
  }
}

const setBit = (at: number, bit: number): Poke => (raw) => setU32(raw, at, (u32(raw, at) | bit) >>> 0);

describe('features that are not handled are refused by name', () => {
  const MADE: readonly (readonly [string, readonly string[]])[] = [
    ['quota', ['-O', 'quota']], ['project', ['-O', 'quota,project']], ['bigalloc', ['-O', 'bigalloc']], ['casefold', ['-O', 'casefold', '-E', 'encoding=utf8']],
    ['encrypt', ['-O', 'encrypt']], ['verity', ['-O', 'verity']], ['ea_inode', ['-O', 'ea_inode']], ['mmp', ['-O', 'mmp']], ['inline_data', ['-O', 'inline_data']],
  ];
  for (const [name, options] of MADE) {
    needs('mke2fs')(`${name}, as mke2fs makes it`, () => withDirectory((directory) => {
      const image = new Ext4Image(directory, ['-t', 'ext4', ...options]);
      expect(() => openExt4(image.open())).toThrow(expect.objectContaining({ code: 'unsupported', message: expect.stringContaining(name) as string }));
    }));
  }

  const POKED: readonly (readonly [string, Poke])[] = [
    ['compression', setBit(0x60, 0x1)], ['dirdata', setBit(0x60, 0x1000)], ['incompat bit 27', setBit(0x60, 0x8000000)], ['incompat bit 31', setBit(0x60, 0x80000000)],
    ['btree_dir', setBit(0x64, 0x4)], ['snapshot', setBit(0x64, 0x80)], ['replica', setBit(0x64, 0x800)], ['read-only', setBit(0x64, 0x1000)],
    ['shared_blocks', setBit(0x64, 0x4000)], ['ro_compat bit 25', setBit(0x64, 0x2000000)],
    ['imagic_inodes', setBit(0x5c, 0x2)], ['lazy_bg', setBit(0x5c, 0x40)], ['exclude_bitmap', setBit(0x5c, 0x100)], ['compat bit 20', setBit(0x5c, 0x100000)],
    ['external journal', (raw) => setU32(raw, 0xe0, 0)], ['revision', (raw) => setU32(raw, 0x4c, 2)], ['s_log_block_size', (raw) => setU32(raw, 0x18, 6)],
  ];
  needs('mke2fs')('those that mke2fs does not make', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4']);
    for (const [name, poke] of POKED) {
      expect(() => openPoked(image, poke), name).toThrow(expect.objectContaining({ code: 'unsupported', message: expect.stringContaining(name) as string }));
    }
  }));

  needs('mke2fs')('a journal device', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-O', 'journal_dev']);
    expect(() => openExt4(image.open())).toThrow(expect.objectContaining({ code: 'unsupported', message: expect.stringContaining('journal_dev') as string }));
  }));
});

describe('a filesystem that was not closed cleanly is refused with what to run', () => {
  const CASES: readonly (readonly [string, Poke])[] = [
    ['needs_recovery', setBit(0x60, 0x4)], ['orphan_present', setBit(0x64, 0x10000)], ['s_state', (raw) => setU16(raw, 0x3a, 0)],
    ['error flag', (raw) => setU16(raw, 0x3a, 3)], ['orphan inodes', (raw) => setU32(raw, 0xe8, 12)],
  ];
  needs('mke2fs')('each of its signs', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4']);
    for (const [name, poke] of CASES) {
      expect(() => openPoked(image, poke), name).toThrow(expect.objectContaining({
        code: 'refused', message: expect.stringContaining(name) as string, hint: expect.stringContaining('e2fsck -fy') as string,
      }));
    }
  }));

  needs('mke2fs', 'debugfs')('a journal with a transaction in it, written by debugfs', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4']);
    run('debugfs', ['-w', '-f', '-', image.path], 'jo\njw -b 333 /dev/zero\njc\n');
    expect(() => openExt4(image.open())).toThrow(expect.objectContaining({ code: 'refused' }));
  }));
});

describe('one wrong field is one error', () => {
  const set = (at: number, value: number): Poke => (raw) => setU32(raw, at, value);
  const FIELDS: readonly (readonly [string, Poke])[] = [
    ['inodes count', set(0x00, 7)], ['blocks count', set(0x04, 0xffffffff)], ['first data block', set(0x14, 5)], ['cluster size', set(0x1c, 9)],
    ['blocks per group 0', set(0x20, 0)], ['blocks per group', set(0x20, 0xfffffff8)], ['inodes per group 0', set(0x28, 0)], ['inodes per group', set(0x28, 0xffffff00)],
    ['first inode', set(0x54, 1)], ['inode size 0', (raw) => setU16(raw, 0x58, 0)], ['inode size 384', (raw) => setU16(raw, 0x58, 384)], ['inode size', (raw) => setU16(raw, 0x58, 32768)],
    ['descriptor size 0', (raw) => setU16(raw, 0xfe, 0)], ['descriptor size', (raw) => setU16(raw, 0xfe, 0xffff)], ['extra size', (raw) => setU16(raw, 0x15e, 0xfffc)],
    ['blocks count high', set(0x150, 0xffffffff)], ['checksum type', (raw) => { raw[0x175] = 9; }],
  ];
  needs('mke2fs')('with a right checksum', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4']);
    for (const [name, poke] of FIELDS) expect(() => openPoked(image, poke), name).toThrow(expect.objectContaining({ name: 'RockberryError', code: 'corrupt' }));
  }));

  needs('mke2fs')('a wrong checksum', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4']);
    expect(() => openPoked(image, (raw) => { raw[0x80] ^= 1; }, false)).toThrow(expect.objectContaining({ code: 'corrupt', message: expect.stringContaining('checksum') as string }));
  }));
});
