/** Reading files out of an image: `ls`, `cat` and `get`. Names in an image are hostile input: nothing is written outside the destination. */
import { closeSync, fchmodSync, mkdirSync, openSync, statSync, symlinkSync, unlinkSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import { hostError, systemCode } from './device/host.js';
import { RockberryError } from './errors.js';
import type { Stat, Tree } from './fs/filesystem.js';
import { openImageFile, type OpenImageOptions } from './image/image.js';

const PIECE = 1 << 20; // bytes

export interface Listed {
  readonly name: string;
  readonly path: string;
  readonly type: Stat['type'];
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  readonly target: string | null;
  /** The SELinux label; null where there is none. */
  readonly label: string | null;
}

/** Opens the image, gives its tree to `work`, and closes it. */
export async function withTree<T>(image: string, options: OpenImageOptions, work: (tree: Tree) => T | Promise<T>): Promise<T> {
  const opened = await openImageFile(image, { ...options, wide: true });
  try {
    return await work(opened.tree());
  } finally {
    opened.close();
  }
}

/** The entries of a directory, or the one entry of a file. */
export function listPath(tree: Tree, path: string): Listed[] {
  const real = tree.resolve(path);
  const stat = tree.stat(real);
  if (!stat) throw notFound(path);
  if (stat.type !== 'directory') return [describe(tree, real)];
  return tree.list(real).map(({ name }) => describe(tree, real === '/' ? `/${name}` : `${real}/${name}`));
}

function describe(tree: Tree, path: string): Listed {
  const { type, mode, uid, gid, size, mtime } = tree.stat(path)!;
  const label = tree.xattrs(path).get('security.selinux');
  return {
    name: basename(path), path, type, mode, uid, gid, size, mtime: mtime.seconds,
    target: type === 'symlink' ? tree.readLink(path) : null,
    label: label ? Buffer.from(label).toString('latin1').replace(/\0$/, '') : null,
  };
}

/** A file's bytes, piece by piece. */
export function* readPieces(tree: Tree, path: string): Generator<Uint8Array> {
  const stat = tree.stat(tree.resolve(path));
  if (!stat) throw notFound(path);
  if (stat.type !== 'file') throw new RockberryError('path', `expected a file at ${path}, found a ${stat.type}`, { hint: 'use ls for directories' });
  for (let offset = 0; offset < stat.size; offset += PIECE) yield tree.read(path, offset, Math.min(PIECE, stat.size - offset));
}

/** Copies a file, or a directory with all it holds, to the host. Owners are the caller's; permission bits are kept without set-uid and set-gid. Returns what was written. */
export function getPath(tree: Tree, path: string, destination: string): string[] {
  const real = tree.resolve(path);
  const stat = tree.stat(real);
  if (!stat) throw notFound(path);
  const into = statSync(destination, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const written: string[] = [];
  copy(tree, real, into ? join(destination, safeName(basename(path) || 'root')) : destination, written);
  return written;
}

function copy(tree: Tree, path: string, to: string, written: string[]): void {
  const stat = tree.stat(path)!;
  try {
    if (stat.type === 'directory') mkdirSync(hostBytes(to));
    else if (stat.type === 'symlink') symlinkSync(hostBytes(tree.readLink(path)), hostBytes(to));
    else if (stat.type === 'file') writeFile(tree, path, to, stat.mode & 0o777);
    else return; // devices, fifos and sockets have no content
  } catch (error) {
    throw writeError(to, error);
  }
  written.push(to);
  if (stat.type !== 'directory') return;
  for (const { name } of tree.list(path)) copy(tree, `${path === '/' ? '' : path}/${name}`, join(to, safeName(name)), written);
}

/** "wx": never through a link and never over a file that is there. A file that could not be written whole is removed. */
function writeFile(tree: Tree, path: string, to: string, mode: number): void {
  const file = openSync(hostBytes(to), 'wx', 0o600);
  try {
    for (const piece of readPieces(tree, path)) for (let at = 0; at < piece.length; ) at += writeSync(file, piece, at);
    fchmodSync(file, mode);
  } catch (error) {
    unlinkSync(hostBytes(to));
    throw error;
  } finally {
    closeSync(file);
  }
}

/** Bytes that are not UTF-8 stand in a tree's names as lone surrogates (PEP 383): on the host they are bytes again, so that two names never become one. */
function hostBytes(path: string): Buffer {
  const parts = path.split(/([\udc80-\udcff])/u); // every second one is such a byte
  return Buffer.concat(parts.map((part, at) => (at % 2 === 0 ? Buffer.from(part) : Buffer.of(part.charCodeAt(0) & 0xff))));
}

function safeName(name: string): string {
  if (name !== '.' && name !== '..' && !/[/\0]/.test(name)) return name;
  throw new RockberryError('corrupt', `expected a file name in the image, found ${JSON.stringify(name)}, which would leave the destination`);
}

function notFound(path: string): RockberryError {
  return new RockberryError('path', `expected a file at ${path}, found nothing of that name in the image`, { hint: 'list the directory with: rockberry ls IMAGE DIRECTORY' });
}

function writeError(path: string, error: unknown): RockberryError {
  if (systemCode(error) !== 'EEXIST') return hostError(error, 'write', path);
  return new RockberryError('refused', `expected nothing at ${path}, found a file; get never overwrites`, { hint: 'remove it first' });
}
