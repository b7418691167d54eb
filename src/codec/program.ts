/** Compression programs as filters: bytes in, bytes out. */
import { Readable } from 'node:stream';
import { type Options, execa, execaSync } from 'execa';
import { RockberryError } from '../errors.js';

/** What users set for themselves must not change what we write. */
const environment = { LC_ALL: 'C', XZ_OPT: '', XZ_DEFAULTS: '', ZSTD_CLEVEL: '', ZSTD_NBTHREADS: '' };
const options = { encoding: 'buffer', stripFinalNewline: false, env: environment, maxBuffer: 2 ** 30 } as const satisfies Options;

export const damaged = (what: string, reason: string, cause?: unknown): RockberryError =>
  new RockberryError('corrupt', `${what}: cannot decode it: ${reason}`, { hint: 'download the image again and compare its checksum', cause });

/** `data`, if it has the `plain` bytes that were promised. */
export function exactly(data: Uint8Array, plain: number, what: string): Uint8Array {
  if (data.length !== plain) throw damaged(what, `expected ${plain} bytes, found ${data.length}`);
  return data;
}

/** A decoder's failure: a program's last line on stderr, or the error's own message. */
export function decodeError(error: unknown, what: string): RockberryError {
  if (error instanceof RockberryError) return error;
  const stderr = error instanceof Error && 'stderr' in error && error.stderr instanceof Uint8Array ? Buffer.from(error.stderr).toString().trim() : '';
  return damaged(what, stderr.split('\n').at(-1) || (error instanceof Error ? error.message : String(error)), error);
}

export function hasProgram(program: string): boolean {
  return !execaSync(program, ['--version'], { reject: false }).failed;
}

export function filterSync(program: string, args: readonly string[], input: Uint8Array): Uint8Array {
  return execaSync(program, args, { ...options, input }).stdout;
}

export async function filter(program: string, args: readonly string[], input: Uint8Array): Promise<Uint8Array> {
  return (await execa(program, args, { ...options, input })).stdout;
}

/** The program's output as it comes; the program is ended when the reader stops early. */
export async function* filterPieces(program: string, args: readonly string[], input: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const child = execa(program, args, { ...options, buffer: { stdout: false, stderr: true }, input: Readable.from(input, { objectMode: false }) });
  try {
    for await (const piece of child.iterable({ binary: true })) yield piece;
  } finally {
    child.kill();
  }
}
