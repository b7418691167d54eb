/**
 * Changes how long a partition is, and nothing else: where it starts, its number, its type, its names and the ids that `root=PARTUUID=…` goes by stay. Lengths are in bytes.
 * In a GPT the backup moves to the end of the disk, whatever size that has become (UEFI specification, section 5.3; as `sgdisk -e` does).
 */
import { crc32 } from '../bytes/crc.js';
import { setU32, setU64, u32, u64, u8 } from '../bytes/fields.js';
import { coalesce, subtract } from '../bytes/ranges.js';
import type { BlockDevice, ReadableDevice } from '../device/device.js';
import { RockberryError } from '../errors.js';
import type { Partition, PartitionTable } from './partition.js';
import { readPartitionTable } from './table.js';

const MBR_SECTOR = 512;
const MBR_ENTRIES = [446, 462, 478, 494];
const MOST_SECTORS = 2 ** 32 - 1; // 32 bits in an MBR's entry
const PROTECTIVE = 0xee;
/** The geometry that everybody pretends disks to have, and what an end beyond cylinder 1023 is said to be (as sfdisk writes it). Nobody reads it. */
const CHS = { heads: 255, sectors: 63, beyond: Uint8Array.of(0xfe, 0xff, 0xff) };

/** Where a partition lies, in sectors. */
interface Extent {
  readonly start: number;
  readonly count: number;
}

/**
 * Makes one partition longer or shorter: `length` is in bytes, of whole sectors. `size` is what the disk will have, when the device is longer (an image that is cut afterwards); a GPT's
 * backup goes to its end, and its old place is cleared. Errors: 'path' for a number that is not there; 'unsupported' for logical and extended partitions; 'refused' for a length
 * that is no number of sectors, or that reaches into what follows; 'no-space' for one that does not fit on the disk; those of reading the table.
 */
export function resizePartition(device: BlockDevice, number: number, length: number, size = device.size): void {
  const { table, partition } = find(device, number);
  const room = roomFor(device, table, partition, size);
  if (length <= 0 || !Number.isSafeInteger(length) || length % table.sectorSize !== 0) {
    throw new RockberryError('refused', `expected a length of whole sectors of ${table.sectorSize} bytes for partition ${number}, found ${length} bytes`);
  }
  if (length > room.bytes) {
    throw new RockberryError(room.next === undefined ? 'no-space' : 'refused', `expected at most ${room.bytes} bytes for partition ${number}, up to ${room.next === undefined
      ? 'the end of what the table leaves to partitions' : `partition ${room.next}`}, found ${length}`, { hint: room.next === undefined ? 'make the image larger first' : 'only the last partition can grow' });
  }
  if (table.scheme === 'gpt') resizeGpt(device, table, partition, { length, size });
  else resizeMbr(device, partition, length / MBR_SECTOR);
  device.flush();
}

/** How long a partition could become on a disk of `size` bytes, in bytes: up to the next one, or to the end of what the table leaves to partitions. Errors: as of resizePartition. */
export function largestPartition(device: ReadableDevice, number: number, size = device.size): number {
  const { table, partition } = find(device, number);
  return roomFor(device, table, partition, size).bytes;
}

function find(device: ReadableDevice, number: number): { table: PartitionTable; partition: Partition } {
  const table = readPartitionTable(device);
  const partition = table.partitions.find((each) => each.number === number);
  if (!partition) throw new RockberryError('path', `expected a partition ${number}, found only ${table.partitions.map((each) => each.number).join(', ')}`);
  if (table.scheme === 'mbr' && (partition.extended || number > 4)) {
    throw new RockberryError('unsupported', `expected a primary partition to resize, found ${partition.extended ? 'an extended' : 'a logical'} one (${number})`, { hint: 'use `sfdisk` or `parted`' });
  }
  return { table, partition };
}

interface Room {
  readonly bytes: number;
  /** The partition in the way; undefined when it is the disk's end. */
  readonly next: number | undefined;
}

function roomFor(device: ReadableDevice, { scheme, sectorSize, partitions }: PartitionTable, { start }: Partition, size: number): Room {
  const next = partitions.filter((each) => each.start > start).sort((a, b) => a.start - b.start)[0];
  if (next) return { bytes: next.start - start, next: next.number };
  const sectors = Math.floor(Math.min(size, device.size) / sectorSize);
  if (scheme === 'mbr') return { bytes: Math.min(sectors * sectorSize - start, MOST_SECTORS * sectorSize), next: undefined };
  return { bytes: (sectors - 1 - arraySectors(device.read(sectorSize, sectorSize))) * sectorSize - start, next: undefined };
}

// MBR

/** The three bytes of a sector's address by cylinder, head and sector. */
function chs(sector: number): Uint8Array {
  const cylinder = Math.floor(sector / (CHS.heads * CHS.sectors));
  if (cylinder > 1023) return CHS.beyond;
  const head = Math.floor(sector / CHS.sectors) % CHS.heads;
  return Uint8Array.of(head, (sector % CHS.sectors) + 1 + ((cylinder >>> 8) << 6), cylinder & 0xff);
}

function setEnd(sector: Uint8Array, entry: number, { start, count }: Extent): void {
  setU32(sector, entry + 12, count);
  sector.set(chs(start + count - 1), entry + 5);
}

function resizeMbr(device: BlockDevice, { number, start }: Partition, count: number): void {
  const sector = new Uint8Array(device.read(0, MBR_SECTOR));
  setEnd(sector, MBR_ENTRIES[number - 1]!, { start: start / MBR_SECTOR, count });
  device.write(0, sector);
}

// GPT

/** Sectors of the array of entries, by the header. */
function arraySectors(header: Uint8Array): number {
  return Math.ceil((u32(header, 80) * u32(header, 84)) / header.length);
}

function sealHeader(header: Uint8Array): void {
  setU32(header, 16, 0);
  setU32(header, 16, crc32(header.subarray(0, u32(header, 12))));
}

/** The backup first, then the table that is used; at every moment one of the two is sound. */
function resizeGpt(device: BlockDevice, { sectorSize }: PartitionTable, partition: Partition, { length, size }: { length: number; size: number }): void {
  const header = new Uint8Array(device.read(sectorSize, sectorSize));
  const array = new Uint8Array(device.read(u64(header, 72) * sectorSize, arraySectors(header) * sectorSize));
  const old = new Uint8Array(device.read(u64(header, 32) * sectorSize, sectorSize));
  const last = Math.floor(Math.min(size, device.size) / sectorSize) - 1;
  setU64(array, (partition.number - 1) * u32(header, 84) + 40, (partition.start + length) / sectorSize - 1);
  setU32(header, 88, crc32(array.subarray(0, u32(header, 80) * u32(header, 84))));
  setU64(header, 32, last);
  setU64(header, 48, last - arraySectors(header) - 1);
  sealHeader(header);
  writeBackup(device, header, array);
  device.flush();
  device.write(u64(header, 72) * sectorSize, array);
  device.write(sectorSize, header);
  device.flush();
  clearOld(device, old, last - arraySectors(header));
  resizeProtective(device, partition, { length, sectorSize, last, before: u64(old, 24) });
}

function writeBackup(device: BlockDevice, primary: Uint8Array, array: Uint8Array): void {
  const backup = primary.slice();
  const last = u64(primary, 32);
  setU64(backup, 24, last);
  setU64(backup, 32, 1);
  setU64(backup, 72, last - arraySectors(primary));
  sealHeader(backup);
  device.write((last - arraySectors(primary)) * primary.length, array);
  device.write(last * primary.length, backup);
}

/** What was the backup, as far as the new one, which starts at sector `from`, does not lie there: programs that search for a lost table would find it. */
function clearOld(device: BlockDevice, old: Uint8Array, from: number): void {
  const was = coalesce([{ offset: u64(old, 72), length: arraySectors(old) }, { offset: u64(old, 24), length: 1 }]);
  for (const { offset, length } of subtract(was, [{ offset: from, length: arraySectors(old) + 1 }])) device.write(offset * old.length, new Uint8Array(length * old.length));
}

interface NewEnds {
  readonly length: number;
  readonly sectorSize: number;
  /** The last sector of the disk, now and before. */
  readonly last: number;
  readonly before: number;
}

/** The protective entry covers the disk; in a hybrid MBR, as for firmware that knows no GPT, an entry may say where the partition lies. */
function resizeProtective(device: BlockDevice, { start, length: oldLength }: Partition, { length, sectorSize, last, before }: NewEnds): void {
  const sector = new Uint8Array(device.read(0, MBR_SECTOR));
  for (const entry of MBR_ENTRIES) {
    const [first, count] = [u32(sector, entry + 8), u32(sector, entry + 12)];
    if (u8(sector, entry + 4) === PROTECTIVE) {
      if (first + count - 1 === before) setU32(sector, entry + 12, Math.min(MOST_SECTORS, last - first + 1));
    } else if (count !== 0 && first === start / sectorSize && count === oldLength / sectorSize) setEnd(sector, entry, { start: first, count: length / sectorSize });
  }
  device.write(0, sector);
}
