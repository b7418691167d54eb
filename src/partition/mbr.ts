/**
 * The MBR (DOS) partition table: four entries of 16 bytes at offset 446, the disk id at 440, and a chain of extended boot records for logical
 * partitions. Rules as in Linux, block/partitions/msdos.c. Addresses on disk are in sectors of 512 bytes.
 */
import { RockberryError } from '../errors.js';
import { u16, u32, u8 } from '../bytes/fields.js';
import type { Range } from '../bytes/ranges.js';
import type { ReadableDevice } from '../device/device.js';
import type { Partition, PartitionTable } from './partition.js';

const SECTOR = 512;
const ENTRIES = 446;
/** The kernel gives a disk at most 256 partitions (DISK_MAX_PARTS); a longer chain is a broken one. */
const MAX_LOGICAL = 251;
const EXTENDED = new Set([0x05, 0x0f, 0x85]);
const PROTECTIVE = 0xee;

/** Names as in util-linux, include/pt-mbr-partnames.h. */
const NAMES: ReadonlyMap<number, string> = new Map([
  [0x00, 'Empty'], [0x01, 'FAT12'], [0x04, 'FAT16 <32M'], [0x05, 'Extended'], [0x06, 'FAT16'], [0x07, 'HPFS/NTFS/exFAT'], [0x0b, 'W95 FAT32'],
  [0x0c, 'W95 FAT32 (LBA)'], [0x0e, 'W95 FAT16 (LBA)'], [0x0f, "W95 Ext'd (LBA)"], [0x11, 'Hidden FAT12'], [0x1c, 'Hidden W95 FAT32 (LBA)'],
  [0x27, 'Hidden NTFS WinRE'], [0x82, 'Linux swap / Solaris'], [0x83, 'Linux'], [0x85, 'Linux extended'], [0x8e, 'Linux LVM'], [0xa5, 'FreeBSD'],
  [0xda, 'Non-FS data'], [0xea, 'Linux extended boot'], [0xee, 'GPT'], [0xef, 'EFI (FAT-12/16/32)'], [0xfd, 'Linux raid autodetect'],
]);

interface Entry {
  readonly status: number;
  readonly type: number;
  /** Sectors. */
  readonly start: number;
  readonly count: number;
}

function readEntries(sector: Uint8Array): Entry[] {
  return [0, 1, 2, 3].map((index) => {
    const at = ENTRIES + 16 * index;
    return { status: u8(sector, at), type: u8(sector, at + 4), start: u32(sector, at + 8), count: u32(sector, at + 12) };
  });
}

/** Whether the four entries can be a partition table: each status byte is 0x00 or 0x80 (msdos.c). Boot code of a filesystem is not. */
export function looksLikeMbr(sector: Uint8Array): boolean {
  return readEntries(sector).every((entry) => (entry.status & 0x7f) === 0);
}

/** Whether the MBR protects a GPT (type 0xee in any entry: hybrid MBRs too). */
export function isProtective(sector: Uint8Array): boolean {
  return readEntries(sector).some((entry) => entry.type === PROTECTIVE);
}

export function readMbr(device: ReadableDevice, sector: Uint8Array): PartitionTable {
  const diskId = u32(sector, 440).toString(16).padStart(8, '0');
  const partitions: Partition[] = [];
  const logical: Partition[] = [];
  const structures: Range[] = [{ offset: 0, length: SECTOR }];
  readEntries(sector).forEach((entry, index) => {
    if (entry.count === 0) return;
    if (entry.start === 0) throw new RockberryError('corrupt', `partition ${index + 1} starts at sector 0, on top of the partition table`);
    partitions.push(partitionOf(entry, entry.start, index + 1, diskId));
    if (EXTENDED.has(entry.type)) logical.push(...readLogical(device, entry, { firstNumber: 5 + logical.length, diskId, structures }));
  });
  return { scheme: 'mbr', diskId, sectorSize: SECTOR, partitions: [...partitions, ...logical], structures };
}

function partitionOf(entry: Entry, start: number, number: number, diskId: string): Partition {
  return {
    number,
    type: `0x${entry.type.toString(16).padStart(2, '0')}`,
    typeName: NAMES.get(entry.type) ?? 'unknown',
    start: start * SECTOR,
    length: entry.count * SECTOR,
    bootable: entry.status === 0x80,
    name: '',
    partuuid: `${diskId}-${number.toString(16).padStart(2, '0')}`,
    extended: EXTENDED.has(entry.type),
  };
}

interface Chain {
  readonly firstNumber: number;
  readonly diskId: string;
  /** Takes the place of each record. */
  readonly structures: Range[];
}

/** Follows the chain: each record holds one partition (relative to the record) and a link to the next (relative to the extended partition). */
function readLogical(device: ReadableDevice, container: Entry, { firstNumber, diskId, structures }: Chain): Partition[] {
  const found: Partition[] = [];
  const visited = new Set<number>();
  let record: number | undefined = container.start;
  while (record !== undefined) {
    const place = `the extended boot record at sector ${record}`;
    if (visited.has(record)) throw new RockberryError('corrupt', `expected the chain of logical partitions to end, but it comes back to ${place}`);
    if (visited.size >= MAX_LOGICAL) throw new RockberryError('corrupt', `expected at most ${MAX_LOGICAL} logical partitions, found a longer chain`);
    visited.add(record);
    const [data, link] = readRecord(device, container, record);
    structures.push({ offset: record * SECTOR, length: SECTOR });
    if (data !== undefined) {
      requireInside(container, record + data.start, data.count, `the logical partition of ${place}`);
      found.push(partitionOf(data, record + data.start, firstNumber + found.length, diskId));
    }
    record = link === undefined ? undefined : container.start + link.start;
  }
  return found;
}

function readRecord(device: ReadableDevice, container: Entry, record: number): [Entry | undefined, Entry | undefined] {
  requireInside(container, record, 1, `the extended boot record at sector ${record}`);
  if ((record + 1) * SECTOR > device.size) {
    throw new RockberryError('corrupt', `expected an extended boot record at sector ${record}, but the image ends at sector ${Math.floor(device.size / SECTOR)}`,
      { hint: 'The image is probably truncated: download it again and compare its check sum.' });
  }
  const sector = device.read(record * SECTOR, SECTOR);
  if (u16(sector, 510) !== 0xaa55) {
    throw new RockberryError('corrupt', `expected the signature 0xaa55 in the extended boot record at sector ${record}, found 0x${u16(sector, 510).toString(16)}`);
  }
  const entries = readEntries(sector).filter((entry) => entry.count > 0);
  return [entries.find((entry) => !EXTENDED.has(entry.type)), entries.find((entry) => EXTENDED.has(entry.type))];
}

function requireInside(container: Entry, start: number, count: number, what: string): void {
  if (start >= container.start && start + count <= container.start + container.count) return;
  throw new RockberryError('corrupt', `expected ${what} inside the extended partition (sectors ${container.start} to ${container.start + container.count - 1}), `
    + `found sectors ${start} to ${start + count - 1}`);
}
