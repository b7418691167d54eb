/** However a build by mounts ends, the machine has nothing of it afterwards, and the output is whole or absent. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { expect } from 'vitest';
import { PROGRAM, scratch } from '../support/cli.js';
import { output, run } from '../support/oracle.js';
import { smallImage } from '../support/small.js';
import { innerOf, leftovers, mounting, nothingLeft } from './support.js';

const seed = Number(process.env.ROCKBERRY_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** Mulberry32. */
function random(state: number): () => number {
  let at = state;
  return () => {
    at = (at + 0x6d2b79f5) | 0;
    let mixed = Math.imul(at ^ (at >>> 15), 1 | at);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Times are the kernel's own, so that no two builds have the same bytes: e2fsck and debugfs tell. */
function expectWhole(image: string): void {
  expect(statSync(image).size).toBe(160 * 2 ** 20);
  const root = `${image}?offset=${41 * 2 ** 20}`;
  const { status, output: said } = run('e2fsck', ['-fn', root]);
  expect(status, said).toBe(0);
  expect(output('debugfs', ['-R', 'cat /etc/hostname', root]).toString()).toBe('node1\n');
}

const start = (image: string, out: string, folder: string): ReturnType<typeof execa> => execa(process.execPath, [
  PROGRAM, 'build', image, '-p', 'node', '--set', 'hostname=node1', '--set', 'user=ops', '--backend', 'loop', '--image-only', '--no-cache', '-o', out,
], { env: { ROCKBERRY_MARK: folder }, reject: false, cleanup: true, stdio: 'ignore' });

/** The kernel takes mounts and loop devices away a moment after the last process is gone. */
async function settled(folder: string, outputs: readonly string[], inner: readonly (number | undefined)[]): Promise<ReturnType<typeof leftovers>> {
  for (let tries = 0; ; tries++) {
    const found = leftovers(folder, outputs, inner);
    if (tries === 100 || [found.loops, found.mounts, found.processes, found.namespaces].every((each) => each.length === 0)) return found;
    await sleep(50);
  }
}

mounting('e2fsck', 'debugfs')(`kill -9 at 30 random points leaves no loop device, mount, process or namespace (seed ${seed})`, async () => {
  const folder = scratch();
  const image = smallImage(folder);
  const keep = readdirSync(folder);
  const out = join(folder, 'out.img');
  const began = performance.now();
  await start(image, out, folder);
  const whole = performance.now() - began;
  expectWhole(out);
  const next = random(seed);
  let unfinished = 0;
  for (let round = 0; round < 30; round++) {
    rmSync(out, { force: true });
    const child = start(image, out, folder);
    const inner = innerOf(child.pid);
    await sleep(next() * whole);
    child.kill('SIGKILL');
    await child;
    if (existsSync(out)) expectWhole(out);
    else unfinished++;
    // What was being written under a name of its own goes with the next build; nothing else may be there.
    const { files, ...machine } = await settled(folder, [...keep, 'out.img'], [await inner]);
    expect(machine).toEqual({ loops: [], mounts: [], processes: [], namespaces: [] });
    expect(files.filter((name) => !/^\.(?:out\.img\.rockberry-\d+\.part|rockberry-\d+-\d+\.work)$/.test(name))).toEqual([]);
  }
  expect(unfinished).toBeGreaterThan(5);
  rmSync(out, { force: true });
  const last = start(image, out, folder);
  const inner = await innerOf(last.pid);
  await last;
  expectWhole(out);
  expect(await settled(folder, [...keep, 'out.img'], [inner])).toEqual(nothingLeft);
}, 600_000);

mounting()('a work file that was left is taken away by the next build: its process is gone, or has been another one for long', async () => {
  const folder = scratch();
  const image = smallImage(folder);
  const keep = readdirSync(folder);
  const dead = spawnSync('true').pid;
  const names = [`.rockberry-${dead}-1.work`, `.rockberry-${process.pid}-1.work`, `.rockberry-${process.pid}-2.work`];
  for (const name of names) writeFileSync(join(folder, name), '');
  utimesSync(join(folder, names[1]!), 1e9, 1e9);
  expect((await start(image, join(folder, 'out.img'), folder)).exitCode).toBe(0);
  expect(readdirSync(folder).sort()).toEqual([...keep, 'out.img', names[2]!].sort());
});

mounting('e2fsck', 'debugfs')('50 builds in parallel leave none, and all give a whole image', async () => {
  const folder = scratch();
  const image = smallImage(folder);
  const keep = readdirSync(folder);
  const names = Array.from({ length: 50 }, (_, at) => `out${at}.img`);
  const children = names.map((name) => start(image, join(folder, name), folder));
  const inner = await Promise.all(children.map(({ pid }) => innerOf(pid)));
  const results = await Promise.all(children);
  expect(results.map(({ exitCode }) => exitCode)).toEqual(names.map(() => 0));
  for (const name of names) expectWhole(join(folder, name));
  expect(await settled(folder, [...keep, ...names], inner)).toEqual(nothingLeft);
}, 600_000);

mounting()('SIGTERM and SIGINT end it as they would any program, and take away what was begun', async () => {
  const folder = scratch();
  const image = smallImage(folder);
  const keep = readdirSync(folder);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const child = start(image, join(folder, 'out.img'), folder);
    const inner = innerOf(child.pid);
    await sleep(500);
    child.kill(signal);
    const { signal: ended, exitCode } = await child;
    expect(ended ?? exitCode).toBe(signal);
    expect(await settled(folder, keep, [await inner])).toEqual(nothingLeft);
  }
});
