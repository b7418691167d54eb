/** Cards in memory, of the shape of the product's own, that break when they are told to. */
import { createHash } from 'node:crypto';
import { RockberryError } from '../../src/errors.js';
import type { Card, Slot } from '../../src/flash/card.js';
import { CELL_BYTES, type Cell } from '../../src/flash/plan.js';

export interface MemoryCard extends Card {
  /** What it holds; for the test to look at and to spoil. */
  readonly bytes: Buffer;
  /** "write 4194304", "flush", "check 0": what was asked, in order. */
  readonly asked: readonly string[];
}

export interface Faults {
  /** So many operations succeed; the next one and all after it fail. */
  readonly failAfter?: number;
  /** Called after each write, with the offset of its cell. */
  readonly onWrite?: (offset: number, bytes: Buffer) => void;
}

export function memoryCard(bytes: Buffer, { failAfter = Infinity, onWrite }: Faults = {}): MemoryCard {
  const asked: string[] = [];
  const count = (what: string): void => {
    if (asked.push(what) > failAfter) throw new RockberryError('io', `cannot ${what}: the device reports an input/output error`);
  };
  const hashOf = (of: Buffer, { ranges }: Cell, base: number): string => {
    const hash = createHash('sha256');
    for (const { offset, length } of ranges) hash.update(of.subarray(offset - base, offset - base + length));
    return hash.digest('hex');
  };
  return {
    path: '/dev/memory', size: bytes.length, isBlockDevice: true, isDirect: true, bytes, asked,
    slot: async (): Promise<Slot> => ({ index: 0, memory: Buffer.alloc(CELL_BYTES, 0xee) }),
    async write({ memory }, cell, compare) {
      count(`write ${cell.offset}`);
      let written = 0;
      for (const { offset, length } of cell.ranges) {
        for (let at = offset; at < offset + length; at += 4096) {
          const end = Math.min(at + 4096, offset + length);
          const [from, to] = [at - cell.offset, end - cell.offset];
          if (compare && bytes.compare(memory, from, to, at, end) === 0) continue;
          memory.copy(bytes, at, from, to);
          written += end - at;
        }
      }
      onWrite?.(cell.offset, bytes);
      return { sha256: hashOf(memory, cell, cell.offset), written };
    },
    async check(cell) {
      count(`check ${cell.offset}`);
      return hashOf(bytes, cell, 0);
    },
    async read({ offset, length }) {
      count(`read ${offset}`);
      return Buffer.from(bytes.subarray(offset, offset + length));
    },
    async flush() { count('flush'); },
    close: async () => undefined,
  };
}
