/**
 * Writing. Every change first sees whether it fits, then lets FatFs change the structure, then writes contents and times itself through the device:
 * so a full volume is left as it was, only bytes that differ are written, and no byte depends on the clock.
 */
import { RockberryError } from '../../errors.js';
import { equalBytes, setU16, setU32, setU8 } from '../../bytes/fields.js';
import type { Attributes, Content, Time } from '../filesystem.js';
import { splitPath } from '../names.js';
import { requireSound } from './check.js';
import type { FatEntry } from './directory.js';
import { ATTRIBUTE_READ_ONLY, ENTRY } from './directory.js';
import type { FatFsChange, FatFsModule } from './fatfs.js';
import { INFO, isInfoSector } from './geometry.js';
import { requireValidName } from './names.js';
import type { FatReader, Located } from './reader.js';
import { isDirectory } from './reader.js';
import { encodeTime } from './time.js';

const PIECE = 1 << 16;
const MAX_FILE = 0xffffffff;
const MAX_DIRECTORY = 65536 * ENTRY;

/** Offsets in a directory entry (FAT specification, "Directory Structure"). */
const FIELD = { attributes: 11, createdTenth: 13, createdTime: 14, createdDate: 16, accessedDate: 18, modifiedTime: 22, modifiedDate: 24 } as const;

/** A path that is there, or could be: `name` in `directory`. */
interface Target {
  readonly path: string;
  readonly directory: Located;
  readonly name: string;
  readonly place: Located | undefined;
}

export class FatWriter {
  #sound = false;

  constructor(private readonly reader: FatReader, private readonly library: FatFsModule, private readonly time: Time) {}

  write(path: string, content: Content, attributes: Attributes): void {
    const target = this.#target(path);
    const { place } = target;
    if (place !== undefined && isDirectory(place)) throw new RockberryError('path', `expected a file at ${path}, found a directory`);
    const size = sizeOf(content);
    if (place !== undefined && place.entry!.size === size && this.#sameContent(place, content)) {
      if (attributes.mtime !== undefined) this.setModified(place, attributes.mtime);
      return;
    }
    if (place === undefined) this.#requireRoom(target, size);
    else this.#requireGrowth(place, size);
    this.#resize(place ?? this.#newPlace(target), size, place === undefined);
    const written = this.reader.find(path)!;
    this.#writeContent(written, 0, content);
    this.#stamp(written, attributes.mtime ?? this.time, place === undefined);
  }

  append(place: Located, content: Content): void {
    const before = place.entry!.size;
    const size = before + sizeOf(content);
    if (size === before) return;
    this.#requireGrowth(place, size);
    this.#resize(place, size, false);
    const grown = this.reader.find(place.path)!;
    this.#writeContent(grown, before, content);
    this.#stamp(grown, this.time, false);
  }

  truncate(place: Located, size: number): void {
    const before = place.entry!.size;
    if (size === before) return;
    this.#requireGrowth(place, size);
    this.#resize(place, size, false);
    const resized = this.reader.find(place.path)!;
    if (size > before) this.#writeContent(resized, before, zeros(size - before));
    this.#stamp(resized, this.time, false);
  }

  makeDirectory(path: string, attributes: Attributes): void {
    if (splitPath(path).length === 0) return;
    const target = this.#target(path);
    if (target.place !== undefined) {
      if (!isDirectory(target.place)) throw new RockberryError('path', `expected a directory or nothing at ${path}, found a file`);
      if (attributes.mtime !== undefined) this.setModified(target.place, attributes.mtime);
      return;
    }
    this.#requireRoom(target, 1);
    this.#change((change) => change.makeDirectory(this.#newPlace(target).fatfsPath));
    const made = this.reader.find(path)!;
    const time = attributes.mtime ?? this.time;
    this.#stamp(made, time, true);
    for (const dot of this.reader.directory(made).dots) this.#stamp({ ...made, entry: dot }, time, true);
  }

  rename(from: Located, to: string): void {
    const target = this.#target(to);
    const { place } = target;
    if (from.entry === undefined) throw new RockberryError('path', 'expected a file or directory to rename, found the root directory');
    if (place?.entry?.offset === from.entry.offset && place.entry.name === target.name) return;
    if (this.#isInside(target.directory, from)) throw new RockberryError('path', `expected to move ${from.path} elsewhere, found ${to}, which lies inside it`);
    const replaced = place !== undefined && place.entry!.offset !== from.entry.offset ? place : undefined;
    if (replaced !== undefined) this.#requireReplaceable(from, replaced);
    requireValidName(target.name, to);
    if (replaced === undefined || slotsOf(replaced.entry!) < slotsFor(target.name)) this.#requireRoom(target, 0);
    if (replaced !== undefined) this.remove(replaced);
    this.#change((change) => change.rename(from.fatfsPath, this.#newPlace(target).fatfsPath));
  }

  remove(place: Located): void {
    if (place.entry === undefined) throw new RockberryError('path', 'expected a file or directory to remove, found the root directory');
    if (isDirectory(place) && this.reader.list(place).length > 0) throw new RockberryError('path', `expected an empty directory at ${place.path}, found files in it`);
    this.#writable(place, false);
    this.#change((change) => change.remove(place.fatfsPath));
  }

  /** Sets the modification time; nothing is written when FAT's two-second step is already there. */
  setModified(place: Located, time: Time): void {
    if (place.entry === undefined) return; // the root directory has no times
    const value = encodeTime(time);
    this.#patch(place.entry, (slot) => {
      setU16(slot, FIELD.modifiedTime, value.time);
      setU16(slot, FIELD.modifiedDate, value.date);
    });
  }

  #target(path: string): Target {
    const parts = splitPath(path);
    const name = parts.pop();
    if (name === undefined) throw new RockberryError('path', 'expected a file, found the root directory');
    const directory = this.reader.find(`/${parts.join('/')}`);
    if (directory === undefined || !isDirectory(directory)) {
      throw new RockberryError('path', `expected a directory at /${parts.join('/')}, found ${directory === undefined ? 'nothing' : 'a file'}`);
    }
    return { path, directory, name, place: this.reader.child(directory, name) };
  }

  #newPlace(target: Target): Located {
    const base = target.directory.fatfsPath === '/' ? '' : target.directory.fatfsPath;
    return { path: target.path, fatfsPath: `${base}/${target.name}`, entry: undefined };
  }

  #isInside(directory: Located, ancestor: Located): boolean {
    return directory.path === ancestor.path || directory.path.startsWith(`${ancestor.path}/`);
  }

  #requireReplaceable(from: Located, replaced: Located): void {
    if (isDirectory(from) !== isDirectory(replaced)) {
      const [expected, found] = isDirectory(from) ? ['a directory', 'a file'] : ['a file', 'a directory'];
      throw new RockberryError('path', `expected ${expected} or nothing at ${replaced.path}, found ${found}`);
    }
    if (isDirectory(replaced) && this.reader.list(replaced).length > 0) {
      throw new RockberryError('path', `expected an empty directory or nothing at ${replaced.path}, found files in it`);
    }
  }

  /** Throws 'no-space' unless a new entry and `size` bytes fit, 'path' for a name that FAT cannot hold. */
  #requireRoom(target: Target, size: number): void {
    requireValidName(target.name, target.path);
    const directory = this.reader.directory(target.directory);
    const slots = slotsFor(target.name);
    let growth = 0;
    if (directory.longestFree < slots) {
      growth = Math.ceil(((slots - directory.tailFree) * ENTRY) / this.reader.geometry.clusterSize);
      const fixed = target.directory.entry === undefined && this.reader.geometry.rootCluster === 0;
      if (fixed || directory.bytes + growth * this.reader.geometry.clusterSize > MAX_DIRECTORY) {
        throw new RockberryError('no-space', `expected room for ${target.name} in the directory ${target.directory.path}, found it full (${directory.bytes / ENTRY} entries)`);
      }
    }
    this.#requireClusters(this.#clusters(size, target.path) + growth, target.path);
  }

  #requireGrowth(place: Located, size: number): void {
    this.#requireClusters(this.#clusters(size, place.path) - this.#clusters(place.entry!.size, place.path), place.path);
  }

  #clusters(size: number, path: string): number {
    if (size > MAX_FILE) throw new RockberryError('unsupported', `expected at most 4 GiB - 1 byte for ${path} on FAT, found ${size} bytes`);
    return Math.ceil(size / this.reader.geometry.clusterSize);
  }

  #requireClusters(needed: number, path: string): void {
    if (needed <= 0) return;
    const { table, geometry } = this.reader;
    const free = table.countFree();
    if (needed <= free) return;
    throw new RockberryError('no-space', `expected ${needed * geometry.clusterSize} free bytes on the ${geometry.variant} filesystem for ${path}, found ${free * geometry.clusterSize}`,
      { hint: 'Remove files from this partition, or start from an image with a larger one.' });
  }

  #resize(place: Located, size: number, create: boolean): void {
    const lock = this.#writable(place, false);
    this.#change((change) => change.resize(place.fatfsPath, size, create));
    if (lock) this.#writable(this.reader.find(place.path)!, true);
  }

  /** Takes the read-only mark away (or puts it back), because FatFs respects it and root does not. True when it was there. */
  #writable(place: Located, marked: boolean): boolean {
    if (place.entry === undefined) return false;
    const was = (place.entry.attributes & ATTRIBUTE_READ_ONLY) !== 0;
    if (was !== marked) {
      this.#patch(place.entry, (slot) => setU8(slot, FIELD.attributes, (slot[FIELD.attributes]! & ~ATTRIBUTE_READ_ONLY) | (marked ? ATTRIBUTE_READ_ONLY : 0)));
    }
    return was;
  }

  #change(work: (change: FatFsChange) => void): void {
    this.#ensureSound();
    const { device, geometry } = this.reader;
    this.library.change({ device, sectorSize: geometry.sectorSize, onWrite: (offset, length) => this.reader.invalidate(offset, length) }, work);
  }

  /** FatFs trusts what it finds: a volume with cross-linked files or a loop would lose data under it. Looked at once, before the first change. */
  #ensureSound(): void {
    if (this.#sound) return;
    requireSound(this.reader);
    this.#sound = true;
    mendFreeCount(this.reader);
  }

  #sameContent(place: Located, content: Content): boolean {
    for (let at = 0; at < sizeOf(content); at += PIECE) {
      const piece = readPiece(content, at);
      if (!equalBytes(piece, this.reader.read(place, at, piece.length))) return false;
    }
    return true;
  }

  /** Writes the content at `offset` of a file that is already long enough; pieces that are there already are not written. */
  #writeContent(place: Located, offset: number, content: Content): void {
    const end = offset + sizeOf(content);
    const runs = this.reader.runs(place, end);
    this.reader.eachPiece(runs, offset, end, (at, position, count) => {
      for (let done = 0; done < count; done += PIECE) {
        const piece = readPiece(content, position - offset + done, Math.min(PIECE, count - done));
        if (!equalBytes(piece, this.reader.device.read(at + done, piece.length))) this.reader.device.write(at + done, piece);
      }
    });
  }

  #stamp(place: Located, time: Time, created: boolean): void {
    const value = encodeTime(time);
    this.#patch(place.entry!, (slot) => {
      setU16(slot, FIELD.modifiedTime, value.time);
      setU16(slot, FIELD.modifiedDate, value.date);
      setU16(slot, FIELD.accessedDate, value.date);
      if (!created) return;
      setU8(slot, FIELD.createdTenth, 0);
      setU16(slot, FIELD.createdTime, value.time);
      setU16(slot, FIELD.createdDate, value.date);
    });
  }

  #patch(entry: FatEntry, edit: (slot: Uint8Array) => void): void {
    this.#ensureSound();
    const before = this.reader.device.read(entry.offset, ENTRY);
    const after = Uint8Array.from(before);
    edit(after);
    if (equalBytes(before, after)) return;
    this.reader.invalidate(entry.offset, ENTRY);
    this.reader.device.write(entry.offset, after);
  }
}

/** FatFs counts on from the number of free clusters that FSInfo has; one that is wrong or missing is set right first. */
function mendFreeCount({ device, geometry, table }: FatReader): void {
  if (geometry.infoOffset === 0) return;
  const before = device.read(geometry.infoOffset, 512);
  const info = Uint8Array.from(before);
  if (!isInfoSector(info)) {
    info.fill(0);
    setU32(info, INFO.lead, INFO.leadSignature);
    setU32(info, INFO.structure, INFO.structureSignature);
    setU32(info, INFO.next, 0xffffffff);
    setU16(info, 510, 0xaa55);
  }
  setU32(info, INFO.free, table.countFree());
  if (!equalBytes(before, info)) device.write(geometry.infoOffset, info);
}

/** Entries that a new name takes, at most: a name that fits 8.3 takes one, but only FatFs knows whether it does. */
function slotsFor(name: string): number {
  return 1 + Math.ceil(name.length / 13);
}

function slotsOf(entry: FatEntry): number {
  return entry.hasLongName ? slotsFor(entry.name) : 1;
}

function sizeOf(content: Content): number {
  return content instanceof Uint8Array ? content.length : content.size;
}

function readPiece(content: Content, offset: number, length = PIECE): Uint8Array {
  const count = Math.min(length, sizeOf(content) - offset);
  return content instanceof Uint8Array ? content.subarray(offset, offset + count) : content.read(offset, count);
}

function zeros(size: number): Content {
  return { size, read: (_offset, length) => new Uint8Array(length), close: () => undefined };
}
