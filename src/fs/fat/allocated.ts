/**
 * What a copy of a FAT volume must have: everything before the first cluster (boot sector and its backup, FSInfo, the FATs, a fixed root directory), and
 * every cluster that is not free, whole: what stands behind the end of a file in its last cluster comes along.
 */
import { coalesce, type Range } from '../../bytes/ranges.js';
import { FREE, type FatTable } from './table.js';

/** Sorted and coalesced, in bytes of the device. */
export function allocatedBytes(table: FatTable): Range[] {
  const { dataOffset, clusterCount, clusterSize } = table.geometry;
  const ranges: Range[] = [{ offset: 0, length: dataOffset }];
  let start: number | undefined;
  for (let cluster = 2; cluster <= clusterCount + 2; cluster++) {
    const used = cluster < clusterCount + 2 && table.entry(cluster) !== FREE;
    if (used) start ??= cluster;
    if (used || start === undefined) continue;
    ranges.push({ offset: table.offsetOf(start), length: (cluster - start) * clusterSize });
    start = undefined;
  }
  return coalesce(ranges);
}
