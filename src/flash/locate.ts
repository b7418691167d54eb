/** Names for places of an image: a difference on a card is a sector to the card reader, and a file to the one who wants to know whether the card is good. */
import { cutByClaims } from '../bytes/claims.js';
import type { Range } from '../bytes/ranges.js';
import { rangeEnd } from '../bytes/ranges.js';
import { mountPoint } from '../diff/partitions.js';
import { RockberryError } from '../errors.js';
import type { Owner } from '../fs/filesystem.js';
import type { Image, ImagePartition } from '../image/image.js';

export interface Place {
  /** Bytes of the raw image. */
  readonly range: Range;
  /** Number of the partition; null outside of all. */
  readonly partition: number | null;
  /** What the partition holds: "ext4", "vfat", "swap" …; null outside of all. */
  readonly holds: string | null;
  /** "/usr/bin/kubelet", "directory /etc", "the journal", "inode table of block group 3", "the partition table", "free space" … */
  readonly what: string;
  /** As the running system sees it, where it is the contents of a file, a directory or a link; null for everything else, and for what is mounted nowhere. */
  readonly path: string | null;
  /** Byte of the file at which the range begins; null for what is no file's contents. */
  readonly at: number | null;
}

/**
 * Names what lies at each of the ranges: sorted, every byte once, neighbours with the same name joined. The image is sound: the source that was flashed, not
 * the card. What a filesystem cannot tell is named by what the partition holds; errors are those of reading the image.
 */
export function locate(image: Image, ranges: readonly Range[]): readonly Place[] {
  const inside = new Map<ImagePartition, Range[]>(); // asked at once: a filesystem goes through its inodes for every question
  const places: Place[] = [];
  const first = Math.min(...image.partitions.map(({ start }) => start));
  for (const { range, claim } of cutByClaims(ranges, regionsOf(image))) {
    if (claim?.partition) {
      const parts = inside.get(claim.partition) ?? [];
      inside.set(claim.partition, parts);
      parts.push(range);
    } else {
      const what = claim ? 'the partition table' : range.offset < first ? 'the space before the first partition' : 'space outside the partitions';
      places.push({ range, partition: null, holds: null, what, path: null, at: null });
    }
  }
  for (const [partition, parts] of inside) places.push(...insidePartition(image, partition, parts));
  return joined(places.sort((a, b) => a.range.offset - b.range.offset));
}

interface Region {
  readonly range: Range;
  /** undefined for a part of the partition table. */
  readonly partition: ImagePartition | undefined;
}

function regionsOf({ table, partitions }: Image): Region[] {
  return [
    ...table.structures.map((range) => ({ range, partition: undefined })),
    ...partitions.filter(({ extended }) => !extended).map((partition) => ({ range: { offset: partition.start, length: partition.length }, partition })),
  ];
}

function insidePartition(image: Image, partition: ImagePartition, ranges: readonly Range[]): Place[] {
  const { number, start, holds } = partition;
  const owners = ownersIn(partition, ranges.map(({ offset, length }) => ({ offset: offset - start, length })));
  if (!owners) return ranges.map((range) => ({ range, partition: number, holds, what: OTHERS[holds] ?? 'its contents', path: null, at: null }));
  const mounted = image.roles.root ? mountPoint(image, partition) : undefined;
  const seen = (path: string): string => (path === '/' ? mounted || '/' : (mounted ?? '') + path);
  return owners.map(({ range: { offset, length }, words, about, at }) => ({
    range: { offset: start + offset, length }, partition: number, holds,
    what: [words, about === null ? '' : about.startsWith('/') ? seen(about) : about].filter((part) => part !== '').join(' '),
    path: about !== null && at !== null && mounted !== undefined ? seen(about) : null,
    at: words === '' ? at : null,
  }));
}

const OTHERS: Readonly<Record<string, string>> = { swap: 'swap space', empty: 'nothing that is known' };

/** undefined when there is no filesystem that could tell. */
function ownersIn({ filesystem }: ImagePartition, ranges: readonly Range[]): Owner[] | undefined {
  try {
    return filesystem?.owners(ranges);
  } catch (error) {
    if (error instanceof RockberryError && (error.code === 'corrupt' || error.code === 'unsupported')) return undefined;
    throw error;
  }
}

function joined(places: readonly Place[]): Place[] {
  const result: Place[] = [];
  for (const place of places) {
    const last = result.at(-1);
    const same = last && last.partition === place.partition && last.what === place.what && rangeEnd(last.range) === place.range.offset;
    if (same) result[result.length - 1] = { ...last, range: { offset: last.range.offset, length: last.range.length + place.range.length } };
    else result.push(place);
  }
  return result;
}

/** One sentence for people, without a full stop: "partition 3 (ext4): /usr/lib/libc.so.6, byte 81920, and 2 more places". Names come once; `limit` of them are shown. */
export function placeText(places: readonly Place[], limit = 3): string {
  const names = new Map<string, { place: Place; text: string }>();
  for (const place of places) {
    const key = `${place.partition} ${place.what}`;
    if (!names.has(key)) names.set(key, { place, text: place.at === null ? place.what : `${place.what}, byte ${place.at}` });
  }
  const shown = [...names.values()].slice(0, limit);
  const text = shown.map(({ place, text: name }, at) => {
    const before = shown[at - 1]?.place;
    if (before?.partition === place.partition) return `; ${name}`;
    return `${at === 0 ? '' : '; '}${place.partition === null ? '' : `partition ${place.partition} (${place.holds}): `}${name}`;
  }).join('');
  const more = names.size - shown.length;
  if (text === '') return more === 0 ? 'no place' : `${more} places`;
  return more === 0 ? text : `${text}, and ${more} more place${more === 1 ? '' : 's'}`;
}
