/**
 * The image's filesystems as one tree, the way the running system sees them: mounts come from the image's own fstab. Symbolic links are resolved here, and
 * only inside the image: an absolute target starts again at the image's root, ".." stops there. Whatever is written to a filesystem with labels gets the
 * label of its real path, and a record is kept of what happened to which path.
 */
import { RockberryError } from '../errors.js';
import { equalBytes } from '../bytes/fields.js';
import type { FileAction, Finding } from '../report.js';
import { actionLog } from './actions.js';
import type { Attributes, Content, Entry, FileSystem, FileSystemInfo, FileType, RunRecord, Stat, Time, Tree, TreeCommand, TreeCommandResult, TreeMachine } from './filesystem.js';

export interface Mount {
  /** Where it is mounted: "/" or "/boot/efi". */
  readonly path: string;
  readonly filesystem: FileSystem;
}

export interface TreeOptions {
  readonly time: Time;
  readonly bootDirectory: string;
  /** The SELinux context for a path, where the image has a policy. */
  readonly label?: (path: string, type: FileType) => string | undefined;
  readonly machine?: TreeMachine | undefined;
}

interface Place {
  readonly path: string; // in the tree
  readonly filesystem: FileSystem;
  readonly inside: string; // in that filesystem
}

const MAX_LINKS = 40; // as Linux: MAXSYMLINKS, include/linux/namei.h
const COMPARE_PIECE = 1 << 20; // bytes

export function createTree(mounts: readonly Mount[], options: TreeOptions): Tree {
  return new MountedTree(mounts, options);
}

class MountedTree implements Tree {
  readonly type = 'tree';
  readonly time: Time;
  readonly bootDirectory: string;
  private readonly byDepth: readonly Mount[];
  private readonly log = actionLog();
  private readonly records: RunRecord[] = [];
  readonly machine: TreeMachine | undefined;

  constructor(mounts: readonly Mount[], private readonly options: TreeOptions) {
    this.byDepth = [...mounts].sort((a, b) => b.path.length - a.path.length);
    this.time = options.time;
    this.bootDirectory = options.bootDirectory;
    this.machine = options.machine && { run: (command) => this.run(options.machine!, command) };
  }

  runs(): readonly RunRecord[] {
    return this.records;
  }

  private async run(machine: TreeMachine, command: TreeCommand): Promise<TreeCommandResult> {
    const result = await machine.run(command);
    for (const { path, existed, exists } of result.changes) {
      if (exists) this.log.note(path, existed, true);
      else this.log.noteRemoved(path);
    }
    const { status, how, emulated, output } = result;
    const text = 'script' in command.command ? command.mask(command.command.script) : command.command.map(command.mask);
    this.records.push({ command: text, network: command.network, status, how, emulated, output });
    return result;
  }

  info(): FileSystemInfo {
    return this.locate('/').filesystem.info();
  }

  resolve(path: string): string {
    return this.find(path, true).path;
  }

  actions(): FileAction[] {
    return this.log.actions();
  }

  stat(path: string): Stat | undefined {
    const { filesystem, inside } = this.find(path, false);
    return filesystem.stat(inside);
  }

  list(path: string): Entry[] {
    const { filesystem, inside } = this.existing(path);
    return filesystem.list(inside);
  }

  read(path: string, offset?: number, length?: number): Uint8Array {
    const { filesystem, inside } = this.existing(path);
    return filesystem.read(inside, offset, length);
  }

  readLink(path: string): string {
    const { filesystem, inside } = this.existing(path, false);
    return filesystem.readLink(inside);
  }

  xattrs(path: string): ReadonlyMap<string, Uint8Array> {
    const { filesystem, inside } = this.existing(path, false);
    return filesystem.xattrs(inside);
  }

  write(path: string, content: Content, attributes: Attributes = {}): void {
    const place = this.find(path, true);
    const wanted = this.labelled(place, 'file', attributes);
    const same = sameContent(place, content) && sameAttributes(place, wanted);
    this.record(place, same, () => place.filesystem.write(place.inside, content, wanted));
  }

  append(path: string, content: Content): void {
    const place = this.existing(path);
    const length = content instanceof Uint8Array ? content.length : content.size;
    this.record(place, length === 0, () => place.filesystem.append(place.inside, content));
  }

  truncate(path: string, size: number): void {
    const place = this.existing(path);
    const same = place.filesystem.stat(place.inside)?.size === size;
    this.record(place, same, () => place.filesystem.truncate(place.inside, size));
  }

  makeDirectory(path: string, attributes: Attributes = {}): void {
    const place = this.find(path, true);
    const wanted = this.labelled(place, 'directory', attributes);
    const same = typeOf(place) === 'directory' && sameAttributes(place, wanted);
    this.record(place, same, () => place.filesystem.makeDirectory(place.inside, wanted));
  }

  makeLink(path: string, target: string, attributes: Attributes = {}): void {
    const place = this.find(path, false);
    const wanted = this.labelled(place, 'symlink', attributes);
    const same = typeOf(place) === 'symlink' && place.filesystem.readLink(place.inside) === target && sameAttributes(place, wanted);
    this.record(place, same, () => place.filesystem.makeLink(place.inside, target, wanted));
  }

  makeHardLink(path: string, existing: string): void {
    const from = this.existing(existing, false);
    const to = this.find(path, false);
    sameFilesystem(from, to);
    this.record(to, false, () => to.filesystem.makeHardLink(to.inside, from.inside));
  }

  rename(fromPath: string, toPath: string): void {
    const from = this.existing(fromPath, false);
    const to = this.find(toPath, false);
    sameFilesystem(from, to);
    const type = typeOf(from)!;
    this.record(to, false, () => to.filesystem.rename(from.inside, to.inside));
    this.log.noteRemoved(from.path);
    to.filesystem.change(to.inside, this.labelled(to, type, {}));
  }

  change(path: string, attributes: Attributes): void {
    const place = this.existing(path);
    this.record(place, sameAttributes(place, attributes), () => place.filesystem.change(place.inside, attributes));
  }

  remove(path: string): void {
    const place = this.existing(path, false);
    place.filesystem.remove(place.inside);
    this.log.noteRemoved(place.path);
  }

  flush(): void {
    this.byDepth.forEach(({ filesystem }) => filesystem.flush());
  }

  check(): Finding[] {
    return this.byDepth.flatMap(({ filesystem }) => filesystem.check());
  }

  private locate(path: string): Place {
    const mount = this.byDepth.find(({ path: at }) => at === '/' || path === at || path.startsWith(`${at}/`));
    if (!mount) throw new RockberryError('path', `expected a path of the image, found "${path}"`, { hint: 'paths start with "/"' });
    const inside = mount.path === '/' ? path : path.slice(mount.path.length) || '/';
    return { path, filesystem: mount.filesystem, inside };
  }

  /** The place with links followed in every component, or in all but the last. */
  private find(path: string, followLast: boolean): Place {
    const pending = components(path).reverse();
    let at = '';
    for (let links = 0; pending.length > 0; ) {
      const name = pending.pop()!;
      if (name === '..') {
        at = at.slice(0, Math.max(0, at.lastIndexOf('/')));
        continue;
      }
      const next = this.locate(`${at}/${name}`);
      const isLink = (pending.length > 0 || followLast) && typeOf(next) === 'symlink';
      if (!isLink) {
        at = next.path;
        continue;
      }
      if (++links > MAX_LINKS) throw new RockberryError('path', `expected at most ${MAX_LINKS} symbolic links on the way to ${path}, found a loop`);
      const target = next.filesystem.readLink(next.inside);
      if (target.startsWith('/')) at = '';
      pending.push(...components(target).reverse());
    }
    return this.locate(at === '' ? '/' : at);
  }

  private existing(path: string, followLast = true): Place {
    const place = this.find(path, followLast);
    if (!typeOf(place)) throw new RockberryError('path', `expected a file at ${path}, found nothing of that name in the image`);
    return place;
  }

  private labelled(place: Place, type: FileType, attributes: Attributes): Attributes {
    if (place.filesystem.type === 'vfat' || attributes.xattrs?.has('security.selinux')) return attributes;
    const context = this.options.label?.(place.path, type);
    if (context === undefined) return attributes;
    return { ...attributes, xattrs: new Map([...(attributes.xattrs ?? []), ['security.selinux', Buffer.from(`${context}\0`)]]) };
  }

  /** Does the work unless it would change nothing, and records which of the two it was. */
  private record(place: Place, unchanged: boolean, work: () => void): void {
    const existed = typeOf(place) !== undefined;
    if (!unchanged) work();
    this.log.note(place.path, existed, !unchanged);
  }
}

function components(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

function typeOf(place: Place): FileType | undefined {
  return place.filesystem.stat(place.inside)?.type;
}

function sameFilesystem(a: Place, b: Place): void {
  if (a.filesystem !== b.filesystem) throw new RockberryError('path', `expected ${a.path} and ${b.path} on one filesystem, found them on two`);
}

/** Whether the place is a regular file with this content. Compared piece by piece: contents may be larger than memory. */
function sameContent(place: Place, content: Content): boolean {
  const stat = place.filesystem.stat(place.inside);
  const size = content instanceof Uint8Array ? content.length : content.size;
  if (stat?.type !== 'file' || stat.size !== size) return false;
  for (let offset = 0; offset < size; offset += COMPARE_PIECE) {
    const length = Math.min(COMPARE_PIECE, size - offset);
    const wanted = content instanceof Uint8Array ? content.subarray(offset, offset + length) : content.read(offset, length);
    if (!equalBytes(place.filesystem.read(place.inside, offset, length), wanted)) return false;
  }
  return true;
}

/** Whether the attributes that are asked for are there. A filesystem without owners and modes (FAT) has them by definition. */
function sameAttributes(place: Place, wanted: Attributes): boolean {
  const stat = place.filesystem.stat(place.inside);
  if (!stat) return false;
  if (!sameTime(stat, wanted.mtime, place.filesystem.type)) return false;
  if (place.filesystem.type === 'vfat') return true;
  if ((wanted.mode ?? stat.mode) !== stat.mode || (wanted.uid ?? stat.uid) !== stat.uid || (wanted.gid ?? stat.gid) !== stat.gid) return false;
  if (!wanted.xattrs || wanted.xattrs.size === 0) return true;
  const present = place.filesystem.xattrs(place.inside);
  return [...wanted.xattrs].every(([name, value]) => {
    const has = present.get(name);
    return value === null ? has === undefined : has !== undefined && equalBytes(has, value);
  });
}

function sameTime(stat: Stat, wanted: Time | undefined, type: string): boolean {
  if (!wanted) return true;
  if (type === 'vfat') return Math.abs(stat.mtime.seconds - wanted.seconds) < 2; // FAT stores even seconds
  return stat.mtime.seconds === wanted.seconds && stat.mtime.nanoseconds === wanted.nanoseconds;
}
