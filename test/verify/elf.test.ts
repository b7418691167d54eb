/** The ELF reader against readelf, on programs of this host and on files of every class and byte order; one field spoiled at a time; random damage. */
import fc from 'fast-check';
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { RockberryError } from '../../src/errors.js';
import { EM_AARCH64, isElf, readElf, type Elf } from '../../src/verify/formats/elf.js';
import { needs, output } from '../support/oracle.js';
import { makeElf, type ElfParts } from './make-elf.js';

const folder = mkdtempSync(join(tmpdir(), 'rockberry-elf-'));
afterAll(() => rmSync(folder, { recursive: true }));

function parse(bytes: Uint8Array): Elf {
  return readElf({
    size: bytes.length,
    read(offset, length) {
      if (offset < 0 || offset + length > bytes.length) throw new Error(`read outside the file: ${length} bytes at ${offset}`);
      return bytes.subarray(offset, offset + length);
    },
  });
}

const TYPES: Readonly<Record<number, string>> = { 1: 'LOAD', 2: 'DYNAMIC', 3: 'INTERP' };
const MACHINES: Readonly<Record<number, string>> = { 3: 'Intel 80386', 21: 'PowerPC64', 40: 'ARM', 62: 'Advanced Micro Devices X86-64', 183: 'AArch64', 243: 'RISC-V' };

/** What readelf prints of a file, in the form that ours is brought into. */
function oracle(file: string): unknown {
  const text = output('readelf', ['-W', '-h', '-l', '-d', file]).toString();
  const field = (name: string): string => new RegExp(`^ +${name}: +(.*)$`, 'm').exec(text)?.[1] ?? '';
  const segments = [...text.matchAll(/^ +(LOAD|DYNAMIC|INTERP) +(0x[0-9a-f]+) (0x[0-9a-f]+) 0x[0-9a-f]+ (0x[0-9a-f]+) (0x[0-9a-f]+) ...? *(0x[0-9a-f]+)$/gm)];
  return {
    class: field('Class'), data: field('Data'), machine: field('Machine'), type: field('Type').split(' ')[0],
    segments: segments.map(([, kind, ...numbers]) => [kind, ...numbers.map(Number)]),
    interpreter: /Requesting program interpreter: (.*)\]/.exec(text)?.[1],
    needed: [...text.matchAll(/\(NEEDED\) +Shared library: \[(.*)\]/g)].map(([, name]) => name),
    runPath: /\((?:RUNPATH|RPATH)\) .*\[(.*)\]/.exec(text)?.[1]?.split(':') ?? [],
  };
}

function ours({ bits, isLittleEndian, machine, type, segments, interpreter, needed, runPath }: Elf): unknown {
  return {
    class: `ELF${bits}`, data: `2's complement, ${isLittleEndian ? 'little' : 'big'} endian`, machine: MACHINES[machine], type: ['NONE', 'REL', 'EXEC', 'DYN', 'CORE'][type],
    segments: segments.filter((one) => TYPES[one.type]).map((one) => [TYPES[one.type], one.offset, one.address, one.fileSize, one.memorySize, one.align]), interpreter, needed, runPath,
  };
}

describe('against readelf', () => {
  needs('readelf')('programs and libraries of this host', () => {
    const files = ['/bin/sh', '/bin/ls', '/usr/bin/env', '/usr/bin/tar', process.execPath, '/lib64/ld-linux-x86-64.so.2', '/lib/ld-linux-aarch64.so.1'].filter((path) => existsSync(path)).map((path) => realpathSync(path));
    for (const file of files) expect({ file, seen: ours(parse(readFileSync(file))) }).toEqual({ file, seen: oracle(file) });
    expect(parse(readFileSync(files[1]!)).needed).toContain('libc.so.6');
  });

  const kinds: ElfParts[] = [
    {}, { interpreter: '/lib/ld-linux-aarch64.so.1', needed: ['libc.so.6', 'libseccomp.so.2'], runPath: '$ORIGIN/../lib:/opt/lib', type: 3 }, { align: 4096 },
    { bits: 32, machine: 40, interpreter: '/lib/ld-linux-armhf.so.3', needed: ['libc.so.6'] }, { order: 'big', machine: 183, interpreter: '/lib/ld-linux-aarch64_be.so.1', needed: ['libc.so.6'] },
    { order: 'big', machine: 21, bits: 64, needed: ['a.so'] }, { bits: 32, machine: 3 }, { machine: 243, interpreter: '/lib/ld-linux-riscv64-lp64d.so.1' }, { bits: 32, order: 'big', machine: 40, needed: ['x.so'], runPath: '/x' },
  ];
  needs('readelf').each(kinds)('made: %j', (parts) => {
    const file = join(folder, 'made');
    writeFileSync(file, makeElf(parts));
    expect(ours(parse(makeElf(parts)))).toEqual(oracle(file));
    expect(parse(makeElf(parts))).toMatchObject({ machine: parts.machine ?? EM_AARCH64, bits: parts.bits ?? 64, interpreter: parts.interpreter, needed: parts.needed ?? [] });
  });
});

describe('one field spoiled', () => {
  const full: ElfParts = { interpreter: '/lib/ld-linux-aarch64.so.1', needed: ['libc.so.6'] };
  const load = 64 + 56; // the second program header
  const dynamic = 64 + 2 * 56;
  const cases: [name: string, spoil: (file: Buffer) => Buffer, sentence: RegExp][] = [
    ['the magic', (file) => file.fill(0, 0, 1), /the ELF magic/],
    ['the class', (file) => file.fill(3, 4, 5), /class of 1 or 2, found 3/],
    ['the byte order', (file) => file.fill(0, 5, 6), /byte order of 1 or 2, found 0/],
    ['nothing but the magic', (file) => file.subarray(0, 10), /16 bytes of the ELF header/],
    ['the header cut off', (file) => file.subarray(0, 40), /64 bytes of the ELF header/],
    ['the size of program headers', (file) => file.fill(57, 54, 55), /program headers of 56 bytes, found 57/],
    ['the number of program headers', (file) => file.fill(0xff, 56, 58), /at most 65536 bytes of program headers/],
    ['the place of program headers', (file) => file.fill(0xff, 32, 40), /of the program headers at offset/],
    ['a segment beyond the end', (file) => file.fill(0x7f, load + 32, load + 36), /it is cut off/],
    ['a cut download', (file) => file.subarray(0, file.length - 1), /it is cut off/],
    ['the interpreter\'s NUL', (file) => file.fill(0x78, file.indexOf('.so.1\0') + 5, file.indexOf('.so.1\0') + 6), /a NUL at the end of the interpreter's name/],
    ['the interpreter\'s length', (file) => file.fill(1, 64 + 32, 64 + 33), /2 to 4096 bytes for the interpreter's name, found 1/],
    ['the interpreter\'s place', (file) => file.fill(0xff, 64 + 8, 64 + 12), /the interpreter's name at offset/],
    ['the place of the dynamic section', (file) => file.fill(0xff, dynamic + 8, dynamic + 12), /of the dynamic section at offset/],
    ['the address of the string table', (file) => file.fill(0xff, file.length - 3 * 16 + 8, file.length - 3 * 16 + 12), /the string table in a loaded segment/],
    ['a name outside the file', (file) => file.fill(0x70, file.length - 4 * 16 + 8, file.length - 4 * 16 + 12), /a name in the string table/],
  ];
  test.each(cases)('%s', (_, spoil, sentence) => {
    expect(() => parse(makeElf(full))).not.toThrow();
    expect(() => parse(spoil(makeElf(full)))).toThrow(expect.objectContaining({ code: 'corrupt', message: expect.stringMatching(sentence) as string }) as Error);
  });

  test('a thousand needed libraries', () => {
    expect(() => parse(makeElf({ needed: Array.from({ length: 257 }, () => 'a') }))).toThrow(/at most 256 needed libraries, found 257/);
    expect(parse(makeElf({ needed: Array.from({ length: 256 }, () => 'a') })).needed).toHaveLength(256);
  });

  test('no program headers: an object file', () => {
    const file = makeElf({ type: 1 }).fill(0, 56, 58);
    expect(parse(file)).toMatchObject({ type: 1, segments: [], interpreter: undefined });
  });
});

test('random damage: read or refused as corrupt, and never outside the file', () => {
  const seed = process.env.ROCKBERRY_SEED ? Number(process.env.ROCKBERRY_SEED) : 20260930;
  console.error(`elf: seed ${seed}`);
  const bases = [makeElf({ interpreter: '/lib/ld-linux-aarch64.so.1', needed: ['libc.so.6'], runPath: '/x' }), makeElf({ bits: 32, order: 'big', needed: ['a'] })];
  const poke = fc.tuple(fc.nat(400), fc.nat(255));
  let refused = 0;
  fc.assert(fc.property(fc.nat(1), fc.array(poke, { maxLength: 6 }), fc.option(fc.nat(400)), (which, pokes, cut) => {
    const file = Buffer.from(bases[which]!);
    for (const [at, value] of pokes) if (at < file.length) file[at] = value;
    try {
      parse(cut === null ? file : file.subarray(0, cut));
    } catch (error) {
      refused += 1;
      expect(error).toBeInstanceOf(RockberryError);
      expect(error).toMatchObject({ code: 'corrupt' });
    }
  }), { numRuns: 3000, seed });
  expect(refused).toBeGreaterThan(100);
});

test('what is no ELF file', () => {
  expect(isElf(Buffer.from('#!/bin/sh\n'))).toBe(false);
  expect(isElf(Buffer.from('\x7fEL'))).toBe(false);
  expect(isElf(makeElf())).toBe(true);
});
