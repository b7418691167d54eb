import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { loadLzma, programLzma } from '../../src/codec/liblzma.js';
import { encodeXzBlock } from '../../src/codec/xz-encode.js';
import { needs } from '../support/oracle.js';
import { flipped, gather, material } from './material.js';

const block = material.subarray(200_000, 900_000);
async function* inPieces(data: Uint8Array): AsyncIterable<Uint8Array> {
  for (let at = 0; at < data.length; at += 10_000) yield data.subarray(at, at + 10_000);
}
const version = async (): Promise<string | undefined> => {
  try {
    return (await import('node-liblzma')).versionString();
  } catch {
    return undefined;
  }
};

describe('liblzma by the addon and by the program', () => {
  needs('xz')('encode to the same bytes, where their versions agree', async () => {
    const program = execFileSync('xz', ['--version']).toString().match(/liblzma (\S+)/)?.[1];
    const addon = await version();
    if (addon !== program) process.stderr.write(`not compared: the addon has liblzma ${addon}, the program ${program}\n`);
    for (const check of [0, 1, 4, 10]) {
      const [one, other] = await Promise.all([loadLzma(), programLzma()].map(async (lzma) => encodeXzBlock(await lzma, block, 1, check)));
      if (addon === program) expect(one).toEqual(other);
      expect(one!.record.plain).toBe(other!.record.plain);
    }
  });

  for (const [name, load] of [['addon', loadLzma], ['program', async () => programLzma()]] as const) {
    needs('xz')(`${name}: decodes exactly what there is, or says what is wrong`, async () => {
      const lzma = await load();
      const good = execFileSync('xz', ['-c', '-1', '-C', 'none'], { input: block, maxBuffer: 2 ** 26 });
      expect(Buffer.compare(lzma.decodeSync(good, block.length, 'it'), block)).toBe(0);
      expect(Buffer.compare(await lzma.decode(good, block.length, 'it'), block)).toBe(0);
      expect(Buffer.compare(await gather(copies(lzma.decodePieces(inPieces(Buffer.concat([good, Buffer.alloc(4), good])), 'it'))), Buffer.concat([block, block]))).toBe(0);
      const bad: [Uint8Array, number, RegExp][] = [
        [good, block.length - 1, /it: cannot decode it: expected 699999 bytes, found (more|700000)/], [good, block.length + 1, /expected 700001 bytes, found 700000/],
        [good.subarray(0, -20), block.length, /it: cannot decode it: /], [flipped(good, 1000), block.length, /it: cannot decode it: /],
      ];
      for (const [data, plain, message] of bad) {
        expect(() => lzma.decodeSync(data, plain, 'it')).toThrow(message);
        await expect(lzma.decode(data, plain, 'it')).rejects.toThrow(message);
      }
      for (const data of [good.subarray(0, -20), flipped(good, 1000), Buffer.concat([good, Buffer.from('abcd')])]) {
        await expect(gather(lzma.decodePieces(inPieces(data), 'it'))).rejects.toMatchObject({ code: 'corrupt' });
      }
    });
  }

  test('there is one of them here', async () => {
    expect(await loadLzma()).toBe(await loadLzma());
  });
});

/** Pieces are valid until the next is asked for. */
async function* copies(pieces: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  for await (const piece of pieces) yield Uint8Array.from(piece);
}
