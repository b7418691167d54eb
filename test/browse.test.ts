import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { getPath } from '../src/browse.js';
import { memoryTree } from './support/memory-tree.js';

// As decodeText has them: the bytes 0xff and 0xfe. macOS has no such names.
test.skipIf(process.platform === 'darwin')('names that are not UTF-8 keep their bytes on the host', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rockberry-'));
  try {
    getPath(memoryTree({ '/d/a\udcff': 'one', '/d/a\udcfe': 'two' }), '/d', join(folder, 'd'));
    const names = readdirSync(join(folder, 'd'), { encoding: 'buffer' });
    expect(names.map((name) => name.toString('latin1')).sort()).toEqual(['a\xfe', 'a\xff']);
    expect(readFileSync(Buffer.concat([Buffer.from(`${folder}/d/a`), Buffer.of(0xff)]), 'utf8')).toBe('one');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
