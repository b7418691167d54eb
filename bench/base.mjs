/**
 * The bases of bench/splice.mjs: the geometry, boot files and configuration of the Rocky image's sample, with real programs of this host in the root filesystem
 * and in place of the firmware's placeholders, so that blocks cost what blocks of a real image cost. Made once per recipe: the sources of this file and of
 * images/parts, the size, xz's version.
 */
import { createHash } from 'node:crypto';
import {
  closeSync, constants, copyFileSync, existsSync, ftruncateSync, mkdirSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync, writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { FAMILIES } from '../images/parts/families.mjs';
import { makeExt4, makeFat, makeSwap, makeTable, tool } from '../images/parts/tools.mjs';

const MIB = 2 ** 20;
const IMAGES = join(import.meta.dirname, '../images');
/** Of programs in the root filesystem: issue 3's "at least 1.2 GiB". */
export const FULL_MIB = 1229;

// What only a developer's machine has is left out.
const PROGRAMS = ['/usr/bin', '/usr/sbin', '/usr/libexec', '/usr/lib64', '/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib', '/usr/local'];
const DATA = ['/usr/share']; // a sixth more, in many small files
const NOT_DIRECTORIES = new Set(['__pycache__', '.cache', 'node_modules', 'include', 'debug', 'src', 'google-cloud-sdk', 'jvm', 'gcc']);
const NOT_FILES = /\.(a|o|la|pyc|pyo|debug)$/;

function* walk(directory, seen) {
  if (seen.has(directory)) return;
  seen.add(directory);
  const entries = readdirSync(directory, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) { if (!NOT_DIRECTORIES.has(entry.name)) yield* walk(path, seen); }
    else if (entry.isSymbolicLink()) yield { path, target: readlinkSync(path), size: 0 };
    else if (entry.isFile() && !NOT_FILES.test(entry.name)) yield { path, size: statSync(path).size };
  }
}

/** This host's files below `sources`, in a fixed order. */
function files(sources) {
  const seen = new Set();
  return sources.filter((source) => existsSync(source)).flatMap((source) => [...walk(source, seen)]);
}

/** Copies files below `stage` until they are `bytes`; one that this user may not read is left out. */
function fill(stage, all, bytes) {
  let copied = 0;
  for (const { path, target, size } of all) {
    if (copied >= bytes) return;
    const to = join(stage, path);
    mkdirSync(dirname(to), { recursive: true });
    try {
      if (target === undefined) copyFileSync(path, to, constants.COPYFILE_FICLONE);
      else symlinkSync(target, to);
      copied += size;
    } catch (error) {
      if (error.code !== 'EACCES') throw error;
    }
  }
  if (copied < bytes) throw new Error(`expected ${bytes / MIB} MiB of files below /usr, found ${Math.floor(copied / MIB)}: ROCKBERRY_BENCH_MIB makes a smaller base`);
}

/** Hands out bytes of programs, from the end of the list: other ones than those in the root filesystem. */
function supply(all) {
  const left = all.filter(({ target, size }) => target === undefined && size > 65536).reverse();
  let rest = Buffer.alloc(0);
  return (length) => {
    const parts = [];
    for (let found = 0; found < length;) {
      if (rest.length === 0) rest = readFileSync(left.shift().path);
      const part = rest.subarray(0, length - found);
      rest = rest.subarray(part.length);
      parts.push(part);
      found += part.length;
    }
    return Buffer.concat(parts);
  };
}

/** The firmware's files in about the sizes of the real ones (facts of the Rocky image), times `scale`: they are placeholders in the sample. */
function bootFiles(placeholders, all, scale) {
  const take = supply(all);
  const bytes = (mib) => take(Math.round(mib * scale * MIB));
  const sized = (name, content) => {
    if (name.endsWith('.elf')) return bytes(2.5);
    if (name.startsWith('kernel') && name.endsWith('.img')) return Buffer.concat([content, bytes(22)]);
    return name.startsWith('initramfs') ? gzipSync(bytes(80)) : content;
  };
  return Object.fromEntries(Object.entries(placeholders).map(([name, content]) => [name, sized(name, content)]));
}

function makeRaw(disk, mib, scratch) {
  const family = FAMILIES['rocky9-pi-sample']();
  const { start, ...root } = family.root;
  const all = files(PROGRAMS);
  const stage = join(scratch, 'stage');
  fill(join(stage, 'programs'), all, mib * MIB);
  fill(join(stage, 'programs'), files(DATA), (mib * MIB) / 6);
  const handle = openSync(disk, 'w');
  ftruncateSync(handle, family.sectors * 512);
  closeSync(handle);
  makeTable(disk, family.table);
  makeFat({ disk, scratch, ...family.fat, files: bootFiles(family.fat.files, all, Math.min(1, mib / FULL_MIB)) });
  makeSwap({ disk, scratch, ...family.swap });
  makeExt4({ disk, scratch, offset: start * 512, fileContexts: join(IMAGES, 'policy/file_contexts'), ...root, mkfs: ['-d', stage] });
}

function recipe(mib) {
  const parts = readdirSync(join(IMAGES, 'parts')).sort().map((name) => join(IMAGES, 'parts', name));
  const hash = createHash('sha256').update(`${mib}\n${tool('xz', ['--version'])}`);
  for (const path of [import.meta.filename, ...parts]) hash.update(readFileSync(path));
  return hash.digest('hex').slice(0, 12);
}

/** Everything that is made here appears under its name when it is whole. */
function shell(target, script, ...args) {
  tool('sh', ['-c', `${script} > "$0.tmp" && mv "$0.tmp" "$0"`, target, ...args]);
}

/**
 * The bases below `work`, made where they are missing: paths of the .img.xz with blocks of 24 MiB and 4 MiB, and with one block when `one` (slow: xz on one core).
 * `say` gets a sentence before each slow step.
 */
export function bases(work, { mib = FULL_MIB, one = false, say }) {
  const prefix = `base-${mib}-`;
  const name = `${prefix}${recipe(mib)}`;
  const directory = join(work, name);
  const [base24, base4, base1] = ['base24.img.xz', 'base4.img.xz', 'base1.img.xz'].map((file) => join(directory, file));
  for (const old of readdirSync(work)) if (old.startsWith(prefix) && old !== name) rmSync(join(work, old), { recursive: true });
  mkdirSync(directory, { recursive: true });
  if (!existsSync(base24)) {
    const scratch = join(directory, 'scratch'); // always this one, so that what a killed run left is found
    rmSync(scratch, { recursive: true, force: true });
    mkdirSync(scratch);
    try {
      const disk = join(scratch, 'base.img');
      say(`making a base with ${mib} MiB of programs`);
      makeRaw(disk, mib, scratch);
      say('encoding it: xz -T0 -6');
      shell(base24, 'xz -T0 -6 -c "$1"', disk);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }
  const again = (target, options) => {
    if (existsSync(target)) return;
    say(`encoding it: xz ${options}`);
    shell(target, `xz -dc -T0 "$1" | xz ${options}`, base24);
  };
  again(base4, '-T0 -6 --block-size=4MiB');
  if (one) again(base1, '-T1 -6');
  writeFileSync(join(directory, 'README'), `Made by bench/base.mjs: the sample's geometry with ${mib} MiB of this host's programs. May be removed.\n`);
  return { base24, base4, ...(one && { base1 }) };
}
