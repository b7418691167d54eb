/**
 * npm run bench:flash, as root: issue 6's figures in one run. One base with 1.2 GiB of programs, as .img.xz, onto a loop device: `rockberry flash` (with and without
 * reading back) against `bmaptool copy` and `xz -dc | dd oflag=direct`; bytes that reach the device, by the kernel's own count; without a rate limit, and with one
 * as a card has (blkio throttle, where the kernel has cgroup v1's). ROCKBERRY_BENCH_RUNS (5), ROCKBERRY_BENCH_MIB, ROCKBERRY_BENCH_DIR, ROCKBERRY_BENCH_RATE (MB/s;
 * 0: none); the table is also written as flash.json.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { bases, FULL_MIB } from './base.mjs';
import { compare } from './measure.mjs';

const RUNS = Number(process.env.ROCKBERRY_BENCH_RUNS ?? 5);
const MIB = Number(process.env.ROCKBERRY_BENCH_MIB ?? FULL_MIB);
const RATE = Number(process.env.ROCKBERRY_BENCH_RATE ?? 30);
const ROOT = join(import.meta.dirname, '..');
const WORK = resolve(process.env.ROCKBERRY_BENCH_DIR ?? join(ROOT, '.cache/bench'));
const RUN = join(WORK, 'flash');
const PROGRAM = join(ROOT, 'dist/main.js');
const THROTTLE = '/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device';
process.env.PATH += ':/usr/sbin:/sbin';

const say = (text) => process.stderr.write(`${new Date().toTimeString().slice(0, 8)} ${text}\n`);
const run = (command, ...args) => execFileSync(command, args, { stdio: ['ignore', 'pipe', 'inherit'] }).toString().trim();
const sectors = () => Number(readFileSync(`/sys/block/${basename(device)}/stat`, 'utf8').trim().split(/\s+/)[6]);

/** An empty card in the same device: as after buying it. */
function fresh() {
  run('blkdiscard', '--force', device);
  run('sync');
}

/** Wall seconds and bytes written of each, medians in turn; what a writer leaves in the page cache counts until it is on the device. */
async function race(writers, runs) {
  const written = writers.map(() => 0);
  let current = -1;
  let before = 0;
  const settle = () => {
    if (current >= 0) written[current] = (sectors() - before) * 512;
  };
  const measured = await compare(runs, writers.map(({ command, args }, at) => ({
    command, args, options: { env: { ...process.env, XDG_CACHE_HOME: join(RUN, 'cache') }, stdio: 'ignore' },
    before() {
      settle();
      fresh();
      current = at;
      before = sectors();
    },
  })));
  settle();
  return measured.map((one, at) => ({ name: writers[at].name, ...one, written: written[at] }));
}

function writersOf(image) {
  const ours = (...more) => ({ command: process.execPath, args: [PROGRAM, 'flash', image, device, '--allow-fixed', '--yes', ...more] });
  return [
    { name: 'rockberry flash', ...ours() }, { name: 'rockberry flash --no-verify', ...ours('--no-verify') },
    { name: 'bmaptool copy', command: 'bmaptool', args: ['copy', image, device] },
    { name: 'xz -dc | dd oflag=direct', command: 'sh', args: ['-c', 'xz -dc "$1" | dd of="$2" bs=4M iflag=fullblock oflag=direct status=none', 'sh', image, device] },
  ];
}

mkdirSync(RUN, { recursive: true });
const { base4, base24 } = bases(WORK, { mib: MIB, say });
const file = join(RUN, 'card');
writeFileSync(file, '');
truncateSync(file, 8e9);
const device = run('losetup', '--find', '--show', file);
const rows = [];
try {
  const number = readFileSync(`/sys/block/${basename(device)}/dev`, 'utf8').trim();
  for (const [name, base] of [['4 MiB blocks', base4], ['24 MiB blocks', base24]]) {
    // The block map of the image as it is, made by our own build of nothing: bmaptool's own `create` needs a sparse raw file.
    const image = join(RUN, 'image.img.xz'); // as people get it: with the block map beside it, which bmaptool finds by itself
    execFileSync(process.execPath, [PROGRAM, 'build', base, '-p', 'cgroups', '-o', image, '--force'], { stdio: 'ignore', env: { ...process.env, XDG_CACHE_HOME: join(RUN, 'cache') } });
    for (const limit of RATE > 0 && existsSync(THROTTLE) ? [0, RATE * 1e6] : [0]) {
      say(`${name}, ${limit === 0 ? 'no limit' : `${limit / 1e6} MB/s`}`);
      writeFileSync(THROTTLE, `${number} ${limit}`);
      rows.push(...(await race(writersOf(image), limit === 0 ? RUNS : 1)).map((row) => ({ base: name, limit, ...row })));
      writeFileSync(THROTTLE, `${number} 0`);
    }
  }
} finally {
  run('losetup', '--detach', device);
}
for (const { base, limit, name, seconds, written, memory } of rows) {
  const peer = rows.find((row) => row.base === base && row.limit === limit && row.name === 'bmaptool copy');
  const dd = rows.find((row) => row.base === base && row.limit === limit && row.name.startsWith('xz'));
  process.stdout.write(`${base}, ${limit === 0 ? 'no limit' : `${limit / 1e6} MB/s`}: ${name.padEnd(28)} ${seconds.toFixed(1)} s, ${(seconds / peer.seconds).toFixed(2)} x bmaptool, ${(seconds / dd.seconds).toFixed(2)} x dd; `
    + `${(written / 1e6).toFixed(1)} MB written (${(written / peer.written).toFixed(3)}); ${(memory / 1e6).toFixed(0)} MB of memory\n`);
}
process.stdout.write(`base ${(statSync(base4).size / 1e6).toFixed(0)} MB with 4 MiB blocks, ${(statSync(base24).size / 1e6).toFixed(0)} MB with 24 MiB blocks\n`);
writeFileSync(join(WORK, 'flash.json'), `${JSON.stringify(rows, null, 2)}\n`);
rmSync(RUN, { recursive: true });
