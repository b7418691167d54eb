/**
 * A tar archive of the host, plain or packed with gzip, xz or zstd (told by its content), as a sequence of members: through tar-stream, with what that leaves
 * out added: extended attributes byte for byte (pax.ts) and times below the second.
 */
import { closeSync, createReadStream, fstatSync, openSync, readSync } from 'node:fs';
import type { Duplex, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as zlib from 'node:zlib';
import { execa } from 'execa';
import { extract, type Header } from 'tar-stream';
import { RockberryError } from '../errors.js';
import type { Time } from '../fs/filesystem.js';
import { paxAttributes } from './pax.js';

export interface Member {
  /** As the archive has it, not checked. */
  readonly name: string;
  readonly type: Header['type'] | null;
  readonly linkName: string;
  readonly size: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: Time;
  /** Full names ("security.selinux"). */
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
}

const MAGIC_LENGTH = 262; // bytes, up to the end of "ustar"
const ENTRY_LIMIT = 1_000_000;

/** Calls `visit` with each member in order, waiting for it. Errors: `io`, `corrupt`, `unsupported`, `missing-program`, and whatever `visit` throws. */
export async function readArchive(path: string, visit: (member: Member, content: AsyncIterable<Uint8Array>) => Promise<void>): Promise<void> {
  const decoder = await openDecoder(path);
  const attributes = paxAttributes();
  const tar = extract();
  const failed: { error?: unknown } = {};
  // The pipeline's own failure (broken gzip, short read) ends the loop below as well; the first cause is what is told.
  const feeding = pipeline([createReadStream(path), ...decoder, attributes.stream, tar as unknown as Writable] as [Readable, ...Duplex[], Writable])
    .catch((error: unknown) => { failed.error ??= error; });
  try {
    let count = 0;
    for await (const entry of tar) {
      if (++count > ENTRY_LIMIT) throw new RockberryError('unsupported', `expected at most ${ENTRY_LIMIT} members in ${path}, found more`);
      await visit(memberOf(entry.header, attributes.next()), entry as unknown as AsyncIterable<Uint8Array>);
      entry.resume();
    }
  } catch (error) {
    tar.destroy();
    await feeding;
    throw explain(error instanceof RockberryError ? error : (failed.error ?? error), path);
  }
  await feeding;
  if (failed.error !== undefined) throw explain(failed.error, path);
}

function explain(error: unknown, path: string): RockberryError {
  if (error instanceof RockberryError) return error;
  const { code, message, syscall } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' && syscall?.startsWith('spawn')) {
    return new RockberryError('missing-program', `expected a program that unpacks ${path}, found none (${message.split('\n')[0]})`, { hint: 'install xz-utils and zstd, or pack the archive with gzip' });
  }
  const kind = code !== undefined && /^E[A-Z]+$/.test(code) ? 'io' : 'corrupt';
  return new RockberryError(kind, `expected a sound tar archive at ${path}, found: ${message.split('\n')[0]}`, { cause: error });
}

function memberOf(header: Header, xattrs: ReadonlyMap<string, Uint8Array>): Member {
  const pax = (header as Header & { pax: Record<string, string> | null }).pax ?? {};
  return {
    name: header.name, type: Object.keys(pax).some((key) => key.startsWith('GNU.sparse.')) ? null : (header.type ?? null), linkName: header.linkname ?? '', size: header.size ?? 0,
    mode: (header.mode ?? 0) & 0o7777, uid: paxNumber(pax.uid) ?? header.uid ?? 0, gid: paxNumber(pax.gid) ?? header.gid ?? 0,
    mtime: paxTime(pax.mtime) ?? { seconds: Math.floor((header.mtime?.getTime() ?? 0) / 1000), nanoseconds: 0 }, xattrs,
  };
}

function paxNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}

/** "1700000000.25": seconds with a fraction (POSIX pax, "mtime"). */
function paxTime(text: string | undefined): Time | undefined {
  const match = /^(-?\d{1,12})(?:\.(\d+))?$/.exec(text ?? '');
  if (!match) return undefined;
  const nanoseconds = Number((match[2] ?? '').padEnd(9, '0').slice(0, 9));
  const whole = Number(match[1]);
  if (!match[1]!.startsWith('-') || nanoseconds === 0) return { seconds: whole, nanoseconds };
  return { seconds: whole - 1, nanoseconds: 1e9 - nanoseconds };
}

async function openDecoder(path: string): Promise<Duplex[]> {
  const { head, tail } = ends(path);
  const startsWith = (...bytes: number[]): boolean => bytes.every((byte, index) => head[index] === byte);
  if (startsWith(0x1f, 0x8b)) return [zlib.createGunzip()];
  if (startsWith(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0)) {
    // liblzma's stream interface in Node does not tell an archive that was cut off; its footer does (.xz File Format, section 2.1.2.4).
    if (!/YZ(\0{4})*$/.test(tail.toString('latin1'))) throw new RockberryError('corrupt', `expected the footer of an xz stream at the end of ${path}, found none: it is cut off, or something follows it`);
    return [await unxz()];
  }
  if (startsWith(0x28, 0xb5, 0x2f, 0xfd)) return [unzstd()];
  if (head.subarray(257, 262).toString('latin1') === 'ustar') return [];
  throw new RockberryError('unsupported', `expected a tar archive, plain or packed with gzip, xz or zstd, at ${path}, found something else`);
}

function ends(path: string): { head: Buffer; tail: Buffer } {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, 'r');
    const length = Math.min(MAGIC_LENGTH, fstatSync(descriptor).size);
    const [head, tail] = [Buffer.alloc(length), Buffer.alloc(length)];
    readSync(descriptor, head, 0, length, 0);
    readSync(descriptor, tail, 0, length, fstatSync(descriptor).size - length);
    return { head, tail };
  } catch (error) {
    throw new RockberryError('profile', `expected a readable archive at ${path}, found: ${(error as Error).message}`, { cause: error });
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

async function unxz(): Promise<Duplex> {
  try {
    const { createUnxz } = await import('node-liblzma');
    return createUnxz() as unknown as Duplex;
  } catch {
    return program('xz'); // the addon is optional
  }
}

function unzstd(): Duplex {
  const native = (zlib as unknown as { createZstdDecompress?: () => Duplex }).createZstdDecompress; // Node 22.15 and later
  return native ? native() : program('zstd');
}

/** A filter program as a stream, which fails when the program does. */
function program(name: string): Duplex {
  return execa(name, ['-dc'], { buffer: false, encoding: 'buffer' }).duplex();
}
