/**
 * Names of a Linux filesystem are bytes; ours are strings. Bytes that are not valid UTF-8 stand as lone surrogates U+DC80..U+DCFF
 * (Python's surrogateescape, PEP 383), so that every name round-trips.
 */
import { RockberryError } from '../errors.js';

const MAXIMUM = 255; // bytes: EXT4_NAME_LEN, NAME_MAX
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function valid(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

function sequenceLength(lead: number): number {
  if (lead < 0x80) return 1;
  return lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
}

/** Any bytes as a string. */
export function decodeText(bytes: Uint8Array): string {
  const whole = valid(bytes);
  if (whole !== undefined) return whole;
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes[at]!);
    const piece = at + length <= bytes.length ? valid(bytes.subarray(at, at + length)) : undefined;
    text += piece ?? String.fromCharCode(0xdc00 + bytes[at]!);
    at += piece === undefined ? 1 : length;
  }
  return text;
}

/** The bytes of a string from decodeText. A lone surrogate that stands for no byte is a 'path' error. */
export function encodeText(text: string): Uint8Array {
  if (!/\p{Surrogate}/u.test(text)) return Uint8Array.from(Buffer.from(text, 'utf8'));
  const pieces: Buffer[] = [];
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (code >= 0xdc80 && code <= 0xdcff) pieces.push(Buffer.of(code & 0xff));
    else if (code >= 0xd800 && code <= 0xdfff) throw new RockberryError('path', `expected a name that can be stored, found a lone surrogate in ${JSON.stringify(text)}`);
    else pieces.push(Buffer.from(character, 'utf8'));
  }
  return Uint8Array.from(Buffer.concat(pieces));
}

/** The bytes of one component of a path. Empty names, '.', '..', '/', NUL and more than 255 bytes are 'path' errors. */
export function encodeName(name: string): Uint8Array {
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) {
    throw new RockberryError('path', `expected a file name without '/' and NUL that is not empty, '.' or '..', found ${JSON.stringify(name)}`);
  }
  const bytes = encodeText(name);
  if (bytes.length > MAXIMUM) throw new RockberryError('path', `expected a file name of at most ${MAXIMUM} bytes, found ${bytes.length}: ${JSON.stringify(name)}`);
  return bytes;
}

export function decodeName(bytes: Uint8Array): string {
  return decodeText(bytes);
}

/** The components of an absolute path; '/' has none. Anything that is not absolute and plain is a 'path' error. */
export function splitPath(path: string): string[] {
  if (!path.startsWith('/')) throw new RockberryError('path', `expected an absolute path, found ${JSON.stringify(path)}`);
  if (path === '/') return [];
  const parts = path.slice(1).split('/');
  if (parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw new RockberryError('path', `expected a path without empty, '.' and '..' components, found ${JSON.stringify(path)}`);
  }
  return parts;
}
