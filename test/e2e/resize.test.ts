/** grow_image and shrink: what e2fsck, sfdisk, xz and debugfs say of the results, as an unprivileged user. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { ShrinkResult } from '../../src/shrink.js';
import { rockberry, rockberryJson, ROOT, scratch } from '../support/cli.js';
import { debugfsCat, e2fsck, sfdiskParts, type Part } from '../support/disk.js';
import { needs, output, run } from '../support/oracle.js';
import { unpack } from '../support/unpack.js';

const SAMPLE = join(ROOT, 'images/rocky9-pi-sample.img.xz');
const GIB = 2 ** 30;
const it = needs('e2fsck', 'debugfs', 'sfdisk', 'xz', 'mtype');

it('an image grows before it is customized, and is cut down again to what it holds', async () => {
  const folder = scratch();
  const options = { nobody: true, cwd: folder };
  const big = join(folder, 'large.bin');
  writeFileSync(big, Buffer.alloc(3 * GIB / 64, 'rockberry'));
  const profile = join(folder, 'grow.yaml');
  writeFileSync(profile, `name: grow\ndescription: more room\nsteps:\n  - grow_image: { size: 5GiB, free: auto }\n  - hostname: grown\n  - files: [{ path: /srv/large.bin, source: ${big} }]\n`);
  const packed = join(folder, 'grown.img.xz');
  expect(await rockberryJson(['build', SAMPLE, '-p', profile, '-o', packed], options)).toMatchObject({ imageBytes: 5 * GIB, output: packed });
  output('xz', ['-t', packed]);
  const raw = join(folder, 'grown.img');
  unpack(packed, raw);
  output('sfdisk', ['--verify', raw]);
  const [, , root] = sfdiskParts(raw) as [Part, Part, Part];
  expect(root.start + root.size).toBe(5 * GIB);
  expect(e2fsck(raw, root)).toMatchObject({ status: 0 });
  expect(output('dumpe2fs', ['-h', `${raw}?offset=${root.start}`]).toString()).toMatch(new RegExp(`Block count: +${Math.floor(root.size / 4096)}\n`));
  expect(debugfsCat(raw, root, '/srv/large.bin').length).toBe(3 * GIB / 64);

  const small = join(folder, 'small.img');
  const shrunk = await rockberryJson<ShrinkResult>(['shrink', raw, '-o', small, '--slack', '100MiB'], options);
  expect(shrunk.after).toBeLessThan(1.2 * GIB);
  output('sfdisk', ['--verify', small]);
  const [, , left] = sfdiskParts(small) as [Part, Part, Part];
  expect(left.start + left.size).toBeLessThanOrEqual(shrunk.after);
  expect(e2fsck(small, left)).toMatchObject({ status: 0 });
  expect(debugfsCat(small, left, '/srv/large.bin').equals(debugfsCat(raw, root, '/srv/large.bin'))).toBe(true);
  expect(debugfsCat(small, left, '/etc/hostname').toString()).toBe('grown\n');
  expect(debugfsCat(small, left, '/etc/systemd/system/rockberry-grow-root.service').toString()).toContain('[Unit]');
  const diff = await rockberry(['diff', raw, small], options);
  expect(diff.stdout).toMatch(/grow-root/);
  expect(diff.stdout).not.toMatch(/^ {2}[MD] .*(?:large|hostname)/m);
});

it('what cannot grow or shrink is refused before anything is written', async () => {
  const folder = scratch();
  const profile = join(folder, 'grow.yaml');
  writeFileSync(profile, 'name: grow\ndescription: too much room\nsteps:\n  - grow_image: { size: 900000GiB }\n');
  const grown = await rockberry(['build', SAMPLE, '-p', profile, '-o', join(folder, 'grown.img')], { nobody: true });
  expect([grown.status, grown.stderr]).toEqual([3, expect.stringContaining('an MBR knows 2 TiB')]);
  writeFileSync(join(folder, 'fleet.yaml'), `fleet: f\nimage: ${SAMPLE}\nprofiles: [${profile}]\nnodes: [{ name: node1 }]\n`);
  expect(run('ls', [folder]).output).toBe('fleet.yaml\ngrow.yaml');
});
