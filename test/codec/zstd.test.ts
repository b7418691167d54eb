import { execFileSync } from 'node:child_process';
import { describe, expect } from 'vitest';
import { needs } from '../support/oracle.js';
import { failureOf, flipped, material, once, readAll, scratch } from './material.js';

const at = scratch('zstd');
const plain = at('plain.img', material);
const zstd = (...args: string[]): Buffer => execFileSync('zstd', ['-q', '-c', ...args, plain], { maxBuffer: 2 ** 28 });
const streamed = (): Buffer => execFileSync('zstd', ['-q', '-c'], { input: material, maxBuffer: 2 ** 28 });
const half = material.length >> 1;
const frame = (part: Buffer): Buffer => execFileSync('zstd', ['-q', '-c', `--stream-size=${part.length}`], { input: part, maxBuffer: 2 ** 28 });
const skippable = (length: number): Buffer => {
  const data = Buffer.alloc(8 + length, 0xaa);
  data.writeUInt32LE(0x184d2a53, 0);
  data.writeUInt32LE(length, 4);
  return data;
};

describe('zstd files are read', () => {
  needs('zstd')('one frame, with and without check sum and content size', async () => {
    for (const packed of [zstd('-1'), zstd('--no-check'), zstd('--no-content-size'), zstd('--ultra', '-20'), streamed()]) {
      const { data, image } = await readAll(at('a.zst', packed));
      expect(Buffer.compare(data, material)).toBe(0);
      expect(image.chunks).toEqual([{ packed: { offset: 0, length: packed.length }, plain: { offset: 0, length: material.length } }]);
    }
  });

  needs('zstd')('several frames and skippable ones', async () => {
    const parts = [skippable(10), frame(material.subarray(0, half)), skippable(0), frame(material.subarray(half)), skippable(100)];
    const { data, image } = await readAll(at('b.zst', Buffer.concat(parts)));
    expect(Buffer.compare(data, material)).toBe(0);
    expect(image.chunks.map((chunk) => chunk.packed.length)).toEqual(parts.map((part) => part.length));
    expect(image.chunks.map((chunk) => chunk.plain.length)).toEqual([0, half, 0, material.length - half, 0]);
  });

  needs('zstd')('frames that do not say their size are measured', async () => {
    const parts = [streamed(), skippable(5), streamed()];
    const { data, image } = await readAll(at('c.zst', Buffer.concat(parts)));
    expect(Buffer.compare(data, Buffer.concat([material, material]))).toBe(0);
    expect(image.chunks.map((chunk) => [chunk.packed.length, chunk.plain.offset])).toEqual([[parts[0]!.length, 0], [13, material.length], [parts[2]!.length, material.length]]);
  });

  needs('zstd')('many small frames are not a process each', async () => {
    const one = frame(Buffer.from('hello, frame\n'));
    const started = Date.now();
    const { data } = await readAll(at('d.zst', Buffer.concat(Array.from({ length: 5000 }, () => one))));
    expect(data.length).toBe(13 * 5000);
    expect(Date.now() - started).toBeLessThan(5000);
  });
});

describe('zstd files that are not sound', () => {
  const good = once(() => zstd('-1'));
  needs('zstd')('cut anywhere', async () => {
    for (let cut = 1; cut <= 50; cut++) {
      const length = Math.floor((cut * good().length) / 51);
      expect(await failureOf(at('cut.zst', good().subarray(0, length))), `cut to ${length}`).toMatchObject({ code: 'corrupt' });
    }
    for (const length of [4, 7, 12, good().length - 1, good().length - 4]) {
      expect(await failureOf(at('cut.zst', good().subarray(0, length))), `cut to ${length}`).toMatchObject({ code: 'corrupt' });
    }
  });

  const bomb = (): Buffer => {
    const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0x50, 0, 0, 0, 0, 0, 1, 0, 0]); // one TiB of content
    return Buffer.concat([head, Buffer.from([0x03, 0, 0x10, 0])]); // in one block of 128 KiB
  };
  const cases: [string, () => Buffer, string, RegExp][] = [
    ['data', () => flipped(good(), 100_000), 'corrupt', /cannot decode it/],
    ['check sum', () => flipped(good(), good().length - 1), 'corrupt', /cannot decode it/],
    ['garbage after it', () => Buffer.concat([good(), Buffer.from('hello, world')]), 'corrupt', /zstd frame 1 at offset \d+: expected a zstd frame or the end of the file/],
    ['a little garbage after it', () => Buffer.concat([good(), Buffer.from('hi')]), 'corrupt', /found 2 more bytes/],
    ['zeros after it', () => Buffer.concat([good(), Buffer.alloc(512)]), 'corrupt', /expected a zstd frame or the end of the file/],
    ['reserved bit', () => Buffer.concat([good().subarray(0, 4), Buffer.from([good()[4]! | 8]), good().subarray(5)]), 'unsupported', /reserved bit/],
    ['more content than its blocks can hold', bomb, 'corrupt', /the header says \d+ bytes, its blocks hold at most 131072/],
    ['a dictionary', () => Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 1, 1, 0, 0, 0]), 'unsupported', /needs a dictionary/],
    ['a skippable frame beyond the end', () => skippable(10).subarray(0, 12), 'corrupt', /go beyond the end/],
  ];
  for (const [name, make, code, message] of cases) {
    needs('zstd')(name, async () => {
      const error = await failureOf(at('bad.zst', make()));
      expect(error.code).toBe(code);
      expect(error.message).toMatch(message);
    });
  }
});
