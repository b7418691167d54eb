/** Names and inodes together: finding a path, giving and taking names, link counts, and what happens to an inode that lost its last name. */
import { RockberryError } from '../../errors.js';
import type { Attributes, FileType } from '../filesystem.js';
import { encodeName, splitPath } from '../names.js';
import { applyAttributes, releaseXattrBlock } from './attributes.js';
import { createDirectory, insert, isEmpty, lookup, remove, replace, type DirectoryFormat } from './directory.js';
import { InodeDirectory } from './directory-file.js';
import { entryType, type Inode, modeOf, ROOT_INODE } from './inode.js';
import { freeRuns, hasMapping, initMapping, readMapping } from './mapping.js';
import type { Volume } from './volume.js';

const MAXIMUM_KNOWN = 10_000; // names
const MAXIMUM_LINKS = 65000; // EXT4_LINK_MAX
const DEFAULT_MODE: Partial<Record<FileType, number>> = { directory: 0o755, symlink: 0o777 };
const DOT_DOT = Uint8Array.of(0x2e, 0x2e);

/** The last component of a path within its directory. */
export interface Place {
  readonly path: string;
  readonly parent: Inode;
  readonly name: Uint8Array;
}

export class Namespace {
  readonly format: DirectoryFormat;
  private readonly known = new Map<string, number>();
  private knownAt = 0;

  constructor(private readonly volume: Volume) {
    const { sb } = volume;
    this.format = {
      blockSize: sb.blockSize, filetype: sb.incompat('filetype'), checksumSeed: sb.checksumSeed, indexed: sb.compat('dir_index'),
      hashSeed: sb.raw.slice(0xec, 0xfc), hashVersion: sb.raw[0xfc]!, unsignedHash: (sb.raw[0x160]! & 2) !== 0, largeDir: sb.incompat('large_dir'),
    };
  }

  directory(inode: Inode): InodeDirectory {
    return new InodeDirectory(this.volume, inode);
  }

  private child(parent: Inode, name: Uint8Array, path: string): Inode | undefined {
    if (parent.type !== 'directory') throw new RockberryError('path', `expected a directory above ${path}, found a ${parent.type}`);
    const number = this.numberOf(parent, name);
    return number === 0 ? undefined : this.volume.inode(number);
  }

  /** The inode of that name, 0 for none. Remembered until something changes: whoever reads asks for the same directories again and again. */
  private numberOf(parent: Inode, name: Uint8Array): number {
    const { changes } = this.volume.undo;
    if (changes !== this.knownAt || this.known.size >= MAXIMUM_KNOWN) this.known.clear();
    this.knownAt = changes;
    const key = `${parent.number}/${Buffer.from(name).toString('latin1')}`;
    const known = this.known.get(key);
    if (known !== undefined) return known;
    const found = lookup(this.directory(parent), this.format, name)?.inode ?? 0;
    this.known.set(key, found);
    return found;
  }

  /** The inode at a path, links not followed; undefined when the name, or a directory above it, is not there. */
  find(path: string): Inode | undefined {
    let inode: Inode | undefined = this.volume.inode(ROOT_INODE);
    for (const part of splitPath(path)) {
      if (inode.type !== 'directory') return undefined;
      inode = this.child(inode, encodeName(part), path);
      if (!inode) return undefined;
    }
    return inode;
  }

  need(path: string): Inode {
    const inode = this.find(path);
    if (!inode) throw new RockberryError('path', `expected something at ${path}, found nothing`);
    return inode;
  }

  needType(path: string, type: FileType): Inode {
    const inode = this.need(path);
    if (inode.type !== type) throw new RockberryError('path', `expected a ${type} at ${path}, found a ${inode.type}`);
    return inode;
  }

  /** Where a name is, or would be; its directory must exist. The root has no place. */
  place(path: string): Place {
    const parts = splitPath(path);
    const last = parts.pop();
    if (last === undefined) throw new RockberryError('path', 'expected a path below the root directory, found /');
    return { path, parent: this.needType(`/${parts.join('/')}`, 'directory'), name: encodeName(last) };
  }

  at(place: Place): Inode | undefined {
    return this.child(place.parent, place.name, place.path);
  }

  /** Entries of the directory changed: its times follow. */
  touch(directory: Inode): void {
    directory.setTime('mtime', this.volume.time);
    directory.setTime('ctime', this.volume.time);
    this.volume.save(directory);
  }

  /** A new inode with its name. Its contents are the caller's, who saves it. */
  create(place: Place, type: FileType, attributes: Attributes): Inode {
    const inode = this.volume.newInode(place.parent.number, type === 'directory');
    inode.mode = modeOf(type, DEFAULT_MODE[type] ?? 0o644);
    inode.links = 1;
    const time = attributes.mtime ?? this.volume.time;
    for (const name of ['atime', 'ctime', 'mtime', 'crtime'] as const) inode.setTime(name, time);
    if (type !== 'symlink') initMapping(this.volume, inode);
    if (type === 'directory') this.startDirectory(inode, place.parent);
    applyAttributes(this.volume, inode, attributes);
    this.volume.save(inode);
    this.link(place, inode);
    return inode;
  }

  private startDirectory(inode: Inode, parent: Inode): void {
    createDirectory(this.directory(inode), this.format, inode.number, parent.number);
    inode.links = 2;
    this.addSubdirectory(parent);
  }

  /** A directory's link count is 2 and one per subdirectory; past 65000 it is 1, "not counted" (dir_nlink; kernel: ext4_inc_count). */
  private addSubdirectory(parent: Inode): void {
    if (parent.links === 1) return;
    const full = parent.links >= MAXIMUM_LINKS - 1;
    if (full && !this.volume.sb.roCompat('dir_nlink')) throw new RockberryError('no-space', `expected fewer than ${MAXIMUM_LINKS - 2} subdirectories, found inode ${parent.number} full`);
    parent.links = full ? 1 : parent.links + 1;
  }

  private dropSubdirectory(parent: Inode): void {
    if (parent.links > 2) parent.links -= 1;
  }

  private link(place: Place, inode: Inode): void {
    insert(this.directory(place.parent), this.format, { name: place.name, inode: inode.number, fileType: entryType(inode.type) });
    this.touch(place.parent);
  }

  /** Gives an inode one more name. */
  addName(place: Place, inode: Inode): void {
    if (inode.links >= MAXIMUM_LINKS) throw new RockberryError('no-space', `expected fewer than ${MAXIMUM_LINKS} names of one file, found inode ${inode.number} full`);
    inode.links += 1;
    inode.setTime('ctime', this.volume.time);
    this.volume.save(inode);
    this.link(place, inode);
  }

  private expectEmpty(directory: Inode, path: string): void {
    if (!isEmpty(this.directory(directory), this.format)) throw new RockberryError('path', `expected an empty directory at ${path}, found entries in it`);
  }

  /** Takes a name away; the last one frees the inode. A directory must be empty. */
  unlink(place: Place): void {
    const inode = this.at(place);
    if (!inode) throw new RockberryError('path', `expected something at ${place.path}, found nothing`);
    if (inode.type === 'directory') this.expectEmpty(inode, place.path);
    remove(this.directory(place.parent), this.format, place.name);
    this.drop(inode, place.parent);
    this.touch(place.parent);
  }

  private drop(inode: Inode, parent: Inode): void {
    if (inode.type === 'directory') {
      this.dropSubdirectory(parent);
      this.release(inode, true);
      return;
    }
    inode.links -= 1;
    inode.setTime('ctime', this.volume.time);
    if (inode.links === 0) this.release(inode, false);
    else this.volume.save(inode);
  }

  /** Frees an inode with all its blocks, and leaves it as the kernel does: no links, no blocks, a deletion time. */
  private release(inode: Inode, directory: boolean): void {
    const mapped = hasMapping(inode);
    const { runs, tree } = readMapping(this.volume, inode);
    freeRuns(this.volume, runs);
    for (const block of tree) this.volume.allocator.free(block, 1);
    releaseXattrBlock(this.volume, inode);
    inode.blockArea.fill(0);
    if (mapped && inode.usesExtents) initMapping(this.volume, inode);
    inode.blockCount = 0;
    inode.size = 0;
    inode.links = 0;
    // A deletion time below the number of inodes would read as a link of the orphan list (e2fsck pass 1).
    inode.deletionTime = Math.min(2 ** 32 - 1, Math.max(this.volume.time.seconds, this.volume.sb.inodesCount));
    this.volume.save(inode);
    this.volume.allocator.freeInode(inode.number, directory);
  }

  /** As rename(2). */
  rename(from: Place, to: Place): void {
    const inode = this.at(from);
    if (!inode) throw new RockberryError('path', `expected something at ${from.path}, found nothing`);
    const target = this.at(to);
    if (target?.number === inode.number) return; // two names of one file: nothing happens
    const directory = inode.type === 'directory';
    if (directory && to.path.startsWith(`${from.path}/`)) throw new RockberryError('path', `expected a new place outside ${from.path}, found ${to.path}`);
    const entry = { name: to.name, inode: inode.number, fileType: entryType(inode.type) };
    if (target) {
      this.expectReplaceable(inode, target, to.path);
      replace(this.directory(to.parent), this.format, entry);
      this.drop(target, to.parent);
    } else insert(this.directory(to.parent), this.format, entry);
    remove(this.directory(from.parent), this.format, from.name);
    if (directory && from.parent !== to.parent) this.moveUp(inode, from.parent, to.parent);
    inode.setTime('ctime', this.volume.time);
    this.volume.save(inode);
    this.touch(from.parent);
    this.touch(to.parent);
  }

  private moveUp(inode: Inode, from: Inode, to: Inode): void {
    replace(this.directory(inode), this.format, { name: DOT_DOT, inode: to.number, fileType: entryType('directory') });
    this.dropSubdirectory(from);
    this.addSubdirectory(to);
  }

  private expectReplaceable(inode: Inode, target: Inode, path: string): void {
    if ((inode.type === 'directory') !== (target.type === 'directory')) throw new RockberryError('path', `expected a ${inode.type} or nothing at ${path}, found a ${target.type}`);
    if (target.type === 'directory') this.expectEmpty(target, path);
  }
}
