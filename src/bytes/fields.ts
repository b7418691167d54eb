/**
 * Integers in byte arrays, bounds-checked: a field outside the array is corrupt input, not `undefined`.
 * Names: u16/u32/u64 are little-endian, u16be/u32be/u64be big-endian; offsets are in bytes.
 */
import { RockberryError } from '../errors.js';

function require(data: Uint8Array, offset: number, length: number): void {
  if (offset < 0 || offset + length > data.length) {
    throw new RockberryError('corrupt', `expected ${length} bytes at offset ${offset} of a structure, found only ${Math.max(0, data.length - offset)}`);
  }
}

export function u8(data: Uint8Array, offset: number): number {
  require(data, offset, 1);
  return data[offset]!;
}

export function u16(data: Uint8Array, offset: number): number {
  require(data, offset, 2);
  return data[offset]! | (data[offset + 1]! << 8);
}

export function u32(data: Uint8Array, offset: number): number {
  require(data, offset, 4);
  return (data[offset]! | (data[offset + 1]! << 8) | (data[offset + 2]! << 16) | (data[offset + 3]! << 24)) >>> 0;
}

/** A 64-bit value as a number; more than 2^53 - 1 (no image is that large) is corrupt. */
export function u64(data: Uint8Array, offset: number): number {
  const value = u32(data, offset + 4) * 2 ** 32 + u32(data, offset);
  if (!Number.isSafeInteger(value)) throw new RockberryError('corrupt', `expected a 64-bit value below 2^53 at offset ${offset}, found ${value}`);
  return value;
}

export function u16be(data: Uint8Array, offset: number): number {
  require(data, offset, 2);
  return (data[offset]! << 8) | data[offset + 1]!;
}

export function u32be(data: Uint8Array, offset: number): number {
  require(data, offset, 4);
  return ((data[offset]! << 24) | (data[offset + 1]! << 16) | (data[offset + 2]! << 8) | data[offset + 3]!) >>> 0;
}

export function setU8(data: Uint8Array, offset: number, value: number): void {
  require(data, offset, 1);
  data[offset] = value;
}

export function setU16(data: Uint8Array, offset: number, value: number): void {
  require(data, offset, 2);
  data[offset] = value;
  data[offset + 1] = value >>> 8;
}

export function setU32(data: Uint8Array, offset: number, value: number): void {
  require(data, offset, 4);
  data[offset] = value;
  data[offset + 1] = value >>> 8;
  data[offset + 2] = value >>> 16;
  data[offset + 3] = value >>> 24;
}

export function setU64(data: Uint8Array, offset: number, value: number): void {
  setU32(data, offset, value % 2 ** 32);
  setU32(data, offset + 4, Math.floor(value / 2 ** 32));
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

export function isZero(data: Uint8Array): boolean {
  // Comparing the array with itself shifted by one runs at memcmp speed: all bytes equal the first, and the first is zero.
  return data.length === 0 || (data[0] === 0 && Buffer.compare(data.subarray(1), data.subarray(0, data.length - 1)) === 0);
}
