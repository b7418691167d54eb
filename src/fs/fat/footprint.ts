/** The bytes that decide what one file of a FAT volume is: its clusters, and their entries in the FAT. Its name, size and times are its directory's contents. */
import type { Range } from '../../bytes/ranges.js';
import { clusterOf, isDirectory, type FatReader, type Located } from './reader.js';
import { entryBits, type FatGeometry } from './geometry.js';
import type { Run } from './table.js';

/** In bytes of the device; clusters in the order of the file. */
export function footprintOf(reader: FatReader, place: Located): Range[] {
  const { geometry, table } = reader;
  if (!isDirectory(place)) return rangesOf(reader, reader.runs(place, place.entry!.size));
  const first = clusterOf(place) || geometry.rootCluster;
  if (first === 0) return [{ offset: geometry.rootOffset, length: geometry.rootLength }];
  return rangesOf(reader, table.chain(first, place.path, undefined, geometry.clusterCount));
}

function rangesOf({ geometry, table }: FatReader, runs: readonly Run[]): Range[] {
  return runs.flatMap(({ cluster, count }) => [
    { offset: table.offsetOf(cluster), length: count * geometry.clusterSize }, tableRange(geometry, cluster, count),
  ]);
}

/** Where the FAT keeps the entries of these clusters. */
function tableRange({ fatOffset, variant }: FatGeometry, cluster: number, count: number): Range {
  const bits = entryBits(variant);
  const from = Math.floor((cluster * bits) / 8);
  return { offset: fatOffset + from, length: Math.ceil(((cluster + count) * bits) / 8) - from };
}

/** Equal for two volumes that keep everything at the same places. */
export function layoutOf({ variant, clusterSize, clusterCount, fatOffset, fatLength, rootOffset, rootLength, rootCluster, dataOffset }: FatGeometry): string {
  return JSON.stringify([variant, clusterSize, clusterCount, fatOffset, fatLength, rootOffset, rootLength, rootCluster, dataOffset]);
}
