/**
 * Random operations against a model. Names stay in the Basic Multilingual Plane, because mtools cannot show others. After each batch fsck.vfat must be clean, mtools must extract exactly the model's files, and our own listing must agree.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect } from 'vitest';
import { RockberryError } from '../../../src/errors.js';
import { loadFat } from '../../../src/fs/fat/fat.js';
import type { FileSystem, OpenFileSystem } from '../../../src/fs/filesystem.js';
import { needs, output } from '../../support/oracle.js';
import { MIB, complaints, fileDevice, makeVolume } from './volume.js';

const SEED = Number(process.env.ROCKBERRY_SEED ?? 20261123);
process.stdout.write(`FAT property test: ROCKBERRY_SEED=${SEED}\n`);
const BATCH = 700;
const TIME = { seconds: 1_700_000_000, nanoseconds: 0 };

let folder: string;
let open: OpenFileSystem;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rockberry-fatprop-'));
  open = await loadFat();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Operation =
  | { readonly kind: 'write' | 'append'; readonly path: string; readonly size: number; readonly fill: number }
  | { readonly kind: 'truncate'; readonly path: string; readonly size: number }
  | { readonly kind: 'mkdir' | 'remove'; readonly path: string }
  | { readonly kind: 'rename'; readonly path: string; readonly to: string };

const name = fc.constantFrom('a', 'A', 'config.txt', 'CONFIG.TXT', 'Config.txt', 'kernel8.img', 'config-6.1.31-v8.1.el9.altarch', 'Größe und Maß.dat', 'b.dtbo', 'X.Y.Z',
  'bcm2711-rpi-4-b.dtb', 'bcm2711-rpi-4-c.dtb', 'bcm2711-rpi-4-d.dtb', '.hidden', ' leading', 'x'.repeat(200), 'ÄÖÜ', 'äöü', '日本語のファイル名.txt', 'EXACT8CH.TXT', 'nodot', 'trailing~1');
/** Few directories and many files, so that most operations find what they need. */
const folders = fc.constantFrom([], [], ['overlays'], ['OVERLAYS'], ['Größe'], ['d'], ['overlays', 'd']);
const path = fc.tuple(folders, fc.oneof({ weight: 12, arbitrary: name }, { weight: 1, arbitrary: fc.constantFrom('overlays', 'Größe', 'd') }))
  .map(([parts, leaf]) => `/${[...parts, leaf].join('/')}`);
const size = fc.oneof({ weight: 4, arbitrary: fc.nat(3000) }, { weight: 2, arbitrary: fc.nat(40_000) }, { weight: 1, arbitrary: fc.constantFrom(0, 512, 1024, 2048, 4096, 300_000) });
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('write' as const), path, size, fill: fc.nat(250) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('append' as const), path, size, fill: fc.nat(250) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate' as const), path, size }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('mkdir' as const), path }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), path }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('rename' as const), path, to: path }) },
);

const PATTERN = Buffer.alloc(400_000, Uint8Array.from({ length: 251 }, (_, at) => at * 7));

function bytes(length: number, fill: number): Uint8Array {
  return PATTERN.subarray(fill, fill + length);
}

/** The directories that paths use are made again every now and then: operations before may have removed or moved them. */
function withDirectories(operations: Operation[]): Operation[] {
  const made = ['/overlays', '/Größe', '/d', '/overlays/d'].map((where): Operation => ({ kind: 'mkdir', path: where }));
  return operations.flatMap((op, index) => (index % 20 === 0 ? [made[(index / 20) % 4]!, ...(index === 0 ? made : []), op] : [op]));
}

interface Node { name: string; content?: Uint8Array; children?: Map<string, Node> }

/** A directory tree whose names are found without regard to case. */
class Model {
  readonly root: Node = { name: '', children: new Map() };

  #key = (text: string): string => Array.from(text, (c) => (c.toUpperCase().length === c.length ? c.toUpperCase() : c)).join('');

  find(where: string): Node | undefined {
    return where.split('/').filter(Boolean).reduce<Node | undefined>((node, part) => node?.children?.get(this.#key(part)), this.root);
  }

  parent(where: string): Map<string, Node> | undefined {
    return this.find(where.slice(0, where.lastIndexOf('/')))?.children;
  }

  put(where: string, node: Node): void {
    this.parent(where)!.set(this.#key(node.name), node);
  }

  drop(where: string): void {
    this.parent(where)!.delete(this.#key(where.slice(where.lastIndexOf('/') + 1)));
  }

  /** Whether the operation is possible, and what it does when it is. */
  plan(op: Operation): (() => void) | undefined {
    const node = this.find(op.path);
    const leaf = op.path.slice(op.path.lastIndexOf('/') + 1);
    switch (op.kind) {
      case 'write':
        if (!this.parent(op.path) || node?.children) return undefined;
        return () => this.put(op.path, { name: node?.name ?? leaf, content: bytes(op.size, op.fill) });
      case 'append':
        if (!node?.content) return undefined;
        return () => { node.content = Buffer.concat([node.content!, bytes(op.size, op.fill)]); };
      case 'truncate':
        if (!node?.content) return undefined;
        return () => {
          const next = new Uint8Array(op.size);
          next.set(node.content!.subarray(0, op.size));
          node.content = next;
        };
      case 'mkdir':
        if (!this.parent(op.path) || node?.content) return undefined;
        return () => { if (!node) this.put(op.path, { name: leaf, children: new Map() }); };
      case 'remove':
        return !node || node.children?.size ? undefined : () => this.drop(op.path);
      case 'rename':
        return this.#planRename(op.path, op.to);
    }
  }

  #planRename(from: string, to: string): (() => void) | undefined {
    const [node, target, parent] = [this.find(from), this.find(to), this.parent(to)];
    const inside = `${this.#key(to)}/`.startsWith(`${this.#key(from)}/`) && target !== node;
    if (!node || !parent || inside) return undefined;
    if (target && target !== node && (!!target.children !== !!node.children || target.children?.size)) return undefined;
    return () => {
      this.drop(from);
      this.put(to, { ...node, name: to.slice(to.lastIndexOf('/') + 1) });
    };
  }

  files(node = this.root, base = ''): [string, Uint8Array | null][] {
    return [...node.children!.values()].flatMap((child): [string, Uint8Array | null][] => (child.children
      ? [[`${base}/${child.name}`, null], ...this.files(child, `${base}/${child.name}`)] : [[`${base}/${child.name}`, child.content!]]));
  }
}

function apply(fs: FileSystem, op: Operation): void {
  switch (op.kind) {
    case 'write': return fs.write(op.path, bytes(op.size, op.fill));
    case 'append': return fs.append(op.path, bytes(op.size, op.fill));
    case 'truncate': return fs.truncate(op.path, op.size);
    case 'mkdir': return fs.makeDirectory(op.path);
    case 'remove': return fs.remove(op.path);
    case 'rename': return fs.rename(op.path, op.to);
  }
}

type Outcome = 'done' | 'refused' | 'full';

/** Applies to both. A full volume must be left as it was, which the comparison afterwards shows. */
function step(fs: FileSystem, model: Model, op: Operation): Outcome {
  const effect = model.plan(op);
  try {
    apply(fs, op);
  } catch (error) {
    if (!(error instanceof RockberryError)) throw error;
    if (error.code === 'no-space' && effect) return 'full';
    expect([error.code, effect], `${JSON.stringify(op)}: ${error.message}`).toEqual(['path', undefined]);
    return 'refused';
  }
  expect(effect, `${JSON.stringify(op)} should have failed`).toBeDefined();
  effect!();
  return 'done';
}

function extracted(directory: string, base = ''): [string, Uint8Array | null][] {
  return readdirSync(join(directory, base)).flatMap((entry): [string, Uint8Array | null][] => {
    const where = `${base}/${entry}`;
    return statSync(join(directory, where)).isDirectory() ? [[where, null], ...extracted(directory, where)] : [[where, readFileSync(join(directory, where))]];
  });
}

function ours(fs: FileSystem, base = '/'): [string, Uint8Array | null][] {
  return fs.list(base).flatMap((entry): [string, Uint8Array | null][] => {
    const where = base === '/' ? `/${entry.name}` : `${base}/${entry.name}`;
    return entry.type === 'directory' ? [[where, null], ...ours(fs, where)] : [[where, fs.read(where)]];
  });
}

function asTable(files: [string, Uint8Array | null][]): [string, string][] {
  const table = files.map(([where, data]): [string, string] => [where, data ? `${data.length} ${createHash('sha256').update(data).digest('hex')}` : 'directory']);
  return table.sort((a, b) => (a[0] < b[0] ? -1 : 1));
}

const KINDS: [string, number, string[]][] = [
  ['FAT12', 256 * 1024, ['-F12', '-s1', '-r', '32']],
  ['FAT16', 16 * MIB, ['-F16', '-s4']],
  ['FAT32', 34 * MIB, ['-F32', '-s1']],
];

/** One batch on a new volume. */
function batch(kind: string, volumeSize: number, options: string[], operations: Operation[]): Outcome[] {
  const [image, out] = [join(folder, `${kind}.img`), join(folder, `${kind}.out`)];
  makeVolume(image, volumeSize, ...options);
  const device = fileDevice(image, volumeSize);
  const fs = open(device, { time: TIME })!;
  const model = new Model();
  const outcomes = operations.map((op) => step(fs, model, op));
  const expected = asTable(model.files());
  expect(fs.check()).toEqual([]);
  expect(asTable(ours(open(device)!))).toEqual(expected);
  device.close();
  expect(complaints(image)).toBe('');
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out);
  if (expected.length > 0) output('env', ['LC_ALL=C.UTF-8', 'mcopy', '-n', '-s', '-i', image, '::*', out]);
  expect(asTable(extracted(out))).toEqual(expected);
  return outcomes;
}

needs('mkfs.vfat', 'fsck.vfat', 'mcopy').each(KINDS)('4,900 random operations on %s', (kind, volumeSize, options) => {
  const counts = { done: 0, refused: 0, full: 0 };
  for (let round = 0; round < 7; round++) {
    for (const outcome of batch(kind, volumeSize, options, withDirectories(fc.sample(operation, { seed: SEED + volumeSize / 1024 + round, numRuns: BATCH })))) counts[outcome]++;
  }
  if (kind === 'FAT12') expect(counts.full, 'this volume is small enough to be full now and then').toBeGreaterThan(0);
  process.stdout.write(`FAT property test: ${kind}: ${JSON.stringify(counts)}\n`);
});
