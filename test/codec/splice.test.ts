/** Splicing every kind of file that xz, gzip and zstd make: the result is judged by those programs, and what was not touched is the base's, byte for byte. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Range } from '../../src/bytes/ranges.js';
import { openImage, type DecodedImage } from '../../src/codec/codec.js';
import type { EncodedPiece, KnownPieces } from '../../src/codec/encode-ahead.js';
import { canSplice, spliceImage, verifySplice } from '../../src/codec/splice.js';
import { createOverlay } from '../../src/device/overlay.js';
import { RockberryError } from '../../src/errors.js';
import { needs, output } from '../support/oracle.js';
import { flipped, gather, material, once, scratch } from './material.js';

const at = scratch('splice');
const plain = at('plain.img', material);
const pack = (program: string, ...args: string[]): Buffer => execFileSync(program, ['-c', ...args, plain], { maxBuffer: 2 ** 28 });
const xz = (...args: string[]): Buffer => pack('xz', '-1', ...args);
const empty = (...args: string[]): Buffer => execFileSync('xz', ['-c', ...args], { input: '' });

/** One change inside a block, one over a border, one at the very end. */
const WRITES: readonly (readonly [offset: number, text: string])[] = [[400_000, 'a changed word'], [1_199_998, 'over a border'], [material.length - 5, 'ended']];

interface Done { readonly bytes: Buffer; readonly base: DecodedImage; readonly encoded: readonly EncodedPiece[]; readonly path: string }

async function splice(name: string, data: Uint8Array, writes = WRITES, options: { blockSize?: number; known?: KnownPieces } = {}): Promise<Done> {
  const path = at(name, data);
  const base = await openImage(path);
  await base.scan();
  const overlay = createOverlay(base.device);
  for (const [offset, text] of writes) overlay.write(offset, Buffer.from(text));
  const { bytes, encoded } = spliceImage(base, path, overlay, { blockSize: 300_000, ...options });
  return { bytes: await gather(bytes), base, encoded, path };
}

function edited(data: Uint8Array, writes = WRITES): Buffer {
  const copy = Buffer.from(data);
  for (const [offset, text] of writes) copy.write(text, offset);
  return copy;
}

interface Block { readonly plain: Range; readonly check: string; readonly sum: string; readonly body: Buffer; readonly header: number; readonly sizes: string }

/** Blocks as `xz --list` tells them; the body is the compressed data. */
function blocks(path: string): Block[] {
  const bytes = readFileSync(path);
  return output('xz', ['--robot', '--list', '-vv', path]).toString().split('\n').filter((line) => line.startsWith('block\t')).map((line) => line.split('\t')).map((field) => {
    const [offset, header, size] = [Number(field[4]), Number(field[11]), Number(field[13])];
    return { plain: { offset: Number(field[5]), length: Number(field[7]) }, check: field[9]!, sum: field[10]!, sizes: field[12]!, header, body: bytes.subarray(offset + header, offset + header + size) };
  });
}

const KINDS: Readonly<Record<string, () => Buffer>> = {
  'blocks with sizes in their headers': () => xz('-T2', '--block-size=300000'),
  'blocks without them': () => xz('-T1', '--block-size=300000'),
  'no check': () => xz('-C', 'none', '--block-size=300000'),
  'CRC32': () => xz('-C', 'crc32', '--block-size=300000'),
  'SHA-256': () => xz('-C', 'sha256', '--block-size=300000'),
  'the x86 filter': () => pack('xz', '--x86', '--lzma2=preset=1', '--block-size=300000'),
  'the ARM64 filter': () => pack('xz', '--arm64', '--lzma2=preset=1', '--block-size=300000'),
  'the delta filter': () => pack('xz', '--delta=dist=4', '--lzma2=preset=1', '--block-size=300000'),
  'four filters': () => pack('xz', '--x86', '--delta=dist=1', '--arm', '--lzma2=preset=1', '--block-size=300000'),
  'odd block lengths': () => xz('--block-list=1,2,3,5000,100000,200000,1000,0'),
  'several streams with padding': () => Buffer.concat([xz('--block-size=500000'), Buffer.alloc(4), xz('--block-size=300000'), Buffer.alloc(70_000)]),
  'streams of several checks': () => Buffer.concat([xz('-C', 'sha256', '--block-size=500000'), xz('-C', 'none', '--block-size=500000'), xz('-C', 'crc32', '-T1')]),
  'empty streams around and between': () => Buffer.concat([empty(), xz('--block-size=500000'), empty('-C', 'none'), Buffer.alloc(8), xz('--block-size=900000'), empty('-C', 'sha256')]),
};

describe('xz files are spliced', () => {
  for (const [kind, make] of Object.entries(KINDS)) {
    needs('xz')(kind, async () => {
      const before = execFileSync('xz', ['-dc'], { input: make(), maxBuffer: 2 ** 28 });
      const { bytes, base, encoded, path } = await splice('base.xz', make());
      const out = at('out.xz', bytes);
      output('xz', ['-t', out]);
      expect(Buffer.compare(output('xz', ['-dc', out]), edited(before))).toBe(0);
      expect(output('xz', ['--robot', '--list', out]).toString()).toMatch(/^file\t1\t/m); // one stream
      const [old, now] = [blocks(path), new Map(blocks(out).map((block) => [block.plain.offset, block]))];
      const check = old.find((block) => block.plain.length > 0)!.check;
      for (const block of now.values()) expect(block).toMatchObject({ check, sizes: 'cu' });
      const kept = old.filter((block) => block.plain.length > 0 && block.check === check && !WRITES.some(([offset, text]) => offset < block.plain.offset + block.plain.length && offset + text.length > block.plain.offset));
      for (const block of kept) {
        const twin = now.get(block.plain.offset)!;
        expect(twin.body.equals(block.body), `block at ${block.plain.offset}`).toBe(true);
        if (block.sizes === 'cu') expect(twin.header).toBe(block.header); // the header too
      }
      const again = await openImage(out);
      await verifySplice(base, path, encoded, again, out);
      again.close();
      base.close();
    });
  }

  needs('xz')('nothing changed: a file in our own form comes out as it went in', async () => {
    const { bytes, base } = await splice('same.xz', xz('-T2', '--block-size=300000'), []);
    const own = await splice('own.xz', bytes, []);
    expect(own.bytes.equals(bytes)).toBe(true);
    base.close();
    own.base.close();
  });
});

const OTHERS: Readonly<Record<string, readonly [program: string, make: () => Buffer]>> = {
  'gzip members': ['gzip', () => Buffer.concat([0, 1_000_000, 2_000_000].map((from) => execFileSync('gzip', ['-c', '-n'], { input: material.subarray(from, from + 1_000_000) })))],
  'zstd frames with check sums': ['zstd', () => Buffer.concat([0, 1_000_000, 2_000_000].map((from) => execFileSync('zstd', ['-c', '-q', '--check'], { input: material.subarray(from, from + 1_000_000) })))],
  'zstd frames without their size': ['zstd', () => Buffer.concat([0, 1_000_000, 2_000_000].map((from) => execFileSync('zstd', ['-c', '-q', '--no-check', '--no-content-size'], { input: material.subarray(from, from + 1_000_000) })))],
};

describe('so are', () => {
  for (const [kind, [program, make]] of Object.entries(OTHERS)) {
    needs(program)(kind, async () => {
      const writes = WRITES.slice(0, 2);
      const { bytes, base, encoded, path } = await splice('base.other', make(), writes);
      const out = at('out.other', bytes);
      output(program, ['-t', ...(program === 'gzip' ? ['-S', '.other'] : ['-q']), out]);
      expect(Buffer.compare(output(program, ['-dc', ...(program === 'gzip' ? ['-S', '.other'] : ['-q']), out]), edited(material.subarray(0, 3_000_000), writes))).toBe(0);
      const last = base.chunks.filter((chunk) => chunk.plain.length > 0).at(-1)!;
      expect(bytes.subarray(-last.packed.length).equals(readFileSync(path).subarray(last.packed.offset, last.packed.offset + last.packed.length))).toBe(true);
      const again = await openImage(out);
      await verifySplice(base, path, encoded, again, out);
      again.close();
      base.close();
    });
  }
});

test('a file of one block, or a raw one, has nothing to keep', async () => {
  for (const [name, data] of [['raw.img', material], ['one.xz', xz('-T1')]] as const) {
    const base = await openImage(at(name, data));
    expect(canSplice(base)).toBe(false);
    base.close();
  }
});

describe('pieces that are known', () => {
  interface Store extends KnownPieces { readonly kept: Map<string, { readonly value: Uint8Array; readonly ofBase: boolean }>; readonly asked: string[]; puts: number; proven: boolean }
  const store = (): Store => {
    const kept: Store['kept'] = new Map();
    return {
      kept, asked: [], puts: 0, proven: false,
      get(key) {
        this.asked.push(key);
        return kept.get(key)?.value;
      },
      put(key, value, ofBase) {
        this.puts++;
        kept.set(key, { value, ofBase });
      },
      isProven() {
        return this.proven;
      },
    };
  };

  needs('xz')('are not encoded again, and change nothing', async () => {
    const known = store();
    const data = xz('-T2', '--block-size=1000000');
    const first = await splice('known.xz', data, WRITES, { blockSize: 100_000, known });
    expect([...known.kept.keys()].filter((key) => key.startsWith('plain-'))).toHaveLength(4); // of WRITES, one lies over a border
    known.puts = 0;
    known.proven = true;
    const again = await splice('known.xz', data, WRITES, { blockSize: 100_000, known });
    expect(known.puts).toBe(0);
    expect(again.encoded.filter(({ proven }) => proven)).toHaveLength(first.encoded.length - 4);
    const alone = await splice('known.xz', data, WRITES, { blockSize: 100_000 });
    expect(again.bytes.equals(first.bytes)).toBe(true);
    expect(alone.bytes.equals(first.bytes)).toBe(true);
    expect(again.encoded.map(({ offset, sha256 }) => [offset, sha256])).toEqual(alone.encoded.map(({ offset, sha256 }) => [offset, sha256]));
    output('xz', ['-t', at('known.out.xz', first.bytes)]);
    [first, again, alone].forEach(({ base }) => base.close());
  });

  needs('xz')('are asked for by what they hold once they changed, and by their place only while they did not', async () => {
    const known = store();
    const data = xz('-T2', '--block-size=1000000');
    const first = await splice('other.xz', data, WRITES, { blockSize: 100_000, known });
    const others = WRITES.map(([offset, text]): [number, string] => [offset, text.toUpperCase()]);
    const second = await splice('other.xz', data, others, { blockSize: 100_000, known });
    const alone = await splice('other.xz', data, others, { blockSize: 100_000 });
    expect(second.bytes.equals(alone.bytes)).toBe(true);
    expect(second.bytes.equals(first.bytes)).toBe(false);
    [first, second, alone].forEach(({ base }) => base.close());
  });

  needs('xz')('and spoilt: reading back finds it, unless it was proven, when it finds any other byte', async () => {
    const known = store();
    const data = xz('-T2', '--block-size=1000000');
    const first = await splice('spoilt.xz', data, WRITES, { blockSize: 100_000, known });
    const places = [...known.kept.keys()].filter((key) => key.includes('-at-'));
    const read = async ({ bytes, base, encoded, path }: Done): Promise<void> => {
      const out = at('spoilt.out.xz', bytes);
      const again = await openImage(out);
      await expect(verifySplice(base, path, encoded, again, out)).rejects.toThrow(RockberryError);
      again.close();
      base.close();
    };
    known.proven = true;
    const good = await splice('spoilt.xz', data, WRITES, { blockSize: 100_000, known });
    const [proven] = good.encoded.filter((piece) => piece.proven);
    const changed = { ...proven!, proven: Uint8Array.from(proven!.proven!, (byte, index) => (index === 40 ? byte ^ 1 : byte)) };
    await read({ ...good, encoded: good.encoded.map((piece) => (piece === proven ? changed : piece)) });
    known.proven = false;
    const [value, other] = [known.kept.get(places[0]!)!.value, places.map((key) => known.kept.get(key)!.value).find((each, _, [first0]) => !Buffer.from(each.subarray(0, 32)).equals(first0!.subarray(0, 32)))!];
    known.kept.set(places[0]!, { ofBase: true, value: Buffer.concat([value.subarray(0, 32), other.subarray(32)]) });
    await read(await splice('spoilt.xz', data, WRITES, { blockSize: 100_000, known }));
    first.base.close();
  });
});

describe('what is damaged never becomes a file', () => {
  const good = once(() => xz('-T2', '--block-size=300000'));
  const seed = Number(process.env.ROCKBERRY_SEED ?? Math.floor(Math.random() * 2 ** 31));

  needs('xz')(`one byte changed or the end cut, anywhere: an error before the first byte of output (seed ${seed})`, async () => {
    await fc.assert(fc.asyncProperty(fc.integer({ min: 6, max: good().length - 1 }), fc.boolean(), async (offset, cut) => {
      try {
        const { base } = await splice('damaged.xz', cut ? good().subarray(0, offset) : flipped(good(), offset));
        base.close();
      } catch (error) {
        if (error instanceof RockberryError && ['corrupt', 'unsupported'].includes(error.code)) return;
        throw error;
      }
      throw new Error(`${cut ? 'cut to' : 'changed at'} ${offset}: it was spliced`);
    }), { numRuns: 80, seed });
  });

  needs('xz')('a copied or encoded block that the disk did not keep is found', async () => {
    const { bytes, base, encoded, path } = await splice('kept.xz', good());
    const out = at('lost.xz', bytes);
    for (const block of blocks(out)) {
      const place = bytes.indexOf(block.body) + Math.floor(block.body.length / 2);
      writeFileSync(out, flipped(bytes, place));
      const again = await openImage(out);
      await expect(verifySplice(base, path, encoded, again, out), `block at ${block.plain.offset}`).rejects.toThrow(RockberryError);
      again.close();
    }
    base.close();
  });
});
