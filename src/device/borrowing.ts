/** A device that lets another one answer for what both have. */
import type { RangeSet } from '../bytes/range-set.js';
import { checkBounds, type ReadableDevice } from './device.js';

/** `own`, read from `other` wherever the two are the same. */
export function borrowing(own: ReadableDevice, other: ReadableDevice, different: RangeSet): ReadableDevice {
  return {
    size: own.size,
    read(offset, length) {
      checkBounds(own.size, offset, length, 'image');
      const window = { offset, length };
      if (offset + length > other.size) return own.read(offset, length);
      const mine = different.within(window);
      if (mine.length === 0) return other.read(offset, length);
      const result = Buffer.from(other.read(offset, length));
      for (const part of mine) result.set(own.read(part.offset, part.length), part.offset - offset);
      return result;
    },
    close: () => undefined,
  };
}
