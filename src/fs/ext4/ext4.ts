/**
 * ext4 (and ext2, ext3), read and write, without a kernel. Every operation happens whole or not at all; the device is consistent after flush.
 * The journal is never written: a filesystem that needs it replayed is refused when opened.
 */
import type { BlockDevice, ReadableDevice } from '../../device/device.js';
import { RockberryError } from '../../errors.js';
import type { Range } from '../../bytes/ranges.js';
import type { Finding } from '../../report.js';
import type { Attributes, Content, Entry, FileSystemInfo, Footprint, Metadata, OpenFileSystem, Owner, Stat, StoredFileSystem, Time } from '../filesystem.js';
import { decodeName, decodeText, encodeText } from '../names.js';
import { allocatedBytes } from './allocated.js';
import { applyAttributes, getXattrs } from './attributes.js';
import { checkVolume } from './check.js';
import { appendContent, readContent, replaceContent, truncateContent } from './contents.js';
import { entries } from './directory.js';
import { footprintOf, layoutOf, writtenParts } from './footprint.js';
import { type Inode, typeOfEntry } from './inode.js';
import { metadataOf } from './metadata.js';
import { Namespace, type Place } from './namespace.js';
import { ownersOf } from './owners.js';
import { freeBlocks, newestTime, readRawSuperblock, readSuperblock, type Superblock } from './superblock.js';
import { readTarget, writeTarget } from './symlink.js';
import { Volume } from './volume.js';

function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decodeText(end < 0 ? bytes : bytes.subarray(0, end));
}

function variant(sb: Superblock): string {
  if (sb.incompat('extent') || sb.incompat('64bit') || sb.incompat('flex_bg') || sb.roCompat('huge_file') || sb.roCompat('metadata_csum')) return 'ext4';
  return sb.compat('has_journal') ? 'ext3' : 'ext2';
}

function uuidText(uuid: Uint8Array): string {
  const hex = Buffer.from(uuid).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

class Ext4 implements StoredFileSystem {
  readonly type = 'ext4';
  private readonly names: Namespace;

  constructor(private readonly volume: Volume) {
    this.names = new Namespace(volume);
  }

  info(): FileSystemInfo {
    const { sb } = this.volume;
    return {
      type: this.type, variant: variant(sb), label: text(sb.raw.subarray(0x78, 0x88)), uuid: uuidText(sb.uuid),
      blockSize: sb.blockSize, size: sb.blocksCount * sb.blockSize, free: freeBlocks(sb) * sb.blockSize,
    };
  }

  stat(path: string): Stat | undefined {
    return this.volume.look(() => {
      const inode = this.names.find(path);
      return inode && {
        type: inode.type, mode: inode.permissions, uid: inode.uid, gid: inode.gid, size: inode.size, mtime: inode.time('mtime'), inode: inode.number, links: inode.links,
      };
    });
  }

  list(path: string): Entry[] {
    return this.volume.look(() => {
      const found: Entry[] = [];
      for (const entry of entries(this.names.directory(this.names.needType(path, 'directory')), this.names.format)) {
        const name = decodeName(entry.name);
        if (name !== '.' && name !== '..') found.push({ name, type: typeOfEntry(entry.fileType) ?? this.volume.inode(entry.inode).type });
      }
      return found.sort((a, b) => (a.name < b.name ? -1 : 1));
    });
  }

  read(path: string, offset?: number, length?: number): Uint8Array {
    return this.volume.look(() => readContent(this.volume, this.names.needType(path, 'file'), offset, length));
  }

  readLink(path: string): string {
    return this.volume.look(() => decodeText(readTarget(this.volume, this.names.needType(path, 'symlink'))));
  }

  xattrs(path: string): ReadonlyMap<string, Uint8Array> {
    return this.volume.look(() => getXattrs(this.volume, this.names.need(path)));
  }

  /** Attributes after contents: contents that changed carry the new times, and the attributes' own time comes last. */
  private settle(inode: Inode, contentChanged: boolean, attributes: Attributes): void {
    const time = attributes.mtime ?? this.volume.time;
    if (contentChanged) inode.setTime('mtime', time);
    const changed = applyAttributes(this.volume, inode, attributes);
    if (!contentChanged && !changed) return;
    inode.setTime('ctime', time);
    this.volume.save(inode);
  }

  write(path: string, content: Content, attributes: Attributes = {}): void {
    this.volume.operate(() => {
      const place = this.names.place(path);
      const inode = this.names.at(place) ?? this.names.create(place, 'file', attributes);
      if (inode.type !== 'file') throw new RockberryError('path', `expected a file or nothing at ${path}, found a ${inode.type}`);
      this.settle(inode, replaceContent(this.volume, inode, content), attributes);
    });
  }

  append(path: string, content: Content): void {
    this.volume.operate(() => {
      const inode = this.names.needType(path, 'file');
      this.settle(inode, appendContent(this.volume, inode, content), {});
    });
  }

  truncate(path: string, size: number): void {
    this.volume.operate(() => {
      const inode = this.names.needType(path, 'file');
      this.settle(inode, truncateContent(this.volume, inode, size), {});
    });
  }

  makeDirectory(path: string, attributes: Attributes = {}): void {
    this.volume.operate(() => {
      const found = this.names.find(path);
      if (!found) this.names.create(this.names.place(path), 'directory', attributes);
      else if (found.type === 'directory') this.settle(found, false, attributes);
      else throw new RockberryError('path', `expected a directory or nothing at ${path}, found a ${found.type}`);
    });
  }

  makeLink(path: string, target: string, attributes: Attributes = {}): void {
    this.volume.operate(() => {
      const place = this.names.place(path);
      const found = this.names.at(place);
      if (found && found.type !== 'symlink') throw new RockberryError('path', `expected a symbolic link or nothing at ${path}, found a ${found.type}`);
      const inode = found && !this.isSharedLink(found, target) ? found : this.newLink(place, found, attributes);
      this.settle(inode, writeTarget(this.volume, inode, encodeText(target)), attributes);
    });
  }

  /** A link with a second name that is to point elsewhere: the other name keeps its target, as with `ln -sf`. */
  private isSharedLink(inode: Inode, target: string): boolean {
    return inode.links > 1 && decodeText(readTarget(this.volume, inode)) !== target;
  }

  private newLink(place: Place, before: Inode | undefined, attributes: Attributes): Inode {
    if (!before) return this.names.create(place, 'symlink', attributes);
    const { uid, gid } = before;
    this.names.unlink(place);
    return this.names.create(this.names.place(place.path), 'symlink', { uid, gid, ...attributes });
  }

  makeHardLink(path: string, existing: string): void {
    this.volume.operate(() => {
      const inode = this.names.need(existing);
      if (inode.type === 'directory') throw new RockberryError('path', `expected a file at ${existing}, found a directory`);
      const place = this.names.place(path);
      const found = this.names.at(place);
      if (found?.number === inode.number) return;
      if (found) throw new RockberryError('path', `expected nothing at ${path}, found a ${found.type}`);
      this.names.addName(place, inode);
    });
  }

  rename(from: string, to: string): void {
    this.volume.operate(() => this.names.rename(this.names.place(from), this.names.place(to)));
  }

  change(path: string, attributes: Attributes): void {
    this.volume.operate(() => this.settle(this.names.need(path), false, attributes));
  }

  remove(path: string): void {
    this.volume.operate(() => this.names.unlink(this.names.place(path)));
  }

  flush(): void {
    this.volume.flush();
  }

  check(): Finding[] {
    return this.volume.operate(() => checkVolume(this.volume, this.names.format));
  }

  allocated(): Range[] {
    return this.volume.look(() => allocatedBytes(this.volume.sb, this.volume.groups));
  }

  metadata(): Metadata {
    return this.volume.look(() => metadataOf(this.volume));
  }

  layout(): string {
    return layoutOf(this.volume);
  }

  footprint(path: string): Range[] {
    return this.volume.look(() => footprintOf(this.volume, this.names.need(path)));
  }

  footprints(directory: string): Footprint[] {
    return this.volume.look(() => {
      const found: Footprint[] = [];
      for (const entry of entries(this.names.directory(this.names.needType(directory, 'directory')), this.names.format)) {
        const name = decodeName(entry.name);
        if (name === '.' || name === '..') continue;
        const inode = this.volume.inode(entry.inode);
        found.push({ name, type: inode.type, ranges: footprintOf(this.volume, inode) });
      }
      return found.sort((a, b) => (a.name < b.name ? -1 : 1));
    });
  }

  owners(ranges: readonly Range[]): Owner[] {
    return this.volume.look(() => ownersOf(this.volume, this.names.format, ranges));
  }

  written(path: string): Range[] {
    return this.volume.look(() => writtenParts(this.volume, this.names.needType(path, 'file')));
  }
}

/** Opens ext2, ext3 and ext4; undefined without the magic 0xEF53. Throws 'unsupported' for a feature we do not handle, 'refused' when it was not closed cleanly. */
export const openExt4: OpenFileSystem = (device: BlockDevice, options) => {
  const sb = readSuperblock(device);
  return sb && new Ext4(new Volume(device, sb, options?.time));
};

/** The newest time that the superblock remembers, or undefined when this is no ext4: the clock of an image without one. */
export function superblockTime(device: ReadableDevice): Time | undefined {
  const raw = readRawSuperblock(device);
  return raw && newestTime(raw);
}
