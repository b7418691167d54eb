/**
 * FAT12, FAT16 and FAT32 as a FileSystem. Reading, checking, file contents and timestamps are ours; js-fatfs changes the structure (see fatfs.ts).
 *
 * FAT has no owners, modes, links or extended attributes: every file is root's, 0755 (0555 when marked read-only), as Linux mounts it by default, and
 * mode, uid, gid and xattrs that are given are taken and not stored. Links are 'unsupported'. Times are UTC in steps of two seconds.
 */
import { RockberryError } from '../../errors.js';
import type { Range } from '../../bytes/ranges.js';
import type { Finding } from '../../report.js';
import type { BlockDevice } from '../../device/device.js';
import type { Attributes, Content, Entry, FileSystemInfo, FileSystemOptions, Footprint, Metadata, OpenFileSystem, Owner, Stat, StoredFileSystem, Time } from '../filesystem.js';
import { allocatedBytes } from './allocated.js';
import { checkFat } from './check.js';
import { ATTRIBUTE_READ_ONLY, volumeLabel } from './directory.js';
import type { FatFsModule } from './fatfs.js';
import { loadFatFs } from './fatfs.js';
import { footprintOf, layoutOf } from './footprint.js';
import { readGeometry } from './geometry.js';
import { ownersOf } from './owners.js';
import type { Located } from './reader.js';
import { FatReader, isDirectory } from './reader.js';
import { decodeTime } from './time.js';
import { FatWriter } from './writer.js';

const NO_TIME: Time = { seconds: Date.UTC(1980, 0, 1) / 1000, nanoseconds: 0 };

/** Loads the FAT library once; what it returns opens any number of volumes, also at the same time. */
export async function loadFat(): Promise<OpenFileSystem> {
  const library = await loadFatFs();
  return (device, options = {}) => open(device, options, library);
}

function open(device: BlockDevice, options: FileSystemOptions, library: FatFsModule): StoredFileSystem | undefined {
  const geometry = readGeometry(device);
  if (geometry === undefined) return undefined;
  const reader = new FatReader(device, geometry);
  return new Fat(reader, new FatWriter(reader, library, options.time ?? newestTime(reader)));
}

/** FAT has no superblock time; the newest file of the root directory stands for it. */
function newestTime(reader: FatReader): Time {
  const times = reader.list(reader.root()).map((entry) => decodeTime(entry.modified));
  return times.reduce((newest, time) => (time.seconds > newest.seconds ? time : newest), NO_TIME);
}

class Fat implements StoredFileSystem {
  readonly type = 'vfat';
  readonly #reader: FatReader;
  readonly #writer: FatWriter;

  constructor(reader: FatReader, writer: FatWriter) {
    this.#reader = reader;
    this.#writer = writer;
  }

  info(): FileSystemInfo {
    const { geometry, table } = this.#reader;
    return {
      type: this.type, variant: geometry.variant, label: volumeLabel(table), uuid: geometry.volumeId,
      blockSize: geometry.clusterSize, size: geometry.size, free: table.countFree() * geometry.clusterSize,
    };
  }

  stat(path: string): Stat | undefined {
    const place = this.#reader.find(path);
    return place && statOf(place);
  }

  list(path: string): Entry[] {
    const place = this.#existing(path);
    if (!isDirectory(place)) throw new RockberryError('path', `expected a directory at ${path}, found a file`);
    return this.#reader.list(place).map((entry) => ({ name: entry.name, type: entry.isDirectory ? 'directory' : 'file' }));
  }

  read(path: string, offset = 0, length = Infinity): Uint8Array {
    return this.#reader.read(this.#file(path), offset, length);
  }

  readLink(path: string): string {
    this.#existing(path);
    throw new RockberryError('path', `expected a symbolic link at ${path}, but a FAT filesystem has none`);
  }

  xattrs(path: string): ReadonlyMap<string, Uint8Array> {
    this.#existing(path);
    return new Map();
  }

  write(path: string, content: Content, attributes: Attributes = {}): void {
    this.#writer.write(path, content, attributes);
  }

  append(path: string, content: Content): void {
    this.#writer.append(this.#file(path), content);
  }

  truncate(path: string, size: number): void {
    this.#writer.truncate(this.#file(path), size);
  }

  makeDirectory(path: string, attributes: Attributes = {}): void {
    this.#writer.makeDirectory(path, attributes);
  }

  makeLink(path: string): void {
    throw noLinks('symbolic link', path);
  }

  makeHardLink(path: string): void {
    throw noLinks('hard link', path);
  }

  rename(from: string, to: string): void {
    this.#writer.rename(this.#existing(from), to);
  }

  change(path: string, attributes: Attributes): void {
    const place = this.#existing(path);
    if (attributes.mtime !== undefined) this.#writer.setModified(place, attributes.mtime);
  }

  remove(path: string): void {
    this.#writer.remove(this.#existing(path));
  }

  flush(): void {
    this.#reader.device.flush();
  }

  check(): Finding[] {
    return checkFat(this.#reader);
  }

  allocated(): Range[] {
    return allocatedBytes(this.#reader.table);
  }

  /** The FATs and a fixed root directory; other directories are few. */
  metadata(): Metadata {
    return { places: [{ offset: 0, length: this.#reader.geometry.dataOffset }], blockSize: this.#reader.geometry.clusterSize, looksLike: () => false };
  }

  layout(): string {
    return layoutOf(this.#reader.geometry);
  }

  footprint(path: string): Range[] {
    return footprintOf(this.#reader, this.#existing(path));
  }

  footprints(directory: string): Footprint[] {
    const place = this.#existing(directory);
    return this.list(directory).map(({ name, type }) => ({ name, type, ranges: footprintOf(this.#reader, this.#reader.child(place, name)!) }));
  }

  owners(ranges: readonly Range[]): Owner[] {
    return ownersOf(this.#reader, ranges);
  }

  written(path: string): Range[] {
    return [{ offset: 0, length: this.#file(path).entry!.size }];
  }

  #existing(path: string): Located {
    const place = this.#reader.find(path);
    if (place === undefined) throw new RockberryError('path', `expected a file or directory at ${path}, found nothing`);
    return place;
  }

  #file(path: string): Located {
    const place = this.#existing(path);
    if (isDirectory(place)) throw new RockberryError('path', `expected a file at ${path}, found a directory`);
    return place;
  }
}

function noLinks(kind: string, path: string): RockberryError {
  return new RockberryError('unsupported', `expected a filesystem with links for the ${kind} ${path}, found FAT, which has none`,
    { hint: 'Write a copy of the file, or put the link on the root filesystem.' });
}

function statOf({ entry }: Located): Stat {
  const readOnly = entry !== undefined && (entry.attributes & ATTRIBUTE_READ_ONLY) !== 0;
  const isFile = entry !== undefined && !entry.isDirectory;
  return {
    type: isFile ? 'file' : 'directory',
    mode: readOnly ? 0o555 : 0o755,
    uid: 0, gid: 0, links: 1,
    size: isFile ? entry.size : 0,
    mtime: entry === undefined ? NO_TIME : decodeTime(entry.modified),
    inode: entry === undefined ? 1 : entry.offset / 32, // Linux's vfat numbers inodes freely; the entry's place is stable and unique
  };
}
