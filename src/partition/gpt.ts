/**
 * The GUID partition table (UEFI specification, section 5.3): a header in sector 1, its copy in the last sector, an array of entries for each, all
 * under CRC-32. Both must be sound and agree: an image with one bad copy boots here and fails there.
 */
import { RockberryError } from '../errors.js';
import { crc32 } from '../bytes/crc.js';
import { isZero, setU32, u32, u64, u8 } from '../bytes/fields.js';
import type { Range } from '../bytes/ranges.js';
import type { ReadableDevice } from '../device/device.js';
import type { Partition, PartitionTable } from './partition.js';

const SIGNATURE = 'EFI PART';
/** The specification's minimum is 128 entries of 128 bytes (16 KiB); nobody makes more than a few times that. */
const MAX_ARRAY = 1 << 20;
const REPAIR = { hint: 'Run `sgdisk -e IMAGE` on a copy: it writes both tables again from the good one.' };

/** Names as in util-linux, include/pt-gpt-partnames.h. */
const NAMES: ReadonlyMap<string, string> = new Map([
  ['C12A7328-F81F-11D2-BA4B-00A0C93EC93B', 'EFI System'], ['21686148-6449-6E6F-744E-656564454649', 'BIOS boot'],
  ['0FC63DAF-8483-4772-8E79-3D69D8477DE4', 'Linux filesystem'], ['0657FD6D-A4AB-43C4-84E5-0933C84B4F4F', 'Linux swap'],
  ['EBD0A0A2-B9E5-4433-87C0-68B6B72699C7', 'Microsoft basic data'], ['E6D6D379-F507-44C2-A23C-238F2A3DF928', 'Linux LVM'],
  ['A19D880F-05FC-4D3B-A006-743F0F84911E', 'Linux RAID'], ['933AC7E1-2EB4-4F13-B844-0E14E2AEF915', 'Linux home'],
  ['B921B045-1DF0-41C3-AF44-4C6F280D3FAE', 'Linux root (ARM-64)'], ['69DAD710-2CE4-4E3C-B16C-21A1D49ABED3', 'Linux root (ARM)'],
  ['4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709', 'Linux root (x86-64)'], ['BC13C2FF-59E6-4262-A352-B275FD6F7172', 'Linux extended boot'],
  ['9E1A2D38-C612-4316-AA26-8B49521E5A8B', 'PowerPC PReP boot'],
]);

interface Header {
  readonly lba: number;
  readonly alternate: number;
  readonly firstUsable: number;
  readonly lastUsable: number;
  readonly diskGuid: string;
  readonly arrayLba: number;
  readonly entryCount: number;
  readonly entrySize: number;
  readonly arrayCrc: number;
}

export function readGpt(device: ReadableDevice): PartitionTable {
  const sectorSize = [512, 4096].find((size) => hasSignature(device, size));
  if (sectorSize === undefined) {
    throw new RockberryError('corrupt', 'expected a GPT header (the MBR has a protective entry), but the primary header in sector 1 has no "EFI PART" signature', REPAIR);
  }
  const primary = readHeader(device, sectorSize, 1, 'primary');
  const array = readArray(device, sectorSize, primary, 'primary');
  const backup = readHeader(device, sectorSize, primary.alternate, 'backup');
  readArray(device, sectorSize, backup, 'backup');
  requireAgreement(primary, backup);
  return {
    scheme: 'gpt', diskId: primary.diskGuid.toLowerCase(), sectorSize, partitions: partitionsOf(array, primary, sectorSize),
    structures: [{ offset: 0, length: sectorSize }, ...placesOf(primary, sectorSize), ...placesOf(backup, sectorSize)],
  };
}

function placesOf({ lba, arrayLba, entryCount, entrySize }: Header, sectorSize: number): Range[] {
  return [{ offset: lba * sectorSize, length: sectorSize }, { offset: arrayLba * sectorSize, length: entryCount * entrySize }];
}

function hasSignature(device: ReadableDevice, sectorSize: number): boolean {
  return device.size >= 2 * sectorSize && Buffer.from(device.read(sectorSize, 8)).toString('latin1') === SIGNATURE;
}

function broken(which: string, detail: string): RockberryError {
  return new RockberryError('corrupt', `the ${which} GPT is broken: ${detail}`, REPAIR);
}

function readHeader(device: ReadableDevice, sectorSize: number, lba: number, which: string): Header {
  if ((lba + 1) * sectorSize > device.size) {
    throw new RockberryError('corrupt', `expected the ${which} GPT header in sector ${lba}, but the image ends at sector ${Math.floor(device.size / sectorSize)}`,
      { hint: 'The image is probably truncated: download it again and compare its check sum.' });
  }
  const sector = device.read(lba * sectorSize, sectorSize);
  if (Buffer.from(sector.subarray(0, 8)).toString('latin1') !== SIGNATURE) throw broken(which, `no "EFI PART" signature in sector ${lba}`);
  const size = u32(sector, 12);
  if (size < 92 || size > sectorSize) throw broken(which, `expected a header size of 92 to ${sectorSize} bytes, found ${size}`);
  const stored = u32(sector, 16);
  setU32(sector, 16, 0);
  const computed = crc32(sector.subarray(0, size));
  if (stored !== computed) throw broken(which, `expected the header's CRC-32 to be ${hex(computed)}, found ${hex(stored)} in sector ${lba}`);
  return checkHeader(parseHeader(sector), lba, which);
}

function parseHeader(sector: Uint8Array): Header {
  return {
    lba: u64(sector, 24), alternate: u64(sector, 32), firstUsable: u64(sector, 40), lastUsable: u64(sector, 48), diskGuid: guid(sector, 56),
    arrayLba: u64(sector, 72), entryCount: u32(sector, 80), entrySize: u32(sector, 84), arrayCrc: u32(sector, 88),
  };
}

function checkHeader(header: Header, lba: number, which: string): Header {
  if (header.lba !== lba) throw broken(which, `the header in sector ${lba} says that it is in sector ${header.lba}`);
  const powers = header.entrySize >= 128 && header.entrySize <= 4096 && (header.entrySize & (header.entrySize - 1)) === 0;
  if (!powers) throw broken(which, `expected entries of 128, 256, … 4096 bytes, found ${header.entrySize}`);
  if (header.entryCount === 0 || header.entryCount * header.entrySize > MAX_ARRAY) {
    throw broken(which, `expected 1 to ${MAX_ARRAY / header.entrySize} entries, found ${header.entryCount}`);
  }
  return header;
}

function readArray(device: ReadableDevice, sectorSize: number, header: Header, which: string): Uint8Array {
  const length = header.entryCount * header.entrySize;
  if (header.arrayLba < 2 || header.arrayLba * sectorSize + length > device.size) {
    throw broken(which, `its array of entries at sector ${header.arrayLba} (${length} bytes) lies outside of the image`);
  }
  const array = device.read(header.arrayLba * sectorSize, length);
  const computed = crc32(array);
  if (computed !== header.arrayCrc) throw broken(which, `expected the CRC-32 of the entries to be ${hex(header.arrayCrc)}, found ${hex(computed)}`);
  return array;
}

function requireAgreement(primary: Header, backup: Header): void {
  const same = primary.diskGuid === backup.diskGuid && primary.arrayCrc === backup.arrayCrc && primary.entryCount === backup.entryCount
    && primary.entrySize === backup.entrySize && backup.alternate === primary.lba;
  if (!same) throw new RockberryError('corrupt', 'the primary and the backup GPT are each sound, but describe different disks', REPAIR);
}

function partitionsOf(array: Uint8Array, header: Header, sectorSize: number): Partition[] {
  const found: Partition[] = [];
  for (let index = 0; index < header.entryCount; index++) {
    const entry = array.subarray(index * header.entrySize, (index + 1) * header.entrySize);
    if (!isZero(entry.subarray(0, 16))) found.push(partitionOf(entry, index + 1, header, sectorSize));
  }
  return found;
}

function partitionOf(entry: Uint8Array, number: number, header: Header, sectorSize: number): Partition {
  const [first, last] = [u64(entry, 32), u64(entry, 40)];
  if (first > last || first < header.firstUsable || last > header.lastUsable) {
    throw new RockberryError('corrupt', `expected GPT partition ${number} within sectors ${header.firstUsable} to ${header.lastUsable}, found ${first} to ${last}`);
  }
  const type = guid(entry, 0);
  return {
    number, type, typeName: NAMES.get(type) ?? 'unknown', start: first * sectorSize, length: (last - first + 1) * sectorSize,
    bootable: (u8(entry, 48) & 4) !== 0, // attribute bit 2: legacy BIOS bootable
    name: Buffer.from(entry.subarray(56, 128)).toString('utf16le').replace(/\0[^]*$/, ''),
    partuuid: guid(entry, 16).toLowerCase(), extended: false,
  };
}

/** A GUID in upper case: the first three groups are stored little-endian, the last two as written. */
function guid(data: Uint8Array, offset: number): string {
  const text = Buffer.from(data.subarray(offset, offset + 16)).toString('hex').toUpperCase();
  const byte = (index: number): string => text.slice(2 * index, 2 * index + 2);
  const group = (...bytes: number[]): string => bytes.map(byte).join('');
  return [group(3, 2, 1, 0), group(5, 4), group(7, 6), group(8, 9), group(10, 11, 12, 13, 14, 15)].join('-');
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
