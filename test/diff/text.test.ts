import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect } from 'vitest';
import { textDiff, sameContents, type Located } from '../../src/diff/text.js';
import type { StoredFileSystem } from '../../src/fs/filesystem.js';
import { scratch } from '../support/cli.js';
import { needs, run } from '../support/oracle.js';
import { Ext4Image, withDirectory } from '../support/image-file.js';
import { openExt4 } from '../../src/fs/ext4/ext4.js';

const seed = Number(process.env.ROCKBERRY_SEED ?? Math.floor(Math.random() * 2 ** 31));
const onExt4 = needs('mke2fs', 'debugfs');

/** Two files of one ext4, made by debugfs. */
function located<T>(a: Uint8Array, b: Uint8Array, work: (a: Located, b: Located) => T): T {
  return withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-b', '1024'], 24);
    for (const [name, data] of [['a', a], ['b', b]] as const) {
      writeFileSync(join(directory, name), data);
      image.edit(`write ${join(directory, name)} ${name}`);
    }
    const device = image.open();
    const filesystem = openExt4(device) as StoredFileSystem;
    const at = (path: string): Located => ({ filesystem, path, size: filesystem.stat(path)!.size });
    const result = work(at('/a'), at('/b'));
    device.close();
    return result;
  });
}

const line = fc.constantFrom('', 'a', 'b', 'c', 'same', '\t', '--- a', '+++ b', '@@ -1 +1 @@', 'ä', '\\ No newline at end of file', 'x\r');
const text = fc.tuple(fc.array(line, { maxLength: 12 }), fc.boolean()).map(([lines, end]) => lines.join('\n') + (end && lines.length > 0 ? '\n' : ''));

needs('mke2fs', 'debugfs', 'patch')('patch(1) makes of any text any other', () => {
  const folder = scratch();
  fc.assert(fc.property(text, text, (a, b) => {
    if (a === b) return;
    const found = located(Buffer.from(a), Buffer.from(b), (x, y) => textDiff('/some/file', x, y));
    const file = join(folder, 'file');
    writeFileSync(file, a);
    expect(run('patch', ['--binary', file], found!.diff)).toMatchObject({ status: 0 });
    const patched = (): string => {
      try {
        return readFileSync(file, 'utf8');
      } catch {
        return ''; // patch removes what becomes empty
      }
    };
    expect(patched()).toBe(b);
  }), { seed, numRuns: 25 });
});

onExt4('binaries, long files and texts with nothing in common have no diff', () => {
  const none = (a: Uint8Array, b: Uint8Array): unknown => located(a, b, (x, y) => textDiff('/f', x, y));
  expect(none(Buffer.from('a\0b'), Buffer.from('text\n'))).toBeUndefined();
  expect(none(Buffer.from('text\n'), Buffer.from([0xe4, 0x0a]))).toBeUndefined();
  expect(none(Buffer.from('text\n'), Buffer.alloc(2 ** 20 + 1, 'x\n'))).toBeUndefined();
  const [many, others] = ['a', 'b'].map((letter) => Buffer.from(Array.from({ length: 20_000 }, (_, at) => `${letter}${at}\n`).join('')));
  const start = performance.now();
  expect(none(many!, others!)).toBeUndefined();
  expect(performance.now() - start).toBeLessThan(20_000);
});

onExt4('names in headers are quoted as git does it', () => {
  const found = located(Buffer.from('a\n'), Buffer.from('b\n'), (x, y) => textDiff('/new\nline"', x, y));
  expect(found!.diff).toMatch(/^--- "a\/new\\012line\\""\n\+\+\+ "b\/new\\012line\\""\n@@/);
  expect(found).toMatchObject({ added: 1, removed: 1 });
});

onExt4('contents are compared to the last byte, and holes of a terabyte are not read', () => {
  const data = Buffer.alloc(3 * 2 ** 20 + 7, 'content');
  const other = Buffer.from(data);
  other[other.length - 1]! ^= 1;
  expect(located(data, Buffer.from(data), sameContents)).toBe(true);
  expect(located(data, other, sameContents)).toBe(false);
  withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-b', '4096'], 24);
    writeFileSync(join(directory, 'start'), 'start');
    image.edit(...['a', 'b'].flatMap((name) => [`write ${join(directory, 'start')} ${name}`, `sif ${name} size 0x10000000000`]));
    const device = image.open();
    const filesystem = openExt4(device) as StoredFileSystem;
    const at = (path: string): Located => ({ filesystem, path, size: filesystem.stat(path)!.size });
    expect(at('/a').size).toBe(2 ** 40);
    expect(sameContents(at('/a'), at('/b'))).toBe(true);
    device.close();
  });
});

