import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { nameHash } from '../../../src/fs/ext4/dxhash.js';
import { needs, output } from '../../support/oracle.js';

/** debugfs knows the unsigned versions by number only. */
const VERSIONS = ['legacy', 'half_md4', 'tea', '3', '4', '5'];
const SEEDS = ['00000000-0000-0000-0000-000000000000', '8c1f6d2a-95d3-4b7e-a1f0-3e5c7b9d1f23'];

function seedBytes(uuid: string): Uint8Array {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex');
}

/** debugfs reads its commands as lines and splits them at blanks, so the names are of other bytes; signed and unsigned differ above 0x7f. */
const byte = fc.integer({ min: 1, max: 255 }).filter((value) => ![0x09, 0x0a, 0x0d, 0x20, 0x22, 0x27, 0x5c, 0x23, 0x2f, 0x2d, 0x0b, 0x0c].includes(value));
const names = fc.sample(fc.uint8Array({ minLength: 1, maxLength: 120 }).chain((shape) => fc.array(byte, { minLength: shape.length, maxLength: shape.length })), { numRuns: 60, seed: 4711 });

function oracleHashes(version: string, seed: string): number[] {
  const commands = names.map((name) => Buffer.concat([Buffer.from(`dx_hash -h ${version} -s ${seed} `), Buffer.from(name), Buffer.from('\n')]));
  const text = output('debugfs', ['-f', '-'], Buffer.concat(commands)).toString('latin1');
  return [...text.matchAll(/is 0x([0-9a-f]{1,8}) \(minor/g)].map((match) => Number.parseInt(match[1]!, 16));
}

describe('nameHash', () => {
  for (const [index, version] of VERSIONS.entries()) {
    for (const seed of SEEDS) {
      needs('debugfs')(`${version} with seed ${seed} gives debugfs's hash of ${names.length} names`, () => {
        const rules = { version: index % 3, seed: seedBytes(seed), unsigned: index >= 3 };
        expect(names.map((name) => nameHash(Uint8Array.from(name), rules))).toEqual(oracleHashes(version, seed));
      });
    }
  }

  needs()('refuses a version it does not know', () => {
    expect(() => nameHash(Buffer.from('a'), { version: 6, seed: seedBytes(SEEDS[0]!), unsigned: false })).toThrow(/siphash/);
  });
});
