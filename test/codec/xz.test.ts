import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { describe, expect } from 'vitest';
import { rangeEnd } from '../../src/bytes/ranges.js';
import { openFileDevice } from '../../src/device/file.js';
import { openImage } from '../../src/codec/codec.js';
import { readXzChunks } from '../../src/codec/xz.js';
import { encodeBlockHeader, encodeIndex, encodeStreamFooter, encodeStreamHeader } from '../../src/codec/xz-format.js';
import { needs } from '../support/oracle.js';
import { failureOf, flipped, material, once, readAll, scratch } from './material.js';

const at = scratch('xz');
const plain = at('plain.img', material);
const xz = (...args: string[]): Buffer => execFileSync('xz', ['-c', '-1', ...args, plain], { maxBuffer: 2 ** 28 });

const KINDS: Record<string, string[]> = {
  'one block': ['-T1'],
  'many blocks': ['-T1', '--block-size=300000'],
  'many blocks with sizes in their headers': ['-T2', '--block-size=300000'],
  'no check': ['-C', 'none', '--block-size=1000000'],
  'CRC32': ['-C', 'crc32', '--block-size=1000000'],
  'SHA-256': ['-C', 'sha256', '--block-size=1000000'],
  'the x86 filter': ['--x86', '--lzma2=preset=1', '--block-size=1000000'],
  'the ARM64 filter': ['--arm64', '--lzma2=preset=1', '--block-size=1000000'],
  'the delta filter': ['--delta=dist=4', '--lzma2=preset=1', '--block-size=1000000'],
  'four filters': ['--x86', '--delta=dist=1', '--arm', '--lzma2=preset=1'],
  'a large dictionary': ['--lzma2=preset=1,dict=64MiB'],
  'odd block lengths': ['--block-list=1,2,3,5000,100000'],
};

describe('xz files are read', () => {
  for (const [kind, args] of Object.entries(KINDS)) {
    needs('xz')(kind, async () => {
      const path = at('kind.xz', xz(...args));
      const { data, image } = await readAll(path);
      expect(Buffer.compare(data, material)).toBe(0);
      expect(image.format).toBe('xz');
      const listed = execFileSync('xz', ['--robot', '-lvv', path]).toString().split('\n').filter((line) => line.startsWith('block\t')).map((line) => line.split('\t'));
      // block · stream · block in stream · block in file · packed offset · plain offset · total size · plain size
      expect(image.chunks.map(({ packed, plain: range }) => [packed.offset, range.offset, packed.length, range.length]))
        .toEqual(listed.map((fields) => fields.slice(4, 8).map(Number)));
    });
  }

  needs('xz')('several streams with padding between and after them', async () => {
    const parts = [xz('-C', 'none'), Buffer.alloc(4), xz('-C', 'sha256', '--block-size=500000'), Buffer.alloc(70000), xz(), Buffer.alloc(8)];
    const { data, image } = await readAll(at('streams.xz', Buffer.concat(parts)));
    expect(Buffer.compare(data, Buffer.concat([material, material, material]))).toBe(0);
    expect(rangeEnd(image.chunks.at(-1)!.plain)).toBe(material.length * 3);
  });

  needs('xz')('a block that is far longer packed than plain is not read into memory, and comes out right', async () => {
    const length = 17 * 2 ** 20; // four bytes packed for each of them: beyond what a block of 64 MiB can need
    const data = Buffer.alloc(length * 4 + 4, Buffer.from([2, 0, 0, 0x5a])); // LZMA2: uncompressed chunks of one byte
    data[0] = 1;
    data.fill(0, length * 4);
    const packed = length * 4 + 1;
    const header = encodeBlockHeader(packed, length, 1, Uint8Array.of(0x21, 1, 0));
    const index = encodeIndex([{ unpadded: header.length + packed, plain: length }]);
    const path = at('long.xz', Buffer.concat([encodeStreamHeader(0), header, data, index, encodeStreamFooter(0, index.length)]));
    execFileSync('xz', ['-t', path]);
    const image = await openImage(path);
    expect(Buffer.compare(image.device.read(0, length), Buffer.alloc(length, 0x5a))).toBe(0);
    let decoded = 0;
    await image.scan({ visit: (_, plainBytes) => void (decoded = Math.max(decoded, plainBytes.length)) });
    expect(decoded).toBeLessThan(length); // it was decoded in pieces, to a file
    image.close();
  });

  needs('xz')('empty streams and streams without blocks add nothing', async () => {
    const empty = execFileSync('xz', ['-c'], { input: '' });
    const { data } = await readAll(at('empties.xz', Buffer.concat([empty, xz(), empty])));
    expect(Buffer.compare(data, material)).toBe(0);
  });

  needs('xz')('only the blocks that are read are decoded', async () => {
    const good = xz('--block-size=300000');
    const path = at('lazy.xz', good);
    const file = openFileDevice(path);
    const chunks = readXzChunks(file, path);
    file.close();
    at('lazy.xz', flipped(good, chunks[5]!.packed.offset + 100));
    const image = await openImage(path);
    expect(Buffer.compare(image.device.read(0, 1_500_000), material.subarray(0, 1_500_000))).toBe(0);
    expect(() => image.device.read(1_499_999, 2)).toThrow(/xz block at offset \d+, bytes 1500000 to 1800000 of the image: cannot decode it: the data is damaged/);
    await image.prefetch({ offset: 0, length: image.device.size });
    expect(() => image.device.read(1_500_000, 1)).toThrow(/the data is damaged/);
    image.close();
  });

  needs('xz')('a block larger than memory should hold is decoded to a temporary file', async () => {
    const path = at('zeros.xz');
    execFileSync('sh', ['-c', 'head -c 268435457 /dev/zero | xz -0 -T1 > "$1"', 'sh', path]);
    global.gc?.();
    const before = process.memoryUsage().rss;
    const image = await openImage(path);
    expect(image.device.size).toBe(268435457);
    expect(image.device.read(268435456, 1)).toEqual(Buffer.alloc(1));
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 2 ** 20);
    image.close();
  });
});

describe('a temporary directory', () => {
  const large = once(() => {
    const path = at('large.xz');
    execFileSync('sh', ['-c', '{ head -c 8000000 "$1"; head -c 72000000 /dev/zero; } | xz -0 -T1 > "$2"', 'sh', process.execPath, path]);
    return path;
  });

  needs('xz')('that is missing is an error, one that is used is empty afterwards', async () => {
    await expect(openImage(large(), { temporaryDirectory: at('missing') })).rejects.toMatchObject({ code: 'io', message: `cannot create a temporary file in ${at('missing')}: it does not exist` });
    const temporaryDirectory = at('temporary');
    mkdirSync(temporaryDirectory);
    (await openImage(large(), { temporaryDirectory })).close();
    const error = await openImage(at('bad.xz', flipped(readFileSync(large()), 1_000_000)), { temporaryDirectory }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'corrupt' });
    expect(readdirSync(temporaryDirectory)).toEqual([]);
  });

  needs('xz').skipIf(process.getuid?.() !== 0)('that is full is no-space, and says where and how much is needed', async () => {
    const tiny = at('tiny');
    mkdirSync(tiny);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', tiny]);
    try {
      await expect(openImage(large(), { temporaryDirectory: tiny })).rejects.toMatchObject({
        code: 'no-space', message: `cannot decode the image to a temporary file in ${tiny}: no space left on the disk (80000000 bytes are needed)`,
      });
      expect(readdirSync(tiny)).toEqual([]);
    } finally {
      execFileSync('umount', [tiny]);
    }
  });
});

describe('xz files that are not sound', () => {
  const good = once(() => xz('--block-size=500000'));

  needs('xz')('cut anywhere', async () => {
    const place = good().length / 51;
    for (let cut = 1; cut <= 50; cut++) {
      for (const length of [Math.floor(cut * place), Math.floor((cut * place) / 4) * 4]) {
        const error = await failureOf(at('cut.xz', good().subarray(0, length)));
        expect(error, `cut to ${length}`).toMatchObject({ code: 'corrupt' });
        expect(error.message).toMatch(/the file is cut or damaged|too short/);
      }
    }
  });

  const cases: [string, () => Buffer, RegExp][] = [
    ['stream header flags', () => flipped(good(), 7), /stream at offset 0: the stream header's CRC32 does not match/],
    ['stream header check sum', () => flipped(good(), 9), /stream at offset 0: the stream header's CRC32 does not match/],
    ['block header', () => flipped(good(), 14), /xz block 0 at offset 12: the block header's CRC32 does not match/],
    ['block header length', () => flipped(good(), 12), /xz block 0 at offset 12: /],
    ['block data', () => flipped(good(), 5000), /xz block at offset \d+, .*: cannot decode it: the data is damaged/],
    ['index', () => flipped(good(), good().length - 12 - 24), /the index's CRC32 does not match/],
    ['footer check sum', () => flipped(good(), good().length - 12), /found none: the file is cut or damaged/],
    ['backward size', () => flipped(good(), good().length - 8), /found none: the file is cut or damaged/],
    ['footer flags', () => flipped(good(), good().length - 4), /found none: the file is cut or damaged/],
    ['footer magic', () => flipped(good(), good().length - 1), /found none: the file is cut or damaged/],
    ['garbage after it', () => Buffer.concat([good(), Buffer.from('hello')]), /after the xz stream at offset \d+, found 5 more bytes/],
    ['garbage after it, of a multiple of 4', () => Buffer.concat([good(), Buffer.from('hellohel')]), /after the xz stream at offset \d+, found 8 more/],
    ['padding of 3', () => Buffer.concat([good(), Buffer.alloc(3)]), /after the xz stream at offset \d+, found 3 more bytes/],
    ['padding of 6 between streams', () => Buffer.concat([good(), Buffer.alloc(6), good(), Buffer.alloc(2)]), /found|magic/],
    ['garbage between streams', () => Buffer.concat([good(), Buffer.from('abcd'), good()]), /magic|found/],
    ['the second stream missing its start', () => Buffer.concat([good(), good().subarray(4)]), /expected the magic of an xz stream header/],
    ['a stream shorter than its index says', () => Buffer.concat([good().subarray(0, 12), good().subarray(5000)]), /more packed bytes than there are/],
    ['nothing but a header', () => Buffer.concat([good().subarray(0, 12), Buffer.alloc(12)]), /too short|found none/],
  ];
  for (const [name, make, message] of cases) {
    needs('xz')(name, async () => {
      const error = await failureOf(at('bad.xz', make()));
      expect(error.code).toBe('corrupt');
      expect(error.message).toMatch(message);
    });
  }

  needs('xz')('every byte of a small file matters', async () => {
    const small = execFileSync('xz', ['-c', '--block-size=40'], { input: material.subarray(300_000, 300_100) });
    for (let offset = 0; offset < small.length; offset++) {
      const path = at('small.xz', flipped(small, offset));
      // In the first six bytes it stops being an xz file, and is a raw image of whatever it is.
      if (offset < 6) expect((await readAll(path)).image.format).toBe('raw');
      else expect(['corrupt', 'unsupported'], `byte ${offset}`).toContain((await failureOf(path)).code);
    }
  });

  const stream = (records: { unpadded: number; plain: number }[], body: Uint8Array): Buffer => {
    const made = encodeIndex(records);
    return Buffer.concat([encodeStreamHeader(4), body, made, encodeStreamFooter(4, made.length)]);
  };
  needs('xz')('an index that promises more than can be', async () => {
    const block = good().subarray(12, 12 + 1000);
    expect(await failureOf(at('bomb.xz', stream([{ unpadded: 1000, plain: 2 ** 45 }], block)))).toMatchObject({ code: 'corrupt' });
    expect(await failureOf(at('bomb.xz', stream([{ unpadded: 1000, plain: 100_000 }], block)))).toMatchObject({ code: 'corrupt' });
    expect(await failureOf(at('bomb.xz', stream([{ unpadded: 2 ** 40, plain: 100_000 }], block)))).toMatchObject({ code: 'corrupt' });
  });

  needs('xz')('a block that holds more or less than its index says is never read', async () => {
    const one = xz('-C', 'none', '-T1');
    const path = at('lying.xz', one);
    const file = openFileDevice(path);
    const [chunk] = readXzChunks(file, path);
    file.close();
    const body = readFileSync(path).subarray(12, 12 + chunk!.packed.length);
    for (const plainLength of [material.length - 1, material.length + 1, 1, 70 * 2 ** 20]) {
      const made = encodeIndex([{ unpadded: chunk!.unpadded, plain: plainLength }]);
      const lying = Buffer.concat([encodeStreamHeader(0), body, made, encodeStreamFooter(0, made.length)]);
      expect(await failureOf(at('lying.xz', lying)), `${plainLength}`).toMatchObject({ code: 'corrupt' });
    }
    rmSync(path);
  });
});
