/** Check sums of the formats we read and write. Every function takes the running value first, so that pieces can be chained. */
import { crc32 as zlibCrc32 } from 'node:zlib';

/** CRC-32 (IEEE 802.3, reflected 0xEDB88320): gzip, xz headers, GPT. Start with 0. */
export function crc32(data: Uint8Array, previous = 0): number {
  return zlibCrc32(data, previous);
}

function reflectedTable(polynomial: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
    return value;
  });
}

const CRC32C = reflectedTable(0x82f63b78);
const CRC16 = reflectedTable(0xa001);

/**
 * CRC-32C (Castagnoli, reflected 0x82F63B78) as ext4's metadata_csum uses it: the register as it is, with no inversion before or after.
 * Start with 0xffffffff (Linux: ext4_chksum, lib/crc32.c __crc32c_le).
 */
export function crc32c(register: number, data: Uint8Array): number {
  let value = register;
  for (let at = 0; at < data.length; at++) value = CRC32C[(value ^ data[at]!) & 0xff]! ^ (value >>> 8);
  return value >>> 0;
}

/** CRC-16 (ANSI, reflected 0xA001) as ext4's group descriptors use it without metadata_csum. Start with 0xffff (Linux: lib/crc16.c). */
export function crc16(register: number, data: Uint8Array): number {
  let value = register;
  for (let at = 0; at < data.length; at++) value = CRC16[(value ^ data[at]!) & 0xff]! ^ (value >>> 8);
  return value & 0xffff;
}
