/** Raw outputs share the base's blocks where the filesystem can: on a real btrfs and XFS, and not on one that cannot. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';
import { stageOutput } from '../../src/output/atomic.js';
import { needs, output, run } from '../support/oracle.js';

const root = mkdtempSync(join(tmpdir(), 'rockberry-clone-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const MIB = 2 ** 20;

async function* inPieces(data: Uint8Array, size: number): AsyncIterable<Uint8Array> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size);
}

/** What the output's directory then holds, and how many bytes the filesystem gave for it. */
async function cloneOn(directory: string): Promise<{ taken: number }> {
  const base = join(directory, 'base.img');
  const bytes = Buffer.alloc(16 * MIB, createHash('sha512').update('clone').digest());
  writeFileSync(base, bytes, { mode: 0o444 });
  output('sync', ['-f', base]);
  const changed = [{ offset: 5, length: 3 }, { offset: MIB - 2, length: 4 }, { offset: bytes.length - 9, length: 9 }];
  const wanted = Buffer.from(bytes);
  for (const { offset, length } of changed) wanted.fill(0, offset, offset + length);
  const free = (): number => Number(output('stat', ['-f', '-c', '%f', directory])) * Number(output('stat', ['-f', '-c', '%S', directory]));
  const before = free();
  const out = join(directory, 'out.img');
  const staged = await stageOutput(out, inPieces(wanted, 300_000), { sparse: true, cloneOf: { path: base, changed } });
  staged.commit();
  output('sync', ['-f', out]);
  expect(Buffer.compare(readFileSync(out), wanted)).toBe(0);
  expect(staged).toMatchObject({ bytes: wanted.length, sha256: createHash('sha256').update(wanted).digest('hex') });
  expect(Buffer.compare(readFileSync(base), bytes)).toBe(0);
  expect(statSync(out).mode & 0o777).toBe(0o666 & ~process.umask());
  return { taken: before - free() };
}

for (const [type, size, mkfs] of [['btrfs', 200, ['mkfs.btrfs', '-q']], ['xfs', 400, ['mkfs.xfs', '-q', '-m', 'reflink=1']]] as const) {
  needs(mkfs[0], 'mount').skipIf(process.getuid?.() !== 0)(`on ${type} the blocks are shared`, async () => {
    const disk = join(root, `${type}.disk`);
    const directory = join(root, type);
    mkdirSync(directory);
    writeFileSync(disk, '');
    truncateSync(disk, size * MIB);
    output(mkfs[0], [...mkfs.slice(1), disk]);
    expect(run('mount', ['-t', type, '-o', 'loop', disk, directory])).toMatchObject({ status: 0 });
    try {
      expect((await cloneOn(directory)).taken).toBeLessThan(4 * MIB);
    } finally {
      run('umount', [directory]);
    }
  });
}

needs('stat', 'sync').skipIf(process.getuid?.() !== 0)('elsewhere it is written', async () => {
  const directory = join(root, 'tmpfs');
  mkdirSync(directory);
  expect(run('mount', ['-t', 'tmpfs', 'none', directory])).toMatchObject({ status: 0 });
  try {
    expect((await cloneOn(directory)).taken).toBeGreaterThan(15 * MIB);
  } finally {
    run('umount', [directory]);
  }
});
