/** Blocks of zeros that are the same when encoded are decoded once; one that is nearly the same is not taken for it. */
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { openImage } from '../../src/codec/codec.js';
import { knowingZeros } from '../../src/codec/zeros.js';
import type { XzChunk } from '../../src/codec/xz.js';
import { memoryDevice } from '../../src/device/device.js';
import { needs } from '../support/oracle.js';
import { flipped, readAll, scratch } from './material.js';

const at = scratch('zeros');
const MIB = 2 ** 20;
const chunk = (index: number, plain = 100_000): XzChunk => ({ packed: { offset: index * 10, length: 10 }, plain: { offset: index * plain, length: plain }, check: 4, unpadded: 10 });

test('the same bytes are decoded once, others each', async () => {
  const packed = Buffer.from('zerozero-azerozero-azerozero-bzerozero-aother-----');
  const decoded: number[] = [];
  const decode = ({ packed: { offset }, plain }: XzChunk): Uint8Array => {
    decoded.push(offset / 10);
    return new Uint8Array(plain.length).fill(offset === 40 ? 7 : 0);
  };
  const decoder = knowingZeros(memoryDevice(packed), { decodeSync: decode, decode: async (one) => decode(one) });
  const room = Buffer.alloc(100_001, 9);
  for (const index of [0, 1, 2]) expect(decoder.decodeSync(chunk(index), room).every((byte) => byte === 0)).toBe(true);
  expect([(await decoder.decode(chunk(3))).length, (await decoder.decode(chunk(4)))[0], (await decoder.decode(chunk(4)))[0]]).toEqual([100_000, 7, 7]);
  expect(decoder.decodeSync(chunk(0, 99_999)).length).toBe(99_999); // the same bytes, but said to be shorter: the decoder decides
  expect(decoded).toEqual([0, 2, 4, 4, 0]);
});

needs('xz')('an image of zeros between data, as xz makes it; a flipped bit in a later block of zeros is found', async () => {
  const plain = Buffer.concat([Buffer.from('head'), Buffer.alloc(40 * MIB), Buffer.from('middle'), Buffer.alloc(24 * MIB - 10)]);
  const good = execFileSync('xz', ['-c', '-0', '--block-size=4MiB'], { input: plain, maxBuffer: 2 ** 26 });
  expect(Buffer.compare((await readAll(at('good.xz', good))).data, plain)).toBe(0);
  const image = await openImage(at('good.xz'));
  const zero = image.chunks.filter(({ packed }) => packed.length === image.chunks[1]!.packed.length);
  expect(zero.length).toBeGreaterThan(10);
  for (const { packed } of zero.slice(1, 4)) {
    const bad = await openImage(at('bad.xz', flipped(good, packed.offset + packed.length - 20)));
    await expect(bad.scan()).rejects.toMatchObject({ code: 'corrupt' });
    bad.close();
  }
  image.close();
});
