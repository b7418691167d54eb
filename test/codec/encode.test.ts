import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { memoryDevice } from '../../src/device/device.js';
import { type ImageFormat, openImage } from '../../src/codec/codec.js';
import { encodeImage } from '../../src/codec/encode.js';
import { createOverlay } from '../../src/device/overlay.js';
import { countingDevice, failingDevice } from '../support/devices.js';
import { needs } from '../support/oracle.js';
import { gather, material, noise, readAll, scratch } from './material.js';

const at = scratch('encode');
const BLOCK = 2 ** 18;
const image = Buffer.concat([material, Buffer.alloc(4 * BLOCK), noise(BLOCK), Buffer.alloc(2 * BLOCK + 5)]);
const device = memoryDevice(image);
const encode = (format: ImageFormat, options = {}): Promise<Buffer> => gather(encodeImage(device, format, { blockSize: BLOCK, preset: 1, ...options }));
const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

const PROGRAMS: [Exclude<ImageFormat, 'raw'>, string][] = [['xz', 'xz'], ['gzip', 'gzip'], ['zstd', 'zstd']];

describe('images are encoded', () => {
  for (const [format, program] of PROGRAMS) {
    needs(program)(`${program} takes what we write, and gives back the same bytes`, async () => {
      const path = at(`image.${format}`, await encode(format));
      execFileSync(program, ['-t', '-q', ...(format === 'gzip' ? ['-S', '.gzip'] : []), path]);
      const decoded = execFileSync('sh', ['-c', `${program} -dc < "$1"`, 'sh', path], { maxBuffer: 2 ** 28 });
      expect(Buffer.compare(decoded, image)).toBe(0);
      const ours = await readAll(path);
      expect(Buffer.compare(ours.data, image)).toBe(0);
      expect(ours.image.chunks).toHaveLength(Math.ceil(image.length / BLOCK));
      expect(ours.image.chunks.slice(0, -1).every((chunk) => chunk.plain.length === BLOCK)).toBe(true);
    });

    needs(program)(`${program}: the bytes do not depend on how many jobs there are`, async () => {
      const hashes = await Promise.all([1, 2, 7].map(async (jobs) => sha256(await encode(format, { jobs }))));
      expect(new Set(hashes).size).toBe(1);
    });

    needs(program)(`${program}: an empty device and one that is a whole number of blocks`, async () => {
      for (const length of [0, BLOCK, 2 * BLOCK]) {
        const packed = await gather(encodeImage(memoryDevice(image.subarray(300_000, 300_000 + length)), format, { blockSize: BLOCK, preset: 1 }));
        expect(Buffer.compare(execFileSync(program, ['-dc'], { input: packed, maxBuffer: 2 ** 28 }), image.subarray(300_000, 300_000 + length))).toBe(0);
      }
    });
  }

  needs('xz')('xz lists our blocks with both sizes, one stream, CRC64', async () => {
    const listed = execFileSync('xz', ['--robot', '-lvv', at('listed.xz', await encode('xz'))]).toString().split('\n').map((line) => line.split('\t'));
    const blocks = listed.filter((fields) => fields[0] === 'block');
    expect(blocks).toHaveLength(Math.ceil(image.length / BLOCK));
    expect(blocks.every((fields) => fields[9] === 'CRC64' && fields[12] === 'cu')).toBe(true); // c and u: both sizes are in the header
    expect(listed.find((fields) => fields[0] === 'file')!.slice(1, 3)).toEqual(['1', `${blocks.length}`]);
  });

  test('raw is the bytes themselves, and a change in an overlay is in them', async () => {
    expect(Buffer.compare(await encode('raw'), image)).toBe(0);
    const overlay = createOverlay(device);
    overlay.write(BLOCK - 2, Buffer.from('changed'));
    const changed = Buffer.from(image);
    changed.set(Buffer.from('changed'), BLOCK - 2);
    expect(Buffer.compare(await gather(encodeImage(overlay, 'raw')), changed)).toBe(0);
  });

  test('every byte is read once', async () => {
    const counting = countingDevice(device);
    await gather(encodeImage(counting, 'gzip', { blockSize: BLOCK, preset: 1, jobs: 3 }));
    expect(counting.reads.map((range) => range.offset)).toEqual(Array.from({ length: Math.ceil(image.length / BLOCK) }, (_, index) => index * BLOCK));
  });

  test('a device that fails, and a reader that stops', async () => {
    for (const format of ['raw', 'xz', 'gzip'] as const) {
      await expect(gather(encodeImage(failingDevice(device, 5), format, { blockSize: BLOCK, preset: 1, jobs: 3 }))).rejects.toMatchObject({ code: 'io' });
    }
    for await (const piece of encodeImage(device, 'xz', { blockSize: BLOCK, preset: 1, jobs: 3 })) if (piece.length > 100) break;
  });

  test('options out of range are usage errors', async () => {
    for (const options of [{ blockSize: 100 }, { blockSize: 2 ** 27 }, { preset: 10 }, { jobs: 0 }, { preset: 1.5 }]) {
      await expect(encode('xz', options)).rejects.toMatchObject({ code: 'usage' });
    }
  });

  needs('xz')('decoding on other threads gives the same bytes', async () => {
    const opened = await openImage(at('base.xz', await encode('xz')));
    expect(Buffer.compare(await gather(encodeImage(opened.device, 'raw', { prefetch: opened.prefetch, blockSize: 100_000, jobs: 2 })), image)).toBe(0);
    opened.close();
  });
});
