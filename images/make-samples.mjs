#!/usr/bin/env node
/**
 * Makes sample images with the real mke2fs, debugfs, e2fsck, mkfs.vfat, mtools, mkswap, sfdisk and matchpathcon: without root, loop devices or mounts.
 * Two runs give the same bytes.
 *
 *   node images/make-samples.mjs list
 *   node images/make-samples.mjs make NAME FILE.img      the raw image (sparse)
 *   node images/make-samples.mjs pack FILE.img FILE.xz   in blocks of 24 MiB, as `xz -T0` makes them
 */
import { closeSync, ftruncateSync, mkdtempSync, openSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FAMILIES } from './parts/families.mjs';
import { makeExt4, makeFat, makeSwap, makeTable, tool } from './parts/tools.mjs';

const policy = join(dirname(fileURLToPath(import.meta.url)), 'policy', 'file_contexts');

function make(name, file) {
  const family = FAMILIES[name]?.();
  if (!family) throw new Error(`expected one of ${Object.keys(FAMILIES).join(', ')}, found ${JSON.stringify(name)}`);
  const scratch = mkdtempSync(join(tmpdir(), 'rockberry-sample-'));
  const disk = `${file}.${process.pid}.tmp`;
  try {
    const handle = openSync(disk, 'w');
    ftruncateSync(handle, family.sectors * 512);
    closeSync(handle);
    makeTable(disk, family.table);
    if (family.fat) makeFat({ disk, scratch, ...family.fat });
    if (family.swap) makeSwap({ disk, scratch, ...family.swap });
    const { start, ...root } = family.root;
    makeExt4({ disk, scratch, offset: start * 512, fileContexts: family.labelled ? policy : undefined, ...root });
    renameSync(disk, file);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
    rmSync(disk, { force: true });
  }
}

function pack(file, packed) {
  tool('sh', ['-c', 'xz -6 -T2 --block-size=24MiB --stdout "$1" > "$2.tmp" && mv "$2.tmp" "$2"', 'sh', file, packed]);
}

const [verb, ...args] = process.argv.slice(2);
if (verb === 'list') process.stdout.write(`${Object.keys(FAMILIES).join('\n')}\n`);
else if (verb === 'make' && args.length === 2) make(args[0], args[1]);
else if (verb === 'pack' && args.length === 2) pack(args[0], args[1]);
else {
  process.stderr.write('usage: make-samples.mjs list | make NAME FILE.img | pack FILE.img FILE.xz\n');
  process.exitCode = 2;
}
