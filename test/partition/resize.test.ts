/** A partition made longer or shorter: sfdisk must find nothing wrong, must say the same of everything else, and writes the same bytes itself. */
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { memoryDevice, type BlockDevice } from '../../src/device/device.js';
import { readPartitionTable } from '../../src/partition/table.js';
import { largestPartition, resizePartition } from '../../src/partition/resize.js';
import { openImageFile, withDirectory } from '../support/image-file.js';
import { needs, output, run } from '../support/oracle.js';

const MIB = 1 << 20;
const SEED = Number(process.env.ROCKBERRY_SEED ?? 20_261_126);
const MBR = 'label: dos\nlabel-id: 0xdeadbe0f\nstart=8192,size=8192,type=c,bootable\nstart=16384,size=8192,type=82\nstart=24576,size=20001,type=83\n';
const GPT = 'label: gpt\nlabel-id: 01234567-89AB-CDEF-0123-456789ABCDEF\nstart=2048,size=8192,type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B,name=p.UEFI\n'
  + 'start=10240,size=8192,type=swap\nstart=18432,size=20000,type=linux,name="root größe",uuid=AAAAAAAA-89AB-CDEF-0123-456789ABCDEF\n';

function disk(directory: string, script: string, mebibytes: number): string {
  const path = join(directory, 'disk');
  writeFileSync(path, '');
  truncateSync(path, mebibytes * MIB);
  output('sfdisk', [path], script);
  return path;
}

interface Entry { node: string; start: number; size: number }
interface Table { lastlba?: number; partitions: Entry[] }

function sfdisk(path: string): Table {
  return (JSON.parse(output('sfdisk', ['--json', path]).toString()) as { partitiontable: Table }).partitiontable;
}

function onFile<T>(path: string, work: (device: BlockDevice) => T): T {
  const device = openImageFile(path);
  try {
    return work(device);
  } finally {
    device.close();
  }
}

/** Resizes partition 3 of a disk that was lengthened or will be cut, and compares sfdisk's words before and after. */
function check(path: string, length: number, mebibytes: number): void {
  const before = sfdisk(path);
  const now = statSync(path).size;
  if (mebibytes * MIB > now) truncateSync(path, mebibytes * MIB);
  onFile(path, (device) => resizePartition(device, 3, length, mebibytes * MIB));
  truncateSync(path, mebibytes * MIB);
  const verified = run('sfdisk', ['--verify', path]);
  expect(verified, verified.output).toMatchObject({ status: 0 });
  expect(verified.output).not.toMatch(/overlap|corrupt|mismatch|not the end|not properly/i);
  const expected = { ...before, partitions: before.partitions.map((each, at) => (at === 2 ? { ...each, size: length / 512 } : each)) };
  if (before.lastlba !== undefined) expected.lastlba = (mebibytes * MIB) / 512 - 34;
  expect(sfdisk(path)).toEqual(expected);
  onFile(path, (device) => readPartitionTable(device));
}

describe('sfdisk agrees', () => {
  for (const [name, script] of [['MBR', MBR], ['GPT', GPT]] as const) {
    needs('sfdisk')(`${name}: longer with the disk, shorter, shorter with the disk`, () => withDirectory((directory) => {
      const path = disk(directory, script, 40);
      check(path, 64 * MIB, 90);
      check(path, 10 * MIB, 90);
      check(path, 9 * MIB + 512, 30);
      check(path, onFile(path, (device) => largestPartition(device, 3)), 30);
    }));

    needs('sfdisk')(`${name}: random lengths, ROCKBERRY_SEED=${SEED}`, () => withDirectory((directory) => {
      const path = disk(directory, script, 40);
      fc.assert(fc.property(fc.integer({ min: 14, max: 9000 }), fc.integer({ min: 0, max: 1 }), (mebibytes, odd) => {
        check(path, Math.max(1, mebibytes - 13) * MIB - odd * 512, mebibytes);
        if (mebibytes < 8000) return;
        truncateSync(path, 40 * MIB); // back to a size whose end CHS can say
        output('sfdisk', [path], script);
      }), { seed: SEED, numRuns: 12, endOnFailure: true });
    }));
  }

  needs('sfdisk')('to the byte, MBR', () => withDirectory((directory) => {
    for (const [mebibytes, sectors] of [[100, 150_000], [9000, 18_000_000], [40, 2048]] as const) {
      const path = disk(directory, MBR, mebibytes);
      const ours = onFile(path, (device) => {
        const head = memoryDevice(device.read(0, MIB));
        resizePartition({ ...head, size: device.size }, 3, sectors * 512);
        return head;
      });
      output('sfdisk', ['--no-reread', '-N', '3', path], `,${sectors}\n`);
      expect(Buffer.from(ours.read(0, 512)).toString('hex')).toBe(onFile(path, (device) => Buffer.from(device.read(0, 512)).toString('hex')));
    }
  }));
});

needs('sfdisk', 'sgdisk')('GPT: sgdisk finds no problem, the old backup is gone, one table is sound at every moment', () => withDirectory((directory) => {
  const path = disk(directory, GPT, 40);
  truncateSync(path, 70 * MIB);
  const start = readFileSync(path);
  const writes: [number, Uint8Array][] = [];
  onFile(path, (device) => resizePartition({ ...device, write: (offset, data) => { writes.push([offset, data.slice()]); device.write(offset, data); } }, 3, 50 * MIB));
  expect(run('sgdisk', ['-v', path]).output).toContain('No problems found');
  const grown = readFileSync(path);
  expect(grown.subarray(39 * MIB, 69 * MIB).every((byte) => byte === 0)).toBe(true);
  expect(grown.readUInt32LE(446 + 12)).toBe((70 * MIB) / 512 - 1);
  for (let cut = 0; cut < writes.length; cut++) {
    const image = Buffer.from(start);
    for (const [offset, data] of writes.slice(0, cut)) image.set(data, offset);
    writeFileSync(path, image);
    expect(sfdisk(path).partitions.map((each) => each.start), `after ${cut} writes`).toEqual([2048, 10240, 18432]);
  }
}));

needs('sgdisk')('a hybrid MBR follows', () => withDirectory((directory) => {
  const path = join(directory, 'disk');
  writeFileSync(path, Buffer.alloc(40 * MIB));
  output('sgdisk', ['-n', '1:2048:+4M', '-n', '2:0:+8M', path]);
  output('sgdisk', ['-h', '1:2:EE', path]);
  const entries = (): string[] => [0, 1, 2, 3].map((at) => { const data = readFileSync(path); return `${data[446 + 16 * at + 4]!.toString(16)} ${data.readUInt32LE(454 + 16 * at)}+${data.readUInt32LE(458 + 16 * at)}`; });
  const before = entries();
  onFile(path, (device) => resizePartition(device, 2, 20 * MIB));
  expect(entries().filter((each, at) => each !== before[at])).toEqual([expect.stringContaining(`+${(20 * MIB) / 512}`)]);
}));

describe('refuses, and changes nothing', () => {
  const refusal = (code: string, message: RegExp): unknown => expect.objectContaining({ code, message: expect.stringMatching(message) as string });

  for (const [name, script] of [['MBR', MBR], ['GPT', GPT]] as const) {
    needs('sfdisk')(name, () => withDirectory((directory) => {
      const path = disk(directory, script, 40);
      const before = readFileSync(path);
      onFile(path, (device) => {
        expect(() => resizePartition(device, 4, MIB)).toThrow(refusal('path', /found only 1, 2, 3/));
        expect(() => resizePartition(device, 3, 1000)).toThrow(refusal('refused', /whole sectors/));
        expect(() => resizePartition(device, 3, 0)).toThrow(refusal('refused', /whole sectors/));
        expect(() => resizePartition(device, 3, 40 * MIB)).toThrow(refusal('no-space', /found 41943040/));
        expect(() => resizePartition(device, 3, 20 * MIB, 25 * MIB)).toThrow(refusal('no-space', /found 20971520/));
        expect(() => resizePartition(device, 1, 5 * MIB)).toThrow(refusal('refused', /up to partition 2/));
      });
      expect(readFileSync(path).equals(before)).toBe(true);
    }));
  }

  needs('sfdisk')('what an MBR cannot say', () => withDirectory((directory) => {
    const path = disk(directory, MBR, 40);
    const device = openImageFile(path);
    const huge: BlockDevice = { ...device, size: 2 ** 42 };
    expect(largestPartition(huge, 3)).toBe((2 ** 32 - 1) * 512);
    expect(() => resizePartition(huge, 3, 2 ** 41)).toThrow(refusal('no-space', /at most 2199023255040 bytes/));
    device.close();
    const logical = disk(directory, 'label: dos\nstart=2048,size=2048,type=83\nstart=4096,size=20480,type=5\nstart=6144,size=2048,type=83\n', 40);
    onFile(logical, (opened) => {
      expect(() => resizePartition(opened, 5, 4096)).toThrow(refusal('unsupported', /a logical one \(5\)/));
      expect(() => resizePartition(opened, 2, 4096)).toThrow(refusal('unsupported', /an extended one \(2\)/));
    });
  }));
});
