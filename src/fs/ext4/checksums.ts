/** Checksums of block groups (kernel Documentation/filesystems/ext4/checksums.rst). */
import { crc16, crc32c } from '../../bytes/crc.js';
import { setU32 } from '../../bytes/fields.js';
import type { Superblock } from './superblock.js';

/** What bg_checksum of a descriptor must be (kernel: ext4_group_desc_csum); 0 without checksums. */
export function descriptorChecksum(sb: Superblock, group: number, raw: Uint8Array): number {
  const number = new Uint8Array(4);
  setU32(number, 0, group);
  if (sb.checksumSeed !== undefined) {
    const head = crc32c(crc32c(crc32c(sb.checksumSeed, number), raw.subarray(0, 0x1e)), new Uint8Array(2));
    return crc32c(head, raw.subarray(0x20)) & 0xffff;
  }
  if (!sb.roCompat('uninit_bg')) return 0;
  const head = crc16(crc16(crc16(0xffff, sb.uuid), number), raw.subarray(0, 0x1e));
  return crc16(head, raw.subarray(0x20));
}

/** All 32 bits of a bitmap's checksum with metadata_csum, of which small descriptors hold 16 (kernel: fs/ext4/bitmap.c). `seed`: of the filesystem. */
export function bitmapChecksum(sb: Superblock, seed: number, bitmap: Uint8Array, kind: 'block' | 'inode'): number {
  const bits = kind === 'block' ? sb.blocksPerGroup : sb.inodesPerGroup;
  return crc32c(seed, bitmap.subarray(0, bits / 8));
}
