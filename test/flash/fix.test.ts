/** `rockberry fix` as people run it: the judges are cmp, e2fsck, fsck.vfat and mtools. */
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, expect } from 'vitest';
import { PROGRAM, rockberry, scratch, type Outcome } from '../support/cli.js';
import { e2fsck, mtype, sfdiskParts, type Part } from '../support/disk.js';
import { withLoop } from '../support/loops.js';
import { needs, output, run } from '../support/oracle.js';
import { smallImage, smallPrograms } from '../support/small.js';

const folder = scratch();
const state = join(folder, 'state');
const oracles = needs(...smallPrograms, 'e2fsck', 'mtype', 'cmp', 'cp');
let raw: string;
let parts: Part[];
let next = 0;

beforeAll(() => {
  raw = smallImage(folder);
  parts = sfdiskParts(raw);
});

function copied(): string {
  const path = join(folder, `card${next++}`);
  output('cp', ['--sparse=always', raw, path]);
  return path;
}

const fix = (...args: string[]): Promise<Outcome> => rockberry(['fix', ...args], { env: { XDG_STATE_HOME: state } });
const isBase = (card: string): boolean => run('cmp', [card, raw]).status === 0;
const cmdline = (card: string): string => mtype(card, parts[0]!, '/cmdline.txt').toString();

const PARAMETERS = 'cgroup_enable=cpuset cgroup_memory=1 cgroup_enable=memory';

withLoop('a card: changed in place, sound, again nothing to do, and back to the last byte', async (loopOf) => {
  const card = copied();
  const device = loopOf(card);
  const SURE = ['--allow-fixed', '--yes'];
  expect(await fix(device, '-p', 'cgroups', '--dry-run', ...SURE)).toMatchObject({ status: 0, stdout: expect.stringContaining('would change') });
  expect(isBase(card)).toBe(true);
  expect(await fix(device, '-p', 'cgroups', ...SURE)).toMatchObject({ status: 0, stdout: expect.stringMatching(/changed {3}\/boot\/cmdline.txt\n.* changed and read back; to take it back: rockberry fix .* --undo/) });
  expect(cmdline(card)).toContain(PARAMETERS);
  expect(e2fsck(card, parts[1]!)).toMatchObject({ status: 0 });
  expect(await fix(device, '-p', 'cgroups', ...SURE)).toMatchObject({ status: 0, stdout: expect.stringContaining('nothing to change') });
  expect(await fix(device, '--undo', ...SURE)).toMatchObject({ status: 0 });
  expect(isBase(card)).toBe(true);
  expect(await fix(device, '--undo', ...SURE)).toMatchObject({ status: 4, stderr: expect.stringContaining('expected an undo record') });
  expect(await fix(device, '-p', 'cgroups', '--yes')).toMatchObject({ status: 4, stderr: expect.stringContaining('must not be written') });
});

oracles('what is refused: packed images, none, no profile, a card that was written to since', async () => {
  const packed = join(folder, 'packed.img.xz');
  run('sh', ['-c', 'xz -0 -c "$1" > "$2"', 'sh', raw, packed]);
  expect(await fix(packed, '-p', 'cgroups')).toMatchObject({ status: 3, stderr: expect.stringMatching(/expected a card or a raw image to change in place, found xz.*\n {2}hint: make a new image of it: rockberry build/) });
  expect(await fix(join(folder, 'none'), '-p', 'cgroups')).toMatchObject({ status: 5 });
  expect(await fix(raw)).toMatchObject({ status: 2 });
  const card = copied();
  expect(await fix(card, '-p', 'cgroups')).toMatchObject({ status: 0 });
  writeFileSync(join(folder, 'cmdline.txt'), 'something else\n');
  output('mcopy', ['-o', '-i', `${card}@@${parts[0]!.start}`, join(folder, 'cmdline.txt'), '::']);
  expect(await fix(card, '--undo')).toMatchObject({ status: 4, stderr: expect.stringContaining('was written to since it was fixed') });
  expect(cmdline(card)).toBe('something else\n');
});

oracles('an earlier fix that was interrupted: a dry run writes nothing; on another card in the same place nothing is put back, not even with --yes', async () => {
  rmSync(join(state, 'rockberry'), { recursive: true, force: true });
  const card = copied();
  expect(await fix(card, '-p', 'cgroups')).toMatchObject({ status: 0 });
  const [name] = readdirSync(join(state, 'rockberry', 'undo'));
  const record = join(state, 'rockberry', 'undo', name!);
  writeFileSync(record, readFileSync(record, 'latin1').replace('"state":"done"', '"state":"applying"'), 'latin1');
  expect(await fix(card, '-p', 'cgroups', '--dry-run')).toMatchObject({ status: 4, stderr: expect.stringContaining('a dry run writes nothing') });
  expect(cmdline(card)).toContain(PARAMETERS);
  writeFileSync(join(folder, 'cmdline.txt'), 'another card\n');
  output('mcopy', ['-o', '-i', `${card}@@${parts[0]!.start}`, join(folder, 'cmdline.txt'), '::']);
  expect(await fix(card, '-p', 'cgroups', '--yes')).toMatchObject({ status: 4, stderr: expect.stringContaining('was written to since') });
  expect(cmdline(card)).toBe('another card\n');
  rmSync(join(state, 'rockberry'), { recursive: true });
});

oracles('kill -9 at 20 random points: the next run finishes, or takes back, and nothing is half', async () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  process.stderr.write(`kill -9 of fix: SEED=${seed}\n`);
  mkdirSync(state, { recursive: true });
  let touched = 0;
  for (let round = 0; round < 20; round++) {
    const card = copied();
    const child = spawn(process.execPath, [PROGRAM, 'fix', card, '-p', 'node', '--set', 'hostname=a1'], { env: { ...process.env, XDG_STATE_HOME: state }, stdio: 'ignore' });
    const exit = once(child, 'exit');
    await Promise.race([setTimeout(round === 0 ? 60_000 : 300 + (((seed + round * 7919) * 48271) % 2147483647) % 1500), exit]);
    child.kill('SIGKILL');
    await exit;
    const records = readdirSync(join(state, 'rockberry'), { recursive: true }).filter((name) => String(name).endsWith('.undo'));
    if (records.length === 0) expect(isBase(card)).toBe(true);
    else touched++;
    if (round % 2 === 0 && !isBase(card)) {
      expect(await fix(card, '--undo')).toMatchObject({ status: 0 });
      expect(isBase(card)).toBe(true);
    } else {
      expect(await fix(card, '-p', 'cgroups')).toMatchObject({ status: 0 });
      expect(cmdline(card)).toContain(PARAMETERS);
      expect(e2fsck(card, parts[1]!)).toMatchObject({ status: 0 });
    }
    rmSync(join(state, 'rockberry'), { recursive: true, force: true });
    mkdirSync(join(state, 'rockberry'));
    rmSync(card);
  }
  expect(touched).toBeGreaterThan(0); // or the rounds were too short to show anything
});

oracles('the same as a build, to the byte', async () => {
  const [card, built] = [copied(), join(folder, 'built.img')];
  expect(await fix(card, '-p', 'cgroups')).toMatchObject({ status: 0 });
  expect(await rockberry(['build', raw, '-p', 'cgroups', '-o', built, '--image-only'])).toMatchObject({ status: 0 });
  expect(run('cmp', [card, built]).status).toBe(0);
});
