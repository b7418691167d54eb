/** Images to pack and unpack in tests: some programs' worth of data, some noise, long zeros. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { FilePart } from '../../src/device/file.js';
import { RockberryError } from '../../src/errors.js';
import { type DecodedImage, type OpenOptions, openImage } from '../../src/codec/codec.js';

/** A directory of the test's own, removed when its file is done. */
export function scratch(name: string): (file: string, data?: Uint8Array) => string {
  const directory = mkdtempSync(join(tmpdir(), `rockberry-${name}-`));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  return (file, data) => {
    const path = join(directory, file);
    if (data) writeFileSync(path, data);
    return path;
  };
}

/** Bytes that do not compress, the same every time. */
export function noise(length: number, seed = 'noise'): Buffer {
  const blocks: Buffer[] = [];
  for (let have = 0, index = 0; have < length; have += 32) blocks.push(createHash('sha256').update(`${seed} ${index++}`).digest());
  return Buffer.concat(blocks).subarray(0, length);
}

/** About 3 MiB: text, machine code, noise and zeros, not a multiple of anything. */
export const material = Buffer.concat([
  Buffer.alloc(300_000), readFileSync(process.execPath).subarray(4_000_000, 5_500_000), noise(200_000), Buffer.from('Raspberry Pi\n'.repeat(20_000)),
  Buffer.alloc(700_001), noise(1234),
]);

export async function readAll(path: string, options?: OpenOptions): Promise<{ data: Buffer; image: DecodedImage }> {
  const image = await openImage(path, options);
  try {
    return { data: Buffer.from(image.device.read(0, image.device.size)), image };
  } finally {
    image.close();
  }
}

/** The error that opening and reading all of a file gives; fails where there is none, or one that is not ours. */
export async function failureOf(path: string): Promise<RockberryError> {
  try {
    await readAll(path);
  } catch (error) {
    if (error instanceof RockberryError) return error;
    throw error;
  }
  throw new Error(`expected an error for ${path}, but it was read`);
}

export async function gather(pieces: AsyncIterable<Uint8Array | FilePart>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push('file' in piece ? piece.file.read(piece.offset, piece.length) : Uint8Array.from(piece)); // its memory may be used again
  return Buffer.concat(all);
}

export function flipped(data: Uint8Array, offset: number): Buffer {
  const copy = Buffer.from(data);
  copy[offset]! ^= 0x10;
  return copy;
}

/** A value that is made when it is first needed: a program that is missing must not fail the tests that do without it. */
export function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}
