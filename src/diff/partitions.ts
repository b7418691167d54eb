/** Two partition tables, and which filesystem of one image stands against which of the other. */
import type { Range } from '../bytes/ranges.js';
import type { Image, ImagePartition } from '../image/image.js';
import type { RangeSet } from '../bytes/range-set.js';
import { outside } from './ranges.js';

export interface TableChange {
  readonly field: 'scheme' | 'diskId' | 'sectorSize' | 'size';
  readonly before: string | number;
  readonly after: string | number;
}

export interface PartitionState {
  readonly number: number;
  readonly type: string;
  readonly typeName: string;
  /** Bytes. */
  readonly start: number;
  readonly size: number;
  readonly bootable: boolean;
  readonly name: string;
  readonly partuuid: string;
  /** "ext4", "FAT16", "swap", or what else it holds. */
  readonly filesystem: string;
  readonly label: string;
  readonly uuid: string;
  readonly mountedAt: string | null;
}

export interface PartitionChange {
  readonly number: number;
  readonly change: 'added' | 'removed' | 'changed';
  /** Names of the fields that differ; empty for what was added or removed. */
  readonly fields: readonly (keyof PartitionState)[];
  readonly before: PartitionState | null;
  readonly after: PartitionState | null;
}

/** Bytes that differ and belong to no filesystem that was compared. */
export interface RawChange extends Range {
  /** "p2 (swap)", or "outside partitions". */
  readonly place: string;
}

export function compareTables(a: Image, b: Image): TableChange[] {
  const fields = ({ table, decoded }: Image): readonly (readonly [TableChange['field'], string | number])[] => [
    ['scheme', table.scheme], ['diskId', table.diskId], ['sectorSize', table.sectorSize], ['size', decoded.device.size],
  ];
  const after = fields(b);
  return fields(a).map(([field, before], at) => ({ field, before, after: after[at]![1] })).filter((change) => change.before !== change.after);
}

function describe(image: Image, partition: ImagePartition): PartitionState {
  const { number, type, typeName, start, length, bootable, name, partuuid, holds, label, uuid, filesystem } = partition;
  return {
    number, type, typeName, start, size: length, bootable, name, partuuid, filesystem: filesystem?.info().variant ?? holds, label, uuid,
    mountedAt: image.mountedAt(partition) ?? null,
  };
}

export function comparePartitions(a: Image, b: Image): PartitionChange[] {
  const before = new Map(a.partitions.map((partition) => [partition.number, describe(a, partition)]));
  const after = new Map(b.partitions.map((partition) => [partition.number, describe(b, partition)]));
  return [...new Set([...before.keys(), ...after.keys()])].sort((x, y) => x - y).flatMap((number): PartitionChange[] => {
    const [old, now] = [before.get(number) ?? null, after.get(number) ?? null];
    if (!old || !now) return [{ number, change: old ? 'removed' : 'added', fields: [], before: old, after: now }];
    const fields = (Object.keys(old) as (keyof PartitionState)[]).filter((field) => old[field] !== now[field]);
    return fields.length === 0 ? [] : [{ number, change: 'changed', fields, before: old, after: now }];
  });
}

/** Two filesystems that are compared, or one that stands alone. */
export interface Pair {
  /** In front of its paths: "" for the root, "/boot", "p3:" for what is mounted nowhere. */
  readonly prefix: string;
  readonly a: ImagePartition | undefined;
  readonly b: ImagePartition | undefined;
}

/** Where the running system has a filesystem, without a slash at the end: "" for the root; undefined for nowhere. The image has a root filesystem. */
export function mountPoint(image: Image, partition: ImagePartition): string | undefined {
  if (partition === image.roles.root) return '';
  const path = partition === image.roles.boot ? image.tree().bootDirectory : image.mountedAt(partition);
  return path?.startsWith('/') && path !== '/' ? path.replace(/\/+$/, '') : undefined;
}

/** By mount point where both images have a root filesystem, else by number. */
export function pairFilesystems(a: Image, b: Image): Pair[] {
  const mounted = a.roles.root !== undefined && b.roles.root !== undefined;
  const prefixes = (image: Image): Map<string, ImagePartition> => {
    const found = new Map<string, ImagePartition>();
    for (const partition of image.partitions.filter(({ filesystem }) => filesystem)) {
      const path = mounted ? mountPoint(image, partition) : undefined;
      found.set(path === undefined || found.has(path) ? `p${partition.number}:` : path, partition);
    }
    return found;
  };
  const [before, after] = [prefixes(a), prefixes(b)];
  return [...new Set([...before.keys(), ...after.keys()])].sort().map((prefix) => ({ prefix, a: before.get(prefix), b: after.get(prefix) }));
}

export function rangeOf({ start, length }: ImagePartition): Range {
  return { offset: start, length };
}

/** Differences that no comparison of files covers: swap, what is unknown, and the space around the partitions. */
export function compareOutside(a: Image, b: Image, different: RangeSet): RawChange[] {
  const data = (image: Image): ImagePartition[] => image.partitions.filter(({ extended }) => !extended);
  const files = [...data(a), ...data(b)].filter(({ filesystem }) => filesystem).map(rangeOf);
  const windows = outside(files, a.decoded.device.size);
  const others = data(a).filter(({ filesystem }) => !filesystem);
  const changes = windows.flatMap((window) => different.within(window)).flatMap((range): RawChange[] => {
    const parts = others.flatMap((partition) => clip(range, rangeOf(partition)).map((part) => ({ place: `p${partition.number} (${partition.holds})`, ...part })));
    const rest = outside([...parts, { offset: 0, length: range.offset }], range.offset + range.length);
    return [...parts, ...rest.map((part) => ({ place: 'outside partitions', ...part }))];
  });
  return changes.sort((x, y) => x.offset - y.offset);
}

function clip(range: Range, window: Range): Range[] {
  const offset = Math.max(range.offset, window.offset);
  const end = Math.min(range.offset + range.length, window.offset + window.length);
  return end > offset ? [{ offset, length: end - offset }] : [];
}
