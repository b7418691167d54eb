/**
 * Where a member of an archive lands in the image, judged before anything is written. Links that the image itself has on the way (/lib on a merged-usr system)
 * are followed; a link that the archive brings is not, or the archive could write wherever it likes.
 */
import { RockberryError } from '../errors.js';
import type { FileType, Tree } from '../fs/filesystem.js';
import type { Member } from './archive.js';

export type Kind = 'file' | 'directory' | 'symlink' | 'link';

export interface Landing {
  readonly path: string;
  readonly kind: Kind;
  /** Of a hard link: the path in the image of the file that gets a second name. */
  readonly existing?: string;
}

const PATH_LIMIT = 4096; // bytes: PATH_MAX of Linux
const KINDS: Readonly<Record<string, Kind>> = { file: 'file', 'contiguous-file': 'file', directory: 'directory', symlink: 'symlink', link: 'link' };

/** Judges the members of one archive in order; undefined for one that `strip` leaves nothing of. Errors: `profile` with the member's name. */
export function memberPaths(tree: Tree, to: string, strip: number): (member: Member) => Landing | undefined {
  const made = new Map<string, Kind>(); // by their real paths

  function land(name: string, kind: Kind, member: Member): string | undefined {
    const parts = cleanParts(name, member);
    if (parts.length <= strip) return undefined;
    const path = follow([...to.split('/').filter((part) => part !== '' && part !== '.'), ...parts.slice(strip)], member);
    // A directory where the image has a link to one (lib/ for /lib → usr/lib) means the directory behind it.
    return kind === 'directory' && !made.has(path) && tree.stat(path)?.type === 'symlink' ? throughImage(path, member) || '/' : path;
  }

  /** The path with the image's own links followed in all parts but the last. */
  function follow(parts: readonly string[], member: Member): string {
    let path = '';
    parts.forEach((part, index) => {
      path = `${path}/${part}`;
      if (index === parts.length - 1) return;
      if (made.get(path) === 'symlink') refuse(member, `expected a path of its own, found one through ${path}, a link of the same archive`);
      if (made.has(path) ? made.get(path) !== 'directory' : ![undefined, 'directory', 'symlink'].includes(tree.stat(path)?.type)) refuse(member, `expected a directory at ${path}, found a file`);
      if (!made.has(path) && tree.stat(path)?.type === 'symlink') path = throughImage(path, member);
      if (!made.has(path)) made.set(path, 'directory');
    });
    return path;
  }

  function throughImage(path: string, member: Member): string {
    const real = tree.resolve(path);
    if (real === '/') return '';
    const ancestors = real.split('/').slice(1).map((_, index, all) => `/${all.slice(0, index + 1).join('/')}`);
    if (ancestors.some((ancestor) => made.get(ancestor) === 'symlink')) refuse(member, `expected a path of its own, found one through a link of the same archive, by way of ${path}`);
    return real;
  }

  function checkType(path: string, kind: Kind, member: Member): void {
    const there = made.get(path) ?? tree.stat(path)?.type;
    if (there === undefined || (kind === 'directory') === (there === 'directory') || (there === 'symlink' && kind !== 'directory')) return;
    refuse(member, `expected a ${kind} to be able to stand at ${path}, found a ${there}`);
  }

  return (member) => {
    const kind = KINDS[member.type ?? ''];
    if (kind === undefined) refuse(member, `expected a file, directory or link, found a ${member.type ?? 'member of an unknown kind'}`);
    const path = land(member.name, kind, member);
    if (path === undefined) return undefined;
    checkType(path, kind, member);
    const existing = kind === 'link' ? hardLinkSource(land(member.linkName, 'file', member), member) : undefined;
    made.set(path, kind);
    return { path, kind, ...(existing !== undefined && { existing }) };
  };

  function hardLinkSource(path: string | undefined, member: Member): string {
    const type: Kind | FileType | undefined = path === undefined ? undefined : (made.get(path) ?? tree.stat(path)?.type);
    if (path === undefined || (type !== 'file' && type !== 'link')) refuse(member, `expected a hard link to a file, found one to "${member.linkName}"`);
    return path;
  }
}

function cleanParts(name: string, member: Member): string[] {
  if (name.includes('\0') || name.includes('\ufffd')) refuse(member, 'expected a name in UTF-8 without NUL, found another');
  if (name.startsWith('/')) refuse(member, 'expected a relative path, found an absolute one');
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) refuse(member, 'expected a path inside the image, found one with ".."');
  if (Buffer.byteLength(name) > PATH_LIMIT) refuse(member, `expected at most ${PATH_LIMIT} bytes in a path, found ${Buffer.byteLength(name)}`);
  return parts;
}

function refuse(member: Member, message: string): never {
  const name = member.name.length > 200 ? `${member.name.slice(0, 200)}…` : member.name;
  throw new RockberryError('profile', `member ${JSON.stringify(name)}: ${message}`, { hint: 'nothing was written; pack the archive with paths relative to its root and without such members' });
}
