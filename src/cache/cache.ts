/**
 * What is worth keeping about a base image, addressed by the sha256 of its file: that all of it decodes, the hashes of its parts, and for a base that is one
 * block the same image in blocks. A build gives the same bytes with the cache, without it, and when two builds share it: entries appear whole, by rename.
 */
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync, writevSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { userDirectory } from '../device/host.js';
import { RockberryError } from '../errors.js';
import { stageOutput } from '../output/atomic.js';

export interface CacheEntry {
  /** sha256 of the base's file. */
  readonly base: string;
  /** Bytes on disk. */
  readonly bytes: number;
  readonly prepared: boolean;
  readonly scanned: boolean;
}

/** What a scan of a base found: every block decoded. The hashes are of ranges of the plain image, for the bmap. */
export interface ScanRecord {
  readonly hashes: readonly (readonly [offset: number, length: number, sha256: string])[];
}

/** pages-1: what builds read of the base; pieces: encoded parts of it, by the version of the program. */
export type NoteName = 'pages-1' | `pieces-${string}`;

export interface Cache {
  readonly directory: string;
  /** The base in blocks, if it is kept whole; `variant` tells the format, block size and preset. */
  prepared(base: string, variant: string): string | undefined;
  keepPrepared(base: string, variant: string, pieces: AsyncIterable<Uint8Array>): Promise<string>;
  scan(base: string): ScanRecord | undefined;
  keepScan(base: string, record: ScanRecord): void;
  /** Something else about the base that only saves work, as it was kept: an entry that is not whole, or was changed, is not there. */
  note(base: string, name: NoteName): Buffer | undefined;
  keepNote(base: string, name: NoteName, parts: readonly Uint8Array[]): void;
  /** The sha256 that the file had when it was last hashed, if its name, size and times are the same; to be confirmed by hashing it again. */
  identify(path: string): string | undefined;
  keepIdentity(path: string, base: string): void;
  list(): CacheEntry[];
  /** Removes everything; returns the bytes that were freed. */
  clear(): number;
}

const DEFAULT_LIMIT = 8 * 2 ** 30; // bytes: a few prepared bases
const NAME = /^[0-9a-f]{64}$/;
const PREPARED = /^blocks-[a-z0-9-]+\.sha256$/;
const SCAN = 'scan.json';
/** Lines of a sha256 and what identityOf() says of a file. */
const IDENTITIES = 'identities';
const MAX_IDENTITIES = 64;
const DIGEST = 32; // bytes of a sha256

/** `$XDG_CACHE_HOME/rockberry`, else ~/.cache/rockberry. `limit` in bytes; the least recently used entries go first. */
export function openCache(directory = userDirectory('cache'), limit = DEFAULT_LIMIT): Cache {
  const place = (base: string, file: string): string => {
    if (!NAME.test(base)) throw new RockberryError('usage', `expected a sha256, found "${base}"`);
    return join(directory, base, file);
  };
  const entries = (): (CacheEntry & { used: number })[] => names(directory).filter((name) => NAME.test(name)).map((base) => describe(directory, base));
  const put = (base: string, file: string, ...parts: readonly Uint8Array[]): void => {
    replaceFile(place(base, file), place(base, `.${file}.${process.pid}.tmp`), parts);
  };
  const trim = (keep: string): void => {
    const oldest = entries().sort((a, b) => a.used - b.used || (a.base < b.base ? -1 : 1));
    let total = oldest.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { base, bytes } of oldest) {
      if (total <= limit) return;
      if (base === keep) continue;
      rmSync(join(directory, base), { recursive: true, force: true });
      total -= bytes;
    }
  };
  return {
    directory,
    prepared(base, variant) {
      const file = place(base, `blocks-${variant}`);
      const sum = readIfThere(`${file}.sha256`)?.toString();
      if (sum === undefined || statSync(file, { throwIfNoEntry: false })?.size !== Number(sum.split(' ')[1])) return undefined;
      touch(join(directory, base));
      return file;
    },
    async keepPrepared(base, variant, pieces) {
      const file = `blocks-${variant}`;
      mkdirSync(join(directory, base), { recursive: true });
      const staged = await stageOutput(place(base, file), pieces, { force: true });
      staged.commit();
      put(base, `${file}.sha256`, Buffer.from(`${staged.sha256} ${staged.bytes}\n`));
      trim(base);
      return place(base, file);
    },
    scan(base) {
      const text = readIfThere(place(base, SCAN));
      const record = text === undefined ? undefined : parseScan(text.toString());
      if (record) touch(join(directory, base));
      return record;
    },
    keepScan(base, record) {
      mkdirSync(join(directory, base), { recursive: true });
      put(base, SCAN, Buffer.from(JSON.stringify(record)));
      trim(base);
    },
    ...notes({ place, put, trim }), ...identities(directory),
    list: () => entries().map(({ base, bytes, prepared, scanned }) => ({ base, bytes, prepared, scanned })),
    clear() {
      const all = entries();
      all.forEach(({ base }) => rmSync(join(directory, base), { recursive: true, force: true }));
      rmSync(join(directory, IDENTITIES), { force: true });
      return all.reduce((sum, { bytes }) => sum + bytes, 0);
    },
  };
}

interface Places {
  place(base: string, file: string): string;
  put(base: string, file: string, ...parts: readonly Uint8Array[]): void;
  trim(keep: string): void;
}

function notes({ place, put, trim }: Places): Pick<Cache, 'note' | 'keepNote'> {
  return {
    note(base, name) {
      const [digest, content] = split(readIfThere(place(base, name)));
      return digest !== undefined && sha256([content]).equals(digest) ? content : undefined;
    },
    keepNote(base, name, parts) {
      mkdirSync(dirname(place(base, name)), { recursive: true });
      put(base, name, sha256(parts), ...parts);
      trim(base);
    },
  };
}

function identities(directory: string): Pick<Cache, 'identify' | 'keepIdentity'> {
  return {
    identify(path) {
      const known = readIfThere(join(directory, IDENTITIES))?.toString().split('\n').find((line) => line.slice(DIGEST * 2 + 1) === identityOf(path));
      return known && NAME.test(known.slice(0, DIGEST * 2)) ? known.slice(0, DIGEST * 2) : undefined;
    },
    keepIdentity(path, base) {
      const identity = identityOf(path);
      const others = (readIfThere(join(directory, IDENTITIES))?.toString().split('\n') ?? []).filter((line) => line !== '' && line.slice(DIGEST * 2 + 1) !== identity);
      const temporary = join(directory, `.${IDENTITIES}.${process.pid}.tmp`);
      mkdirSync(directory, { recursive: true });
      writeFileSync(temporary, [`${base} ${identity}`, ...others.slice(0, MAX_IDENTITIES - 1), ''].join('\n'));
      renameSync(temporary, join(directory, IDENTITIES));
    },
  };
}

function names(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return []; // no cache yet
  }
}

function describe(directory: string, base: string): CacheEntry & { used: number } {
  const files = names(join(directory, base));
  const sizes = files.map((file) => statSync(join(directory, base, file), { throwIfNoEntry: false })?.size ?? 0);
  return {
    base, bytes: sizes.reduce((sum, size) => sum + size, 0), prepared: files.some((file) => PREPARED.test(file)), scanned: files.includes(SCAN),
    used: statSync(join(directory, base), { throwIfNoEntry: false })?.mtimeMs ?? 0,
  };
}

function sha256(parts: readonly Uint8Array[]): Buffer {
  return parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();
}

function replaceFile(path: string, temporary: string, parts: readonly Uint8Array[]): void {
  try {
    writeParts(temporary, parts);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

const AT_ONCE = 512; // parts: a system call takes at most 1024

/** A new file that only its owner reads: it holds what the base holds. The parts are not put together first: they may be many MiB. */
function writeParts(path: string, parts: readonly Uint8Array[]): void {
  const fd = openSync(path, 'w', 0o600);
  try {
    for (let at = 0; at < parts.length; at += AT_ONCE) {
      const some = parts.slice(at, at + AT_ONCE);
      const length = some.reduce((sum, part) => sum + part.length, 0);
      if (writevSync(fd, some) !== length) throw new RockberryError('no-space', `cannot write ${path}: no space left on the disk`);
    }
  } finally {
    closeSync(fd);
  }
}

/** A file as the host knows it; the time of the last change of its inode cannot be set back. */
function identityOf(path: string): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(':');
}

/** A note begins with the digest of the rest. */
function split(note: Buffer | undefined): [digest: Buffer | undefined, content: Buffer] {
  return note && note.length >= DIGEST ? [note.subarray(0, DIGEST), note.subarray(DIGEST)] : [undefined, Buffer.alloc(0)];
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined; // not kept, or just being cleared by another
  }
}

/** The clock orders entries for trimming only; nothing of it reaches an output. */
function touch(path: string): void {
  try {
    const now = new Date();
    utimesSync(path, now, now);
  } catch {
    // a read-only cache is still a cache
  }
}

function parseScan(text: string): ScanRecord | undefined {
  try {
    const { hashes } = JSON.parse(text) as ScanRecord;
    const sound = Array.isArray(hashes) && hashes.every(([offset, length, sha256]) => Number.isSafeInteger(offset) && Number.isSafeInteger(length) && NAME.test(sha256));
    return sound ? { hashes } : undefined;
  } catch {
    return undefined; // cut short by a full disk, or not ours: as if it were not there
  }
}
