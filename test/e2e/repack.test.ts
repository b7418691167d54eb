/** Repacking: what is copied, what stands beside the image, one-block bases and their cache, kills, two builds at once, a full cache. */
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { beforeAll, describe, expect, test } from 'vitest';
import type { BuildResult } from '../../src/build.js';
import { left, PROGRAM, rockberry, rockberryJson, ROOT, scratch } from '../support/cli.js';
import { needs, output, run } from '../support/oracle.js';
import { smallImage, smallPrograms } from '../support/small.js';

const SAMPLE = join(ROOT, 'images/rocky9-pi-sample.img.xz');
const folder = scratch();
const node = ['-p', 'node', '--set', 'hostname=node7'];
const withSmall = needs(...smallPrograms);
const small = withSmall === test || process.env.CI ? smallImage(folder) : '';
const sum = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

/** All blocks of an .xz file: plain bytes, check sum of the plain bytes, bytes of packed data (a copy may have another header). */
function blocks(file: string): string[] {
  return output('xz', ['--robot', '--list', '-vv', file]).toString().split('\n').filter((line) => line.startsWith('block\t')).map((line) => line.split('\t')).map((field) => [field[7], field[10], field[13]].join(' '));
}

needs('xz')('of 151 blocks those that did not change are copied; the result is one ordinary stream', async () => {
  const out = join(folder, 'copied.img.xz');
  const built = await rockberryJson<BuildResult>(['build', SAMPLE, ...node, '-o', out]);
  expect(run('xz', ['-t', out])).toMatchObject({ status: 0 });
  const [before, after] = [blocks(SAMPLE), new Set(blocks(out))];
  const touched = new Set(built.changed.flatMap(({ offset, length }) => [Math.floor(offset / 25165824), Math.floor((offset + length - 1) / 25165824)]));
  expect(touched.size).toBeLessThanOrEqual(5);
  expect(before.filter((block, index) => !touched.has(index) && !after.has(block))).toEqual([]);
  expect(output('xz', ['--robot', '--list', out]).toString()).toMatch(/^file\t1\t/m);
});

needs('xz', 'bmaptool', 'sha256sum')('beside the image: a map that bmaptool verifies, a check sum, a manifest', async () => {
  const out = join(folder, 'beside.img.xz');
  const built = await rockberryJson<BuildResult>(['build', SAMPLE, ...node, '-o', out]);
  expect(run('bmaptool', ['copy', out, join(folder, 'card.img')])).toMatchObject({ status: 0 });
  rmSync(join(folder, 'card.img'));
  expect(output('sh', ['-c', 'cd "$1" && sha256sum -c beside.img.xz.sha256', 'sh', folder]).toString()).toBe('beside.img.xz: OK\n');
  const manifest = JSON.parse(readFileSync(`${out}.json`, 'utf8')) as { base: { sha256: string }; output: { sha256: string }; changed: unknown; files: { path: string }[] };
  expect(manifest).toMatchObject({ base: { sha256: sum(SAMPLE) }, output: { sha256: built.sha256 }, changed: built.changed, variables: { hostname: 'node7' } });
  expect(manifest.files.map(({ path }) => path)).toEqual(built.files.filter(({ action }) => action !== 'unchanged').map(({ path }) => path).sort());
});

test('--image-only writes nothing beside it; a file in the way is refused before any work', async () => {
  const place = join(folder, 'only');
  mkdirSync(place);
  await rockberryJson(['build', SAMPLE, ...node, '-o', join(place, 'a.img.xz'), '--image-only']);
  expect(left(place)).toEqual(['a.img.xz']);
  writeFileSync(join(place, 'b.img.xz.json'), 'mine');
  expect(await rockberry(['build', SAMPLE, ...node, '-o', join(place, 'b.img.xz')])).toMatchObject({ status: 4, stderr: expect.stringMatching(/b\.img\.xz\.json/) });
  expect(readFileSync(join(place, 'b.img.xz.json'), 'utf8')).toBe('mine');
});

describe('a base that is one block', () => {
  const one = join(folder, 'one.img.xz');
  const cache = join(folder, 'cache');
  const env = { XDG_CACHE_HOME: cache };
  let first: BuildResult;

  beforeAll(async () => {
    if (small === '') return;
    run('sh', ['-c', 'xz -1 -T1 < "$1" > "$2"', 'sh', small, one]);
    expect(blocks(one)).toHaveLength(1);
    first = await rockberryJson(['build', one, ...node, '-o', join(folder, 'first.img.xz')], { env });
  });

  withSmall('is kept in blocks, listed, and cleared', async () => {
    const list = await rockberryJson<{ entries: { base: string; prepared: boolean; scanned: boolean }[] }>(['cache', 'list'], { env });
    expect(list.entries).toMatchObject([{ base: sum(one), prepared: true, scanned: true }]);
  });

  withSmall('gives the same bytes from the cache, without it, and when the cache is full', async () => {
    const again = await rockberryJson<BuildResult>(['build', one, ...node, '-o', join(folder, 'again.img.xz')], { env });
    const without = await rockberryJson<BuildResult>(['build', one, ...node, '-o', join(folder, 'without.img.xz'), '--no-cache'], { env });
    expect([again.sha256, without.sha256]).toEqual([first.sha256, first.sha256]);
    for (const ending of ['.bmap', '.sha256']) expect(readFileSync(join(folder, `without.img.xz${ending}`), 'utf8').replace('without', 'again')).toBe(readFileSync(join(folder, `again.img.xz${ending}`), 'utf8'));
    if (process.getuid?.() !== 0) return; // a small tmpfs needs root
    const tiny = join(folder, 'tiny');
    mkdirSync(tiny);
    expect(run('mount', ['-t', 'tmpfs', '-o', 'size=100k', 'none', tiny])).toMatchObject({ status: 0 });
    try {
      const full = await rockberryJson<BuildResult>(['build', one, ...node, '-o', join(folder, 'full.img.xz')], { env: { XDG_CACHE_HOME: tiny } });
      expect(full.sha256).toBe(first.sha256);
    } finally {
      run('umount', [tiny]);
    }
  });

  withSmall('two builds at once on one cache', async () => {
    const shared = { XDG_CACHE_HOME: join(folder, 'shared') };
    const both = await Promise.all(['x', 'y'].map((name) => rockberryJson<BuildResult>(['build', one, ...node, '-o', join(folder, `${name}.img.xz`)], { env: shared })));
    expect(both.map(({ sha256 }) => sha256)).toEqual([first.sha256, first.sha256]);
  });

  withSmall('kill -9 at any moment leaves the old file or the new one, and a cache that works', async () => {
    const out = join(folder, 'killed.img.xz');
    const killed = { XDG_CACHE_HOME: join(folder, 'killed-cache') };
    for (const delay of [300, 600, 900, 1200, 1600, 2000, 2600]) {
      copyFileSync(join(folder, 'first.img.xz'), out);
      const child = execa(process.execPath, [PROGRAM, 'build', one, '-p', 'node', '--set', `hostname=n${delay}`, '-o', out, '--force'], { reject: false, env: killed });
      setTimeout(() => child.kill('SIGKILL'), delay);
      await child;
      expect(run('xz', ['-t', out])).toMatchObject({ status: 0 });
      const name = (await rockberry(['cat', out, '/etc/hostname'])).stdout;
      expect([`n${delay}\n`, 'node7\n']).toContain(name);
    }
    const after = await rockberryJson<BuildResult>(['build', one, ...node, '-o', join(folder, 'after.img.xz')], { env: killed });
    expect(after.sha256).toBe(first.sha256);
  });

  withSmall('cache clear empties it', async () => {
    const { freed } = await rockberryJson<{ freed: number }>(['cache', 'clear'], { env });
    expect(freed).toBeGreaterThan(100_000);
    expect((await rockberryJson<{ entries: unknown[] }>(['cache', 'list'], { env })).entries).toEqual([]);
  });
});

withSmall('prepare makes blocks of the size asked for', async () => {
  const out = join(folder, 'prepared.img.xz');
  await rockberryJson(['prepare', small, '-o', out, '--block-size', '16MiB']);
  expect(new Set(blocks(out).slice(0, -1).map((line) => line.split(' ')[0]))).toEqual(new Set(['16777216']));
  expect(output('xz', ['-dc', out]).equals(readFileSync(small))).toBe(true);
});

needs(...smallPrograms, 'gzip', 'zstd').each(['gz', 'zst'])('a base of several .%s members is spliced too', async (ending) => {
  const base = join(folder, `base.img.${ending}`);
  await rockberryJson(['prepare', small, '-o', base, '--block-size', '32MiB']);
  const out = join(folder, `out.img.${ending}`);
  const built = await rockberryJson<BuildResult>(['build', base, ...node, '-o', out]);
  const program = ending === 'gz' ? 'gzip' : 'zstd';
  expect(run(program, ['-t', out])).toMatchObject({ status: 0 });
  expect((await rockberry(['cat', out, '/etc/hostname'])).stdout).toBe('node7\n');
  expect(existsSync(`${out}.bmap`)).toBe(true);
  expect(built.findings).toEqual([]);
});
