import { describe, expect, test } from 'vitest';
import { type Chunk, chunkAt, chunkedDevice, prefetchAt } from '../../src/codec/chunks.js';

const LENGTHS = [10, 0, 10, 5, 0, 0, 20, 10, 0];
const starts = LENGTHS.map((_, index) => LENGTHS.slice(0, index).reduce((sum, length) => sum + length, 0));
const chunks: Chunk[] = LENGTHS.map((length, index) => ({ packed: { offset: index, length: 1 }, plain: { offset: starts[index]!, length } }));
const bytes = (chunk: Chunk): Uint8Array => Uint8Array.from({ length: chunk.plain.length }, (_, at) => chunk.plain.offset + at);

function open(limit: number): { decoded: number[]; device: ReturnType<typeof chunkedDevice>['device']; prefetch: ReturnType<typeof chunkedDevice>['prefetch'] } {
  const decoded: number[] = [];
  const decodeSync = (chunk: Chunk): Uint8Array => {
    decoded.push(chunk.packed.offset);
    return bytes(chunk);
  };
  return { decoded, ...chunkedDevice(chunks, { decodeSync, decode: async (chunk) => decodeSync(chunk) }, limit) };
}

describe('a device of chunks', () => {
  test('every range is what it should be, empty chunks are passed over', () => {
    const { device } = open(20);
    expect(device.size).toBe(55);
    for (let offset = 0; offset <= 55; offset++) {
      for (let end = offset; end <= 55; end++) {
        expect([...device.read(offset, end - offset)]).toEqual(Array.from({ length: end - offset }, (_, at) => offset + at));
      }
    }
    expect(() => device.read(50, 6)).toThrow(/ends at 55/);
    expect(chunkAt(chunks, 10)).toBe(2);
    expect(chunkAt(chunks, 55)).toBe(chunks.length);
  });

  test('a chunk is decoded once while it is among those kept', () => {
    const { device, decoded } = open(20);
    device.read(0, 10);
    device.read(10, 10);
    device.read(5, 10);
    expect(decoded).toEqual([0, 2]);
    device.read(20, 1); // 3 comes, 0 goes: 2 was used last
    device.read(12, 1);
    expect(decoded).toEqual([0, 2, 3]);
    device.read(0, 1);
    expect(decoded).toEqual([0, 2, 3, 0]);
  });

  test('what the caller does to what it got stays with the caller', () => {
    const { device } = open(100);
    device.read(0, 5).fill(99);
    expect(device.read(0, 2)).toEqual(Buffer.from([0, 1]));
  });

  test('prefetch decodes what is needed, and ahead as far as the cache reaches, each once', async () => {
    const { device, decoded, prefetch } = open(25);
    await Promise.all([prefetch({ offset: 3, length: 4 }), prefetch({ offset: 7, length: 2 })]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(decoded).toEqual([0, 2, 3]);
    device.read(0, 25);
    expect(decoded).toEqual([0, 2, 3]);
    await prefetch({ offset: 25, length: 30 });
    expect(decoded).toEqual([0, 2, 3, 6, 7]);
  });

  test('where partitions begin: what a hostile table names is fetched only as far as the cache reaches', async () => {
    const MIB = 2 ** 20;
    const large = Array.from({ length: 40 }, (_, index): Chunk => ({ packed: { offset: index, length: 1 }, plain: { offset: index * 24 * MIB, length: 24 * MIB } }));
    const fetched = async (offsets: readonly number[], wide?: boolean): Promise<number[]> => {
      const seen: number[] = [];
      await prefetchAt({ chunks: large, prefetch: async ({ offset }) => void seen.push(offset / (24 * MIB)) }, offsets, wide);
      return seen;
    };
    const every = large.map(({ plain }) => plain.offset + 512);
    expect(await fetched(every)).toEqual([0, 1]);
    expect(await fetched([0, 300 * MIB, 778 * MIB, 2 ** 52], true)).toEqual([0, 1, 12, 13, 32, 33]);
    expect(await fetched(every, true)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(await fetched([large.length * 24 * MIB - 1, 2 ** 52], true)).toEqual([39]);
  });
});
