import { describe, expect } from 'vitest';
import { openExt4 } from '../../../src/fs/ext4/ext4.js';
import type { Time } from '../../../src/fs/filesystem.js';
import { decodeName, encodeName } from '../../../src/fs/names.js';
import { needs } from '../../support/oracle.js';
import { Ext4Image, withDirectory } from '../../support/image-file.js';

const hex = (value: number): string => `0x${(value >>> 0).toString(16).padStart(8, '0')}`;

describe('times', () => {
  const TIMES: readonly Time[] = [
    { seconds: 0, nanoseconds: 0 }, { seconds: 1_700_000_000, nanoseconds: 999_999_999 }, { seconds: 2 ** 31, nanoseconds: 1 }, { seconds: 2 ** 33 + 5, nanoseconds: 500 },
    { seconds: -1, nanoseconds: 0 }, { seconds: -(2 ** 31), nanoseconds: 7 }, { seconds: 2 ** 32, nanoseconds: 0 },
  ];
  needs('mke2fs', 'e2fsck', 'debugfs')('with nanoseconds and 34 bits of seconds', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4']);
    const fs = openExt4(image.open())!;
    TIMES.forEach((mtime, at) => fs.write(`/f${at}`, new Uint8Array(1), { mtime }));
    fs.flush();
    expect(image.problems()).toBe('');
    const again = openExt4(image.open())!;
    TIMES.forEach((mtime, at) => {
      expect(again.stat(`/f${at}`)!.mtime).toEqual(mtime);
      const [low, extra] = /mtime: (0x[0-9a-f]+):([0-9a-f]+)/.exec(image.debugfs(`stat /f${at}`))!.slice(1) as [string, string];
      expect(low).toBe(hex(mtime.seconds));
      expect(parseInt(extra, 16) >>> 2).toBe(mtime.nanoseconds);
    });
  }));

  needs('mke2fs', 'e2fsck')('without room for them in inodes of 128 bytes', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-I', '128']);
    const fs = openExt4(image.open())!;
    fs.write('/f', new Uint8Array(1), { mtime: { seconds: 1_700_000_000, nanoseconds: 5 } });
    fs.write('/g', new Uint8Array(1), { mtime: { seconds: 2 ** 33, nanoseconds: 5 } });
    fs.flush();
    const digest = image.digest();
    fs.change('/f', { mtime: { seconds: 1_700_000_000, nanoseconds: 6 } });
    fs.flush();
    expect(image.digest()).toBe(digest);
    expect([fs.stat('/f')!.mtime, fs.stat('/g')!.mtime]).toEqual([{ seconds: 1_700_000_000, nanoseconds: 0 }, { seconds: 2 ** 31 - 1, nanoseconds: 0 }]);
    expect(image.problems()).toBe('');
  }));

  needs('mke2fs', 'e2fsck')('of deletion do not look like a list of orphans', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4']);
    const fs = openExt4(image.open(), { time: { seconds: 1, nanoseconds: 0 } })!;
    for (const name of ['/a', '/b', '/c']) fs.write(name, new Uint8Array(5000));
    fs.remove('/b');
    fs.flush();
    expect(image.problems()).toBe('');
  }));
});

describe('one wrong byte', () => {
  needs('mke2fs', 'debugfs')('in any place of an inode is noticed', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-b', '4096'], 16);
    image.edit('write /etc/hostname file');
    const [, block, offset] = /located at block (\d+), offset (0x[0-9a-f]+)/.exec(image.debugfs('imap /file'))!;
    const device = image.open();
    const start = Number(block) * 4096 + Number(offset);
    for (let at = 0; at < 256; at += 5) {
      const [byte] = device.read(start + at, 1);
      device.write(start + at, Uint8Array.of(byte! ^ 0x40));
      expect(() => openExt4(device)!.read('/file'), `byte ${at}`).toThrow(expect.objectContaining({ name: 'RockberryError', code: 'corrupt' }));
      device.write(start + at, Uint8Array.of(byte!));
    }
  }));

  needs('mke2fs', 'debugfs')('without checksums is an error or nothing, never a crash', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-b', '4096', '-O', '^metadata_csum'], 16);
    image.edit('write /etc/hostname file', 'mkdir dir');
    const device = image.open();
    for (const name of ['file', 'dir']) {
      const [, block, offset] = /located at block (\d+), offset (0x[0-9a-f]+)/.exec(image.debugfs(`imap /${name}`))!;
      const start = Number(block) * 4096 + Number(offset);
      for (let at = 0; at < 128; at++) {
        const [byte] = device.read(start + at, 1);
        for (const mask of [0xff, 0x80, 0x01]) {
          device.write(start + at, Uint8Array.of(byte! ^ mask));
          try {
            const fs = openExt4(device)!;
            if (name === 'file') fs.read('/file', 0, 1 << 20);
            else fs.list('/dir');
            fs.xattrs(`/${name}`);
          } catch (error) {
            expect(error, `byte ${at} of ${name}`).toMatchObject({ name: 'RockberryError' });
          }
        }
        device.write(start + at, Uint8Array.of(byte!));
      }
    }
  }));
});

describe('names', () => {
  needs('mke2fs', 'e2fsck', 'debugfs')('of any bytes round-trip', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4']);
    const fs = openExt4(image.open())!;
    const names = ['\udcff\udc80x', 'é', '😀\udc9f', 'n'.repeat(255), '\udcc3é', '\ufeffbom', '-', ' '];
    for (const name of names) fs.write(`/${name}`, Uint8Array.of(1));
    fs.flush();
    expect(image.problems()).toBe('');
    expect(openExt4(image.open())!.list('/').map(({ name }) => name).filter((name) => name !== 'lost+found').sort()).toEqual([...names].sort());
    for (const name of names) expect(decodeName(encodeName(name))).toBe(name);
    expect([...encodeName('\udcff\udc80x')]).toEqual([0xff, 0x80, 0x78]);
    expect([...encodeName('\udcc3é')]).toEqual([0xc3, 0xc3, 0xa9]);
    for (const bad of ['\ud800', 'a/b', '', '.', '..', 'é'.repeat(128), 'a\0']) expect(() => encodeName(bad)).toThrow(expect.objectContaining({ code: 'path' }));
  }));
});
