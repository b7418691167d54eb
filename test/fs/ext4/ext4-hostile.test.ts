/** Images with wrong bytes in their metadata: every operation works or gives one of our own errors, soon; nothing crashes or hangs. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { memoryDevice } from '../../../src/device/device.js';
import { openExt4 } from '../../../src/fs/ext4/ext4.js';
import type { FileSystem } from '../../../src/fs/filesystem.js';
import { needs } from '../../support/oracle.js';
import { Ext4Image, withDirectory } from '../../support/image-file.js';

const seed = Number(process.env.ROCKBERRY_SEED ?? 20260923);
const ROUNDS = 150;

const OPERATIONS: readonly ((fs: FileSystem) => void)[] = [
  (fs) => fs.check(), (fs) => fs.list('/d'), (fs) => fs.read('/sparse'), (fs) => fs.readLink('/slow'), (fs) => fs.xattrs('/d/file-40'),
  (fs) => fs.write('/d/new', new Uint8Array(3000)), (fs) => fs.write('/sparse', new Uint8Array(30_000)), (fs) => fs.remove('/d/file-7'), (fs) => fs.rename('/d/file-8', '/moved'),
  (fs) => fs.append('/sparse', new Uint8Array(3000)), (fs) => fs.makeDirectory('/d/e'), (fs) => fs.makeLink('/slow', 'y'), (fs) => fs.change('/d/file-40', { xattrs: new Map([['user.a', null]]) }),
  (fs) => fs.flush(),
];

function fill(image: Ext4Image): Uint8Array {
  const fs = openExt4(image.open())!;
  fs.makeDirectory('/d');
  for (let at = 0; at < 60; at++) fs.write(`/d/file-${at}`, new Uint8Array(at * 100).fill(1), { xattrs: new Map([['user.a', new Uint8Array(at * 5)]]) });
  fs.makeLink('/slow', 'x'.repeat(90));
  const sparse = new Uint8Array(900 * 1024).map((_, at) => (at >>> 10) & 1);
  fs.write('/sparse', memoryDevice(sparse));
  fs.flush();
  return new Uint8Array(readFileSync(image.path));
}

function attempt(work: () => void): void {
  try {
    work();
  } catch (error) {
    expect(error).toMatchObject({ name: 'RockberryError' });
  }
}

describe(`wrong bytes, seed ${seed}`, () => {
  for (const options of [['-t', 'ext4', '-J', 'size=1'], ['-t', 'ext4', '-J', 'size=1', '-O', '^metadata_csum'], ['-t', 'ext2']]) {
    needs('mke2fs')(options.join(' '), () => withDirectory((directory) => {
      const sound = fill(new Ext4Image(directory, ['-N', '128', '-b', '1024', ...options], 4));
      const places = Array.from(sound.keys()).filter((at) => at >= 1024 && sound[at]! > 1); // contents are zeros and ones
      const poke = fc.tuple(fc.constantFrom(...places), fc.integer({ min: 0, max: 255 }));
      fc.assert(fc.property(fc.array(poke, { minLength: 1, maxLength: 3 }), (pokes) => {
        const image = sound.slice();
        for (const [at, value] of pokes) image[at] = value;
        attempt(() => {
          const fs = openExt4(memoryDevice(image));
          if (fs) for (const operation of OPERATIONS) attempt(() => operation(fs));
        });
      }), { seed, numRuns: ROUNDS });
    }));
  }
});
