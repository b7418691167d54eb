/**
 * The check, of the grade of fsck.vfat: every chain is walked once, every cluster has at most one owner, the rest of the FAT is free. Time and memory are
 * bounded by the number of clusters (one bit each) and by a limit of findings.
 */
import { RockberryError } from '../../errors.js';
import type { Finding } from '../../report.js';
import { equalBytes, u16, u32 } from '../../bytes/fields.js';
import type { FatEntry } from './directory.js';
import { INFO, isInfoSector } from './geometry.js';
import type { Located } from './reader.js';
import { FatReader, clusterOf } from './reader.js';
import { foldName } from './names.js';
import { FREE } from './table.js';

const MAX_FINDINGS = 100;
const MAX_DEPTH = 128;
const PIECE = 1 << 18;
const REPAIR = 'Repair a copy of the image with fsck.vfat.';

/** Errors: what makes writing dangerous. Warnings: what fsck.vfat would mend without loss (lost clusters, FSInfo, the dirty bit). */
export function checkFat(reader: FatReader): Finding[] {
  const check = new Check(reader);
  check.run();
  return check.findings;
}

/** Throws 'corrupt' with the first error of the check. */
export function requireSound(reader: FatReader): void {
  const broken = checkFat(reader).find((finding) => finding.severity === 'error');
  if (broken === undefined) return;
  throw new RockberryError('corrupt', `the FAT filesystem needs repair before it can be changed: ${broken.subject}: ${broken.message}`, { hint: REPAIR });
}

class Check {
  readonly findings: Finding[] = [];
  /** One bit per cluster: has an owner. */
  readonly #owned: Uint8Array;

  constructor(private readonly reader: FatReader) {
    this.#owned = new Uint8Array((reader.geometry.clusterCount + 2 + 7) >> 3);
  }

  run(): void {
    const { geometry } = this.reader;
    if (geometry.dirty) this.#add('warning', 'fat-dirty', '/', 'the volume was not unmounted cleanly');
    this.#copies();
    this.#media();
    this.#backup();
    this.#tree();
    this.#lost();
    this.#info();
  }

  #add(severity: Finding['severity'], id: string, subject: string, message: string): void {
    if (this.findings.length < MAX_FINDINGS) this.findings.push({ severity, id, subject, message, hint: REPAIR });
  }

  #copies(): void {
    const { geometry, device } = this.reader;
    if (geometry.fatCount === 1) return;
    for (let at = 0; at < geometry.fatLength; at += PIECE) {
      const length = Math.min(PIECE, geometry.fatLength - at);
      const first = device.read(geometry.fatOffset + at, length);
      if (equalBytes(first, device.read(geometry.fatOffset + geometry.fatLength + at, length))) continue;
      this.#add('error', 'fat-copies-differ', 'FAT', `the two copies of the FAT differ between bytes ${at} and ${at + length}`);
      return;
    }
  }

  #media(): void {
    const { geometry, table } = this.reader;
    const found = table.entry(0) & 0xff;
    if (found !== geometry.media) {
      this.#add('error', 'fat-media', 'FAT', `expected the FAT to begin with the media byte 0x${geometry.media.toString(16)}, found 0x${found.toString(16)}`);
    }
  }

  /** FAT32 keeps a second boot sector (BPB_BkBootSec); the byte with the dirty bit may differ. */
  #backup(): void {
    const { geometry, device } = this.reader;
    if (geometry.variant !== 'FAT32') return;
    const boot = device.read(0, 512);
    const at = u16(boot, 50) * geometry.sectorSize;
    if (at === 0 || at >= geometry.fatOffset) return;
    const backup = device.read(at, 512);
    backup[65] = boot[65]!;
    if (!equalBytes(boot, backup)) this.#add('warning', 'fat-backup-boot', '/', 'the boot sector and its backup differ');
  }

  #tree(): void {
    const pending: { place: Located; parent: number; depth: number }[] = [{ place: this.reader.root(), parent: 0, depth: 0 }];
    if (this.reader.geometry.rootCluster !== 0) this.#claim(this.reader.geometry.rootCluster, '/');
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      if (this.findings.length >= MAX_FINDINGS) return;
      const { place, parent, depth } = next;
      if (depth > MAX_DEPTH) {
        this.#add('error', 'fat-depth', place.path, `expected directories at most ${MAX_DEPTH} deep`);
        continue;
      }
      for (const child of this.#directory(place, parent)) pending.push({ place: child, parent: clusterOf(place), depth: depth + 1 });
    }
  }

  /** Checks one directory and its files; returns its sound subdirectories. */
  #directory(place: Located, parent: number): Located[] {
    const directory = this.#attempt('fat-directory', place.path, () => this.reader.directory(place));
    if (directory === undefined) return [];
    if (directory.orphans > 0) this.#add('warning', 'fat-orphaned-name', place.path, `${directory.orphans} entries of long names belong to no file`);
    if (directory.afterEnd > 0) this.#add('error', 'fat-after-end', place.path, `${directory.afterEnd} entries stand after the end of the directory`);
    if (place.entry !== undefined) this.#dots(place, directory.dots, parent);
    const label = directory.entries.find((entry) => entry.isLabel && (entry.firstCluster !== 0 || entry.size !== 0));
    if (label !== undefined) this.#add('warning', 'fat-label', place.path, 'the volume label has a size or a cluster');
    const children = this.reader.children(place);
    this.#names(place, children);
    return children.filter((child) => this.#chain(child) && child.entry!.isDirectory);
  }

  #dots(place: Located, dots: readonly FatEntry[], parent: number): void {
    const [self, up] = dots;
    const sound = dots.length === 2 && self!.shortName === '.' && up!.shortName === '..' && self!.isDirectory && up!.isDirectory;
    if (!sound) this.#add('error', 'fat-dots', place.path, 'expected the entries "." and ".." in a directory');
    else if (self!.firstCluster !== clusterOf(place)) this.#add('error', 'fat-dots', place.path, `"." leads to cluster ${self!.firstCluster}, not ${clusterOf(place)}`);
    else if (up!.firstCluster !== parent) this.#add('error', 'fat-dots', place.path, `".." leads to cluster ${up!.firstCluster}, not ${parent}`);
  }

  #names(place: Located, children: readonly Located[]): void {
    const seen = new Map<string, number>();
    for (const { entry, path } of children) {
      if (entry!.name === '' || /[\u0000-\u001f/\\]/.test(entry!.name)) this.#add('error', 'fat-name', place.path, `the name ${JSON.stringify(entry!.name)} is not valid`);
      for (const name of new Set([foldName(entry!.name), foldName(entry!.shortName)])) {
        if (seen.has(name)) this.#add('error', 'fat-duplicate-name', path, 'two entries of its directory have this name');
        seen.set(name, entry!.offset);
      }
    }
  }

  /** Claims an entry's clusters and compares their number with its size. False when the chain is broken. */
  #chain(place: Located): boolean {
    const { entry, path } = place;
    const { clusterSize } = this.reader.geometry;
    if (entry!.firstCluster === 0) {
      if (entry!.isDirectory) this.#add('error', 'fat-directory', path, 'a directory without a cluster');
      else if (entry!.size > 0) this.#add('error', 'fat-size', path, `expected clusters for ${entry!.size} bytes, found none`);
      return !entry!.isDirectory;
    }
    const count = this.#claim(entry!.firstCluster, path);
    if (count === undefined) return false;
    const expected = Math.ceil(entry!.size / clusterSize);
    if (entry!.isDirectory) {
      if (entry!.size !== 0) this.#add('warning', 'fat-directory-size', path, `expected a directory to have the size 0, found ${entry!.size}`);
    } else if (count !== expected) {
      this.#add('error', 'fat-size', path, `expected ${expected} clusters for ${entry!.size} bytes, found ${count}`);
    }
    return true;
  }

  /** Marks a chain as owned and returns its length; undefined when it is broken or meets another's. */
  #claim(first: number, path: string): number | undefined {
    const { table, geometry } = this.reader;
    let count = 0;
    // The first cluster stands in a directory, where an end mark has no meaning.
    for (let cluster = first; count === 0 || !table.isEnd(cluster); cluster = table.entry(cluster), count++) {
      if (!table.isCluster(cluster)) {
        const found = cluster === FREE ? 'a free cluster' : table.isBad(cluster) ? 'a bad cluster' : `cluster ${cluster} of ${geometry.clusterCount}`;
        this.#add('error', 'fat-chain', path, `its cluster chain leads to ${found} after ${count} clusters`);
        return undefined;
      }
      if (this.#isOwned(cluster)) {
        this.#add('error', 'fat-cross-link', path, `its cluster chain meets its own or another file's at cluster ${cluster}`);
        return undefined;
      }
      this.#owned[cluster >> 3]! |= 1 << (cluster & 7);
    }
    return count;
  }

  #isOwned(cluster: number): boolean {
    return (this.#owned[cluster >> 3]! & (1 << (cluster & 7))) !== 0;
  }

  #lost(): void {
    const { table, geometry } = this.reader;
    let lost = 0;
    for (let cluster = 2; cluster <= geometry.clusterCount + 1; cluster++) {
      if (!this.#isOwned(cluster) && table.entry(cluster) !== FREE && !table.isBad(table.entry(cluster))) lost++;
    }
    if (lost > 0) this.#add('warning', 'fat-lost-clusters', 'FAT', `${lost} clusters are in use by no file`);
  }

  #info(): void {
    const { geometry, device, table } = this.reader;
    if (geometry.infoOffset === 0) return;
    const sector = device.read(geometry.infoOffset, 512);
    if (!isInfoSector(sector)) {
      this.#add('warning', 'fat-fsinfo', 'FSInfo', 'the FSInfo sector has not its signatures');
      return;
    }
    const [stored, free] = [u32(sector, INFO.free), table.countFree()];
    if (stored !== 0xffffffff && stored !== free) this.#add('warning', 'fat-free-count', 'FSInfo', `expected ${free} free clusters, found ${stored}`);
  }

  #attempt<T>(id: string, subject: string, work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof RockberryError)) throw error;
      this.#add('error', id, subject, error.message);
      return undefined;
    }
  }
}
