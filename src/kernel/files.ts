/**
 * A filesystem that the kernel has mounted, as one of ours. Every path is walked name by name, and a name that is a symbolic link is no directory: nothing in the
 * image leads out of the mount, whatever its links say. Nobody else can put one in between, since the mount is in a namespace of our own.
 */
import {
  chmodSync, closeSync, constants, ftruncateSync, lchownSync, linkSync, lstatSync, lutimesSync, mkdirSync, openSync, readSync, readdirSync, readlinkSync, renameSync,
  rmdirSync, symlinkSync, unlinkSync, writeSync, type BigIntStats,
} from 'node:fs';
import { systemCode } from '../device/host.js';
import { RockberryError } from '../errors.js';
import type { Attributes, Content, Entry, FileSystem, FileType, Stat, Time } from '../fs/filesystem.js';
import { decodeText, encodeText } from '../fs/names.js';
import { attributeReader, type AttributeReader } from './attributes.js';
import type { MountPoint } from './mounts.js';

const PIECE = 1 << 20; // bytes
const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = constants;
const SLASH = Buffer.from('/');
const SELINUX = 'security.selinux';

/** Everything but what only a filesystem on a device of its own can tell. */
export type KernelFiles = Omit<FileSystem, 'type' | 'info' | 'flush' | 'check'> & {
  /** Something else wrote to the mount: what is remembered of it no longer holds. */
  forget(): void;
  /** Gives SELinux labels to those of the paths that have none. */
  labelMissing(wanted: readonly (readonly [path: string, context: string])[]): void;
};

export function kernelFiles(mount: MountPoint, time: Time): KernelFiles {
  return new MountedFiles(mount, time, attributeReader(() => mount.directory()));
}

class MountedFiles implements KernelFiles {
  constructor(private readonly mount: MountPoint, private readonly time: Time, private readonly attributes: AttributeReader) {}

  forget(): void {
    this.attributes.forget();
  }

  labelMissing(wanted: readonly (readonly [path: string, context: string])[]): void {
    const given = wanted.flatMap(([path, context]): [Buffer, Uint8Array][] => {
      const at = this.need(path, undefined, true);
      return this.attributes.get(at).has(SELINUX) ? [] : [[at, Buffer.from(`${context}\0`)]];
    });
    this.attributes.setMany(SELINUX, given);
  }

  stat(path: string): Stat | undefined {
    return this.done(path, () => {
      const found = this.find(path);
      return found && statOf(found.stats);
    });
  }

  list(path: string): Entry[] {
    return this.done(path, () => {
      const found = readdirSync(this.need(path, 'directory'), { withFileTypes: true, encoding: 'buffer' });
      const named = found.map((entry): Entry => ({ name: decodeText(entry.name), type: typeOf((mask) => entry[mask]()) }));
      return named.sort((a, b) => (a.name < b.name ? -1 : 1));
    });
  }

  read(path: string, offset = 0, length?: number): Uint8Array {
    return this.done(path, () => this.opened(this.need(path, 'file'), O_RDONLY | O_NONBLOCK, (fd) => {
      const size = Number(this.find(path)!.stats.size);
      const result = Buffer.alloc(Math.max(0, Math.min(length ?? Infinity, size - offset)));
      for (let done = 0; done < result.length;) {
        const count = readSync(fd, result, done, result.length - done, offset + done);
        if (count === 0) return result.subarray(0, done);
        done += count;
      }
      return result;
    }));
  }

  readLink(path: string): string {
    return this.done(path, () => decodeText(readlinkSync(this.need(path, 'symlink'), { encoding: 'buffer' })));
  }

  xattrs(path: string): ReadonlyMap<string, Uint8Array> {
    return this.done(path, () => this.attributes.get(this.need(path)));
  }

  write(path: string, content: Content, attributes: Attributes = {}): void {
    this.done(path, () => {
      const { at, found } = this.place(path);
      if (found && typeOfStats(found) !== 'file') throw unexpected(path, 'a file or nothing', found);
      this.opened(at, O_WRONLY | (found ? 0 : O_CREAT | O_EXCL), (fd) => {
        ftruncateSync(fd, 0);
        writeContent(fd, content, 0);
      });
      this.settle(path, at, found, { ...(found ? {} : FILE), mtime: this.time, ...attributes });
    });
  }

  append(path: string, content: Content): void {
    this.done(path, () => {
      const at = this.need(path, 'file', true);
      const size = Number(this.find(path)!.stats.size);
      this.opened(at, O_WRONLY, (fd) => writeContent(fd, content, size));
      this.setAttributes(at, 'file', { mtime: this.time });
    });
  }

  truncate(path: string, size: number): void {
    this.done(path, () => {
      const at = this.need(path, 'file', true);
      this.opened(at, O_WRONLY, (fd) => ftruncateSync(fd, size));
      this.setAttributes(at, 'file', { mtime: this.time });
    });
  }

  makeDirectory(path: string, attributes: Attributes = {}): void {
    this.done(path, () => {
      const { at, found } = this.place(path);
      if (found && typeOfStats(found) !== 'directory') throw unexpected(path, 'a directory or nothing', found);
      if (!found) mkdirSync(at);
      this.settle(path, at, found, found ? attributes : { ...DIRECTORY, mtime: this.time, ...attributes });
    });
  }

  makeLink(path: string, target: string, attributes: Attributes = {}): void {
    this.done(path, () => {
      const { at, found } = this.place(path);
      if (found && typeOfStats(found) !== 'symlink') throw unexpected(path, 'a symbolic link or nothing', found);
      const wanted = Buffer.from(encodeText(target));
      if (found && readlinkSync(at, { encoding: 'buffer' }).equals(wanted)) return this.settle(path, at, found, attributes);
      if (found) unlinkSync(at);
      symlinkSync(wanted, at);
      const kept = found ? { uid: Number(found.uid), gid: Number(found.gid) } : { uid: 0, gid: 0 };
      this.settle(path, at, undefined, { ...kept, mtime: this.time, ...attributes });
    });
  }

  makeHardLink(path: string, existing: string): void {
    this.done(path, () => {
      const from = this.need(existing, undefined, true);
      const source = this.find(existing)!.stats;
      if (typeOfStats(source) === 'directory') throw unexpected(existing, 'a file', source);
      const { at, found } = this.place(path);
      if (found?.ino === source.ino) return;
      if (found) throw unexpected(path, 'nothing', found);
      linkSync(from, at);
      this.touchParent(path);
    });
  }

  rename(from: string, to: string): void {
    this.done(from, () => {
      renameSync(this.need(from, undefined, true), this.place(to).at);
      this.touchParent(from);
      this.touchParent(to);
    });
  }

  change(path: string, attributes: Attributes): void {
    this.done(path, () => {
      const at = this.need(path, undefined, true);
      this.setAttributes(at, typeOfStats(this.find(path)!.stats), attributes);
    });
  }

  remove(path: string): void {
    this.done(path, () => {
      const at = this.need(path, undefined, true);
      if (typeOfStats(this.find(path)!.stats) === 'directory') rmdirSync(at);
      else unlinkSync(at);
      this.touchParent(path);
    });
  }

  /** The host's bytes of a path, and what is there; undefined when a part of the way is missing. Throws 'path' when a part of it is no directory. */
  private find(path: string, writable = false): { readonly at: Buffer; readonly stats: BigIntStats } | undefined {
    let at = Buffer.from(this.mount.directory(writable));
    let stats = lstatSync(at, { bigint: true });
    for (const name of path.split('/').filter((each) => each !== '')) {
      if (name === '.' || name === '..') throw new RockberryError('path', `expected a path without "." and "..", found ${path}`);
      if (!stats.isDirectory()) throw new RockberryError('path', `expected directories on the way to ${path}, found a ${typeOfStats(stats)}`);
      at = Buffer.concat([at, SLASH, encodeText(name)]);
      const next = lstatSync(at, { bigint: true, throwIfNoEntry: false });
      if (!next) return undefined;
      stats = next;
    }
    return { at, stats };
  }

  private need(path: string, type?: FileType, writable = false): Buffer {
    const found = this.find(path, writable);
    if (!found) throw new RockberryError('path', `expected ${type ? `a ${type}` : 'a file'} at ${path}, found nothing of that name`);
    if (type && typeOfStats(found.stats) !== type) throw unexpected(path, `a ${type}`, found.stats);
    return found.at;
  }

  /** Where something is, or will be; its directory is there. */
  private place(path: string): { readonly at: Buffer; readonly found: BigIntStats | undefined } {
    const slash = path.lastIndexOf('/');
    const parent = this.need(path.slice(0, slash) || '/', 'directory', true);
    const name = encodeText(path.slice(slash + 1));
    const at = name.length === 0 ? parent : Buffer.concat([parent, SLASH, name]);
    return { at, found: lstatSync(at, { bigint: true, throwIfNoEntry: false }) };
  }

  private settle(path: string, at: Buffer, before: BigIntStats | undefined, attributes: Attributes): void {
    this.setAttributes(at, typeOfStats(lstatSync(at, { bigint: true })), attributes);
    if (!before) this.touchParent(path);
  }

  /** In an order in which none undoes another: chown clears set-uid and capabilities, everything changes times. */
  private setAttributes(at: Buffer, type: FileType, { mode, uid, gid, mtime, xattrs }: Attributes): void {
    const before = lstatSync(at, { bigint: true });
    if (uid !== undefined || gid !== undefined) lchownSync(at, uid ?? Number(before.uid), gid ?? Number(before.gid));
    if (type !== 'symlink' && (mode !== undefined || uid !== undefined || gid !== undefined)) chmodSync(at, mode ?? Number(before.mode & 0o7777n));
    if (xattrs && xattrs.size > 0) this.attributes.set(at, xattrs);
    const kept = mtime ?? { seconds: Number(before.mtimeNs / 1_000_000_000n), nanoseconds: Number(before.mtimeNs % 1_000_000_000n) };
    setTime(at, kept);
  }

  private touchParent(path: string): void {
    const parent = this.find(path.slice(0, path.lastIndexOf('/')) || '/', true);
    if (parent) setTime(parent.at, this.time);
  }

  private opened<T>(at: Buffer, flags: number, work: (fd: number) => T): T {
    const fd = openSync(at, flags | O_NOFOLLOW, 0o600);
    try {
      return work(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** System errors as ours: they are about the image's path, not about the host's. */
  private done<T>(path: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (error instanceof RockberryError) throw error;
      throw pathError(error, path);
    }
  }
}

const FILE: Attributes = { mode: 0o644, uid: 0, gid: 0 };
const DIRECTORY: Attributes = { mode: 0o755, uid: 0, gid: 0 };

function setTime(at: Buffer, { seconds, nanoseconds }: Time): void {
  const value = seconds + nanoseconds / 1e9;
  lutimesSync(at, value, value);
}

function writeContent(fd: number, content: Content, from: number): void {
  const length = content instanceof Uint8Array ? content.length : content.size;
  for (let at = 0; at < length; at += PIECE) {
    const count = Math.min(PIECE, length - at);
    const piece = content instanceof Uint8Array ? content.subarray(at, at + count) : content.read(at, count);
    for (let done = 0; done < count;) done += writeSync(fd, piece, done, count - done, from + at + done);
  }
}

type Test = 'isFile' | 'isDirectory' | 'isSymbolicLink' | 'isCharacterDevice' | 'isBlockDevice' | 'isFIFO' | 'isSocket';
const TYPES: readonly (readonly [Test, FileType])[] = [
  ['isFile', 'file'], ['isDirectory', 'directory'], ['isSymbolicLink', 'symlink'], ['isCharacterDevice', 'character'], ['isBlockDevice', 'block'], ['isFIFO', 'fifo'], ['isSocket', 'socket'],
];

function typeOf(is: (test: Test) => boolean): FileType {
  return TYPES.find(([test]) => is(test))?.[1] ?? 'file';
}

const typeOfStats = (stats: BigIntStats): FileType => typeOf((test) => stats[test]());

function statOf(stats: BigIntStats): Stat {
  return {
    type: typeOfStats(stats), mode: Number(stats.mode & 0o7777n), uid: Number(stats.uid), gid: Number(stats.gid), size: Number(stats.size),
    mtime: { seconds: Number(stats.mtimeNs / 1_000_000_000n), nanoseconds: Number(stats.mtimeNs % 1_000_000_000n) }, inode: Number(stats.ino), links: Number(stats.nlink),
  };
}

function unexpected(path: string, wanted: string, found: BigIntStats): RockberryError {
  return new RockberryError('path', `expected ${wanted} at ${path}, found a ${typeOfStats(found)}`);
}

function pathError(error: unknown, path: string): RockberryError {
  const code = systemCode(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') return new RockberryError('no-space', `expected room for ${path} in the image's filesystem, found it full`, { hint: 'grow the image first (grow_image), or place less', cause: error });
  const reason = error instanceof Error ? error.message.replace(/, \w+( '[^']*'.*)?$/, '') : String(error);
  return new RockberryError(code === 'EIO' || code === 'EUCLEAN' ? 'corrupt' : 'path', `${path}: expected the kernel to do it, found that it refuses: ${reason}`, { cause: error });
}
