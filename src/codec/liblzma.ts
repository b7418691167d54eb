/**
 * liblzma, by way of the node-liblzma addon (an optional dependency) or, where that does not load, of the `xz` program.
 * Both decode and encode whole .xz streams; taking streams apart and putting them together is done in xz-format.ts.
 */
import type { NativeLZMA } from 'node-liblzma';
import { RockberryError } from '../errors.js';
import { inTurns } from './turns.js';
import { damaged, decodeError, exactly, filter, filterPieces, filterSync, hasProgram } from './program.js';

/** One whole .xz stream in, its plain bytes out. `plain` is the exact number of bytes that must come out; anything else is corrupt. */
export interface Lzma {
  /** Whether every call starts a process, so that many small ones are to be avoided. */
  readonly isProgram: boolean;
  /** `room`: a buffer of `plain` + 1 bytes that the result may be put into, so that a long row of calls allocates nothing. */
  decodeSync(stream: Uint8Array, plain: number, what: string, room?: Buffer): Uint8Array;
  decode(stream: Uint8Array, plain: number, what: string, room?: Buffer): Promise<Uint8Array>;
  /** One .xz stream of one block; `check` is the id of its check (none 0, CRC32 1, CRC64 4, SHA-256 10). */
  encode(plain: Uint8Array, preset: number, check: number): Promise<Uint8Array>;
  /** Decodes all streams and the padding of a file in pieces, each valid until the next is asked for; an input that ends early is corrupt. */
  decodePieces(input: AsyncIterable<Uint8Array>, what: string): AsyncIterable<Uint8Array>;
}

const FINISH = 3;
const RUN = 0;
const OK = 0;
const STREAM_END = 1;
const PIECE = 4 * 2 ** 20;
/** lzma_ret of liblzma's base.h, as far as a decoder can return them. */
const RESULTS: Record<number, string> = {
  5: 'not enough memory', 7: 'not an xz stream', 8: 'its options are not supported', 9: 'the data is damaged', 10: 'the data ends too early',
};

type Addon = typeof import('node-liblzma');

const asBuffer = (data: Uint8Array): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength);

/** Drives the addon's native decoder itself: it gets an output buffer of the right size, and the exact result is seen. */
function decoderClass(addon: Addon) {
  return class Decoder extends addon.Unxz {
    declare protected readonly lzma: NativeLZMA; // the addon's own type, which its index.d.ts leaves out
    constructor() {
      super({ chunkSize: 1 }); // its own output buffer, which we do not use
    }
    stepSync(action: number, input: Buffer, at: number, target: Buffer): Step {
      return this.lzma.codeSync(action, input, at, input.length - at, target, 0);
    }
    step(action: number, input: Buffer, at: number, target: Buffer): Promise<Step> {
      return new Promise((resolve) => {
        this.lzma.code(action, input, at, input.length - at, target, 0, (status, inputLeft, outputLeft) => {
          resolve([status, inputLeft, outputLeft]);
          return false;
        });
      });
    }
  };
}

/** What liblzma says after a step: the result, and the bytes left of the input and of the output buffer. */
type Step = readonly [status: number, inputLeft: number, outputLeft: number];
type Decoder = InstanceType<ReturnType<typeof decoderClass>>;

/** The plain bytes of a whole stream, decoded in one step into a buffer with one spare byte: so one that decodes to more than it should is seen. */
function verdict(target: Buffer, what: string, [status, , left]: Step): Uint8Array {
  const plain = target.length - 1;
  const got = target.length - left;
  if (status === STREAM_END && got === plain) return target.subarray(0, plain);
  if (status > STREAM_END) throw damaged(what, RESULTS[status] ?? `liblzma says ${status}`);
  throw damaged(what, `expected ${plain} bytes, found ${got > plain ? 'more' : got}`);
}

async function* decodeWith(decoder: Decoder, action: number, data: Buffer, target: Buffer, what: string): AsyncIterable<Uint8Array> {
  for (let at = 0, full = true; full || at < data.length;) {
    const [status, inputLeft, outputLeft] = await decoder.step(action, data, at, target);
    if (status > STREAM_END) throw damaged(what, RESULTS[status] ?? `liblzma says ${status}`);
    if (status === OK && action === FINISH && outputLeft > 0) throw damaged(what, RESULTS[10]!);
    if (outputLeft < target.length) yield target.subarray(0, target.length - outputLeft);
    at = data.length - inputLeft;
    full = outputLeft === 0 && status === OK;
  }
}

function addonLzma(addon: Addon): Lzma {
  const Decoder = decoderClass(addon);
  return {
    isProgram: false,
    decodeSync(stream, plain, what, room) {
      const target = room ?? Buffer.allocUnsafeSlow(plain + 1);
      const decoder = new Decoder();
      try {
        return verdict(target, what, decoder.stepSync(FINISH, asBuffer(stream), 0, target));
      } finally {
        decoder.close();
      }
    },
    async decode(stream, plain, what, room) {
      const target = room ?? Buffer.allocUnsafeSlow(plain + 1);
      const decoder = new Decoder();
      try {
        return verdict(target, what, await decoder.step(FINISH, asBuffer(stream), 0, target));
      } finally {
        decoder.close();
      }
    },
    encode: inTurns(async (plain: Uint8Array, preset: number, check: number) => addon.xzAsync(asBuffer(plain), { preset, check, chunkSize: 2 ** 20 })),
    async *decodePieces(input, what) {
      const target = Buffer.allocUnsafeSlow(PIECE);
      const decoder = new Decoder();
      try {
        for await (const piece of input) yield* decodeWith(decoder, RUN, asBuffer(piece), target, what);
        yield* decodeWith(decoder, FINISH, Buffer.alloc(0), target, what);
      } finally {
        decoder.close();
      }
    },
  };
}

const CHECK_NAMES: Record<number, string> = { 0: 'none', 1: 'crc32', 4: 'crc64', 10: 'sha256' };

/** By way of the xz program alone. The bytes it encodes are the addon's, where both have the same version of liblzma. */
export function programLzma(): Lzma {
  return {
    isProgram: true,
    decodeSync(stream, plain, what) {
      try {
        return exactly(filterSync('xz', ['-dc'], stream), plain, what);
      } catch (error) {
        throw decodeError(error, what);
      }
    },
    async decode(stream, plain, what) {
      try {
        return exactly(await filter('xz', ['-dc'], stream), plain, what);
      } catch (error) {
        throw decodeError(error, what);
      }
    },
    encode: (plain, preset, check) => filter('xz', ['-c', '-T1', `--check=${CHECK_NAMES[check]}`, `-${preset}`], plain),
    async *decodePieces(input, what) {
      try {
        yield* filterPieces('xz', ['-dc', '-T1'], input);
      } catch (error) {
        throw decodeError(error, what);
      }
    },
  };
}

let loaded: Promise<Lzma> | undefined;

async function load(): Promise<Lzma> {
  try {
    return addonLzma(await import('node-liblzma'));
  } catch (error) {
    if (hasProgram('xz')) return programLzma();
    throw new RockberryError('missing-program', 'expected the node-liblzma addon or the xz program for .xz files, found neither', {
      hint: 'install it: apt install xz-utils (Debian), dnf install xz (Rocky, Fedora), brew install xz (macOS)', cause: error,
    });
  }
}

/** liblzma, loaded once; `missing-program` where there is none. */
export function loadLzma(): Promise<Lzma> {
  loaded ??= load();
  return loaded;
}
