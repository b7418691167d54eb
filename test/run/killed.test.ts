/** rockberry is killed with SIGKILL while a command runs, or while everything is being made for it: nothing is left of it. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { output } from '../support/oracle.js';
import { bundled } from './bundle.js';
import { emulated, everything, folder, makeRoot, rooted } from './roots.js';
import { traces, type Trace } from './traces.js';

/** With one in two, the command first kills what it can: all but the shell itself and process 1, so that only the parent-death signal is left. */
const KILLS = 'kill -9 -1\n';
const SCRIPT = 'echo running\nsetsid sh -c \'trap "" TERM HUP INT; while :; do sleep 1; done\' &\ntrap "" TERM HUP INT\nwhile :; do sleep 1; done\n';

function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

async function gone(mark: string): Promise<Trace> {
  for (let tries = 0; tries < 100; tries++) {
    const { processes, mounts } = traces(mark);
    if (processes.length + mounts.length === 0) break;
    await sleep(50);
  }
  return traces(mark);
}

/** Kills the caller `delay` milliseconds after its start; a negative one: so long after the command has said that it runs. */
async function killAfter(root: string, script: string, delay: number): Promise<Trace> {
  const mark = basename(dirname(root));
  const caller = spawn(process.execPath, [await bundled(), JSON.stringify({ root, script, network: 'host', binds: [{ from: folder(), to: '/var/new/place', readOnly: false }] })], {
    env: { ...process.env, PATH: `${process.env.PATH}:/${mark}` }, stdio: ['ignore', 'pipe', 'inherit'], // what the host's programs get of the environment is PATH
  });
  if (delay < 0) await once(caller.stdout, 'data');
  await sleep(Math.abs(delay));
  const before = traces(mark, String(caller.pid));
  caller.kill('SIGKILL');
  await once(caller, 'exit');
  expect(await gone(mark)).toEqual({ processes: [], mounts: [], namespaces: [] });
  return before;
}

for (const machine of ['own', 'aarch64'] as const) {
  (machine === 'own' ? rooted : emulated())(`killed at random moments, programs for ${machine}`, async () => {
    const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
    process.stderr.write(`killed.test.ts: SEED=${seed}\n`);
    const next = random(seed);
    const root = makeRoot(machine, ['sys']); // with placeholders: /sys, /var/new/place, and what /etc/resolv.conf leads to
    symlinkSync('/var/else/resolv.conf', join(root, 'etc/resolv.conf'));
    const before = everything(root);
    const seen: Trace[] = [];
    for (let round = 0; round < 12; round++) {
      seen.push(await killAfter(root, round % 2 === 0 ? SCRIPT : KILLS + SCRIPT, round % 4 > 1 ? -Math.ceil(next() * 300) : Math.floor(next() * 1500)));
      expect(everything(root)).toEqual(before); // those that take placeholders away had the mark, too
    }
    expect(seen.some(({ processes, namespaces, mounts }) => processes.length >= 5 && namespaces.length >= 5 && mounts.length > 0)).toBe(true); // there was something to leave
  }, 300_000);
}

rooted('killed with the root on a loop device: the device is free again', async () => {
  const [root, place] = [makeRoot(), folder()];
  const image = join(place, 'root.img');
  output('mke2fs', ['-q', '-t', 'ext4', '-d', root, image, '64M']);
  const loops = (): string => output('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE']).toString().split('\n').filter((line) => line.includes(image)).join('\n');
  const start = 'mount -o loop "$1" "$2" && exec "$3" "$4" "$5"';
  for (const delay of [100, 600, -50]) {
    const caller = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', start, 'sh', image, place, process.execPath, await bundled(), JSON.stringify({ root: place, script: SCRIPT })], { stdio: ['ignore', 'pipe', 'inherit'] });
    if (delay < 0) await once(caller.stdout, 'data');
    await sleep(Math.abs(delay));
    if (delay < 0) expect(loops()).not.toBe('');
    caller.kill('SIGKILL');
    await once(caller, 'exit');
    for (let tries = 0; tries < 100 && loops() !== ''; tries++) await sleep(50);
    expect(loops()).toBe('');
    expect(spawnSync('e2fsck', ['-fp', image]).status).toBeLessThan(2);
  }
}, 120_000);
