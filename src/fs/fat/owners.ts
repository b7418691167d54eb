/** From bytes of a FAT volume back to names: the reserved sectors and the FATs by their place, clusters by the chains of the files, from the root down. */
import { cutByClaims } from '../../bytes/claims.js';
import { u16 } from '../../bytes/fields.js';
import { coalesce, rangeEnd, subtract, type Range } from '../../bytes/ranges.js';
import { RangeSet } from '../../bytes/range-set.js';
import { RockberryError } from '../../errors.js';
import type { Owner } from '../filesystem.js';
import { directoryRanges } from './directory.js';
import type { FatGeometry } from './geometry.js';
import { clusterOf, isDirectory, type FatReader, type Located } from './reader.js';
import { FREE } from './table.js';

const BACKUP_AT = 50; // BPB_BkBootSec, in sectors; 0 and 0xffff for none

export function ownersOf(reader: FatReader, ranges: readonly Range[]): Owner[] {
  const structures = structuresOf(reader);
  const left = subtract(coalesce(ranges), coalesce(structures.map(({ range }) => range)));
  return cutByClaims(ranges, [...structures, ...filesOn(reader, new RangeSet(left))]).flatMap(({ range, claim }) => {
    if (!claim) return unclaimed(reader, range);
    return [{ ...claim, range, at: claim.at === null ? null : claim.at + range.offset - claim.range.offset }];
  });
}

function structure(offset: number, length: number, words: string): Owner {
  return { range: { offset, length }, words, about: null, at: null };
}

/** Everything before the first cluster; on FAT12 and FAT16 the root directory too. */
function structuresOf({ device, geometry }: FatReader): Owner[] {
  const { sectorSize, variant, infoOffset, fatOffset, fatLength, fatCount, rootOffset, rootLength } = geometry;
  const backup = variant === 'FAT32' ? u16(device.read(0, sectorSize), BACKUP_AT) : 0;
  const known = [structure(0, sectorSize, 'the boot sector')];
  if (infoOffset > 0) known.push(structure(infoOffset, sectorSize, 'the FSInfo sector'));
  if (backup > 1 && (backup + 2) * sectorSize <= fatOffset) {
    known.push(structure(backup * sectorSize, sectorSize, 'the copy of the boot sector'), structure((backup + 1) * sectorSize, sectorSize, 'the copy of the FSInfo sector'));
  }
  const reserved = subtract([{ offset: 0, length: fatOffset }], coalesce(known.map(({ range }) => range)));
  return [
    ...known, ...reserved.map(({ offset, length }) => structure(offset, length, 'the reserved sectors')),
    ...Array.from({ length: fatCount }, (_, at) => structure(fatOffset + at * fatLength, fatLength, at === 0 ? 'the file allocation table' : 'the second file allocation table')),
    ...(rootLength > 0 ? [{ range: { offset: rootOffset, length: rootLength }, words: 'directory', about: '/', at: 0 }] : []),
  ];
}

/** What has the wanted bytes, directory by directory; it ends when all of them have an owner. A directory is read once, however many entries lead to it. */
function filesOn(reader: FatReader, wanted: RangeSet): Owner[] {
  let missing = wanted.ranges.reduce((sum, { length }) => sum + length, 0);
  const owners: Owner[] = [];
  const queue: Located[] = [reader.root()];
  const seen = new Set<number>();
  for (let next = 0; next < queue.length && missing > 0; next++) {
    const place = queue[next]!;
    let at = 0;
    for (const range of rangesOf(reader, place)) {
      for (const piece of wanted.within(range)) {
        owners.push({ range: piece, words: isDirectory(place) ? 'directory' : '', about: place.path, at: at + piece.offset - range.offset });
        missing -= piece.length;
      }
      at += range.length;
    }
    if (!isDirectory(place) || seen.has(clusterOf(place))) continue;
    seen.add(clusterOf(place));
    queue.push(...tolerant(() => reader.children(place)));
  }
  return owners;
}

/** Where a file or directory is, in the order of its bytes; nothing for a chain that is broken: who asks has a difference to explain already. */
function rangesOf({ geometry, table }: FatReader, place: Located): Range[] {
  const first = clusterOf(place);
  if (isDirectory(place)) return tolerant(() => directoryRanges(table, first, place.path));
  if (first === 0) return [];
  return tolerant(() => table.chain(first, place.path, undefined, geometry.clusterCount)
    .map(({ cluster, count }) => ({ offset: table.offsetOf(cluster), length: count * geometry.clusterSize })));
}

function tolerant<T>(work: () => T[]): T[] {
  try {
    return work();
  } catch (error) {
    if (error instanceof RockberryError && (error.code === 'corrupt' || error.code === 'unsupported')) return [];
    throw error;
  }
}

/** Clusters of no chain that was met, in rows of one kind. */
function unclaimed({ geometry, table }: FatReader, range: Range): Owner[] {
  const owners: Owner[] = [];
  const wordsAt = (at: number): string => wordsOf(geometry, at, (cluster) => table.entry(cluster), (value) => table.isBad(value));
  for (let at = range.offset; at < rangeEnd(range);) {
    const words = wordsAt(at);
    let stop = nextCluster(geometry, at);
    while (stop < rangeEnd(range) && wordsAt(stop) === words) stop = nextCluster(geometry, stop);
    stop = Math.min(stop, rangeEnd(range));
    owners.push(structure(at, stop - at, words));
    at = stop;
  }
  return owners;
}

const clusterAt = ({ dataOffset, clusterSize }: FatGeometry, at: number): number => 2 + Math.floor((at - dataOffset) / clusterSize);

function nextCluster({ dataOffset, clusterSize, clusterCount }: FatGeometry, at: number): number {
  if (at >= dataOffset + clusterCount * clusterSize) return Number.POSITIVE_INFINITY;
  return dataOffset + (Math.floor((at - dataOffset) / clusterSize) + 1) * clusterSize;
}

function wordsOf(geometry: FatGeometry, at: number, entry: (cluster: number) => number, isBad: (value: number) => boolean): string {
  const cluster = clusterAt(geometry, at);
  if (cluster > geometry.clusterCount + 1) return 'behind the last cluster';
  const value = entry(cluster);
  return value === FREE ? 'free space' : isBad(value) ? 'clusters marked bad' : 'clusters in use that no file has';
}
