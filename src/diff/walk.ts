/**
 * Two filesystems, path by path. Where both keep everything at the same places, a path is looked at only when one of the bytes that decide it (its footprint)
 * differs: the rest is equal without being read. Where they do not, every path is read on both sides.
 */
import { RockberryError } from '../errors.js';
import type { Range } from '../bytes/ranges.js';
import type { FileType, StoredFileSystem } from '../fs/filesystem.js';
import type { RangeSet } from '../bytes/range-set.js';
import { aspectsOf, stateOf, type Aspect, type FileState } from './state.js';
import { sameContents, textDiff } from './text.js';

export interface FileChange {
  readonly path: string;
  readonly change: 'added' | 'removed' | 'changed';
  /** What differs; empty for what was added or removed. */
  readonly aspects: readonly Aspect[];
  readonly before: FileState | null;
  readonly after: FileState | null;
  /** Unified, for texts of up to 1 MiB whose contents differ. */
  readonly diff?: string;
  /** Lines of the diff. */
  readonly lines?: { readonly added: number; readonly removed: number };
}

export interface WalkOptions {
  readonly times: boolean;
  readonly text: boolean;
  /** In front of every path: where the filesystem is mounted, "" for the root. */
  readonly prefix: string;
  /** Directories that another filesystem is mounted on: what lies below is hidden, and not compared. */
  readonly covered: ReadonlySet<string>;
  /** Bytes of the partition that differ; undefined when the two sides keep things at different places. */
  readonly different: RangeSet | undefined;
}

interface Child {
  readonly name: string;
  readonly type: FileType;
  /** undefined where footprints do not help. */
  readonly ranges: readonly Range[] | undefined;
}

function under(directory: string, name: string): string {
  return directory === '/' ? `/${name}` : `${directory}/${name}`;
}

function sameRanges(a: readonly Range[], b: readonly Range[]): boolean {
  return a.length === b.length && a.every(({ offset, length }, at) => offset === b[at]!.offset && length === b[at]!.length);
}

/** Directories met on the way: one that is met again is in two places, which no sound filesystem has, and which may go on for ever. */
class Visits {
  readonly #seen = new Set<number>();
  constructor(private readonly filesystem: StoredFileSystem) {}

  enter(path: string): void {
    const inode = this.filesystem.stat(path)?.inode ?? 0;
    if (this.#seen.has(inode)) throw new RockberryError('corrupt', `expected every directory in one place, found ${path} in two`);
    this.#seen.add(inode);
  }
}

export class Walk {
  readonly changes: FileChange[] = [];
  readonly #visits: readonly [Visits, Visits];

  constructor(private readonly a: StoredFileSystem, private readonly b: StoredFileSystem, private readonly options: WalkOptions) {
    this.#visits = [new Visits(a), new Visits(b)];
  }

  /** Everything of one side, which the other has not. */
  only(change: 'added' | 'removed'): FileChange[] {
    this.#below(change, change === 'added' ? this.b : this.a, '/');
    return this.changes;
  }

  /** The root directory and everything below. */
  compare(): FileChange[] {
    const { different } = this.options;
    const [a, b] = different ? [this.a.footprint('/'), this.b.footprint('/')] : [undefined, undefined];
    const equal = this.#untouched(a, b);
    if (!equal) this.#pair('/', false);
    this.#directory('/', equal);
    return this.changes;
  }

  #name(path: string): string {
    const { prefix } = this.options;
    return path === '/' && prefix.startsWith('/') ? prefix : prefix + path;
  }

  #untouched(a: readonly Range[] | undefined, b: readonly Range[] | undefined): boolean {
    const { different } = this.options;
    return different !== undefined && a !== undefined && b !== undefined && sameRanges(a, b) && !a.some((range) => different.touches(range));
  }

  #children(filesystem: StoredFileSystem, path: string): Child[] {
    if (this.options.different) return filesystem.footprints(path);
    return filesystem.list(path).map(({ name, type }) => ({ name, type, ranges: undefined }));
  }

  /** `equal`: both directories are known to have the same entries, so one of them is read. */
  #directory(path: string, equal: boolean): void {
    if (path !== '/' && this.options.covered.has(this.#name(path))) return;
    this.#visits[0].enter(path);
    if (equal) {
      for (const { name, type, ranges } of this.#children(this.a, path)) this.#both(under(path, name), type, type, this.#untouched(ranges, ranges), true);
      return;
    }
    this.#visits[1].enter(path);
    const before = new Map(this.#children(this.a, path).map((child) => [child.name, child]));
    const after = new Map(this.#children(this.b, path).map((child) => [child.name, child]));
    for (const name of [...new Set([...before.keys(), ...after.keys()])].sort()) {
      const [a, b] = [before.get(name), after.get(name)];
      if (a && b) this.#both(under(path, name), a.type, b.type, this.#untouched(a.ranges, b.ranges), false);
      else if (a) this.#lone('removed', this.a, under(path, name), a.type);
      else if (b) this.#lone('added', this.b, under(path, name), b.type);
    }
  }

  #both(path: string, a: FileType, b: FileType, untouched: boolean, listed: boolean): void {
    // An untouched path of an untouched directory is the same in all; under a touched directory FAT keeps what stat tells in the directory.
    if (!untouched || !listed) this.#pair(path, untouched);
    if (a === 'directory' && b === 'directory') this.#directory(path, untouched);
    else if (a === 'directory') this.#below('removed', this.a, path);
    else if (b === 'directory') this.#below('added', this.b, path);
  }

  #pair(path: string, sameData: boolean): void {
    const { times, text } = this.options;
    const [before, after] = [stateOf(this.a, path, times), stateOf(this.b, path, times)];
    const [a, b] = [{ filesystem: this.a, path, size: before.size ?? 0 }, { filesystem: this.b, path, size: after.size ?? 0 }];
    const aspects = aspectsOf(before, after);
    const files = before.type === 'file' && after.type === 'file';
    if (files && a.size === b.size && !sameData && !sameContents(a, b)) aspects.unshift('content');
    if (aspects.length === 0) return;
    const name = this.#name(path);
    const found = text && files && aspects.includes('content') ? textDiff(name, a, b) : undefined;
    this.changes.push({
      path: name, change: 'changed', aspects, before, after, ...(found && { diff: found.diff, lines: { added: found.added, removed: found.removed } }),
    });
  }

  #lone(change: 'added' | 'removed', filesystem: StoredFileSystem, path: string, type: FileType): void {
    const state = stateOf(filesystem, path, this.options.times);
    const [before, after] = change === 'added' ? [null, state] : [state, null];
    this.changes.push({ path: this.#name(path), change, aspects: [], before, after });
    if (type === 'directory') this.#below(change, filesystem, path);
  }

  #below(change: 'added' | 'removed', filesystem: StoredFileSystem, directory: string): void {
    if (directory !== '/' && this.options.covered.has(this.#name(directory))) return;
    this.#visits[change === 'added' ? 1 : 0].enter(directory);
    for (const { name, type } of filesystem.list(directory)) this.#lone(change, filesystem, under(directory, name), type);
  }
}
