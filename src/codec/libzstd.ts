/** libzstd, by way of Node's zlib (from 22.15 on) or of the `zstd` program. */
import { Readable, type Transform, pipeline } from 'node:stream';
import zlib from 'node:zlib';
import { RockberryError } from '../errors.js';
import { decodeError, exactly, filter, filterPieces, filterSync, hasProgram } from './program.js';

/** Whole frames in, their plain bytes out, and the other way round. `plain` is the exact number of bytes that must come out. */
export interface Zstd {
  /** Whether every call starts a process, so that many small ones are to be avoided. */
  readonly isProgram: boolean;
  decodeSync(frame: Uint8Array, plain: number, what: string): Uint8Array;
  decode(frame: Uint8Array, plain: number, what: string): Promise<Uint8Array>;
  /** One frame, with content size and check sum. */
  encode(plain: Uint8Array, level: number): Promise<Uint8Array>;
  /** Decodes a whole file in pieces. */
  decodePieces(input: AsyncIterable<Uint8Array>, what: string): AsyncIterable<Uint8Array>;
}

interface ZstdOptions {
  readonly params?: Record<number, number>;
  readonly maxOutputLength?: number;
  readonly pledgedSrcSize?: number;
}
type Callback = (error: Error | null, result: Buffer) => void;

/** What Node's zlib offers where it has zstd; @types/node 20 does not know it. */
interface ZlibZstd {
  zstdDecompressSync(data: Uint8Array, options: ZstdOptions): Buffer;
  zstdDecompress(data: Uint8Array, options: ZstdOptions, callback: Callback): void;
  zstdCompress(data: Uint8Array, options: ZstdOptions, callback: Callback): void;
  createZstdDecompress(): Transform;
}

// zstd.h: ZSTD_cParameter
const COMPRESSION_LEVEL = 100;
const CONTENT_SIZE_FLAG = 200;
const CHECKSUM_FLAG = 201;

function zlibZstd(library: ZlibZstd): Zstd {
  const promise = (work: (callback: Callback) => void): Promise<Uint8Array> =>
    new Promise((resolve, reject) => work((error, result) => (error ? reject(error) : resolve(result))));
  return {
    isProgram: false,
    decodeSync(frame, plain, what) {
      try {
        return exactly(library.zstdDecompressSync(frame, { maxOutputLength: plain + 1 }), plain, what);
      } catch (error) {
        throw decodeError(error, what);
      }
    },
    async decode(frame, plain, what) {
      try {
        return exactly(await promise((callback) => library.zstdDecompress(frame, { maxOutputLength: plain + 1 }, callback)), plain, what);
      } catch (error) {
        throw decodeError(error, what);
      }
    },
    encode(plain, level) {
      const params = { [COMPRESSION_LEVEL]: level, [CONTENT_SIZE_FLAG]: 1, [CHECKSUM_FLAG]: 1 };
      return promise((callback) => library.zstdCompress(plain, { params, pledgedSrcSize: plain.length }, callback));
    },
    async *decodePieces(input, what) {
      try {
        const decoder = library.createZstdDecompress();
        pipeline(Readable.from(input, { objectMode: false }), decoder, () => undefined); // an error of the input reaches the decoder's reader
        for await (const piece of decoder) yield piece as Uint8Array;
      } catch (error) {
        throw decodeError(error, what);
      }
    },
  };
}

function programZstd(): Zstd {
  const decodeArguments = ['-dc', '-q'];
  return {
    isProgram: true,
    decodeSync(frame, plain, what) {
      try {
        return exactly(filterSync('zstd', decodeArguments, frame), plain, what);
      } catch (error) {
        throw decodeError(error, what);
      }
    },
    async decode(frame, plain, what) {
      try {
        return exactly(await filter('zstd', decodeArguments, frame), plain, what);
      } catch (error) {
        throw decodeError(error, what);
      }
    },
    encode(plain, level) {
      const size = `--stream-size=${plain.length}`; // puts the content size into the header, which is not known of a pipe
      return filter('zstd', ['-c', '-q', '--check', '--single-thread', size, `-${level}`], plain);
    },
    async *decodePieces(input, what) {
      try {
        yield* filterPieces('zstd', decodeArguments, input);
      } catch (error) {
        throw decodeError(error, what);
      }
    },
  };
}

/** Node's own where it has it, else the program; `missing-program` where there is neither. */
export function loadZstd(): Zstd {
  if ('zstdCompress' in zlib) return zlibZstd(zlib as unknown as ZlibZstd);
  if (hasProgram('zstd')) return programZstd();
  throw new RockberryError('missing-program', `expected the zstd program for .zst files (Node ${process.versions.node} has no zstd of its own), found none`, {
    hint: 'install it: apt install zstd (Debian), dnf install zstd (Rocky, Fedora), brew install zstd (macOS); or use Node 22.15 or newer',
  });
}
