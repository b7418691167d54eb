/**
 * Directories: 32-byte entries in the fixed root region or in a cluster chain. A long name stands in entries of its own before the short one
 * (attribute byte 0x0f, 13 characters each, last piece first), tied to it by a check sum.
 */
import { RockberryError } from '../../errors.js';
import { u16, u32, u8 } from '../../bytes/fields.js';
import type { Range } from '../../bytes/ranges.js';
import type { FatTable } from './table.js';
import { displayName, oemText, shortName, shortNameChecksum } from './names.js';

export const ENTRY = 32;
/** The specification's limit: 65,536 entries, 2 MiB. */
const MAX_BYTES = 65536 * ENTRY;
const ATTRIBUTE_LONG = 0x0f;
export const ATTRIBUTE_READ_ONLY = 0x01;
const ATTRIBUTE_LABEL = 0x08;
const ATTRIBUTE_DIRECTORY = 0x10;
const DELETED = 0xe5;

export interface FatEntry {
  /** The long name, else the short one as it is shown. */
  readonly name: string;
  /** "NAME.EXT" as it is stored. */
  readonly shortName: string;
  readonly hasLongName: boolean;
  readonly isDirectory: boolean;
  readonly isLabel: boolean;
  readonly attributes: number;
  readonly firstCluster: number;
  /** Bytes, as stored; a directory's should be 0. */
  readonly size: number;
  readonly modified: { readonly date: number; readonly time: number };
  /** Byte offset of the short entry on the volume: also what tells one file from another (Linux does the same). */
  readonly offset: number;
}

export interface FatDirectory {
  /** All but "." and ".."; with the volume label. */
  readonly entries: readonly FatEntry[];
  /** "." and ".." where they are. */
  readonly dots: readonly FatEntry[];
  /** The longest row of free entries, and how many are free at the very end. */
  readonly longestFree: number;
  readonly tailFree: number;
  /** Long-name entries that belong to no short one, and used entries after the end mark. */
  readonly orphans: number;
  readonly afterEnd: number;
  readonly bytes: number;
}

/** Where a directory's entries are. Cluster 0 is the root, as ".." says it. */
export function directoryRanges(table: FatTable, firstCluster: number, path: string): Range[] {
  const { geometry } = table;
  if (firstCluster === 0 && geometry.rootCluster === 0) return [{ offset: geometry.rootOffset, length: geometry.rootLength }];
  const limit = Math.min(geometry.clusterCount, Math.ceil(MAX_BYTES / geometry.clusterSize));
  const runs = table.chain(firstCluster || geometry.rootCluster, `the directory ${path}`, undefined, limit);
  return runs.map((run) => ({ offset: table.offsetOf(run.cluster), length: run.count * geometry.clusterSize }));
}

/** Long-name pieces that were met and still wait for their short entry. */
class LongName {
  #pieces: string[] = [];
  #checksum = 0;
  #next = 0;
  orphans = 0;

  /** The entries hold `order` (1 is the first 13 characters; 0x40 marks the last piece, which comes first). */
  add(slot: Uint8Array): void {
    const order = u8(slot, 0);
    if (order & 0x40) {
      this.#drop();
      this.#next = order & 0x3f;
      this.#checksum = u8(slot, 13);
    }
    if (this.#next === 0 || this.#next > 20 || (order & 0x3f) !== this.#next || u8(slot, 13) !== this.#checksum) {
      this.orphans++;
      this.#drop();
      return;
    }
    this.#pieces.unshift(piece(slot));
    this.#next--;
  }

  /** The long name of this short entry, if the pieces before it are complete and its own. */
  take(slot: Uint8Array): string | undefined {
    const complete = this.#pieces.length > 0 && this.#next === 0 && this.#checksum === shortNameChecksum(slot);
    const name = complete ? this.#pieces.join('').replace(/\0[^]*$/, '') : undefined;
    if (complete) this.#pieces = [];
    this.#drop();
    return name === '' ? undefined : name;
  }

  #drop(): void {
    this.orphans += this.#pieces.length;
    this.#pieces = [];
    this.#next = 0;
  }

  end(): void {
    this.#drop();
  }
}

function piece(slot: Uint8Array): string {
  const bytes = Buffer.concat([slot.subarray(1, 11), slot.subarray(14, 26), slot.subarray(28, 32)]);
  return bytes.toString('utf16le');
}

export function readDirectory(table: FatTable, firstCluster: number, path: string): FatDirectory {
  const ranges = directoryRanges(table, firstCluster, path);
  const entries: FatEntry[] = [];
  const dots: FatEntry[] = [];
  const long = new LongName();
  const wide = table.geometry.variant === 'FAT32';
  const state = { longestFree: 0, tailFree: 0, afterEnd: 0, bytes: 0 };
  let ended = false;
  for (const range of ranges) {
    const data = table.device.read(range.offset, range.length);
    state.bytes += range.length;
    for (let at = 0; at < data.length; at += ENTRY) {
      const slot = data.subarray(at, at + ENTRY);
      const free = slot[0] === 0 || slot[0] === DELETED;
      state.tailFree = free ? state.tailFree + 1 : 0;
      state.longestFree = Math.max(state.longestFree, state.tailFree);
      if (free) long.end();
      else if (ended) state.afterEnd++;
      else if ((u8(slot, 11) & 0x3f) === ATTRIBUTE_LONG) long.add(slot);
      else (slot[0] === 0x2e ? dots : entries).push(parseEntry(slot, range.offset + at, long.take(slot), wide));
      ended ||= slot[0] === 0;
    }
  }
  long.end();
  return { entries, dots, orphans: long.orphans, ...state };
}

/** The upper half of the first cluster counts on FAT32 only: elsewhere OS/2 kept something else there. */
function parseEntry(slot: Uint8Array, offset: number, longName: string | undefined, wide: boolean): FatEntry {
  const attributes = u8(slot, 11);
  const isLabel = (attributes & ATTRIBUTE_LABEL) !== 0;
  const isDirectory = !isLabel && (attributes & ATTRIBUTE_DIRECTORY) !== 0;
  return {
    name: longName ?? displayName(slot, u8(slot, 12)),
    shortName: shortName(slot),
    hasLongName: longName !== undefined,
    isDirectory, isLabel, attributes,
    firstCluster: u16(slot, 26) + (wide ? u16(slot, 20) * 65536 : 0),
    size: u32(slot, 28),
    modified: { time: u16(slot, 22), date: u16(slot, 24) },
    offset,
  };
}

/** The volume label: an entry of the root directory (blkid does the same); "" for none. */
export function volumeLabel(table: FatTable): string {
  const label = readDirectory(table, 0, '/').entries.find((entry) => entry.isLabel);
  return label === undefined ? '' : oemText(table.device.read(label.offset, 11)).trimEnd();
}

/** Refuses what cannot be a name in a path: an entry with '/' or a NUL would make a path that leads elsewhere. */
export function requireSoundName(entry: FatEntry, path: string): void {
  if (entry.name !== '' && !/[/\0]/.test(entry.name)) return;
  throw new RockberryError('corrupt', `FAT: expected a name in the directory ${path}, found ${JSON.stringify(entry.name)}`,
    { hint: 'Repair a copy of the image with fsck.vfat.' });
}
