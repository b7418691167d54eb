/**
 * npm run bench:fleet: issue 5's figures in one run. 50 nodes of one base with 1.2 GiB of programs in blocks of 4 MiB, as images and as patches, against cp of the
 * compressed base: once, which ends in the page cache, and as many times as there are nodes, each flushed to the disk as ours are; and the memory that it takes,
 * which must not grow with the nodes. The base is bench/base.mjs's, kept in .cache/bench.
 * ROCKBERRY_BENCH_NODES (50), ROCKBERRY_BENCH_MIB, ROCKBERRY_BENCH_DIR; the table is also written as fleet.json.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { bases, FULL_MIB } from './base.mjs';
import { compare } from './measure.mjs';

const NODES = Number(process.env.ROCKBERRY_BENCH_NODES ?? 50);
const MIB = Number(process.env.ROCKBERRY_BENCH_MIB ?? FULL_MIB);
const ROOT = join(import.meta.dirname, '..');
const WORK = resolve(process.env.ROCKBERRY_BENCH_DIR ?? join(ROOT, '.cache/bench'));
const RUN = join(WORK, 'fleet');
const PROGRAM = join(ROOT, 'dist/main.js');
process.env.PATH += ':/usr/sbin:/sbin';

const say = (text) => process.stderr.write(`${new Date().toTimeString().slice(0, 8)} ${text}\n`);

function inventory(count) {
  const nodes = Array.from({ length: count }, (_, at) => `  node${at + 1}: { variables: { address: 192.0.2.${at + 11}/24 } }`);
  const path = join(RUN, `fleet${count}.yaml`);
  writeFileSync(path, `image: ${base}\nprofiles: [node]\nvariables:\n  user: rocky\n  ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2dVQXyqT0mC0h1xY4m1S1fD0b2M5o8c3VYpQh0xXyz bench"]
  gateway: 192.0.2.1\n  dns: [192.0.2.1]\nnodes:\n${nodes.join('\n')}\n`);
  return path;
}

/** A run of ours from an empty folder on a warm cache: seconds and bytes of memory. */
async function build(count, as) {
  const directory = join(RUN, `out-${as}-${count}`);
  const env = { ...process.env, XDG_CACHE_HOME: join(RUN, 'cache') };
  const args = [PROGRAM, 'fleet', 'build', inventory(count), '-o', directory, '--as', as, '--jobs', '2', '--keep-going', '--json'];
  const [measured] = await compare(1, [{ command: process.execPath, args, before: () => rmSync(directory, { recursive: true, force: true }), options: { env, stdio: 'ignore' } }]);
  const files = readdirSync(directory).filter((name) => name.startsWith('node') && !/\.(json|bmap|sha256)$/.test(name));
  if (files.length !== count) throw new Error(`expected ${count} files in ${directory}, found ${files.length}`);
  const largest = Math.max(...files.map((name) => statSync(join(directory, name)).size));
  if (as === 'image') for (const name of [files[0], files.at(-1)]) if (spawnSync('xz', ['-t', '-T0', join(directory, name)]).status !== 0) throw new Error(`xz -t: ${name}`);
  rmSync(directory, { recursive: true });
  return { ...measured, largest };
}

/** Seconds for each of as many flushed copies of the base as there are nodes. */
function flushedCopies() {
  const directory = join(RUN, 'copies');
  mkdirSync(directory);
  const start = process.hrtime.bigint();
  for (let at = 0; at < NODES; at++) {
    const path = join(directory, String(at));
    for (const [command, ...args] of [['cp', '--reflink=never', base, path], ['sync', path]]) if (spawnSync(command, args).status !== 0) throw new Error(`${command} failed`);
  }
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  rmSync(directory, { recursive: true });
  return seconds / NODES;
}

mkdirSync(WORK, { recursive: true });
const base = bases(WORK, { mib: MIB, say }).base4;
rmSync(RUN, { recursive: true, force: true });
mkdirSync(RUN, { recursive: true });
say('filling the cache');
await build(1, 'image');
const [copy] = await compare(5, [{ command: 'cp', args: ['--reflink=never', base, join(RUN, 'copy')], before: () => rmSync(join(RUN, 'copy'), { force: true }), options: {} }]);
rmSync(join(RUN, 'copy'));
say(`${NODES} copies, flushed`);
const flushed = flushedCopies();
const rows = [];
for (const as of ['image', 'patch']) {
  say(`as ${as}: 1 node and ${NODES}`);
  const [one, all] = [await build(1, as), await build(NODES, as)];
  const further = (all.seconds - one.seconds) / (NODES - 1);
  rows.push({ as, one: one.seconds, all: all.seconds, further, ofCopy: further / copy.seconds, ofFlushed: further / flushed, megabytes: all.memory / 1e6, megabytesOfOne: one.memory / 1e6, largest: all.largest });
}
for (const row of rows) {
  process.stdout.write(`${NODES} nodes as ${row.as}: ${row.all.toFixed(1)} s (one: ${row.one.toFixed(1)} s), ${row.further.toFixed(2)} s for each further one, ${row.ofFlushed.toFixed(2)} x each of ${NODES} flushed copies (${flushed.toFixed(2)} s), ${row.ofCopy.toFixed(2)} x one into the page cache (${copy.seconds.toFixed(2)} s); `
    + `largest file ${row.largest} bytes; ${row.megabytes.toFixed(0)} MB, one node ${row.megabytesOfOne.toFixed(0)} MB\n`);
}
writeFileSync(join(WORK, 'fleet.json'), `${JSON.stringify({ nodes: NODES, copy: copy.seconds, flushed, rows }, null, 2)}\n`);
rmSync(RUN, { recursive: true });
