/** Reading: paths to entries, entries to bytes. Used by the filesystem and by its check; nothing here changes the device. */
import { RockberryError } from '../../errors.js';
import type { BlockDevice } from '../../device/device.js';
import { splitPath } from '../names.js';
import type { FatDirectory, FatEntry } from './directory.js';
import { readDirectory, requireSoundName } from './directory.js';
import type { FatGeometry } from './geometry.js';
import { foldName } from './names.js';
import type { Run } from './table.js';
import { FatTable } from './table.js';

/** A place in the tree: the root (no entry), or an entry of a directory. */
export interface Located {
  readonly path: string;
  /** The path in names that FatFs finds. */
  readonly fatfsPath: string;
  readonly entry: FatEntry | undefined;
}

/** Short names that FatFs's parser takes as they are. */
const PLAIN_SHORT = /^[A-Z0-9!#$%&'()\-@^_`{}~]{1,8}(\.[A-Z0-9!#$%&'()\-@^_`{}~]{1,3})?$/;

export function isDirectory(place: Located): boolean {
  return place.entry === undefined || place.entry.isDirectory;
}

export function clusterOf(place: Located): number {
  return place.entry?.firstCluster ?? 0;
}

/** Entries of directories that are kept parsed: more than any boot partition has, and a bound on what a hostile one can make us hold. */
const MAX_KNOWN = 100_000;

interface KnownDirectory {
  readonly directory: FatDirectory;
  /** By folded long and short names; the first of two wins, as in a search. */
  readonly byName: ReadonlyMap<string, FatEntry>;
}

function indexOf(directory: FatDirectory): Map<string, FatEntry> {
  const index = new Map<string, FatEntry>();
  for (const entry of directory.entries.filter(({ isLabel }) => !isLabel)) {
    for (const name of [foldName(entry.name), foldName(entry.shortName)]) if (!index.has(name)) index.set(name, entry);
  }
  return index;
}

function locate(parent: Located, entry: FatEntry): Located {
  const under = (path: string, name: string): string => (path === '/' ? `/${name}` : `${path}/${name}`);
  return {
    path: under(parent.path, entry.name),
    fatfsPath: under(parent.fatfsPath, PLAIN_SHORT.test(entry.shortName) ? entry.shortName : entry.name),
    entry,
  };
}

export class FatReader {
  readonly table: FatTable;
  readonly #directories = new Map<number, KnownDirectory>();
  #knownEntries = 0;

  constructor(readonly device: BlockDevice, readonly geometry: FatGeometry) {
    this.table = new FatTable(device, geometry);
  }

  /** Forgets what is known about bytes that are going to change. */
  invalidate(offset: number, length: number): void {
    this.table.invalidate(offset, length);
    this.#directories.clear();
    this.#knownEntries = 0;
  }

  directory(place: Located): FatDirectory {
    return this.#known(place).directory;
  }

  #known(place: Located): KnownDirectory {
    const cluster = clusterOf(place);
    let known = this.#directories.get(cluster);
    if (known === undefined) {
      if (place.entry !== undefined && cluster === 0) throw new RockberryError('corrupt', `FAT: expected the directory ${place.path} to have a cluster, found none`);
      const directory = readDirectory(this.table, cluster, place.path);
      known = { directory, byName: indexOf(directory) };
      this.#remember(cluster, known);
    }
    return known;
  }

  #remember(cluster: number, known: KnownDirectory): void {
    this.#knownEntries += known.directory.entries.length;
    if (this.#knownEntries > MAX_KNOWN) {
      this.#directories.clear();
      this.#knownEntries = known.directory.entries.length;
    }
    this.#directories.set(cluster, known);
  }

  /** Files and directories of a directory, without the volume label, in the order of the disk. */
  children(place: Located): Located[] {
    return this.directory(place).entries.filter((entry) => !entry.isLabel).map((entry) => locate(place, entry));
  }

  root(): Located {
    return { path: '/', fatfsPath: '/', entry: undefined };
  }

  /** undefined when there is nothing of that name, or something in the middle is not a directory. */
  find(path: string): Located | undefined {
    let place: Located | undefined = this.root();
    for (const name of splitPath(path)) {
      if (place === undefined || !isDirectory(place)) return undefined;
      place = this.child(place, name);
    }
    return place;
  }

  child(directory: Located, name: string): Located | undefined {
    const entry = this.#known(directory).byName.get(foldName(name));
    return entry && locate(directory, entry);
  }

  list(place: Located): FatEntry[] {
    const entries = this.children(place).map(({ entry }) => entry!);
    entries.forEach((entry) => requireSoundName(entry, place.path));
    return entries.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  }

  /** The clusters that hold the first `length` bytes of a file. */
  runs(place: Located, length: number): Run[] {
    const wanted = Math.ceil(length / this.geometry.clusterSize);
    if (wanted > this.geometry.clusterCount) {
      throw new RockberryError('corrupt', `FAT: expected ${place.path} to fit on its volume of ${this.geometry.size} bytes, found a size of ${length}`,
        { hint: 'Repair a copy of the image with fsck.vfat.' });
    }
    return wanted === 0 ? [] : this.table.chain(clusterOf(place), place.path, wanted, wanted);
  }

  read(place: Located, offset: number, length: number): Uint8Array {
    const end = Math.min(place.entry!.size, offset + length);
    if (end <= offset) return new Uint8Array(0);
    const runs = this.runs(place, end);
    const result = new Uint8Array(end - offset);
    this.eachPiece(runs, offset, end, (at, position, count) => result.set(this.device.read(at, count), position - offset));
    return result;
  }

  /** Calls with (bytes on the device, bytes in the file, how many) for each row of clusters that holds a part of [offset, end). */
  eachPiece(runs: readonly Run[], offset: number, end: number, visit: (at: number, position: number, count: number) => void): void {
    let start = 0;
    for (const run of runs) {
      const stop = start + run.count * this.geometry.clusterSize;
      const [from, to] = [Math.max(start, offset), Math.min(stop, end)];
      if (from < to) visit(this.table.offsetOf(run.cluster) + from - start, from, to - from);
      start = stop;
    }
  }
}
