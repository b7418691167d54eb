import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { setU16, setU32, u16, u32 } from '../../../src/bytes/fields.js';
import { RockberryError } from '../../../src/errors.js';
import { encodeXattrs, readXattrs, withReferences, xattrBlockReferences, type XattrFormat } from '../../../src/fs/ext4/xattr.js';
import { SAME_EVERY_TIME, needs, output, run } from '../../support/oracle.js';
import { formatOf, inTemporaryDirectory } from './directory-images.js';

interface OnDisk {
  readonly format: XattrFormat;
  readonly inline: Uint8Array;
  readonly block: Uint8Array | undefined;
  readonly blockNumber: number;
}

/** The attributes of a file as they lie in the image: debugfs tells where, the bytes come from the image file. */
function onDisk(image: string, name: string, inodeSize: number): OnDisk {
  const format = formatOf(image);
  const bytes = readFileSync(image);
  const place = /located at block (\d+), offset (0x[0-9a-f]+)/.exec(output('debugfs', ['-R', `imap ${name}`, image]).toString())!;
  const start = Number(place[1]) * format.blockSize + Number(place[2]);
  const inode = bytes.subarray(start, start + inodeSize);
  const blockNumber = u32(inode, 104);
  const inline = inodeSize === 128 ? new Uint8Array(0) : new Uint8Array(inode.subarray(128 + u16(inode, 128)));
  return { format, inline, blockNumber, block: blockNumber === 0 ? undefined : new Uint8Array(bytes.subarray(blockNumber * format.blockSize, (blockNumber + 1) * format.blockSize)) };
}

const ATTRIBUTES: ReadonlyMap<string, Buffer> = new Map([
  ['security.selinux', Buffer.from('system_u:object_r:etc_t:s0\0')],
  ['user.long', Buffer.from('v'.repeat(300))],
  ['user.a', Buffer.from('1')],
  ['user.b', Buffer.from('12345')],
  ['user.empty', Buffer.from('')],
  ['trusted.overlay.opaque', Buffer.from('y')],
  ['security.capability', Buffer.from('0100000200040000000000000000000000000000', 'hex')],
]);

function imageWith(path: string, options: readonly string[], attributes: ReadonlyMap<string, Buffer>): string {
  const image = join(path, 'image');
  writeFileSync(join(path, 'file'), 'content');
  output('mke2fs', ['-q', '-F', ...SAME_EVERY_TIME, '-t', 'ext4', ...options, image, '8M']);
  const commands = [`write ${join(path, 'file')} f`];
  [...attributes].forEach(([name, value], index) => {
    writeFileSync(join(path, `value${index}`), value);
    commands.push(`ea_set -f ${join(path, `value${index}`)} f ${name}`);
  });
  run('debugfs', ['-w', '-f', '-', image], `${commands.join('\n')}\n`);
  return image;
}

const IMAGES = [
  { title: '256-byte inodes, metadata_csum', options: ['-I', '256', '-b', '4096'], inodeSize: 256 },
  { title: '256-byte inodes, 1 KiB blocks, no checksums', options: ['-I', '256', '-b', '1024', '-O', '^metadata_csum'], inodeSize: 256 },
  { title: '128-byte inodes', options: ['-I', '128', '-b', '1024'], inodeSize: 128 },
  { title: '512-byte inodes', options: ['-I', '512', '-b', '2048'], inodeSize: 512 },
];

describe('extended attributes', () => {
  for (const { title, options, inodeSize } of IMAGES) {
    needs('mke2fs', 'debugfs', 'dumpe2fs')(`what debugfs set is read, ${title}`, () => inTemporaryDirectory((path) => {
      const { inline, block, blockNumber, format } = onDisk(imageWith(path, options, ATTRIBUTES), 'f', inodeSize);
      expect(block).toBeDefined();
      const found = readXattrs(inline, block, blockNumber, format);
      expect(new Map([...found].map(([name, value]) => [name, Buffer.from(value)]))).toEqual(new Map(ATTRIBUTES));
    }));

    needs('mke2fs', 'debugfs', 'dumpe2fs')(`a block we encode equals the one of libext2fs, which leaves h_hash at 0, ${title}`, () => inTemporaryDirectory((path) => {
      const filled = new Map([...ATTRIBUTES].filter(([, value]) => value.length > 0)); // libext2fs gives empty values an offset, Linux does not
      const { inline, block, blockNumber, format } = onDisk(imageWith(path, options, filled), 'f', inodeSize);
      const inBlock = readXattrs(new Uint8Array(0), block, blockNumber, format);
      const encoded = encodeXattrs(inBlock, 0, format, blockNumber);
      for (const each of [encoded.block!, block!]) each.fill(0, 12, 20);
      expect(Buffer.compare(encoded.block!, block!)).toBe(0);
      const inInode = readXattrs(inline, undefined, 0, format);
      if (inodeSize > 128) expect(readXattrs(encodeXattrs(inInode, inline.length, format, 0).inline, undefined, 0, format)).toEqual(inInode);
    }));
  }

  test('any set of attributes that fits comes back; one that does not is no-space', () => {
    const names = fc.tuple(fc.constantFrom('user.', 'trusted.', 'security.'), fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' })).map(([prefix, name]) => prefix + name.replaceAll('\0', ''));
    const sets = fc.dictionary(names.filter((name) => !name.endsWith('.')), fc.uint8Array({ maxLength: 200 }), { maxKeys: 12, noNullPrototype: true }).map((record) => new Map(Object.entries(record)));
    fc.assert(fc.property(sets, fc.constantFrom(0, 96, 352), fc.constantFrom(1024, 4096), (xattrs, inlineLength, blockSize) => {
      const format = { blockSize, checksumSeed: 77 };
      try {
        const { inline, block } = encodeXattrs(xattrs, inlineLength, format, 9);
        expect(inline.length).toBe(inlineLength);
        const found = readXattrs(inline, block, 9, format);
        expect([...found].sort(([a], [b]) => (a < b ? -1 : 1))).toEqual([...xattrs].sort(([a], [b]) => (a < b ? -1 : 1)));
      } catch (error) {
        if (!(error instanceof RockberryError && error.code === 'no-space')) throw error;
      }
    }), { numRuns: 500 });
  });

  test('the count of references changes with the checksum', () => {
    const format = { blockSize: 1024, checksumSeed: 5 };
    const { block } = encodeXattrs(new Map([['user.x', Buffer.from('y')]]), 0, format, 9);
    expect(xattrBlockReferences(block!)).toBe(1);
    const shared = withReferences(block!, 3, 9, format);
    expect(xattrBlockReferences(shared)).toBe(3);
    expect(readXattrs(new Uint8Array(0), shared, 9, format).size).toBe(1);
    expect(xattrBlockReferences(block!)).toBe(1);
  });

  test('unknown prefixes and values that are too large are refused', () => {
    const format = { blockSize: 1024, checksumSeed: undefined };
    expect(() => encodeXattrs(new Map([['other.x', Buffer.from('y')]]), 0, format, 9)).toThrow(expect.objectContaining({ code: 'unsupported' }));
    expect(() => encodeXattrs(new Map([['user.x', Buffer.alloc(1000)]]), 0, format, 9)).toThrow(expect.objectContaining({ code: 'no-space' }));
  });

  const damage: readonly [string, (block: Uint8Array) => void, 'corrupt' | 'unsupported'][] = [
    ['magic', (block) => setU32(block, 0, 0xea020001), 'corrupt'],
    ['number of blocks', (block) => setU32(block, 8, 2), 'corrupt'],
    ['references', (block) => setU32(block, 4, 0), 'corrupt'],
    ['name index', (block) => { block[33] = 99; }, 'unsupported'],
    ['ea_inode', (block) => setU32(block, 36, 12), 'unsupported'],
    ['value offset beyond the block', (block) => setU16(block, 34, 1023), 'corrupt'],
    ['value offset in the entries', (block) => setU16(block, 34, 40), 'corrupt'],
    ['value size', (block) => setU32(block, 40, 0xffffffff), 'corrupt'],
    ['hash', (block) => setU32(block, 44, 1), 'corrupt'],
    ['value', (block) => { block[1020]! ^= 1; }, 'corrupt'],
    ['name length', (block) => { block[32] = 255; block.fill(0xff, 64, 1024); }, 'corrupt'],
    ['no terminator', (block) => { for (let at = 52; at <= 1004; at += 20) block.set(block.subarray(32, 52), at); block.fill(1, 1012); }, 'corrupt'],
  ];
  test.each(damage)('damage to the %s is found', (_, change, code) => {
    const format = { blockSize: 1024, checksumSeed: undefined };
    const block = encodeXattrs(new Map([['user.x', Buffer.from('y')]]), 0, format, 9).block!;
    change(block);
    expect(() => readXattrs(new Uint8Array(0), block, 9, format)).toThrow(expect.objectContaining({ name: 'RockberryError', code }));
  });

  test('any flipped byte of a block with a checksum is found', () => {
    const format = { blockSize: 1024, checksumSeed: 5 };
    const good = encodeXattrs(new Map([['user.x', Buffer.from('y')], ['security.selinux', Buffer.from('label')]]), 0, format, 9).block!;
    for (let at = 0; at < good.length; at++) {
      const block = good.slice();
      block[at]! ^= 0x40;
      expect(() => readXattrs(new Uint8Array(0), block, 9, format), `byte ${at}`).toThrow(expect.objectContaining({ code: 'corrupt' }));
    }
  });
});
