/** What an ELF header says of a program (elf(5)): for which processor it is, and whether it needs an interpreter of its own. */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { hostError, readFully } from '../device/host.js';
import { RockberryError } from '../errors.js';
import { locate } from './inside.js';

const HEADER = 64;
const PT_INTERP = 3;
const MACHINES: Readonly<Record<number, string>> = { 0x03: 'i386', 0x28: 'arm', 0x3e: 'x86_64', 0xb7: 'aarch64', 0xf3: 'riscv64' };
const OWN: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64', arm: 'arm', ia32: 'i386' };

/** This host's processor, by the kernel's name. */
export const hostMachine = OWN[process.arch] ?? process.arch;

/** For which processor the image's /bin/sh is. Errors: `unsupported` when there is none, or it is no program. */
export function machineOf(root: string): string {
  const { path, stat } = locate(root, '/bin/sh');
  if (!stat?.isFile()) throw new RockberryError('unsupported', `running commands in the image: expected a shell at /bin/sh, found ${stat ? 'no regular file' : 'none'}`);
  const header = headerOf(join(root, path));
  const number = header?.readUInt16LE(18);
  if (number === undefined) throw new RockberryError('unsupported', `running commands in the image: expected a program at ${path}, found no ELF file`);
  return MACHINES[number] ?? `of ELF machine ${number}`;
}

function headerOf(path: string, length = HEADER): Buffer | undefined {
  const bytes = Buffer.alloc(length);
  try {
    const file = openSync(path, 'r');
    try {
      if (!readFully(file, bytes, 0)) return undefined;
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw hostError(error, 'read', path);
  }
  return bytes.subarray(0, 4).equals(Buffer.from('\x7fELF', 'latin1')) && bytes[5] === 1 ? bytes : undefined;
}

/** Whether a 64-bit program of the host runs where only it itself can be found. */
export function isStatic(path: string): boolean {
  const bytes = headerOf(path, 4096);
  if (!bytes || bytes[4] !== 2) return false;
  const [start, size, count] = [Number(bytes.readBigUInt64LE(32)), bytes.readUInt16LE(54), bytes.readUInt16LE(56)];
  if (start + size * count > bytes.length) return false;
  return Array.from({ length: count }, (_, at) => bytes.readUInt32LE(start + at * size)).every((type) => type !== PT_INTERP);
}
