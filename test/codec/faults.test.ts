/** Files with one byte changed or missing, at random: they give our error or the right bytes, never other bytes. */
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { RockberryError } from '../../src/errors.js';
import { needs } from '../support/oracle.js';
import { material, once, readAll, scratch } from './material.js';

const at = scratch('faults');
const seed = Number(process.env.ROCKBERRY_SEED ?? Math.floor(Math.random() * 2 ** 31));
const plain = material.subarray(250_000, 400_000);

const KINDS: [string, string[]][] = [
  ['xz', ['-1', '--block-size=30000']], ['xz', ['-1', '-T1', '-C', 'sha256']], ['gzip', ['-1', '-n']], ['zstd', ['-1', '-q', '--check', '--stream-size=150000']],
];

describe(`one byte of a compressed image (seed ${seed})`, () => {
  for (const [program, args] of KINDS) {
    needs(program)(`${program} ${args.join(' ')}`, async () => {
      const good = once(() => execFileSync(program, ['-c', ...args], { input: plain, maxBuffer: 2 ** 26 }));
      const fault = fc.record({ offset: fc.nat(good().length - 1), kind: fc.constantFrom('change', 'remove', 'insert', 'cut'), value: fc.integer({ min: 1, max: 255 }) });
      await fc.assert(fc.asyncProperty(fault, async ({ offset, kind, value }) => {
        const before = good().subarray(0, offset);
        const byte = Buffer.from([kind === 'change' ? good()[offset]! ^ value : value]);
        const after = good().subarray(kind === 'insert' ? offset : offset + 1);
        const path = at('image', kind === 'cut' ? before : Buffer.concat([before, kind === 'remove' ? Buffer.alloc(0) : byte, after]));
        try {
          const { data, image } = await readAll(path);
          // Without its magic it is a raw image, and gzip's header holds bytes that mean nothing for the content.
          if (image.format !== 'raw') expect(Buffer.compare(data, plain)).toBe(0);
        } catch (error) {
          if (!(error instanceof RockberryError) || !['corrupt', 'unsupported'].includes(error.code)) throw error;
        }
      }), { numRuns: 60, seed });
    });
  }
});
