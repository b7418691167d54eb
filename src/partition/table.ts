/**
 * Which partitions an image has. The table is only read: `root=PARTUUID=…` depends on it and on the disk id, so nothing here ever writes.
 */
import { RockberryError } from '../errors.js';
import { overlaps } from '../bytes/ranges.js';
import { u16, u8, isZero } from '../bytes/fields.js';
import type { ReadableDevice } from '../device/device.js';
import type { Partition, PartitionTable } from './partition.js';
import { isProtective, looksLikeMbr, readMbr } from './mbr.js';
import { readGpt } from './gpt.js';

export type { Partition, PartitionTable } from './partition.js';

/**
 * Reads and validates the table at the start of a disk. A GPT counts when its protective entry is there (also in a hybrid MBR), else the MBR.
 * Errors: 'corrupt' for no table or a broken one, 'unsupported' for an ISO or a filesystem without a table.
 */
export function readPartitionTable(device: ReadableDevice): PartitionTable {
  if (device.size < 512) throw new RockberryError('corrupt', `expected a disk image with a partition table, found only ${device.size} bytes`);
  const sector = device.read(0, 512);
  refuseOtherKinds(device, sector);
  if (u16(sector, 510) !== 0xaa55 || !looksLikeMbr(sector)) {
    throw new RockberryError('corrupt', noTableMessage(sector), { hint: 'Give the image of a whole disk, as it is written to an SD card.' });
  }
  const table = isProtective(sector) ? readGpt(device) : readMbr(device, sector);
  validate(table, device.size);
  return table;
}

function noTableMessage(sector: Uint8Array): string {
  const found = isZero(sector) ? 'only zeros' : `0x${u16(sector, 510).toString(16).padStart(4, '0')} at offset 510`;
  return `expected a partition table (signature 0xaa55 at offset 510 and sound entries) in the first sector, found ${found}`;
}

function refuseOtherKinds(device: ReadableDevice, sector: Uint8Array): void {
  if (device.size >= 32774 && Buffer.from(device.read(32769, 5)).toString('latin1') === 'CD001') {
    throw new RockberryError('unsupported', 'expected an image of an SD card, found an ISO 9660 image (a CD or an installer)',
      { hint: 'Download the Raspberry Pi image (.img.xz or .raw.xz), not the installer.' });
  }
  const bare = bareFileSystem(device, sector);
  if (bare !== undefined) {
    throw new RockberryError('unsupported', `expected a partition table in the first sector, found ${bare} filesystem that fills the whole image`,
      { hint: 'Give the image of a whole disk, not of one partition.' });
  }
}

function bareFileSystem(device: ReadableDevice, sector: Uint8Array): string | undefined {
  const text = Buffer.from(sector).toString('latin1');
  const fat = text.slice(54, 57) === 'FAT' || text.slice(82, 87) === 'FAT32';
  // A FAT boot sector and an MBR share the signature. Boot code stands where an MBR has its entries, or nothing does (mkfs.vfat leaves zeros).
  if (fat && (u8(sector, 0) === 0xeb || u8(sector, 0) === 0xe9) && (!looksLikeMbr(sector) || isZero(sector.subarray(446, 510)))) return 'a FAT';
  const superblock = device.size >= 2048 ? device.read(1024, 1024) : new Uint8Array(1024);
  if (u16(superblock, 56) === 0xef53 && isZero(sector.subarray(446, 510))) return 'an ext2, ext3 or ext4';
  if (text.startsWith('XFSB')) return 'an XFS';
  return undefined;
}

function validate(table: PartitionTable, size: number): void {
  if (table.partitions.length === 0) {
    throw new RockberryError('corrupt', `expected at least one partition, found an empty ${table.scheme.toUpperCase()} partition table`);
  }
  for (const partition of table.partitions) {
    const end = partition.start + partition.length;
    if (end > size) {
      throw new RockberryError('corrupt', `partition ${partition.number} ends at byte ${end}, but the image ends at ${size}`,
        { hint: 'The image is probably truncated: download it again and compare its check sum.' });
    }
  }
  const sorted = table.partitions.filter((partition) => !partition.extended).sort((a, b) => a.start - b.start);
  sorted.forEach((partition, index) => refuseOverlap(sorted[index - 1], partition));
  for (const container of table.partitions.filter((partition) => partition.extended)) {
    for (const primary of sorted) if (primary.number < 5) refuseOverlap(container, primary);
  }
}

function refuseOverlap(first: Partition | undefined, second: Partition): void {
  if (first === undefined || !overlaps({ offset: first.start, length: first.length }, { offset: second.start, length: second.length })) return;
  throw new RockberryError('corrupt', `partitions ${first.number} (bytes ${first.start} to ${first.start + first.length}) and ${second.number} `
    + `(from ${second.start}) overlap`);
}
