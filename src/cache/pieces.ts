/** What is known of pieces of a base, kept from build to build: the encoded forms of those that lie in a chunk that builds change, and did not change themselves. */
import type { KnownPieces } from '../codec/encode-ahead.js';

/** Of values, in bytes: builds on one base touch a handful of its chunks. */
const LIMIT = 64 * 2 ** 20;

export interface PieceStore extends KnownPieces {
  /** Of values that save() gives. */
  readonly count: number;
  /** What there is now stood in an image that was read back. */
  prove(): void;
  /** For each piece: length of key and value (u32, little endian), key, value. Sorted by key. */
  save(): Uint8Array[];
  /** What save() gave; throws RangeError where it is cut short. */
  restore(saved: Buffer): void;
}

/** `keepChanged`: also what is not the base's, for as long as the program runs: many images are made of one base. */
export function createPieceStore({ keepChanged = false, limit = LIMIT } = {}): PieceStore {
  const kept = new Map<string, Uint8Array>();
  const ofBase = new Set<string>();
  const proven = new Set<string>();
  let bytes = 0;
  return {
    get count() {
      return ofBase.size;
    },
    get: (key) => kept.get(key),
    put(key, value, isBase) {
      if (kept.has(key) || (!isBase && !keepChanged) || bytes + value.length > limit) return;
      kept.set(key, value);
      bytes += value.length;
      if (isBase) ofBase.add(key);
    },
    isProven: (key) => proven.has(key),
    prove: () => [...kept.keys()].forEach((key) => proven.add(key)),
    save() {
      return [...ofBase].sort().flatMap((key) => {
        const head = Buffer.alloc(8);
        head.writeUInt32LE(key.length, 0);
        head.writeUInt32LE(kept.get(key)!.length, 4);
        return [head, Buffer.from(key, 'latin1'), kept.get(key)!];
      });
    },
    restore(saved) {
      for (let at = 0; at < saved.length;) {
        const [keyLength, length] = [saved.readUInt32LE(at), saved.readUInt32LE(at + 4)];
        const start = at + 8 + keyLength;
        if (start + length > saved.length) throw new RangeError('pieces are cut short');
        const key = saved.toString('latin1', at + 8, start);
        kept.set(key, saved.subarray(start, start + length));
        ofBase.add(key);
        proven.add(key);
        bytes += length;
        at = start + length;
      }
    },
  };
}
