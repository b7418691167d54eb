import { crc32 as zlibCrc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crc16, crc32, crc32c } from '../../src/bytes/crc.js';

const text = Buffer.from('123456789');

/** The definition, a bit at a time. */
function bitwise(polynomial: number, register: number, data: Uint8Array): number {
  let value = register;
  for (const byte of data) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
  }
  return value >>> 0;
}

test('check values of the catalogue (reveng): CRC-32, CRC-32/ISCSI, CRC-16/MODBUS', () => {
  expect(crc32(text)).toBe(0xcbf43926);
  expect((crc32c(0xffffffff, text) ^ 0xffffffff) >>> 0).toBe(0xe3069283);
  expect(crc16(0xffff, text)).toBe(0x4b37);
});

test('any bytes, any length, in any pieces', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), fc.nat(0xffffffff), (data, cut, start) => {
    expect(crc32c(start, data)).toBe(bitwise(0x82f63b78, start, data));
    expect(crc32c(crc32c(start, data.subarray(0, cut)), data.subarray(cut))).toBe(crc32c(start, data));
    expect(crc16(start & 0xffff, data)).toBe(bitwise(0xa001, start & 0xffff, data));
    expect(crc32(data)).toBe(zlibCrc32(data));
  }));
});
