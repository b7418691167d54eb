/** Files of an inventory: read once, within limits, as UTF-8, decrypted where they are encrypted, and remembered by name. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { RockberryError } from '../../errors.js';
import { decryptSops, decryptVaultValue, viewVault, type DecryptOptions } from './decrypt.js';
import { problem } from './problem.js';

export interface Source {
  /** Absolute. */
  readonly path: string;
  /** As messages name it. */
  readonly name: string;
  readonly directory: string;
  readonly text: string;
  readonly encrypted: boolean;
}

export interface Sources {
  /** Errors: `io` for what cannot be read or decrypted, `corrupt` for what is no text, `unsupported` for what is too large, `missing-program`. */
  read(path: string): Promise<Source>;
  /** The plain text of a value of ansible-vault's; the file it stands in then counts as encrypted. */
  decryptValue(text: string, source: Source, where: string): Promise<string>;
  /** All files that were read, sorted. */
  files(): { path: string; encrypted: boolean }[];
}

export const FILE_LIMIT = 8 << 20; // bytes
const TOTAL_LIMIT = 64 << 20; // bytes of all files together
const REASONS: Readonly<Record<string, string>> = { ENOENT: 'none', EACCES: 'one that this user may not read', ENOTDIR: 'none', ELOOP: 'a link to itself' };

/** `given` is the inventory's own path; other files are named as if they were given in the same way. */
export function openSources(given: string, options: DecryptOptions): Sources {
  const home = dirname(resolve(given));
  const read = new Map<string, Promise<Source>>();
  const files = new Map<string, boolean>();
  const values = new Map<string, Promise<string>>();
  let left = TOTAL_LIMIT;

  async function readOne(path: string): Promise<Source> {
    const name = join(dirname(given), relative(home, path));
    const bytes = readLimited(path, name);
    left -= bytes.length;
    if (left < 0) throw problem('unsupported', name, `expected at most ${TOTAL_LIMIT} bytes in all files of an inventory, found more`);
    const text = decode(bytes, name);
    const plain = text.startsWith('$ANSIBLE_VAULT;') ? await viewVault(path, name, options) : isSops(text) ? await decryptSops(path, name, text) : undefined;
    files.set(path, plain !== undefined);
    return { path, name, directory: dirname(path), text: plain ?? text, encrypted: plain !== undefined };
  }

  return {
    read(path) {
      const before = read.get(path) ?? readOne(path);
      read.set(path, before);
      return before;
    },
    decryptValue(text, source, where) {
      files.set(source.path, true);
      const before = values.get(text) ?? decryptVaultValue(text, where, options);
      values.set(text, before);
      return before;
    },
    files: () => [...files].map(([path, encrypted]) => ({ path, encrypted })).sort((a, b) => (a.path < b.path ? -1 : 1)),
  };
}

function readLimited(path: string, name: string): Buffer {
  try {
    const descriptor = openSync(path, 'r');
    try {
      const status = fstatSync(descriptor);
      if (!status.isFile()) throw problem('unsupported', name, `expected a file, found ${status.isDirectory() ? 'a directory' : 'a device or a pipe'}`);
      if (status.size > FILE_LIMIT) throw problem('unsupported', name, `expected at most ${FILE_LIMIT} bytes, found ${status.size}`);
      const bytes = Buffer.alloc(status.size);
      let length = 0;
      for (let got = -1; got !== 0 && length < bytes.length; length += got) got = readSync(descriptor, bytes, length, bytes.length - length, null);
      return bytes.subarray(0, length);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if (error instanceof RockberryError) throw error;
    const { code = '', message } = error as NodeJS.ErrnoException;
    throw new RockberryError('io', `expected a readable file at ${name}, found ${REASONS[code] ?? message}`, { cause: error });
  }
}

/** UTF-8 without its byte order mark. Comments in another encoding are emptied, as Ansible does. */
function decode(bytes: Buffer, name: string): string {
  const strict = new TextDecoder('utf-8', { fatal: true });
  const text = whole(bytes) ?? bytes.toString('latin1').split('\n').map((line, index) => {
    const good = /^[ \t]*[#;]/.test(line) ? '' : whole(Buffer.from(line, 'latin1'));
    if (good === undefined) throw problem('corrupt', `${name}:${index + 1}:1`, 'expected text in UTF-8, found other bytes');
    return good;
  }).join('\n');
  const at = text.indexOf('\0');
  if (at >= 0) throw problem('corrupt', `${name}:${text.slice(0, at).split('\n').length}:1`, 'expected text, found a zero byte');
  return text;

  function whole(part: Uint8Array): string | undefined {
    try {
      return strict.decode(part);
    } catch {
      return undefined;
    }
  }
}

/** Whether sops made the file: a "sops" key at the top, in YAML or JSON, with the MAC over all values. */
function isSops(text: string): boolean {
  if (!text.includes('ENC[')) return false;
  const json = text.search(/"sops"\s*:\s*\{/);
  if (json >= 0) return /"mac"\s*:/.test(text.slice(json));
  const lines = text.split('\n');
  const start = lines.findIndex((line) => /^sops:\s*$/.test(line));
  const end = start < 0 ? -1 : lines.findIndex((line, index) => index > start && /^[^\s#]/.test(line));
  return start >= 0 && lines.slice(start, end < 0 ? undefined : end).some((line) => /^\s+mac:/.test(line));
}
