/** Programs start: they are for this machine, what loads or runs them is there, and units name programs that exist. */
import { boots, kernelImages } from '../boots.js';
import { EM_AARCH64, PT_LOAD, type Elf } from '../formats/elf.js';
import { kernelPageSize } from '../formats/kernel-config.js';
import type { Node } from '../node.js';
import { atMost, matching } from '../paths.js';
import { isInProgramDirectory, programsOf, type Program } from '../programs.js';
import { verdict, type Problem, type Rule, type Verdict } from '../rule.js';
import { commandsOf, unitPaths, type UnitCommand } from '../unit-commands.js';

const GABI = 'https://www.sco.com/developers/gabi/latest';
const PATH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin']; // systemd.exec(5), PATH; the fixed search path of systemd.service(5) too
const LIBRARIES = ['/lib64', '/usr/lib64', '/lib', '/usr/lib', '/lib/aarch64-linux-gnu', '/usr/lib/aarch64-linux-gnu']; // ld.so(8), and Debian's multiarch
const MAX_DIRECTORIES = 100; // of libraries
const LARGE_PAGE = 16_384; // bytes
const HEADER = 4096; // bytes of a kernel file

/** e_machine: gABI, "e_machine" of chapter 4. */
const MACHINES: Readonly<Record<number, string>> = { 3: 'x86', 20: 'PowerPC', 21: 'PowerPC 64', 22: 'S/390', 40: 'Arm', 62: 'x86-64', 243: 'RISC-V', 258: 'LoongArch' };

/** What a download puts in a program's place, by its first bytes. */
const MISTAKES: readonly (readonly [start: string, what: string])[] = [
  ['\x1f\x8b', 'gzip data'], ['\xfd7zXZ\0', 'xz data'], ['\x28\xb5\x2f\xfd', 'zstd data'], ['PK\x03\x04', 'a zip archive'], ['MZ', 'a Windows program'],
  ['\xcf\xfa\xed\xfe', 'a macOS program'], ['\xca\xfe\xba\xbe', 'a macOS program'], ['<!DOCTYPE', 'a web page'], ['<!doctype', 'a web page'], ['<html', 'a web page'],
];

const architecture: Rule = {
  id: 'programs-architecture', group: 'programs', title: 'programs are for 64-bit Arm', source: 'https://github.com/ARM-software/abi-aa/blob/main/aaelf64/aaelf64.rst',
  check: (node) => judge(node, (program) => {
    const message = wrongFormat(program);
    if (message === undefined) return [];
    const mayRun = program.kind === 'other' && startOf(program.head) === undefined; // a shell takes a text without "#!" for its own
    return [{ severity: mayRun ? 'warning' : 'error', subject: program.path, message, hint: 'place the file that is released for linux-arm64 (aarch64)' }];
  }),
};

function wrongFormat(program: Program): string | undefined {
  if (program.kind === 'damaged') return program.problem;
  if (program.kind === 'elf') return wrongMachine(program.elf);
  if (program.kind === 'script' || !program.isExecutable) return undefined;
  const found = startOf(program.head) ?? (program.head.length === 0 ? 'an empty file' : isInProgramDirectory(program.path) ? 'neither' : undefined);
  return found === undefined ? undefined : `expected a program or a script that begins with "#!", found ${found}`;
}

function wrongMachine({ machine, bits, isLittleEndian }: Elf): string | undefined {
  if (machine === EM_AARCH64 && bits === 64 && isLittleEndian) return undefined;
  const name = machine === EM_AARCH64 ? `aarch64, ${bits}-bit, ${isLittleEndian ? 'little' : 'big'}-endian` : (MACHINES[machine] ?? `machine ${machine}`);
  return `expected a program for aarch64 (64-bit, little-endian), found one for ${name}`;
}

function startOf(head: Uint8Array): string | undefined {
  const text = Buffer.from(head).toString('latin1');
  return MISTAKES.find(([start]) => text.startsWith(start))?.[1];
}

const interpreter: Rule = {
  id: 'programs-interpreter', group: 'programs', title: 'what loads or runs the programs is in the image', source: `${GABI}/ch5.dynamic.html#interpreter`,
  check: (node) => judge(node, (program) => {
    if (program.kind !== 'elf' && program.kind !== 'script') return [];
    return missingInterpreter(node, program).map((message): Problem => ({
      severity: 'error', subject: program.path, message,
      hint: program.kind === 'script' ? 'correct the first line of the script; it must end without a carriage return' : 'place a program for glibc (linux-gnu) or a static one; Rocky Linux has no musl',
    }));
  }),
};

function missingInterpreter(node: Node, program: Program & { kind: 'elf' | 'script' }): string[] {
  const name = program.kind === 'elf' ? program.elf.interpreter : program.interpreter;
  if (name === undefined) return [];
  const absent = notExecutable(node, name);
  if (absent !== undefined) return [`expected its interpreter ${name} in the image, found ${absent}`];
  const run = program.kind === 'script' && /\/env$/.test(name) ? runByEnv(program.argument) : undefined;
  if (run === undefined || inPath(node, run) !== undefined) return [];
  return [`expected ${run}, which its first line has env run, in ${PATH.join(':')}, found none`];
}

/** The kernel hands env all the rest of the line as one argument; only -S splits it (env(1)). */
function runByEnv(argument: string): string | undefined {
  const split = /^(?:-S|--split-string=?)\s*(.*)$/s.exec(argument)?.[1];
  const words = split === undefined ? [argument] : split.split(/[ \t]+/);
  return words.find((word) => word !== '' && !word.startsWith('-') && !/^\w+=/.test(word));
}

function inPath(node: Node, name: string): string | undefined {
  const candidates = name.includes('/') ? [name] : PATH.map((directory) => `${directory}/${name}`);
  return candidates.find((path) => notExecutable(node, path) === undefined);
}

/** What is wrong with a path as a program: "nothing", "a directory", "a file without the executable bit". */
function notExecutable(node: Node, path: string): string | undefined {
  if (!path.startsWith('/')) return 'a name that is no absolute path';
  const stat = node.stat(path);
  if (!stat) return 'nothing';
  if (stat.type !== 'file') return `a ${stat.type}`;
  return (stat.mode & 0o111) === 0 ? 'a file without the executable bit' : undefined;
}

const libraries: Rule = {
  id: 'programs-libraries', group: 'programs', title: 'the libraries that programs need are in the image', source: 'https://man7.org/linux/man-pages/man8/ld.so.8.html',
  check: (node) => judge(node, (program) => {
    if (program.kind !== 'elf' || wrongMachine(program.elf) !== undefined) return [];
    const directories = libraryDirectories(node, program);
    const missing = program.elf.needed.filter((name) => !(name.includes('/') ? [name] : directories.map((directory) => `${directory}/${name}`)).some((path) => node.stat(path)));
    if (missing.length === 0) return [];
    return [{ severity: 'warning', subject: program.path, message: `expected ${missing.join(', ')} in ${LIBRARIES.slice(0, 2).join(', ')} or where it looks, found none`, hint: 'place a static program, or install the package that has the library in the base image' }];
  }),
};

function libraryDirectories(node: Node, { path, elf }: Program & { kind: 'elf' }): string[] {
  const origin = path.slice(0, path.lastIndexOf('/'));
  const own = elf.runPath.map((directory) => directory.replace(/\$(ORIGIN|\{ORIGIN\})/g, origin));
  const configured = ['/etc/ld.so.conf', ...matching(node, '/etc/ld.so.conf.d/*.conf')].flatMap((file) => (node.text(file) ?? '').split('\n').filter((line) => line.startsWith('/')));
  return [...LIBRARIES, ...own, ...configured.map((line) => line.trim())].slice(0, MAX_DIRECTORIES);
}

const pageSize: Rule = {
  id: 'programs-page-size', group: 'programs', title: 'programs run on a kernel with pages of 16 KiB', source: 'https://www.raspberrypi.com/documentation/computers/config_txt.html#kernel',
  check(node) {
    const kernel = largePageKernel(node);
    if (kernel === undefined) return { skipped: 'no kernel of the image has pages of 16 KiB' };
    return judge(node, (program) => {
      const loaded = program.kind === 'elf' ? program.elf.segments.filter(({ type }) => type === PT_LOAD) : [];
      const least = Math.min(...loaded.map(({ align }) => align));
      if (loaded.length === 0 || least >= LARGE_PAGE) return [];
      return [{
        severity: 'warning', subject: program.path, message: `expected segments aligned to 16 KiB because of ${kernel}, found ${least} bytes`,
        hint: 'take a newer build (linked with -z max-page-size=65536), or boot the Pi 5 with 4 KiB: config_txt: { section: pi5, set: { kernel: kernel8.img } }',
      }];
    });
  },
};

/** A kernel file that some board boots; without device trees, any that is there. The Pi 5's own has pages of 16 KiB where its header does not tell. */
function largePageKernel(node: Node): string | undefined {
  const booted = boots(node).filter(({ kernel }) => kernel.present).map(({ kernel }) => kernel.path);
  const paths = booted.length > 0 ? booted : kernelImages(node).map(({ path }) => path);
  const sizeOf = (path: string): number => kernelPageSize(node.tree.read(node.tree.resolve(path), 0, HEADER)) ?? (/kernel_2712|16k/.test(path) ? LARGE_PAGE : 0);
  return paths.find((path) => sizeOf(path) >= LARGE_PAGE);
}

const mode: Rule = {
  id: 'programs-mode', group: 'programs', title: 'programs have the executable bit', source: 'https://man7.org/linux/man-pages/man2/execve.2.html',
  check: (node) => judge(node, (program) => {
    if (program.isExecutable || program.kind === 'other') return [];
    return [{ severity: 'warning', subject: program.path, message: 'expected mode 0755 for a program, found it without the executable bit', hint: 'set the mode in the files step, or in the archive that brings it' }];
  }),
};

const units: Rule = {
  id: 'programs-units', group: 'programs', title: 'units start programs that exist', source: 'https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html#ExecStart=',
  check(node) {
    const paths = unitPaths(node);
    if (paths.length === 0) return { skipped: 'no units but the vendor\'s' };
    return verdict(atMost(paths.flatMap((path) => commandsOf(node, path)).flatMap((command) => missingProgram(node, command))), `${paths.length} unit file${paths.length === 1 ? '' : 's'}`);
  },
};

function missingProgram(node: Node, { unit, key, program, isEnabled, conditions }: UnitCommand): Problem[] {
  const wrong = program.startsWith('/') ? notExecutable(node, program) : inPath(node, program) === undefined ? 'none' : undefined;
  if (wrong === undefined || (wrong === 'nothing' && conditions.includes(program))) return [];
  return [{
    severity: isEnabled ? 'error' : 'warning', subject: unit, message: `expected the program of ${key}=, ${program}, to be executable in the image, found ${wrong}`,
    hint: 'place the program with mode 0755 (files step), or let the unit wait for it with ConditionFileIsExecutable=',
  }];
}

/** Asks of each program; with no programs there is nothing to judge. */
function judge(node: Node, ask: (program: Program) => readonly Problem[]): Verdict {
  const { found, isWhole } = programsOf(node);
  if (found.length === 0) return { skipped: node.placed.length > 0 ? 'no profile of the call places a program' : 'no programs but the vendor\'s' };
  const unseen: Problem[] = isWhole ? [] : [{ severity: 'info', subject: '/opt', message: `only the first ${found.length} programs were looked at` }];
  return verdict([...atMost(found.flatMap(ask)), ...unseen], `${found.length} program${found.length === 1 ? '' : 's'}`);
}

export const programsRules: readonly Rule[] = [architecture, interpreter, libraries, pageSize, mode, units];
