/**
 * The boot sector of a FAT volume: where its FATs, root directory and clusters are. Fields under the names of Microsoft's specification ("FAT: General
 * Overview of On-Disk Format", 1.03, 2000). The width (FAT12/16/32) follows from the number of clusters and from nothing else: neither the partition's
 * type byte nor the text in the boot sector counts.
 */
import { RockberryError } from '../../errors.js';
import { u16, u32, u8 } from '../../bytes/fields.js';
import type { ReadableDevice } from '../../device/device.js';

export type FatVariant = 'FAT12' | 'FAT16' | 'FAT32';

export interface FatGeometry {
  readonly variant: FatVariant;
  /** Bytes: 512, 1024, 2048 or 4096. */
  readonly sectorSize: number;
  /** Bytes. */
  readonly clusterSize: number;
  /** Clusters 2 to clusterCount + 1 hold data. */
  readonly clusterCount: number;
  readonly fatCount: 1 | 2;
  /** Bytes from the start of the volume to the first FAT, and bytes of one FAT. */
  readonly fatOffset: number;
  readonly fatLength: number;
  /** The fixed root directory of FAT12 and FAT16 in bytes; length 0 on FAT32. */
  readonly rootOffset: number;
  readonly rootLength: number;
  /** 0 on FAT12 and FAT16. */
  readonly rootCluster: number;
  /** Bytes from the start of the volume to cluster 2. */
  readonly dataOffset: number;
  /** Bytes that the volume says it has. */
  readonly size: number;
  readonly media: number;
  /** Byte offset of the FSInfo sector, 0 for none. */
  readonly infoOffset: number;
  /** "XXXX-XXXX", as blkid and fstab write it; "" when the boot sector has none. */
  readonly volumeId: string;
  /** The text in the boot sector, not the label that counts (an entry of the root directory). */
  readonly bootLabel: string;
  /** The bit that Linux sets while the volume is mounted. */
  readonly dirty: boolean;
}

const MAX_FAT12 = 4084;
const MAX_FAT16 = 65524;
const MAX_FAT32 = 0x0ffffff5;

function text(sector: Uint8Array, offset: number, length: number): string {
  return Buffer.from(sector.subarray(offset, offset + length)).toString('latin1');
}

function corrupt(message: string, hint = 'Repair a copy of the image with fsck.vfat, or download the image again.'): RockberryError {
  return new RockberryError('corrupt', `FAT boot sector: ${message}`, { hint });
}

/**
 * undefined when the first sector is not a FAT boot sector (NTFS, exFAT, ext4, zeros). A sector that says "FAT" and breaks the rules is 'corrupt',
 * one that keeps them in a way that the writer cannot handle is 'unsupported'.
 */
export function readGeometry(device: ReadableDevice): FatGeometry | undefined {
  if (device.size < 4096) return undefined;
  const sector = device.read(0, 512);
  const named = /^FAT(12|16|) {3,5}$/.test(text(sector, 54, 8)) || text(sector, 82, 8) === 'FAT32   ';
  const jump = u8(sector, 0) === 0xeb || u8(sector, 0) === 0xe9;
  const signed = u16(sector, 510) === 0xaa55;
  if (!named && !(jump && signed && plausible(sector))) return undefined;
  if (!signed) throw corrupt(`expected the signature 0xaa55 at offset 510, found 0x${u16(sector, 510).toString(16).padStart(4, '0')}`);
  if (!jump) throw corrupt(`expected a jump instruction (0xeb or 0xe9) at offset 0, found 0x${u8(sector, 0).toString(16).padStart(2, '0')}`);
  return layout(sector, device.size);
}

/** Without the text, only a sector whose every basic field makes sense is taken for FAT. */
function plausible(sector: Uint8Array): boolean {
  const media = u8(sector, 21);
  return isPower(u16(sector, 11), 512, 4096) && isPower(u8(sector, 13), 1, 128) && u16(sector, 14) > 0 && [1, 2].includes(u8(sector, 16))
    && (media === 0xf0 || media >= 0xf8);
}

function isPower(value: number, low: number, high: number): boolean {
  return value >= low && value <= high && (value & (value - 1)) === 0;
}

function layout(sector: Uint8Array, deviceSize: number): FatGeometry {
  const sectorSize = u16(sector, 11);
  if (!isPower(sectorSize, 512, 4096)) throw corrupt(`expected sectors of 512, 1024, 2048 or 4096 bytes, found ${sectorSize}`);
  const perCluster = u8(sector, 13);
  if (!isPower(perCluster, 1, 128)) throw corrupt(`expected 1, 2, 4, … 128 sectors per cluster, found ${perCluster}`);
  const reserved = u16(sector, 14);
  if (reserved === 0) throw corrupt('expected at least one reserved sector, found none');
  const rootEntries = u16(sector, 17);
  if ((rootEntries * 32) % sectorSize !== 0) throw corrupt(`expected the root directory's entries to fill whole sectors, found ${rootEntries}`);
  const total = u16(sector, 19) || u32(sector, 32);
  const fatSectors = u16(sector, 22) || u32(sector, 36);
  const fatCount = fatCountOf(sector);
  const media = u8(sector, 21);
  if (media !== 0xf0 && media < 0xf8) throw corrupt(`expected a media byte of 0xf0 or 0xf8 to 0xff, found 0x${media.toString(16)}`);
  if (total * sectorSize > deviceSize) {
    throw corrupt(`it says ${total} sectors (${total * sectorSize} bytes), but its partition has ${deviceSize} bytes`, 'The image is probably truncated.');
  }
  const rootSectors = (rootEntries * 32) / sectorSize;
  const dataSector = reserved + fatCount * fatSectors + rootSectors;
  if (fatSectors === 0 || dataSector + perCluster > total) {
    throw corrupt(`the FATs (${fatCount} of ${fatSectors} sectors) and the root directory leave no cluster in ${total} sectors`);
  }
  const clusterCount = Math.floor((total - dataSector) / perCluster);
  const variant = variantOf(sector, clusterCount, rootEntries);
  requireFatHolds(variant, clusterCount, fatSectors * sectorSize);
  const fat32 = variant === 'FAT32' ? readFat32(sector, clusterCount, reserved, sectorSize) : { rootCluster: 0, infoOffset: 0 };
  return {
    variant, sectorSize, clusterSize: perCluster * sectorSize, clusterCount, fatCount, media, size: total * sectorSize,
    fatOffset: reserved * sectorSize, fatLength: fatSectors * sectorSize, rootOffset: (dataSector - rootSectors) * sectorSize,
    rootLength: rootSectors * sectorSize, dataOffset: dataSector * sectorSize, ...fat32, ...identity(sector, variant),
  };
}

function fatCountOf(sector: Uint8Array): 1 | 2 {
  const count = u8(sector, 16);
  if (count === 0) throw corrupt('expected 1 or 2 FATs, found 0');
  if (count > 2) throw new RockberryError('unsupported', `expected 1 or 2 FATs, found ${count}`);
  return count as 1 | 2;
}

function variantOf(sector: Uint8Array, clusters: number, rootEntries: number): FatVariant {
  const wide = u16(sector, 22) === 0;
  if (clusters > MAX_FAT32) throw corrupt(`expected at most ${MAX_FAT32} clusters, found ${clusters}`);
  // FatFs and Microsoft draw the lines one cluster apart; a volume right on a line is read differently by different systems.
  if (clusters === MAX_FAT12 + 1 || clusters === MAX_FAT16 + 1) {
    throw new RockberryError('unsupported', `expected a number of clusters that tells the FAT's width, found ${clusters}, which systems read differently`);
  }
  const variant = clusters <= MAX_FAT12 ? 'FAT12' : clusters <= MAX_FAT16 ? 'FAT16' : 'FAT32';
  if (wide !== (variant === 'FAT32')) {
    throw new RockberryError('unsupported', `expected the ${wide ? 'FAT32' : 'FAT12 or FAT16'} boot sector to have a matching number of clusters, `
      + `found ${clusters} clusters, which makes it ${variant}`, { hint: 'Make the filesystem again with mkfs.vfat and its default cluster size.' });
  }
  if ((rootEntries === 0) !== (variant === 'FAT32')) throw corrupt(`expected ${variant === 'FAT32' ? 'no' : 'some'} fixed root directory entries, found ${rootEntries}`);
  return variant;
}

/** Bits of one FAT entry. */
export function entryBits(variant: FatVariant): 12 | 16 | 32 {
  return variant === 'FAT12' ? 12 : variant === 'FAT16' ? 16 : 32;
}

function requireFatHolds(variant: FatVariant, clusters: number, length: number): void {
  const needed = Math.ceil(((clusters + 2) * entryBits(variant)) / 8);
  if (needed > length) throw corrupt(`expected a FAT of at least ${needed} bytes for ${clusters} clusters, found ${length}`);
}

function readFat32(sector: Uint8Array, clusters: number, reserved: number, sectorSize: number): { rootCluster: number; infoOffset: number } {
  const [flags, version, rootCluster, info] = [u16(sector, 40), u16(sector, 42), u32(sector, 44), u16(sector, 48)];
  if (version !== 0) throw new RockberryError('unsupported', `expected FAT32 version 0.0, found ${version >> 8}.${version & 0xff}`);
  if (flags & 0x80) throw new RockberryError('unsupported', 'expected both FATs to be mirrored, found a FAT32 volume that uses only one of them (BPB_ExtFlags)');
  if (rootCluster < 2 || rootCluster > clusters + 1) throw corrupt(`expected the root directory in clusters 2 to ${clusters + 1}, found ${rootCluster}`);
  if (info === 0 || info === 0xffff) return { rootCluster, infoOffset: 0 };
  if (info !== 1 || reserved < 2) throw new RockberryError('unsupported', `expected the FSInfo sector in sector 1, found ${info}`);
  return { rootCluster, infoOffset: sectorSize };
}

function identity(sector: Uint8Array, variant: FatVariant): Pick<FatGeometry, 'volumeId' | 'bootLabel' | 'dirty'> {
  const at = variant === 'FAT32' ? 64 : 36;
  const dirty = (u8(sector, at + 1) & 1) !== 0;
  if (u8(sector, at + 2) !== 0x29) return { volumeId: '', bootLabel: '', dirty };
  const id = u32(sector, at + 3).toString(16).toUpperCase().padStart(8, '0');
  return { volumeId: `${id.slice(0, 4)}-${id.slice(4)}`, bootLabel: text(sector, at + 7, 11).trimEnd(), dirty };
}

/** FAT32's FSInfo sector: offsets and signatures of its fields. `free` and `next` are 0xffffffff when unknown. */
export const INFO = { lead: 0, structure: 484, free: 488, next: 492, leadSignature: 0x41615252, structureSignature: 0x61417272 } as const;

export function isInfoSector(sector: Uint8Array): boolean {
  return u32(sector, INFO.lead) === INFO.leadSignature && u32(sector, INFO.structure) === INFO.structureSignature && u16(sector, 510) === 0xaa55;
}
