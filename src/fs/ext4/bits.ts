/** Runs of bits in a bitmap; bit n is bit n % 8 of byte n / 8 (ext4, as on little-endian machines). */

export function testBit(bitmap: Uint8Array, bit: number): boolean {
  return ((bitmap[bit >>> 3]! >>> (bit & 7)) & 1) === 1;
}

export function setBits(bitmap: Uint8Array, from: number, count: number, value: boolean): void {
  let at = from;
  const end = from + count;
  while (at < end) {
    if ((at & 7) === 0 && end - at >= 8) {
      bitmap[at >>> 3] = value ? 0xff : 0;
      at += 8;
      continue;
    }
    const mask = 1 << (at & 7);
    bitmap[at >>> 3] = value ? bitmap[at >>> 3]! | mask : bitmap[at >>> 3]! & ~mask;
    at++;
  }
}

/** The first bit of that value in [from, end), or `end`. */
export function findBit(bitmap: Uint8Array, from: number, end: number, value: boolean): number {
  const skip = value ? 0 : 0xff; // a byte that holds no such bit
  let at = from;
  while (at < end) {
    if ((at & 7) === 0 && bitmap[at >>> 3] === skip) at += 8;
    else if (testBit(bitmap, at) === value) return at;
    else at++;
  }
  return end;
}
