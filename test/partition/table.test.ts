import { mkdtempSync, openSync, rmSync, truncateSync, writeFileSync, readFileSync, closeSync, readSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ReadableDevice } from '../../src/device/device.js';
import { checkBounds, memoryDevice } from '../../src/device/device.js';
import { readPartitionTable } from '../../src/partition/table.js';
import { needs, output, run } from '../support/oracle.js';

const MIB = 1 << 20;
let folder: string;
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'rockberry-table-')); });
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function blank(name: string, bytes: number): string {
  const path = join(folder, name);
  writeFileSync(path, '');
  truncateSync(path, bytes);
  return path;
}

function fileDevice(path: string, size: number): ReadableDevice {
  const descriptor = openSync(path, 'r');
  return {
    size,
    read(offset, length) {
      checkBounds(size, offset, length);
      const data = new Uint8Array(length);
      readSync(descriptor, data, 0, length, offset);
      return data;
    },
    close: () => closeSync(descriptor),
  };
}

interface SfdiskTable { label: string; id: string; sectorsize: number; partitions: { node: string; start: number; size: number; type: string; bootable?: boolean; uuid?: string; name?: string }[] }

/** Our table in sfdisk's words must be sfdisk's own. */
function compareWithSfdisk(path: string, bytes: number): void {
  const theirs = (JSON.parse(output('sfdisk', ['--json', path]).toString()) as { partitiontable: SfdiskTable }).partitiontable;
  const device = fileDevice(path, bytes);
  const ours = readPartitionTable(device);
  device.close();
  expect(ours.scheme).toBe(theirs.label === 'dos' ? 'mbr' : 'gpt');
  expect(ours.scheme === 'mbr' ? `0x${ours.diskId}` : ours.diskId.toUpperCase()).toBe(theirs.id);
  expect(ours.partitions.map((p) => ({
    node: `${path}${p.number}`, start: p.start / 512, size: p.length / 512,
    type: ours.scheme === 'mbr' ? Number(p.type).toString(16) : p.type,
    ...(ours.scheme === 'gpt' ? { uuid: p.partuuid.toUpperCase(), name: p.name } : {}), bootable: p.bootable,
  }))).toEqual(theirs.partitions.map((p) => ({
    node: p.node, start: p.start, size: p.size, type: p.type, ...(theirs.label === 'gpt' ? { uuid: p.uuid, name: p.name ?? '' } : {}), bootable: p.bootable ?? false,
  })));
}

const ROCKY_LEGACY = 'label: dos\nlabel-id: 0xdeadbe0f\nstart=8192,size=585728,type=c,bootable\nstart=593920,size=999424,type=82\nstart=1593344,size=5469157,type=83\n';
const MBR_CASES: [string, number, string][] = [
  ['Rocky legacy: odd third partition, unpartitioned tail', 7397376 * 512, ROCKY_LEGACY],
  ['logical partitions 5 to 8', 200 * MIB, 'label: dos\nlabel-id: 0x00000abc\nsize=20MiB,type=c\nsize=20MiB,type=83\nsize=100MiB,type=f\nsize=20MiB,type=82\n'
    + 'size=10MiB,type=83\nsize=11MiB,type=c\nsize=12MiB,type=82\nsize=13MiB,type=83\n'],
  ['extended in the middle, one logical', 100 * MIB, 'label: dos\nstart=2048,size=20480,type=5\nsize=20MiB,type=83\nstart=4096,size=2048,type=83\n'],
];

describe('tables that others made', () => {
  needs('sfdisk').each(MBR_CASES)('MBR, %s', (name, bytes, script) => {
    const path = blank(`${name.slice(0, 5)}.img`, bytes);
    output('sfdisk', [path], script);
    compareWithSfdisk(path, bytes);
  });

  needs('sfdisk')('the PARTUUID of Rocky is the kernel\'s', () => {
    const path = blank('rocky.img', 7397376 * 512);
    output('sfdisk', [path], ROCKY_LEGACY);
    const table = readPartitionTable(fileDevice(path, 7397376 * 512));
    expect(table.partitions.map((p) => [p.partuuid, p.typeName])).toEqual(
      [['deadbe0f-01', 'W95 FAT32 (LBA)'], ['deadbe0f-02', 'Linux swap / Solaris'], ['deadbe0f-03', 'Linux']]);
  });

  needs('sgdisk', 'sfdisk')('GPT with names, gaps in the numbers and a legacy boot flag', () => {
    const path = blank('gpt.img', 64 * MIB);
    output('sgdisk', ['-n', '1:2048:+8M', '-t', '1:EF00', '-c', '1:p.UEFI', '-n', '3:0:+8M', '-t', '3:8200', '-c', '3:größe', '-n', '2:0:0', '-A', '2:set:2', path]);
    const theirs = JSON.parse(output('sfdisk', ['--json', path]).toString()) as { partitiontable: SfdiskTable };
    const ours = readPartitionTable(fileDevice(path, 64 * MIB));
    expect(ours.partitions.map((p) => [p.start / 512, p.length / 512, p.type, p.partuuid, p.name]))
      .toEqual(theirs.partitiontable.partitions.map((p) => [p.start, p.size, p.type, p.uuid?.toLowerCase(), p.name ?? '']));
    expect(ours.partitions.map((p) => [p.number, p.typeName, p.bootable])).toEqual(
      [[1, 'EFI System', false], [2, 'Linux filesystem', true], [3, 'Linux swap', false]]);
    expect(ours.diskId.toUpperCase()).toBe(theirs.partitiontable.id);
  });

  needs('sfdisk').each([['MBR', MBR_CASES[1]![2]], ['GPT', 'label: gpt\nsize=20MiB\nsize=20MiB\n']])('structures are what sfdisk writes to an empty disk, %s', (name, script) => {
    const path = blank(`structures-${name}.img`, 200 * MIB);
    output('sfdisk', [path], script);
    const data = readFileSync(path);
    const zeros = Buffer.alloc(512);
    const written = Array.from({ length: data.length / 512 }, (_, sector) => sector).filter((sector) => !data.subarray(sector * 512, (sector + 1) * 512).equals(zeros));
    const device = fileDevice(path, data.length);
    const ours = new Set(readPartitionTable(device).structures.flatMap(({ offset, length }) => Array.from({ length: length / 512 }, (_, index) => offset / 512 + index)));
    device.close();
    expect(written.filter((sector) => !ours.has(sector))).toEqual([]);
    expect(ours.size).toBe(name === 'MBR' ? written.length : 1 + 2 * 33); // of a GPT's array, unused entries are zeros
  });

  needs('sgdisk')('kiwi: a GPT turned into an MBR, with the disk id kept', () => {
    const path = blank('kiwi.img', 64 * MIB);
    output('sgdisk', ['-n', '1:2048:+20M', '-t', '1:EF00', '-n', '2:0:+8M', '-t', '2:8200', '-n', '3:0:0', path]);
    output('sgdisk', ['-m', '1:2:3', path]);
    output('sfdisk', ['--disk-id', path, '0x12345678']);
    output('sfdisk', ['--part-type', path, '1', 'c']);
    compareWithSfdisk(path, 64 * MIB);
    expect(readPartitionTable(fileDevice(path, 64 * MIB)).diskId).toBe('12345678');
  });

  needs('sgdisk')('a hybrid MBR: the GPT counts', () => {
    const path = blank('hybrid.img', 64 * MIB);
    output('sgdisk', ['-n', '1:2048:+20M', '-n', '2:0:+8M', path]);
    output('sgdisk', ['-h', '1', path]);
    const table = readPartitionTable(fileDevice(path, 64 * MIB));
    expect([table.scheme, table.partitions.length]).toEqual(['gpt', 2]);
  });
});

let gptBytes: Buffer | undefined; // sgdisk sleeps a second for the kernel after each write: one image for all

function gptImage(): Buffer {
  const path = join(folder, 'poke.img');
  if (gptBytes === undefined) output('sgdisk', ['-o', '-n', '1:2048:+1M', '-n', '2:0:+512K', blank('poke.img', 4 * MIB)]);
  gptBytes ??= readFileSync(path);
  return Buffer.from(gptBytes);
}

describe('one field broken', () => {
  const last = 4 * MIB - 512;
  const pokes: [string, number, RegExp][] = [
    ['primary signature', 512, /primary header in sector 1 has no "EFI PART"/],
    ['primary header', 512 + 56, /primary GPT is broken: expected the header's CRC-32/],
    ['primary header size', 512 + 13, /primary GPT is broken: expected a header size/],
    ['primary array', 1024 + 40, /primary GPT is broken: expected the CRC-32 of the entries/],
    ['backup signature', last, /backup GPT is broken: no "EFI PART"/],
    ['backup header', last + 56, /backup GPT is broken: expected the header's CRC-32/],
    ['backup array', last - 32 * 512 + 40, /backup GPT is broken: expected the CRC-32 of the entries/],
  ];
  needs('sgdisk').each(pokes)('GPT, %s', (_name, offset, message) => {
    const bytes = gptImage();
    bytes[offset] = bytes[offset]! ^ 0x55;
    expect(() => readPartitionTable(memoryDevice(bytes))).toThrow(message);
  });

  needs('sgdisk').each([512, last])('what the hint says repairs a bad header at %i', (offset) => {
    const path = blank('repair.img', 4 * MIB);
    const bytes = gptImage();
    bytes[offset + 56] = bytes[offset + 56]! ^ 0x55;
    writeFileSync(path, bytes);
    expect(run('sgdisk', ['-e', path]).status).toBe(0);
    expect(readPartitionTable(memoryDevice(readFileSync(path))).partitions).toHaveLength(2);
  });

  needs('sgdisk')('GPT, truncated image', () => {
    const bytes = gptImage();
    expect(() => readPartitionTable(memoryDevice(bytes.subarray(0, 3 * MIB)))).toThrow(/backup GPT header in sector 8191, but the image ends at sector 6144/);
  });

  needs('sfdisk')('MBR', () => {
    const path = blank('mbr.img', 16 * MIB);
    output('sfdisk', [path], 'label: dos\nstart=2048,size=2048,type=c\nstart=4096,size=4096,type=83\nstart=8192,type=5\nstart=10240,size=2048,type=83\nsize=2048,type=83\n');
    const good = readFileSync(path);
    const chain = good.subarray(8192 * 512);
    expect(readPartitionTable(memoryDevice(good)).partitions.map((p) => p.number)).toEqual([1, 2, 3, 5, 6]);
    const poke = (offset: number, ...values: number[]): Uint8Array => {
      const bad = Uint8Array.from(good);
      bad.set(values, offset);
      return bad;
    };
    const cases: [string, Uint8Array, RegExp][] = [
      ['overlap', poke(446 + 16 + 8, 0, 9), /partitions 1 .* and 2 .* overlap/],
      ['past the end', poke(446 + 16 + 15, 1), /partition 2 ends at byte .*, but the image ends at 16777216/],
      ['start 0', poke(446 + 8, 0, 0), /partition 1 starts at sector 0/],
      ['signature', poke(510, 0), /expected a partition table .* found 0xaa00 at offset 510/],
      ['status byte', poke(446, 0x12), /expected a partition table/],
      ['empty', poke(446, ...new Uint8Array(64)), /expected at least one partition, found an empty MBR/],
      ['chain without signature', poke(8192 * 512 + 510, 0), /signature 0xaa55 in the extended boot record at sector 8192/],
      ['chain comes back', poke(8192 * 512 + 446 + 16 + 8, 0, 0, 0, 0), /comes back to the extended boot record at sector 8192/],
      ['chain leaves the container', poke(8192 * 512 + 446 + 16 + 11, 1), /inside the extended partition/],
      ['logical leaves the container', poke(8192 * 512 + 446 + 15, 1), /logical partition of .* inside the extended partition/],
    ];
    expect(chain[510]).toBe(0x55);
    for (const [name, bad, message] of cases) expect(() => readPartitionTable(memoryDevice(bad)), name).toThrow(message);
  });
});

describe('no table', () => {
  test.each([
    ['empty', new Uint8Array(0), /found only 0 bytes/],
    ['zeros', new Uint8Array(MIB), /found only zeros/],
    ['text', new Uint8Array(MIB).fill(0x41), /found 0x4141 at offset 510/],
    ['zip', Uint8Array.from({ length: MIB }, (_, at) => [0x50, 0x4b, 3, 4][at] ?? at & 0xff), /expected a partition table/],
  ])('%s', (_name, bytes, message) => {
    expect(() => readPartitionTable(memoryDevice(bytes))).toThrow(message);
  });

  test('ISO 9660', () => {
    const bytes = new Uint8Array(MIB);
    bytes.set(Buffer.from('CD001'), 32769);
    expect(() => readPartitionTable(memoryDevice(bytes))).toThrow(/ISO 9660/);
  });

  needs('mkfs.vfat', 'mke2fs')('bare filesystems', () => {
    const fat = blank('fat', 4 * MIB);
    output('mkfs.vfat', [fat]);
    expect(() => readPartitionTable(memoryDevice(readFileSync(fat)))).toThrow(/found a FAT filesystem/);
    const ext4 = blank('ext4', 4 * MIB);
    output('mke2fs', ['-q', '-t', 'ext4', ext4]);
    expect(() => readPartitionTable(memoryDevice(readFileSync(ext4)))).toThrow(/ext4 filesystem/);
  });

  test('any 200 random first sectors with a signature end in a RockberryError or a table', () => {
    let state = 1;
    const next = (): number => (state = (state * 1103515245 + 12345) & 0x7fffffff) >> 8 & 0xff;
    for (let round = 0; round < 200; round++) {
      const bytes = new Uint8Array(MIB);
      for (let at = 0; at < 512; at++) bytes[at] = next();
      bytes.set([0x55, 0xaa], 510);
      for (let entry = 0; entry < 4; entry++) bytes[446 + 16 * entry] = 0;
      try {
        readPartitionTable(memoryDevice(bytes));
      } catch (error) {
        expect((error as Error).name).toBe('RockberryError');
      }
    }
  });
});
