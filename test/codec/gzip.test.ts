import { execFileSync } from 'node:child_process';
import { gzipSync } from 'node:zlib';
import { crc32 } from '../../src/bytes/crc.js';
import { describe, expect, test } from 'vitest';
import { needs } from '../support/oracle.js';
import { failureOf, flipped, material, readAll, scratch } from './material.js';

const at = scratch('gzip');
const plain = at('plain.img', material);
const member = gzipSync(material, { level: 1 });

/** A member with every optional header field (RFC 1952, 2.3.1). */
function decorated(): Buffer {
  const body = gzipSync(material, { level: 1 }).subarray(10);
  const head = Buffer.concat([
    Buffer.from([0x1f, 0x8b, 8, 2 | 4 | 8 | 16, 1, 2, 3, 4, 0, 3]), Buffer.from([5, 0]), Buffer.from('extra'), Buffer.from('image.img\0'), Buffer.from('a comment\0'),
  ]);
  const sum = Buffer.alloc(2);
  sum.writeUInt16LE(crc32(head) & 0xffff);
  return Buffer.concat([head, sum, body]);
}

describe('gzip files are read', () => {
  needs('gzip')('as gzip writes them, with a name', async () => {
    const { data, image } = await readAll(at('a.gz', execFileSync('gzip', ['-c', '-1', plain], { maxBuffer: 2 ** 28 })));
    expect(Buffer.compare(data, material)).toBe(0);
    expect(image.format).toBe('gzip');
    expect(image.chunks).toEqual([{ packed: { offset: 0, length: image.file.size }, plain: { offset: 0, length: material.length } }]);
  });

  test('several members, one of them empty, and where they are', async () => {
    const empty = gzipSync('');
    const { data, image } = await readAll(at('b.gz', Buffer.concat([member, empty, decorated()])));
    expect(Buffer.compare(data, Buffer.concat([material, material]))).toBe(0);
    expect(image.chunks.map(({ packed, plain: range }) => [packed.offset, packed.length, range.offset, range.length])).toEqual([
      [0, member.length, 0, material.length], [member.length, empty.length, material.length, 0],
      [member.length + empty.length, decorated().length, material.length, material.length],
    ]);
  });

  test('many small members, as bgzip makes them', async () => {
    const parts = Array.from({ length: 2000 }, (_, index) => gzipSync(Buffer.from(`member ${index}\n`)));
    const { data, image } = await readAll(at('c.gz', Buffer.concat(parts)));
    expect(image.chunks).toHaveLength(2000);
    expect(data.toString().split('\n')[1999]).toBe('member 1999');
  });

  test('members that end where a piece of input ends', async () => {
    for (const short of [0, 1, 7, 8, 9]) {
      // stored blocks: so the length can be chosen
      const first = gzipSync(Buffer.alloc(2 ** 20 - short - 10 - 8 - 5 * 17), { level: 0 });
      const { data } = await readAll(at('d.gz', Buffer.concat([first, member])));
      expect(Buffer.compare(data.subarray(-material.length), material)).toBe(0);
    }
  });

  test('zeros after the last member are padding', async () => {
    const { data } = await readAll(at('e.gz', Buffer.concat([member, Buffer.alloc(100_000)])));
    expect(data.length).toBe(material.length);
  });
});

describe('gzip files that are not sound', () => {
  test('cut anywhere', async () => {
    for (let cut = 1; cut <= 50; cut++) {
      const length = Math.floor((cut * member.length) / 51);
      expect(await failureOf(at('cut.gz', member.subarray(0, length))), `cut to ${length}`).toMatchObject({ code: 'corrupt' });
    }
    for (const length of [3, 9, member.length - 1, member.length - 8, member.length - 9]) {
      expect(await failureOf(at('cut.gz', member.subarray(0, length))), `cut to ${length}`).toMatchObject({ code: 'corrupt' });
    }
  });

  const cases: [string, () => Buffer, string, RegExp][] = [
    ['compression method', () => flipped(member, 2), 'unsupported', /expected compression method 8 \(deflate\), found 24/],
    ['reserved flags', () => Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0x80]), member.subarray(4)]), 'unsupported', /reserved flags/],
    ['header check sum', () => flipped(decorated(), 13), 'corrupt', /gzip member 0 at offset 0: the member header's check sum does not match/],
    ['data', () => flipped(member, 100_000), 'corrupt', /gzip member 0 at offset 0: /],
    ['CRC32', () => flipped(member, member.length - 8), 'corrupt', new RegExp(`the CRC32 of its ${material.length} bytes does not match`)],
    ['length', () => flipped(member, member.length - 4), 'corrupt', /expected \d+ bytes \(modulo 2\^32\), found/],
    ['garbage after it', () => Buffer.concat([member, Buffer.from('hello')]), 'corrupt', new RegExp(`gzip member 1 at offset ${member.length}: expected a gzip member or the end of the file`)],
    ['garbage after padding', () => Buffer.concat([member, Buffer.alloc(10), Buffer.from('hello, world')]), 'corrupt', /expected a gzip member or the end of the file/],
    ['a name without end', () => Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3]), Buffer.alloc(200_000, 0x61)]), 'corrupt', /found its end missing/],
  ];
  for (const [name, make, code, message] of cases) {
    test(name, async () => {
      const error = await failureOf(at('bad.gz', make()));
      expect(error.code).toBe(code);
      expect(error.message).toMatch(message);
    });
  }
});
