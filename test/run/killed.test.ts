/** rockberry is killed with SIGKILL while a command runs, or while everything is being made for it: nothing is left of it. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync, readlinkSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { output } from '../support/oracle.js';
import { bundled } from './bundle.js';
import { emulated, everything, folder, makeRoot, rooted } from './roots.js';

const SCRIPT = 'echo running\nsetsid sh -c \'trap "" TERM HUP INT; while :; do sleep 1; done\' &\ntrap "" TERM HUP INT\nwhile :; do sleep 1; done\n';

function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Trace {
  readonly processes: string[];
  readonly mounts: string[];
  readonly namespaces: string[];
}

const KINDS = ['mnt', 'pid', 'pid_for_children', 'user', 'uts', 'ipc', 'net'];

/** Processes that have the mark in their environment, their namespaces, and mounts in whichever namespace on a path with it. A namespace lasts as long as a process in it. */
function traces(mark: string, own: string): Trace {
  const found: Trace = { processes: [], mounts: [], namespaces: [] };
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const read = (name: string): string => {
      try {
        return readFileSync(`/proc/${pid}/${name}`, 'latin1');
      } catch {
        return ''; // it is gone
      }
    };
    if (pid !== own && read('environ').includes(mark)) {
      found.processes.push(`${pid} ${read('cmdline').replaceAll('\0', ' ').slice(0, 200)}`);
      found.namespaces.push(...KINDS.map((kind) => linkOf(`/proc/${pid}/ns/${kind}`)).filter((link, at) => link !== '' && link !== linkOf(`/proc/self/ns/${KINDS[at]}`)));
    }
    if (read('mountinfo').includes(mark)) found.mounts.push(pid);
  }
  return found;
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

async function gone(mark: string): Promise<Trace> {
  for (let tries = 0; tries < 100; tries++) {
    const { processes, mounts } = traces(mark, '');
    if (processes.length + mounts.length === 0) break;
    await sleep(50);
  }
  return traces(mark, '');
}

/** Kills the caller `delay` milliseconds after its start; a negative one: so long after the command has said that it runs. */
async function killAfter(root: string, delay: number, mark: string): Promise<Trace> {
  const caller = spawn(process.execPath, [await bundled(), JSON.stringify({ root, script: SCRIPT, network: 'host', binds: [{ from: folder(), to: '/var/new/place', readOnly: false }] })], {
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
      seen.push(await killAfter(root, round % 4 === 3 ? -Math.ceil(next() * 300) : Math.floor(next() * 1500), dirname(root).slice(dirname(dirname(root)).length + 1)));
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
