/** A file that holds one secret: what tools that make tokens write. */
import { closeSync, openSync, readSync } from 'node:fs';
import { RockberryError } from '../errors.js';

const LIMIT = 1 << 16; // bytes

/** The file's text without its last line end. A pipe (/dev/fd/3, /dev/stdin) will do. Errors: `io` when it cannot be read, `usage` when it is empty, too large or not text. */
export function readSecret(path: string, where: string): string {
  const bytes = readLimited(path, where);
  if (bytes.length > LIMIT) throw new RockberryError('usage', `${where}: expected at most ${LIMIT} bytes in ${path}, found more`);
  const text = bytes.toString('utf8').replace(/\r?\n$/, '');
  if (text === '') throw new RockberryError('usage', `${where}: expected a secret in ${path}, found an empty file`);
  if (text.includes('\0') || !Buffer.from(text).equals(bytes.subarray(0, Buffer.byteLength(text)))) throw new RockberryError('usage', `${where}: expected text (UTF-8) in ${path}, found other bytes`);
  return text;
}

/** One byte more than allowed at most: the file may be endless. */
function readLimited(path: string, where: string): Buffer {
  const buffer = Buffer.alloc(LIMIT + 1);
  let length = 0;
  try {
    const descriptor = openSync(path, 'r');
    try {
      for (let got = -1; got !== 0 && length < buffer.length; length += got) got = readSync(descriptor, buffer, length, buffer.length - length, null);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw new RockberryError('io', `${where}: expected a readable file at ${path}, found: ${(error as NodeJS.ErrnoException).code}`, { cause: error });
  }
  return buffer.subarray(0, length);
}
