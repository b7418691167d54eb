import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { detectFormat, formatOfName, openImage } from '../../src/codec/codec.js';
import { RockberryError } from '../../src/errors.js';
import { needs } from '../support/oracle.js';
import { failureOf, scratch } from './material.js';

const at = scratch('detect');

function head(offset: number, bytes: string | number[]): Buffer {
  const data = Buffer.alloc(33000);
  Buffer.from(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes).copy(data, offset);
  return data;
}

const REFUSED: [string, Buffer, RegExp, RegExp][] = [
  ['zip', head(0, 'PK\x03\x04'), /found a zip archive/, /unzip it first/],
  ['7z', head(0, '7z\xbc\xaf\x27\x1c'), /found a 7z archive/, /7z x/],
  ['bzip2', head(0, 'BZh9'), /found a bzip2 file/, /bunzip2/],
  ['ISO 9660', head(32769, 'CD001'), /found an ISO 9660 image/, /img\.xz/],
  ['qcow2', head(0, 'QFI\xfb'), /found a qcow2 image/, /qemu-img convert -f qcow2/],
  ['VMDK', head(0, 'KDMV'), /found a VMDK image/, /qemu-img/],
  ['VHD', head(0, 'conectix'), /found a VHD image/, /qemu-img/],
  ['VHDX', head(0, 'vhdxfile'), /found a VHDX image/, /qemu-img/],
  ['Android sparse', head(0, [0x3a, 0xff, 0x26, 0xed]), /found an Android sparse image/, /simg2img/],
  ['tar', head(257, 'ustar\x0000'), /found a tar archive/, /tar xf/],
];

describe('formats by content', () => {
  for (const [name, data, message, hint] of REFUSED) {
    test(`${name} is refused by name`, async () => {
      const error = await failureOf(at('image.img', data));
      expect(error.code).toBe('unsupported');
      expect(error.message).toMatch(message);
      expect(error.hint).toMatch(hint);
    });
  }

  test('an empty file', async () => {
    expect(await failureOf(at('empty.img', Buffer.alloc(0)))).toMatchObject({ code: 'corrupt', message: 'expected a disk image, found an empty file' });
  });

  test('the name does not matter', async () => {
    const image = await openImage(at('raw.img.xz', Buffer.from('a raw image of nothing much')));
    expect(image).toMatchObject({ format: 'raw', chunks: [] });
    expect(image.device.size).toBe(27);
    image.close();
  });

  test('short files are raw, whatever they begin with', () => {
    for (const bytes of [[0xfd], [0xfd, 0x37, 0x7a], [0x28, 0xb5, 0x2f], [0x50, 0x4b]]) expect(detectFormat(Uint8Array.from(bytes))).toBe('raw');
  });

  needs('tar', 'bzip2')('files that real programs made', async () => {
    writeFileSync(at('file'), 'hello');
    execFileSync('tar', ['-cf', at('x.tar'), '-C', '/', 'etc/hostname']);
    execFileSync('sh', ['-c', 'bzip2 -c "$1" > "$1.bz2"', 'sh', at('file')]);
    expect((await failureOf(at('x.tar'))).message).toMatch(/tar archive/);
    expect((await failureOf(at('file.bz2'))).message).toMatch(/bzip2/);
  });
});

describe('formats by name', () => {
  test('by the ending, whatever its case', () => {
    expect(['a.img', 'a.raw', 'a.img.xz', 'a.gz', 'A.ZST'].map(formatOfName)).toEqual(['raw', 'raw', 'xz', 'gzip', 'zstd']);
  });
  test('another ending is a usage error that lists them', () => {
    expect(() => formatOfName('a.zip')).toThrow(RockberryError);
    expect(() => formatOfName('a.zip')).toThrow('expected a name that ends in .img, .raw, .xz, .gz, .zst, found a.zip');
  });
});
