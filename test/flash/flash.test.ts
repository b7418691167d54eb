/** `rockberry flash` as people run it, onto loop devices and files; the judges are bmaptool, e2fsck, fsck.vfat, sfdisk and cmp. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { openImageFile } from '../../src/image/image.js';
import { mappedRanges } from '../../src/image/mapped.js';
import type { CardReport, FlashReport } from '../../src/flash/flash.js';
import { PROGRAM, rockberry, ROOT, scratch, type Outcome } from '../support/cli.js';
import { sfdiskParts } from '../support/disk.js';
import { withLoop } from '../support/loops.js';
import { needs, output, run } from '../support/oracle.js';
import { smallImage, smallPrograms } from '../support/small.js';

const folder = scratch();
const cacheHome = join(folder, 'xdg');
const oracles = needs(...smallPrograms, 'bmaptool', 'e2fsck', 'fsck.vfat', 'cmp');
const CARD = 200 << 20; // bytes: somewhat larger than the image
const SURE = ['--allow-fixed', '--yes'];
let raw: string;
let mapped: readonly { readonly offset: number; readonly length: number }[];
let next = 0;

beforeAll(async () => {
  raw = smallImage(folder);
  const image = await openImageFile(raw);
  mapped = mappedRanges(image);
  image.close();
});

/** A file for a card, with something on it where the first and the last partition of the image begin. */
function cardFile(): string {
  const path = join(folder, `card${next++}`);
  wear(path);
  return path;
}

function wear(path: string): void {
  writeFileSync(path, Buffer.alloc(4 << 20, 0x55));
  truncateSync(path, CARD);
  const handle = openSync(path, 'r+');
  writeSync(handle, Buffer.alloc(4 << 20, 0x55), 0, 4 << 20, 40 << 20);
  closeSync(handle);
}

/** The first sector of a card; nothing was written when it is as it was. */
function start(card: string): Buffer {
  const [handle, sector] = [openSync(card, 'r'), Buffer.alloc(512)];
  readSync(handle, sector, 0, 512, 0);
  closeSync(handle);
  return sector;
}

const isUntouched = (card: string): boolean => start(card).every((byte) => byte === 0x55);

function flash(...args: string[]): Promise<Outcome> {
  return rockberry(['flash', ...args], { env: { XDG_CACHE_HOME: cacheHome } });
}

async function flashed(...args: string[]): Promise<CardReport> {
  const { status, stdout, stderr } = await flash(...args, '--json');
  expect({ status, stderr }).toMatchObject({ status: 0 });
  return (JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as FlashReport).cards[0]!;
}

/** Bytes of the card's mapped ranges that are not the image's. */
function unequal(card: string, image = raw): number {
  const [a, b] = [openSync(card, 'r'), openSync(image, 'r')];
  let count = 0;
  for (const { offset, length } of mapped) {
    const [left, right] = [Buffer.alloc(length), Buffer.alloc(length)];
    readSync(a, left, 0, length, offset);
    readSync(b, right, 0, length, offset);
    if (!left.equals(right)) count += left.reduce((sum, byte, at) => sum + (byte === right[at] ? 0 : 1), 0);
  }
  closeSync(a);
  closeSync(b);
  return count;
}

/** The filesystems on it are sound, by their own checkers. */
function isSound(card: string): void {
  expect(run('sfdisk', ['--verify', card]).output).not.toMatch(/overlap|invalid/i);
  for (const { start, size, type } of sfdiskParts(card)) {
    const part = join(folder, 'part');
    output('dd', [`if=${card}`, `of=${part}`, 'bs=1M', `skip=${start}`, `count=${size}`, 'iflag=skip_bytes,count_bytes', 'conv=sparse', 'status=none']);
    expect(type === '83' ? run('e2fsck', ['-fn', part]) : run('fsck.vfat', ['-n', part])).toMatchObject({ status: 0 });
    rmSync(part);
  }
}

describe('every format, onto a file and onto a block device', () => {
  const packers = { img: 'cat', 'img.xz': 'xz -c -0 --block-size=4MiB', 'img.gz': 'gzip -c -1', 'img.zst': 'zstd -q -c -1' };
  oracles.each(Object.entries(packers))('%s', async (ending, packer) => {
    const image = join(folder, `packed.${ending}`);
    run('sh', ['-c', `${packer} < "$1" > "$2"`, 'sh', raw, image]);
    const card = cardFile();
    const { written, verified, mappedBytes, isDirect } = await flashed(image, card, '--yes');
    expect([written, verified]).toEqual([mappedBytes, mappedBytes]);
    expect(isDirect).toBe(true);
    expect(unequal(card)).toBe(0);
    isSound(card);
  });

  withLoop('a block device gets exactly what bmaptool writes, and no byte more', async (loopOf) => {
    const [built, ours, theirs] = [join(folder, 'built.img.xz'), cardFile(), cardFile()];
    expect(await rockberry(['build', raw, '-p', 'cgroups', '-o', built], { env: { XDG_CACHE_HOME: cacheHome } })).toMatchObject({ status: 0 });
    const { written, mappedBytes } = await flashed(built, loopOf(ours), ...SURE);
    expect(run('bmaptool', ['copy', '--bmap', `${built}.bmap`, built, loopOf(theirs)])).toMatchObject({ status: 0 });
    const [, blocks] = /<MappedBlocksCount> (\d+)/.exec(readFileSync(`${built}.bmap`, 'utf8'))!;
    expect(written).toBe(mappedBytes);
    expect(written).toBeLessThanOrEqual(Number(blocks) * 4096);
    expect(unequal(ours, theirs)).toBe(0);
    isSound(ours);
  });
});

describe('customized while it is written', () => {
  oracles('with a profile: the bytes that a build makes', async () => {
    const [built, card] = [join(folder, 'p.img'), cardFile()];
    await rockberry(['build', raw, '-p', 'cgroups', '-o', built, '--image-only'], { env: { XDG_CACHE_HOME: cacheHome } });
    await flashed(raw, card, '-p', 'cgroups', '--yes');
    expect(unequal(card, built)).toBe(0);
    expect(unequal(card)).toBeGreaterThan(0);
    expect((await rockberry(['cat', card, '/boot/cmdline.txt'])).stdout).toContain('cgroup_memory=1');
  });

  oracles('what does not come out as asked never reaches the card', async () => {
    const card = cardFile();
    const { status, stderr } = await flash(raw, card, '-p', 'kubespray-node', '--set', 'authorized_keys=none', '--yes');
    expect(status).toBe(2);
    expect(stderr.split('\n').filter((line) => line.startsWith('rockberry: '))).toHaveLength(1);
    expect(isUntouched(card)).toBe(true);
  });

  oracles('nor an image that its installer would not accept: the findings say why, with exit status 1', async () => {
    const [card, profile] = [cardFile(), join(folder, 'demanding.yaml')];
    writeFileSync(profile, 'name: demanding\ndescription: asks for a node of Kubespray and does nothing for it\nreadiness: kubespray\nsteps: []\n');
    const { status, stdout } = await flash(raw, card, '-p', profile, '--yes');
    expect({ status, stdout }).toEqual({ status: 1, stdout: expect.stringMatching(/not written, because of these errors:\n {2}error: .* \[[a-z-]+\]/) });
    expect(isUntouched(card)).toBe(true);
  });

  oracles('nodes of a fleet: by patch, by name, and several at once', async () => {
    const inventory = join(folder, 'fleet.yaml');
    writeFileSync(inventory, `image: ${raw}\nprofiles: [node]\nnodes:\n  a1: {}\n  a2: {}\n`);
    const out = join(folder, 'fleet');
    expect(await rockberry(['fleet', 'build', inventory, '-o', out, '--as', 'patch'])).toMatchObject({ status: 0 });
    const [patched, named, one, two] = [cardFile(), cardFile(), cardFile(), cardFile()];
    expect(await flashed(raw, patched, '--patch', join(out, 'a1.patch'), '--yes')).toMatchObject({ node: 'a1' });
    expect(await flashed(named, '--fleet', inventory, '--node', 'a1', '--yes')).toMatchObject({ node: 'a1' });
    const { status, stdout } = await flash('--fleet', inventory, '--slot', `a1=${one}`, '--slot', `a2=${two}`, '--yes', '--json');
    expect(status).toBe(0);
    expect((JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as FlashReport).cards.map(({ node, device }) => [node, device])).toEqual([['a1', one], ['a2', two]]);
    for (const card of [patched, named, one]) expect((await rockberry(['cat', card, '/etc/hostname'])).stdout).toBe('a1\n');
    expect((await rockberry(['cat', two, '/etc/hostname'])).stdout).toBe('a2\n');
    expect(run('cmp', [patched, named]).status).toBe(0);
    expect(run('cmp', [named, one]).status).toBe(0);
    isSound(two);
    expect(await flash('--fleet', inventory, '--node', 'a3', one, '--yes')).toMatchObject({ status: 2, stderr: expect.stringContaining('expected the name of a node') });
    expect(await flash('--fleet', inventory, '--slot', `a1=${one}`, '--slot', `a2=${one}`, '--yes')).toMatchObject({ status: 2, stderr: expect.stringContaining('once, found') });
  });
});

describe('what is refused, before a byte is written', () => {
  const refused = async (sentence: string | RegExp, ...args: string[]): Promise<void> => {
    const { status, stderr } = await flash(...args);
    expect({ status, stderr }).toEqual({ status: 4, stderr: expect.stringMatching(sentence) });
    expect(stderr).not.toMatch(/^\s+at /m);
  };

  oracles('a file that holds something', async () => {
    const card = cardFile();
    await refused(/is a file that holds \d+ bytes already\n {2}hint: to write over it: --yes/, raw, card);
    expect(isUntouched(card)).toBe(true);
  });

  oracles('the image itself', () => refused(/is the image itself/, raw, raw, '--yes'));

  withLoop('a disk without --allow-fixed, one that is not named by what it is, one that is mounted, one that is too small', async (loopOf) => {
    const device = loopOf(cardFile());
    await refused(/must not be written/, raw, device, '--yes');
    await refused(/the next card in this reader has that name too/, raw, device, '--allow-fixed');
    const small = join(folder, 'small-card');
    writeFileSync(small, Buffer.alloc(64 << 20, 0x55));
    await refused(/expected a card of at least \d+ bytes for this image, found 67108864/, raw, loopOf(small), ...SURE);
    expect(readFileSync(small).every((byte) => byte === 0x55)).toBe(true);
    const [file, point] = [cardFile(), join(folder, 'mounted')];
    output('mke2fs', ['-q', '-t', 'ext4', '-F', file]);
    output('mkdir', ['-p', point]);
    const mounted = loopOf(file);
    output('mount', [mounted, point]);
    try {
      await refused(/mounted/, raw, mounted, ...SURE);
    } finally {
      run('umount', [point]);
    }
  });
});

withLoop('without the right to write to the disk: a sentence, and what to do', async (loopOf) => {
  const { status, stderr } = await rockberry(['flash', raw, loopOf(cardFile()), ...SURE], { nobody: true, env: { XDG_CACHE_HOME: join(folder, 'nobody') } });
  expect({ status, stderr }).toEqual({ status: 5, stderr: expect.stringMatching(/^rockberry: cannot open \/dev\/loop\d+: permission denied\n {2}hint: writing to a disk needs root: run it with sudo\n$/) });
});

describe('after an interruption', () => {
  withLoop('kill -9 at 30 random points: it goes on, and the card is the image', async (loopOf) => {
    const image = join(folder, 'kill.img.xz');
    run('sh', ['-c', 'xz -c -0 --block-size=4MiB < "$1" > "$2"', 'sh', raw, image]);
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
    process.stderr.write(`kill -9 of flash: SEED=${seed}\n`);
    const card = cardFile();
    const device = loopOf(card);
    let ended = 0;
    for (let round = 0; round < 30; round++) {
      const child = spawn(process.execPath, [PROGRAM, 'flash', image, device, ...SURE], { env: { ...process.env, XDG_CACHE_HOME: cacheHome }, stdio: 'ignore' });
      const exit = once(child, 'exit');
      const delay = 150 + (((seed + round * 7919) * 48271) % 2147483647) % 1500;
      await Promise.race([setTimeout(delay), exit]);
      child.kill('SIGKILL');
      const [status] = await exit as [number | null];
      const hasTable = start(card).subarray(510).toString('hex') === '55aa';
      if (hasTable) expect(unequal(card)).toBe(0); // the first MiB comes last: a card that boots is whole
      if (status === 0) {
        ended++;
        wear(card); // a card that is done is done: the next round begins with another
      }
    }
    expect(await flashed(image, device, ...SURE)).toMatchObject({ isWritten: true });
    expect(unequal(card)).toBe(0);
    isSound(card);
    process.stderr.write(`${ended} of 30 rounds came to their end\n`);
    expect(readdirSync(join(cacheHome, 'rockberry', 'flash'))).toEqual([]);
  });

  oracles('what was there is not written again', async () => {
    const card = cardFile();
    await flashed(raw, card, '--yes');
    const journals = join(cacheHome, 'rockberry', 'flash');
    expect(existsSync(journals) ? readdirSync(journals) : []).toEqual([]);
    const again = await flashed(raw, card, '--yes', '--read-first');
    expect(again).toMatchObject({ written: 0, skipped: again.mappedBytes, verified: again.mappedBytes });
  });

  oracles('--read-first on a card with an older image: only what differs', async () => {
    const card = cardFile();
    await flashed(raw, card, '--yes');
    const { written, verified, mappedBytes } = await flashed(raw, card, '-p', 'cgroups', '--yes', '--read-first');
    expect(written).toBeGreaterThan(0);
    expect(written).toBeLessThan(256 << 10);
    expect(verified).toBe(mappedBytes);
    expect((await rockberry(['cat', card, '/boot/cmdline.txt'])).stdout).toContain('cgroup_memory=1');
    isSound(card);
  });
});

/** The program, with a disk that lies: see support/lying-disk.c. */
async function lying(card: string, lies: Record<string, string>, ...args: string[]): Promise<Outcome> {
  const shim = join(folder, 'lying-disk.so');
  if (!existsSync(shim)) output('gcc', ['-shared', '-fPIC', '-O1', '-o', shim, join(ROOT, 'test/support/lying-disk.c'), '-ldl']);
  return rockberry(['flash', raw, card, ...args], { env: { XDG_CACHE_HOME: cacheHome, LD_PRELOAD: shim, LIE_PATH: card, ...lies } });
}

const withLies = needs(...smallPrograms, 'gcc', 'debugfs');

oracles('an image that is damaged in the middle: exit status 3, the block is named, and the card does not get its first MiB', async () => {
  const [image, card] = [join(folder, 'damaged.img.xz'), cardFile()];
  run('sh', ['-c', 'xz -c -0 --block-size=4MiB < "$1" > "$2"', 'sh', raw, image]);
  const bytes = readFileSync(image);
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(image, bytes);
  const { status, stdout } = await flash(image, card, '--yes');
  expect({ status, stdout }).toEqual({ status: 3, stdout: expect.stringMatching(/FAILED: .*damaged.img.xz: xz block at offset \d+/) });
  expect(start(card).every((byte) => byte === 0)).toBe(true);
});

describe('a card that does not keep what was written', () => {
  /** Bytes of the image where the file's content begins, by debugfs. */
  function contentOf(path: string): number {
    const { start } = sfdiskParts(raw)[1]!;
    const ask = (what: string): string => output('debugfs', ['-R', what, `${raw}?offset=${start}`]).toString();
    const [block] = ask(`blocks ${path}`).trim().split(' ');
    return start + Number(block) * Number(/^Block size: +(\d+)/m.exec(ask('stats'))![1]);
  }

  withLies('a flipped byte in a file is told by partition and file; the first MiB is not written', async () => {
    const card = cardFile();
    const { status, stdout } = await lying(card, { LIE_AT: String(contentOf('/usr/share/data7') + 12345) }, '--yes');
    expect({ status, stdout }).toMatchObject({ status: 5, stdout: expect.stringMatching(/FAILED: expected .* to read back as it was written, found 512 bytes that differ\n.*partition 2.*\/usr\/share\/data7/) });
    expect(start(card).every((byte) => byte === 0)).toBe(true);
  });

  withLies('a flipped byte anywhere in the mapped ranges is found', async () => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
    process.stderr.write(`flipped bytes: SEED=${seed}\n`);
    const total = mapped.reduce((sum, { length }) => sum + length, 0);
    for (let round = 0; round < 8; round++) {
      let at = round === 0 ? 0 : round === 1 ? total - 1 : ((seed + round * 7919) * 48271) % total;
      const range = mapped.find(({ length }) => (at -= length) < 0)!;
      const spoilt = range.offset + range.length + at;
      const { status, stdout } = await lying(cardFile(), { LIE_AT: String(spoilt) }, '--yes', '--json');
      const { cards } = JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as FlashReport;
      const places = cards[0]!.error!.places.map(({ range: { offset, length }, what }) => ({ isThere: offset <= spoilt && spoilt < offset + length, isNamed: what !== '' }));
      expect({ spoilt, status, places }).toEqual({ spoilt, status: 5, places: [{ isThere: true, isNamed: true }] });
    }
  });

  withLies('one that is pulled out: a sentence, exit status 5, and the same command goes on', async () => {
    const card = cardFile();
    for (const after of [0, 1, 3, 8]) {
      const { status, stdout } = await lying(card, { LIE_FAIL_AFTER: String(after) }, '--yes');
      expect({ status, stdout }).toMatchObject({ status: 5, stdout: expect.stringMatching(/FAILED: cannot write .*the device reports an input\/output error.*\n.*put it in again and run the same command/) });
    }
    expect(await flashed(raw, card, '--yes')).toMatchObject({ isWritten: true });
    expect(unequal(card)).toBe(0);
  });
});

test('--json: a line each second, then the result; without it, nothing on stdout but what was done', async () => {
  const card = join(folder, `card${next++}`);
  const { stdout } = await flash(raw, card, '--json');
  const lines = stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines.slice(0, -1).every((line) => typeof line.phase === 'string' && 'done' in line && 'total' in line && 'rate' in line && 'eta' in line)).toBe(true);
  expect(lines.at(-1)).toMatchObject({ cards: [{ isWritten: true }] });
  truncateSync(card, 0);
  const text = await flash(raw, card);
  expect(text.stdout).toMatch(/^.*: [\d.]+ MiB written, [\d.]+ MiB read back\n.*: 1 of 1 cards in [\d.]+ s\n$/);
});
