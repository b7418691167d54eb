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

/** Tables for eight bytes at a time ("slicing by 8", Kounavis and Berry 2005): table k is the register after k more zero bytes. */
function slicingTables(first: Uint32Array): readonly Uint32Array[] {
  const tables = [first];
  for (let k = 1; k < 8; k++) tables.push(tables[k - 1]!.map((value) => first[value & 0xff]! ^ (value >>> 8)));
  return tables;
}

const CRC32C = reflectedTable(0x82f63b78);
const [, C1, C2, C3, C4, C5, C6, C7] = slicingTables(CRC32C) as [Uint32Array, Uint32Array, Uint32Array, Uint32Array, Uint32Array, Uint32Array, Uint32Array, Uint32Array];
const CRC16 = reflectedTable(0xa001);

/**
 * CRC-32C (Castagnoli, reflected 0x82F63B78) as ext4's metadata_csum uses it: the register as it is, with no inversion before or after.
 * Start with 0xffffffff (Linux: ext4_chksum, lib/crc32.c __crc32c_le).
 */
export function crc32c(register: number, data: Uint8Array): number {
  let value = register;
  let at = 0;
  for (const whole = data.length - 7; at < whole; at += 8) {
    value ^= data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24);
    value = C7[value & 0xff]! ^ C6[(value >>> 8) & 0xff]! ^ C5[(value >>> 16) & 0xff]! ^ C4[value >>> 24]!
      ^ C3[data[at + 4]!]! ^ C2[data[at + 5]!]! ^ C1[data[at + 6]!]! ^ CRC32C[data[at + 7]!]!;
  }
  for (; at < data.length; at++) value = CRC32C[(value ^ data[at]!) & 0xff]! ^ (value >>> 8);
  return value >>> 0;
}

/** CRC-16 (ANSI, reflected 0xA001) as ext4's group descriptors use it without metadata_csum. Start with 0xffff (Linux: lib/crc16.c). */
export function crc16(register: number, data: Uint8Array): number {
  let value = register;
  for (let at = 0; at < data.length; at++) value = CRC16[(value ^ data[at]!) & 0xff]! ^ (value >>> 8);
  return value & 0xffff;
}
