import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, linkSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openFileDevice, type FileDevice, type FilePart } from '../../src/device/file.js';
import { checkOutput, stageOutput } from '../../src/output/atomic.js';

const NOBODY = 65534;
const root = mkdtempSync(join(tmpdir(), 'rockberry-atomic-'));
chmodSync(root, 0o755);
afterAll(() => rmSync(root, { recursive: true, force: true }));
let directory: string;
let out: string;
let count = 0;
beforeEach(() => {
  directory = join(root, String(count++));
  mkdirSync(directory);
  out = join(directory, 'out.img');
});

const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');
async function* pieces(...parts: Uint8Array[]): AsyncIterable<Uint8Array> {
  yield* parts;
}
async function* thenFails(part: Uint8Array): AsyncIterable<Uint8Array> {
  yield part;
  throw new Error('the device broke');
}
const asRoot = process.getuid?.() === 0;

describe('staged output', () => {
  test('appears when it is committed, and not before', async () => {
    const staged = await stageOutput(out, pieces(Buffer.from('hello, '), Buffer.from('image')));
    expect(readdirSync(directory)).toEqual([`.out.img.rockberry-${process.pid}.part`]);
    expect(staged).toMatchObject({ bytes: 12, sha256: sha256(Buffer.from('hello, image')), path: join(directory, `.out.img.rockberry-${process.pid}.part`) });
    staged.commit();
    expect(readdirSync(directory)).toEqual(['out.img']);
    expect(readFileSync(out, 'utf8')).toBe('hello, image');
    staged.discard();
    expect(readdirSync(directory)).toEqual(['out.img']);
  });

  test('leaves nothing when it is discarded, or when its source fails', async () => {
    (await stageOutput(out, pieces(Buffer.from('x')))).discard();
    expect(readdirSync(directory)).toEqual([]);
    await expect(stageOutput(out, thenFails(Buffer.from('x')))).rejects.toThrow('the device broke');
    expect(readdirSync(directory)).toEqual([]);
  });

  test('sparse: holes for zeros, and the same bytes and hash', async () => {
    const data = Buffer.concat([Buffer.alloc(100), Buffer.from('a'), Buffer.alloc(5_000_000), Buffer.alloc(5000, 7), Buffer.alloc(3_000_001)]);
    const cut = [1, 4096, 70_000, 4_000_000, 5_002_000];
    const parts = [0, ...cut].map((from, index) => data.subarray(from, cut[index] ?? data.length));
    const staged = await stageOutput(out, pieces(...parts), { sparse: true });
    staged.commit();
    expect(staged).toMatchObject({ bytes: data.length, sha256: sha256(data) });
    expect(Buffer.compare(readFileSync(out), data)).toBe(0);
    expect(statSync(out).blocks * 512).toBeLessThan(100_000);
  });

  test('an existing file is replaced with force only, also when it appears late', async () => {
    writeFileSync(out, 'old');
    await expect(stageOutput(out, pieces())).rejects.toMatchObject({ code: 'refused', message: `${out} exists already`, hint: 'use --force to replace it' });
    const staged = await stageOutput(out, pieces(Buffer.from('new')), { force: true });
    expect(readFileSync(out, 'utf8')).toBe('old');
    staged.commit();
    expect(readFileSync(out, 'utf8')).toBe('new');
    rmSync(out);
    const late = await stageOutput(out, pieces(Buffer.from('late')));
    writeFileSync(out, 'somebody else');
    expect(() => late.commit()).toThrow(/has come into being meanwhile/);
    late.discard();
    expect(readFileSync(out, 'utf8')).toBe('somebody else');
    expect(readdirSync(directory)).toEqual(['out.img']);
  });

  test('what dead processes left for the same name is removed, what living ones write is not', async () => {
    const dead = spawn('true').pid!;
    await new Promise((resolve) => setTimeout(resolve, 100));
    const other = spawn('sleep', ['60']);
    for (const name of [`.out.img.rockberry-${dead}.part`, `.out.img.rockberry-${process.pid}.part`, `.out.img.rockberry-${other.pid}.part`, `.other.img.rockberry-${dead}.part`]) {
      writeFileSync(join(directory, name), 'left');
    }
    (await stageOutput(out, pieces(Buffer.from('x')))).commit();
    expect(readdirSync(directory).sort()).toEqual([`.other.img.rockberry-${dead}.part`, `.out.img.rockberry-${other.pid}.part`, 'out.img'].sort());
    other.kill();
  });

  test('the same name twice at once is refused', async () => {
    const first = await stageOutput(out, pieces(Buffer.from('x')));
    await expect(stageOutput(out, pieces(Buffer.from('y')))).rejects.toMatchObject({ code: 'refused' });
    first.discard();
  });
});

describe('parts of another file', () => {
  const data = Buffer.from(Array.from({ length: 3_000_001 }, (_, at) => (at * 7919) % 251));
  const parts = async function* (source: FileDevice, ...list: (Uint8Array | readonly [number, number])[]): AsyncIterable<Uint8Array | FilePart> {
    for (const part of list) yield part instanceof Uint8Array ? part : { file: source, offset: part[0], length: part[1] };
  };
  const sourceFile = (): string => {
    const path = join(directory, 'source');
    writeFileSync(path, data);
    return path;
  };

  test('stand between bytes in the order in which they came', async () => {
    const source = openFileDevice(sourceFile());
    const staged = await stageOutput(out, parts(source, Buffer.from('head'), [1000, 2_000_000], Buffer.alloc(900_000, 3), [0, 1], [3_000_000, 1], [5, 0], Buffer.from('end'), [17, 300_000]));
    source.close();
    const wanted = Buffer.concat([Buffer.from('head'), data.subarray(1000, 2_001_000), Buffer.alloc(900_000, 3), data.subarray(0, 1), data.subarray(3_000_000), Buffer.from('end'), data.subarray(17, 300_017)]);
    expect(staged).toMatchObject({ bytes: wanted.length, sha256: sha256(wanted) });
    staged.commit();
    expect(Buffer.compare(readFileSync(out), wanted)).toBe(0);
  });

  test('of a file that has become shorter: an error that names it, and nothing is left', async () => {
    const path = sourceFile();
    const source = openFileDevice(path);
    truncateSync(path, 1_500_000);
    await expect(stageOutput(out, parts(source, [0, 3_000_000], Buffer.from('end')))).rejects.toMatchObject({ code: 'io', message: `cannot read ${path}: it has become shorter` });
    source.close();
    expect(readdirSync(directory)).toEqual(['source']);
  });
});

describe('outputs that cannot be', () => {
  test('are refused before any work', () => {
    const input = join(directory, 'base.img');
    writeFileSync(input, 'base');
    linkSync(input, join(directory, 'same.img'));
    symlinkSync('nowhere', join(directory, 'dangling.img'));
    expect(() => checkOutput(directory)).toThrow(/expected a file name for the output, found a directory/);
    expect(() => checkOutput('/dev/null', true)).toThrow(/found a device: \/dev\/null/);
    expect(() => checkOutput(join(directory, 'no/out.img'))).toThrow(/the directory .*\/no does not exist/);
    expect(() => checkOutput(join(input, 'out.img'))).toThrow(/base\.img is not a directory/);
    expect(() => checkOutput(input)).toThrow(/exists already/);
    expect(() => checkOutput(join(directory, 'dangling.img'))).toThrow(/exists already/);
    expect(() => checkOutput(input, true, [input])).toThrow(/is the input/);
    expect(() => checkOutput(join(directory, 'same.img'), true, [input])).toThrow(/is the input/);
    checkOutput(out);
    checkOutput(input, true);
  });

  test('a directory that is not writable', () => {
    chmodSync(directory, 0o555);
    const script = `import { checkOutput } from ${JSON.stringify(atomic)}; checkOutput(${JSON.stringify(out)});`;
    const ran = spawnSync(process.execPath, ['--input-type=module', '-e', script], asRoot ? { uid: NOBODY, gid: NOBODY } : {}); // root may write everywhere
    expect(ran.stderr.toString()).toMatch(/cannot write to the directory .*: permission denied/);
    chmodSync(directory, 0o755);
  });
});

describe('a full disk', () => {
  const tiny = join(root, 'tiny');
  const mounted = asRoot && ((): boolean => {
    mkdirSync(tiny);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', tiny], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  })();
  if (!mounted) process.stderr.write('skipped: a full disk needs root, to mount a small tmpfs\n');
  afterAll(() => {
    if (mounted) execFileSync('umount', [tiny]);
  });

  test.skipIf(!mounted)('is no-space, says where, and leaves nothing', async () => {
    for (const sparse of [true, false]) {
      const staged = stageOutput(join(tiny, 'out.img'), pieces(Buffer.alloc(500_000, 1), Buffer.alloc(2_000_000, 2)), { sparse, total: 2_500_000 });
      await expect(staged).rejects.toMatchObject({ code: 'no-space', message: `cannot write ${join(tiny, 'out.img')}: no space left on the disk (2500000 bytes are needed)` });
      expect(readdirSync(tiny)).toEqual([]);
    }
    const large = join(directory, 'large');
    writeFileSync(large, Buffer.alloc(2_000_000, 1));
    const source = openFileDevice(large);
    const copied = stageOutput(join(tiny, 'out.img'), (async function* () { yield { file: source, offset: 0, length: 2_000_000 }; })());
    await expect(copied).rejects.toMatchObject({ code: 'no-space', message: `cannot write ${join(tiny, 'out.img')}: no space left on the disk` });
    source.close();
    expect(readdirSync(tiny)).toEqual([]);
  });
});

const program = join(import.meta.dirname, 'stage-child.mjs');
const atomic = join(root, 'atomic.mjs');

beforeAll(async () => {
  const bundle = await rolldown({ input: join(import.meta.dirname, '../../src/output/atomic.ts'), platform: 'node' }); // a child cannot run TypeScript
  await bundle.write({ file: atomic });
});

test('a limit on the size of files is no-space too, and leaves nothing', () => {
  const ran = spawnSync('sh', ['-c', 'ulimit -f 4096; exec "$@"', 'sh', process.execPath, program, atomic, out, '0']);
  expect(ran.status).toBe(1);
  expect(ran.stderr.toString()).toMatch(/cannot write .*out\.img: the file would be larger than is allowed[^]*code: 'no-space'/);
  expect(readdirSync(directory)).toEqual([]);
});

describe('killed', () => {

  /** Starts staging and sends `signal` when the child has said `word`; resolves to its exit status and signal. */
  function killAt(word: string, signal: NodeJS.Signals, pause = 5): Promise<[number | null, NodeJS.Signals | null]> {
    const child: ChildProcess = spawn(process.execPath, [program, atomic, out, String(pause)], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout!.on('data', (data: Buffer) => {
      said += data.toString();
      if (said.includes(word)) child.kill(signal);
    });
    return new Promise((resolve) => child.on('close', (status, by) => resolve([status, by])));
  }
  const complete = Buffer.concat(Array.from({ length: 8 }, (_, index) => Buffer.alloc(1 << 20, index + 1)));

  test('with SIGKILL at any moment, the old file or all of the new one is there', async () => {
    for (const word of ['piece 0', 'piece 3', 'piece 7', 'staged', 'committed']) {
      writeFileSync(out, 'old');
      await killAt(word, 'SIGKILL');
      const found = readFileSync(out);
      expect(found.equals(Buffer.from('old')) || found.equals(complete), word).toBe(true);
      if (word.startsWith('piece')) expect(found.toString()).toBe('old');
    }
    await killAt('nothing', 'SIGKILL', 0); // runs to its end, and clears up after the others
    expect(readdirSync(directory)).toEqual(['out.img']);
  });

  test('with SIGINT or SIGTERM the temporary file goes too, and the signal is the exit status', async () => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      expect(await killAt('piece 3', signal, 200)).toEqual([null, signal]);
      expect(readdirSync(directory)).toEqual([]);
    }
  });
});
