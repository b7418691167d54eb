/** Chunks that two files share are found without decoding, and nothing is called shared that is not. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { openImage, type DecodedImage } from '../../src/codec/codec.js';
import { keepDecoded } from '../../src/diff/kept.js';
import { sharedChunks } from '../../src/diff/shared.js';
import { equalBytes } from '../../src/bytes/fields.js';
import { scratch } from '../support/cli.js';
import { needs, run } from '../support/oracle.js';

const test = needs('xz', 'zstd', 'gzip');
const folder = scratch();
const MIB = 2 ** 20;
const data = Buffer.from(Array.from({ length: 4 * MIB }, (_, at) => (at * at) >> 7));
const changed = Buffer.from(data);
changed[MIB + 17]! ^= 1;

async function files<T>(a: string, b: string, work: (a: { path: string; decoded: DecodedImage }, b: { path: string; decoded: DecodedImage }) => T): Promise<T> {
  const [first, second] = [{ path: a, decoded: await openImage(a) }, { path: b, decoded: await openImage(b) }];
  try {
    return work(first, second);
  } finally {
    first.decoded.close();
    second.decoded.close();
  }
}

function packed(name: string, bytes: Uint8Array, ...args: readonly string[]): string {
  const plain = join(folder, name);
  writeFileSync(plain, bytes);
  expect(run('xz', ['-k', '-f', ...args, plain])).toMatchObject({ status: 0 });
  return `${plain}.xz`;
}

test('xz: all blocks but the changed one, with other checks and with sizes in the headers or without', async () => {
  const base = packed('base', data, '-0', '-T1', '--block-size=1MiB');
  for (const args of [['-T1'], ['-T2'], ['-T1', '--check=crc32'], ['-T2', '--check=sha256']]) {
    const other = packed('other', changed, '-0', '--block-size=1MiB', ...args);
    const shared = await files(base, other, sharedChunks);
    expect(shared).toEqual([0, 2, 3].map((at) => ({ offset: at * MIB, length: MIB })));
  }
});

test('xz: nothing of blocks with other filters or other borders is called shared unless it is', async () => {
  const base = packed('base', data, '-T1', '--block-size=1MiB', '--lzma2=preset=0');
  for (const args of [['--x86', '--lzma2=preset=0'], ['--delta=dist=1', '--lzma2=preset=0'], ['--delta=dist=2', '--lzma2=preset=0']]) {
    expect(await files(base, packed('other', data, '-T1', '--block-size=1MiB', ...args), sharedChunks)).toEqual([]);
  }
  expect(await files(base, packed('other', data, '-T1', '--block-size=2MiB', '--lzma2=preset=0'), sharedChunks)).toEqual([]);
});

test('gzip and zstd: members and frames; two formats share nothing', async () => {
  const joined = (bytes: Buffer, program: string): Buffer => Buffer.concat([0, 1, 2, 3].map((at) => {
    const part = join(folder, 'part');
    writeFileSync(part, bytes.subarray(at * MIB, (at + 1) * MIB));
    run('sh', ['-c', `${program} < "$1" > "$1.out"`, 'sh', part]);
    return readFileSync(`${part}.out`);
  }));
  const [gz, zst] = [['gzip -1n', 'gz'], ['zstd -1 --stream-size=1048576', 'zst']].map(([program, ending]) => {
    const [a, b] = [join(folder, `a.${ending}`), join(folder, `b.${ending}`)];
    writeFileSync(a, joined(data, program!));
    writeFileSync(b, joined(changed, program!));
    return [a, b] as const;
  });
  for (const [a, b] of [gz!, zst!]) expect((await files(a, b, sharedChunks)).map(({ offset }) => offset)).toEqual([0, 2 * MIB, 3 * MIB]);
  expect(await files(gz![0], zst![0], sharedChunks)).toEqual([]);
});

test('a kept device decodes every chunk once, and reads the image\'s bytes', async () => {
  const path = packed('base', Buffer.concat([data, Buffer.alloc(2 * MIB + 5)]), '-0', '-T1', '--block-size=256KiB');
  const decoded = await openImage(path);
  let reads = 0;
  const counted = { ...decoded, device: { ...decoded.device, read: (offset: number, length: number): Uint8Array => {
    reads += length;
    return decoded.device.read(offset, length);
  } } };
  const kept = keepDecoded(counted, path);
  for (let round = 0; round < 3; round++) {
    for (let at = 0; at < 4 * MIB; at += 200_001) expect(equalBytes(kept.read(at, 5000), data.subarray(at, at + 5000))).toBe(true);
  }
  expect(equalBytes(kept.read(4 * MIB - 1, 2 * MIB + 6), Buffer.concat([data.subarray(-1), Buffer.alloc(2 * MIB + 5)]))).toBe(true);
  expect(reads).toBe(kept.size);
  kept.close();
  decoded.close();
});
