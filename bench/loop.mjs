/**
 * npm run bench:loop (root, Linux): one command of the image's own, run in it, against the way of pimod and sdm: a full copy of the decoded image, a loop device,
 * a mount, a chroot with qemu. Both make a raw image, and both an .img.xz, in one run: seconds, and what the disk held more at the worst moment.
 * ROCKBERRY_BENCH_RUNS (3), ROCKBERRY_BENCH_MIB, ROCKBERRY_BENCH_DIR, ROCKBERRY_BENCH_PACK=0 (leaves out their encoding, which takes minutes); the table is also written as loop.json.
 */
import { existsSync, mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { bases, FULL_MIB } from './base.mjs';
import { once } from './measure.mjs';

const RUNS = Number(process.env.ROCKBERRY_BENCH_RUNS ?? 3);
const ROOT = join(import.meta.dirname, '..');
const WORK = resolve(process.env.ROCKBERRY_BENCH_DIR ?? join(ROOT, '.cache/bench'));
const RUN = join(WORK, 'loop');
const PROGRAM = join(ROOT, 'dist/main.js');
const BUSYBOX = join(ROOT, '.cache/boot/kit/busybox');
const ROOT_AT = 1593344 * 512; // bytes: the legacy family's root partition

process.env.PATH += ':/usr/sbin:/sbin';
if (process.getuid() !== 0 || !existsSync(BUSYBOX)) throw new Error('expected root, and .cache/boot/kit/busybox as .ci/boot-kit makes it');

const say = (text) => process.stderr.write(`${new Date().toTimeString().slice(0, 8)} ${text}\n`);
const out = (name) => join(RUN, name);
const clean = () => {
  rmSync(RUN, { recursive: true, force: true });
  mkdirSync(RUN, { recursive: true });
  writeFileSync(out('run.yaml'), `name: bench\ndescription: runs a command\nsteps:
  - files: [{ path: /usr/bin/bash, source: ${BUSYBOX}, mode: "0755" }, { path: /usr/bin/busybox, source: ${BUSYBOX}, mode: "0755" }]
  - run: { commands: [[/usr/bin/busybox, sh, -c, "busybox uname -m > /etc/machine"]], network: none }\n`);
};

const base = bases(WORK, { mib: Number(process.env.ROCKBERRY_BENCH_MIB ?? FULL_MIB), one: false, say }).base4;
const ours = (name) => ({ command: process.execPath, args: [PROGRAM, 'build', base, '-p', out('run.yaml'), '-o', out(name), '--backend', 'loop'] });
const theirs = (pack) => ({
  command: 'unshare',
  args: ['--mount', '--propagation', 'private', 'sh', '-ec', `
    xz -dc -T0 "$1" > "$2/decoded.img"
    cp --sparse=always "$2/decoded.img" "$2/theirs.img"
    mkdir "$2/m"
    loop=$(losetup --find --show --offset "$3" "$2/theirs.img")
    mount "$loop" "$2/m"
    cp "$4" "$2/m/usr/bin/busybox"
    cp "$(command -v qemu-aarch64-static)" "$2/m/usr/bin/qemu"
    chroot "$2/m" /usr/bin/qemu /usr/bin/busybox sh -c 'uname -m > /etc/machine'
    rm "$2/m/usr/bin/qemu"
    umount "$2/m"
    losetup -d "$loop"
    sync "$2/theirs.img"
    ${pack ? 'xz -T0 -6 -c "$2/theirs.img" > "$2/theirs.img.xz"' : ''}`, 'sh', base, RUN, String(ROOT_AT), BUSYBOX],
});

/** Seconds, and the most that the filesystem held more than before, in bytes. */
async function measured({ command, args }) {
  clean();
  const used = () => { const { blocks, bfree, bsize } = statfsSync(RUN); return (blocks - bfree) * bsize; };
  const before = used();
  let most = 0;
  const timer = setInterval(() => { most = Math.max(most, used() - before); }, 50);
  const { seconds } = await once(command, args, { memory: false });
  clearInterval(timer);
  return { seconds, disk: most };
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const rows = [];
for (const [what, runs, contender] of [['rockberry, raw', RUNS, ours('ours.img')], ['copy, loop, chroot, raw', RUNS, theirs(false)], ['rockberry, .img.xz', RUNS, ours('ours.img.xz')], ...(process.env.ROCKBERRY_BENCH_PACK === '0' ? [] : [['copy, loop, chroot, xz -T0 -6', 1, theirs(true)]])]) {
  say(`${what}: ${runs} runs`);
  const seen = [];
  for (let run = 0; run < runs; run++) seen.push(await measured(contender));
  rows.push({ what, seconds: median(seen.map(({ seconds }) => seconds)), megabytesOfDisk: Math.round(Math.max(...seen.map(({ disk }) => disk)) / 1e6) });
}
rmSync(RUN, { recursive: true });
process.stdout.write(`${rows.map(({ what, seconds, megabytesOfDisk }) => `${what.padEnd(32)}${seconds.toFixed(1).padStart(8)} s${String(megabytesOfDisk).padStart(8)} MB of disk`).join('\n')}\n`);
writeFileSync(join(WORK, 'loop.json'), `${JSON.stringify(rows, null, 2)}\n`);
