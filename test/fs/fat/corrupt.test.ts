/** One field broken, one error; and a volume that is broken at random never hangs and never throws anything but a RockberryError. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { RockberryError } from '../../../src/errors.js';
import { memoryDevice } from '../../../src/device/device.js';
import { loadFat } from '../../../src/fs/fat/fat.js';
import { readGeometry } from '../../../src/fs/fat/geometry.js';
import type { FileSystem, OpenFileSystem } from '../../../src/fs/filesystem.js';
import { needs } from '../../support/oracle.js';
import { MIB, complaints, fileDevice, makeVolume } from './volume.js';

const TIME = { seconds: 1_700_000_000, nanoseconds: 0 };
const SEED = Number(process.env.ROCKBERRY_SEED ?? 7);
let folder: string;
let open: OpenFileSystem;
const volumes = new Map<string, Buffer>();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rockberry-fatbad-'));
  open = await loadFat();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SIZES: Record<string, [number, string[]]> = {
  FAT12: [MIB, ['-F12', '-s1']], FAT16: [9 * MIB, ['-F16', '-s4']], FAT32: [34 * MIB, ['-F32', '-s1']],
};

/** A volume with /a (5 clusters), /b (5 clusters), /d/e/deep (1 cluster) and a long name; a copy that may be broken. */
function sample(kind: string): Buffer {
  if (!volumes.has(kind)) {
    const [size, options] = SIZES[kind]!;
    const path = join(folder, `${kind}.img`);
    makeVolume(path, size, '-i', 'deadbe0f', '-n', 'LABEL', ...options);
    const device = fileDevice(path, size);
    const fs = open(device, { time: TIME })!;
    const five = new Uint8Array(5 * fs.info().blockSize - 3).fill(1);
    fs.write('/a', five);
    fs.write('/b', five);
    fs.makeDirectory('/d');
    fs.makeDirectory('/d/e');
    fs.write('/d/e/deep', new Uint8Array(100));
    fs.write('/a long name.txt', new Uint8Array(10));
    device.close();
    volumes.set(kind, readFileSync(path));
  }
  return Buffer.from(volumes.get(kind)!);
}

function outcome(work: () => void): string {
  try {
    work();
  } catch (error) {
    if (error instanceof RockberryError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'fine';
}

describe('boot sector', () => {
  const cases: [string, string, (image: Buffer) => void, RegExp][] = [
    ['FAT16', 'signature', (b) => b.writeUInt16LE(0, 510), /^corrupt: FAT boot sector: expected the signature 0xaa55/],
    ['FAT16', 'jump', (b) => b.writeUInt8(0, 0), /^corrupt: .* jump instruction/],
    ['FAT16', 'bytes per sector', (b) => b.writeUInt16LE(513, 11), /^corrupt: .* found 513/],
    ['FAT16', 'sectors per cluster', (b) => b.writeUInt8(3, 13), /^corrupt: .* 128 sectors per cluster, found 3/],
    ['FAT16', 'zero sectors per cluster', (b) => b.writeUInt8(0, 13), /^corrupt: .* sectors per cluster, found 0/],
    ['FAT16', 'reserved sectors', (b) => b.writeUInt16LE(0, 14), /^corrupt: .* reserved sector/],
    ['FAT16', 'no FAT', (b) => b.writeUInt8(0, 16), /^corrupt: .* 1 or 2 FATs, found 0/],
    ['FAT16', 'three FATs', (b) => b.writeUInt8(3, 16), /^unsupported: expected 1 or 2 FATs, found 3/],
    ['FAT16', 'root entries', (b) => b.writeUInt16LE(513, 17), /^corrupt: .* fill whole sectors, found 513/],
    ['FAT16', 'no root entries', (b) => b.writeUInt16LE(0, 17), /^corrupt: .* some fixed root directory entries, found 0/],
    ['FAT16', 'total sectors', (b) => b.writeUInt16LE(0xffff, 19), /^corrupt: .* but its partition has/],
    ['FAT16', 'no sectors', (b) => { b.writeUInt16LE(0, 19); b.writeUInt32LE(0, 32); }, /^corrupt: .* leave no cluster in 0 sectors/],
    ['FAT16', 'media', (b) => b.writeUInt8(0x12, 21), /^corrupt: .* media byte .* found 0x12/],
    ['FAT16', 'FAT size', (b) => b.writeUInt16LE(1, 22), /^corrupt: .* expected a FAT of at least/],
    ['FAT16', 'FAT size too large', (b) => b.writeUInt16LE(0xfff0, 22), /^corrupt: .* leave no cluster/],
    ['FAT16', 'few clusters: FAT12 by their number', (b) => b.writeUInt16LE(9000, 19), /^fine/],
    ['FAT32', 'few clusters', (b) => b.writeUInt32LE(60_000, 32), /^unsupported: .* FAT32 boot sector .* found \d+ clusters, which makes it FAT16/],
    ['FAT32', 'version', (b) => b.writeUInt16LE(1, 42), /^unsupported: expected FAT32 version 0.0/],
    ['FAT32', 'one active FAT', (b) => b.writeUInt16LE(0x81, 40), /^unsupported: .* mirrored/],
    ['FAT32', 'root cluster', (b) => b.writeUInt32LE(0, 44), /^corrupt: .* root directory in clusters/],
    ['FAT32', 'root cluster far away', (b) => b.writeUInt32LE(0x0ffffff0, 44), /^corrupt: .* root directory in clusters/],
    ['FAT32', 'FSInfo elsewhere', (b) => b.writeUInt16LE(9, 48), /^unsupported: .* FSInfo sector in sector 1, found 9/],
    ['FAT12', 'truncated volume', (b) => b.writeUInt16LE(2049, 19), /^corrupt: .* found|but its partition has/],
  ];
  needs('mkfs.vfat').each(cases)('%s: %s', (kind, _name, breakIt, message) => {
    const image = sample(kind);
    breakIt(image);
    expect(outcome(() => open(memoryDevice(image))!.info())).toMatch(message);
  });
});

/** Writes a FAT entry into both copies (or the first only). */
function setEntry(image: Buffer, cluster: number, value: number, copies = 2): void {
  const geometry = readGeometry(memoryDevice(image))!;
  for (let copy = 0; copy < copies; copy++) {
    const base = geometry.fatOffset + copy * geometry.fatLength;
    if (geometry.variant === 'FAT16') image.writeUInt16LE(value & 0xffff, base + 2 * cluster);
    else if (geometry.variant === 'FAT32') image.writeUInt32LE(value, base + 4 * cluster);
    else {
      const at = base + cluster + (cluster >> 1);
      const old = image.readUInt16LE(at);
      image.writeUInt16LE(cluster & 1 ? (old & 0xf) | ((value & 0xfff) << 4) : (old & 0xf000) | (value & 0xfff), at);
    }
  }
}

function entryOf(fs: FileSystem, path: string): number {
  return fs.stat(path)!.inode * 32;
}

const END = 0x0fffffff;

/** /a is in clusters base to base + 4, /b in the next five, /d and /d/e after them; FAT32's root is in cluster 2. */
const structure: [string, string, (image: Buffer, base: number) => void, ids: string[]][] = [
  ['a loop', 'fat-cross-link', (b, base) => setEntry(b, base + 4, base), ['fat-cross-link']],
  ['a loop of one', 'fat-cross-link', (b, base) => setEntry(b, base, base), ['fat-cross-link']],
  ['a cross link', 'fat-cross-link', (b, base) => setEntry(b, base + 1, base + 7), ['fat-cross-link', 'fat-lost-clusters']],
  ['a chain into nowhere', 'fat-chain', (b, base) => setEntry(b, base + 2, 0xff00), ['fat-chain']],
  ['a chain into a free cluster', 'fat-chain', (b, base) => setEntry(b, base + 2, 0), ['fat-chain']],
  ['a chain into a bad cluster', 'fat-chain', (b, base) => setEntry(b, base + 2, 0x0ffffff7), ['fat-chain']],
  ['a short chain', 'fat-size', (b, base) => setEntry(b, base + 2, END), ['fat-size', 'fat-lost-clusters']],
  ['lost clusters', 'fat-lost-clusters', (b, base) => setEntry(b, base + 40, END), ['fat-lost-clusters']],
  ['copies that differ', 'fat-copies-differ', (b, base) => setEntry(b, base + 40, END, 1), ['fat-copies-differ']],
  ['a directory that loops', 'fat-cross-link', (b, base) => setEntry(b, base + 10, base + 10), ['fat-cross-link']],
];

describe.each(['FAT12', 'FAT16', 'FAT32'])('%s structure', (kind) => {
  const base = kind === 'FAT32' ? 3 : 2;
  needs('mkfs.vfat').each(structure)('%s is found (%s), reading ends, writing is refused', (name, _id, breakIt, ids) => {
    const image = sample(kind);
    breakIt(image, base);
    const fs = open(memoryDevice(image), { time: TIME })!;
    const findings = fs.check();
    for (const id of ids) expect(findings.map((finding) => finding.id)).toContain(id);
    for (const path of ['/a', '/b', '/d/e/deep']) expect(outcome(() => fs.read(path))).toMatch(/^(fine|corrupt: FAT|path: )/);
    const before = Buffer.from(image);
    const written = outcome(() => fs.write('/new', new Uint8Array(10)));
    if (findings.some((finding) => finding.severity === 'error')) {
      expect(written, name).toMatch(/^corrupt: (the FAT filesystem needs repair|FAT: )/);
      expect(image.equals(before)).toBe(true);
    } else expect(written).toBe('fine');
  });

  needs('mkfs.vfat', 'fsck.vfat')('fsck.vfat complains where we do', () => {
    for (const [name, , breakIt] of structure) {
      const image = sample(kind);
      breakIt(image, base);
      const path = join(folder, 'broken.img');
      writeFileSync(path, image);
      expect(complaints(path), name).not.toBe('');
    }
  });

  needs('mkfs.vfat')('directory entries', () => {
    const cases: [string, (image: Buffer, fs: FileSystem) => void, string][] = [
      ['size too large for the chain', (b, fs) => b.writeUInt32LE(0x7fffffff, entryOf(fs, '/a') + 28), 'fat-size'],
      ['size too small for the chain', (b, fs) => b.writeUInt32LE(3, entryOf(fs, '/a') + 28), 'fat-size'],
      ['first cluster', (b, fs) => b.writeUInt16LE(0xfff0, entryOf(fs, '/a') + 26), 'fat-chain'],
      ['first cluster of a directory', (b, fs) => b.writeUInt16LE(0, entryOf(fs, '/d') + 26), 'fat-directory'],
      ['a directory that contains itself', (b, fs) => b.writeUInt16LE(base + 10, entryOf(fs, '/d/e') + 26), 'fat-cross-link'],
      ['".." leads elsewhere', (b, fs) => b.writeUInt16LE(base, entryOf(fs, '/d/e/deep') - 32 + 26), 'fat-dots'],
      ['the same name twice', (b, fs) => b.write('A', entryOf(fs, '/b'), 'latin1'), 'fat-duplicate-name'],
      ['a name with a slash', (b, fs) => b.write('/', entryOf(fs, '/b'), 'latin1'), 'fat-name'],
    ];
    for (const [name, breakIt, id] of cases) {
      const image = sample(kind);
      breakIt(image, open(memoryDevice(image))!);
      const fs = open(memoryDevice(image), { time: TIME });
      expect(fs?.check().map((finding) => finding.id), name).toContain(id);
      expect(outcome(() => fs?.write('/new', new Uint8Array(1))), name).toMatch(/^corrupt: /);
      expect(outcome(() => fs?.read('/a')), name).toMatch(/^(fine|corrupt)/);
    }
  });

  needs('mkfs.vfat', 'fsck.vfat')('what fsck.vfat mends without loss is a warning, and does not keep us from writing', () => {
    const cases: [string, string, (image: Buffer, fs: FileSystem) => void][] = [
      ['FAT12 FAT16 FAT32', 'fat-dirty', (b) => b.writeUInt8(1, kind === 'FAT32' ? 65 : 37)],
      ['FAT12 FAT16 FAT32', 'fat-directory-size', (b, fs) => b.writeUInt32LE(7, entryOf(fs, '/d') + 28)],
      ['FAT12 FAT16 FAT32', 'fat-orphaned-name', (b, fs) => b.writeUInt8(0x99, entryOf(fs, '/a long name.txt') - 32 + 13)],
      ['FAT12 FAT16 FAT32', 'fat-label', (b, fs) => b.writeUInt32LE(7, entryOf(fs, '/a') - 32 + 28)],
      ['FAT32', 'fat-backup-boot', (b) => b.writeUInt8(9, 6 * 512 + 100)],
      ['FAT32', 'fat-free-count', (b) => b.writeUInt32LE(9, 512 + 488)],
      ['FAT32', 'fat-fsinfo', (b) => b.writeUInt32LE(9, 512 + 484)],
    ];
    for (const [kinds, id, breakIt] of cases.filter((row) => row[0].includes(kind))) {
      const image = sample(kind);
      breakIt(image, open(memoryDevice(image))!);
      const path = join(folder, 'warned.img');
      writeFileSync(path, image);
      expect(complaints(path), `${kinds} ${id}`).not.toBe('');
      const fs = open(memoryDevice(image), { time: TIME })!;
      expect(fs.check().map((finding) => `${finding.severity} ${finding.id}`), id).toEqual([`warning ${id}`]);
      expect(outcome(() => fs.write('/new', new Uint8Array(1000))), id).toBe('fine');
      if (/free-count|fsinfo/.test(id)) expect(fs.check(), 'the count is right from then on').toEqual([]);
    }
  });

  needs('mkfs.vfat')('250 random bytes, each flipped alone: an error or a finding or nothing, never a hang', () => {
    process.stdout.write(`FAT byte flips: ROCKBERRY_SEED=${SEED}\n`);
    let state = SEED;
    const next = (limit: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state % limit;
    };
    const image = sample(kind);
    const { fatOffset, fatLength, dataOffset, rootOffset } = readGeometry(memoryDevice(image))!;
    const targets: [number, number][] = [[0, 512], [fatOffset, 64], [fatOffset + fatLength, 64], [rootOffset, 256], [dataOffset, 8192]];
    for (let round = 0; round < 250; round++) {
      const [start, length] = targets[round % targets.length]!;
      const at = start + next(length);
      const old = image[at]!;
      image[at] = old ^ (1 + next(255));
      expect(() => outcome(() => exercise(image)), `byte ${at}`).not.toThrow();
      image[at] = old;
    }
  });
});

/** Reads everything, checks, and changes through a copy on write that is thrown away. */
function exercise(image: Buffer): void {
  const base = memoryDevice(image);
  const undo: [number, Uint8Array][] = [];
  const device = { ...base, write(offset: number, data: Uint8Array): void {
    undo.push([offset, base.read(offset, data.length)]);
    base.write(offset, data);
  } };
  try {
    const fs = open(device, { time: TIME });
    if (fs === undefined) return;
    outcome(() => walk(fs, '', 0));
    fs.check();
    fs.write('/new file with a long name', new Uint8Array(3000));
    fs.write('/a', new Uint8Array(1));
    fs.remove('/b');
    const errors = fs.check().filter((finding) => finding.severity === 'error');
    expect(errors, 'what we changed is sound').toEqual([]);
  } finally {
    for (const [offset, data] of undo.reverse()) base.write(offset, data);
  }
}

function walk(fs: FileSystem, base: string, depth: number): void {
  if (depth > 10) return;
  for (const entry of fs.list(base || '/')) {
    if (entry.type === 'directory') outcome(() => walk(fs, `${base}/${entry.name}`, depth + 1));
    else outcome(() => fs.read(`${base}/${entry.name}`, 0, 100_000));
  }
}
