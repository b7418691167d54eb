/**
 * The changed bytes of a patch, compressed. Brotli of node:zlib: every Node has it, without an addon and without a program. Measured on what kubespray-node
 * changes in the sample of 3.6 GiB (30 ranges of whole pages, 331,776 bytes; bytes and CPU milliseconds, median of 11):
 *    brotli 5: 24,419 in 2.4 · brotli 8: 24,192 in 3.4 · brotli 9: 24,133 in 106 · brotli 11: 22,236 in 154
 *    xz 1: 24,236 in 8.1 · xz 6: 22,788 in 43 (as a program 130 to wait) · gzip 9: 27,367 in 6.7
 * and of a change that places 48 MiB of program: brotli 5 16.4 MB in 1.8 s, brotli 8 15.8 MB in 9.3 s, xz 1 15.8 MB in 6 s, xz 6 13.8 MB in 41 s.
 * The bytes depend on the content and on Node's version of brotli only.
 */
import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { constants, createBrotliCompress, createBrotliDecompress } from 'node:zlib';
import type { Range } from '../../bytes/ranges.js';
import { RockberryError } from '../../errors.js';

export interface PackedData {
  readonly packed: Uint8Array;
  /** Before compression, of all ranges. */
  readonly bytes: number;
  readonly sha256: string;
}

export type Read = (offset: number, length: number) => Uint8Array;

const QUALITY = 5;
const PIECE = 2 ** 20;

/** Reads the ranges in pieces of at most 1 MiB and packs them, one after the other. */
export async function packData(ranges: readonly Range[], read: Read): Promise<PackedData> {
  const bytes = ranges.reduce((sum, { length }) => sum + length, 0);
  const hash = createHash('sha256');
  const pieces = function* (): Iterable<Uint8Array> {
    for (const { offset, length } of ranges) {
      for (let at = 0; at < length; at += PIECE) {
        const piece = read(offset + at, Math.min(PIECE, length - at));
        hash.update(piece);
        yield piece;
      }
    }
  };
  const chunks: Uint8Array[] = [];
  const brotli = createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: QUALITY, [constants.BROTLI_PARAM_SIZE_HINT]: bytes } });
  await pipeline(pieces, brotli, async (packed: AsyncIterable<Uint8Array>) => {
    for await (const chunk of packed) chunks.push(chunk);
  });
  return { packed: Buffer.concat(chunks), bytes, sha256: hash.digest('hex') };
}

const corrupt = (what: string, message: string, cause?: unknown): RockberryError =>
  new RockberryError('corrupt', `${what}: ${message}`, { hint: 'copy or build the patch again', cause });

/** The bytes again, in pieces; never more than `bytes` of them. Whatever else `packed` holds is 'corrupt'. */
export async function* unpackData(packed: Uint8Array, bytes: number, what: string): AsyncIterable<Uint8Array> {
  const brotli = createBrotliDecompress({ chunkSize: Math.max(64, Math.min(PIECE, bytes + 1)) }); // 64: the least that zlib takes
  brotli.end(packed);
  let done = 0;
  try {
    for await (const piece of brotli as AsyncIterable<Uint8Array>) {
      done += piece.length;
      if (done > bytes) throw corrupt(what, `expected ${bytes} bytes in its ranges, found more`);
      yield piece;
    }
  } catch (error) {
    throw error instanceof RockberryError ? error : corrupt(what, 'expected ranges compressed with brotli, found damage', error);
  } finally {
    brotli.destroy();
  }
  if (done !== bytes) throw corrupt(what, `expected ${bytes} bytes in its ranges, found ${done}`);
  if (brotli.bytesWritten !== packed.length) throw corrupt(what, `expected the end of its compressed ranges after ${brotli.bytesWritten} bytes, found ${packed.length}`);
}

/** Throws unless the data has the sum that the manifest gives. */
export async function verifyData(packed: Uint8Array, { bytes, sha256 }: { readonly bytes: number; readonly sha256: string }, what: string): Promise<void> {
  const hash = createHash('sha256');
  for await (const piece of unpackData(packed, bytes, what)) hash.update(piece);
  if (hash.digest('hex') !== sha256) throw corrupt(what, 'expected ranges with the sha256 of the manifest, found other bytes');
}
