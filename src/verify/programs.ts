/** The programs that a node is meant to run and that the vendor did not test: those a profile places, or those in the places where people and installers put them. */
import { RockberryError } from '../errors.js';
import { isElf, readElf, type Elf } from './formats/elf.js';
import type { Node } from './node.js';
import { isOnFat, lstat, walk } from './paths.js';
import { remembered } from './remembered.js';

interface Common {
  readonly path: string;
  readonly isExecutable: boolean;
}

export type Program = Common & (
  | { readonly kind: 'elf'; readonly elf: Elf }
  /** "#!/bin/sh -e": the interpreter and, as one text, what follows it. */
  | { readonly kind: 'script'; readonly interpreter: string; readonly argument: string }
  | { readonly kind: 'damaged'; readonly problem: string }
  | { readonly kind: 'other'; readonly head: Uint8Array }
);

export interface Programs {
  readonly found: readonly Program[];
  /** false: there are more files than were looked at. */
  readonly isWhole: boolean;
}

const PLACES = ['/usr/local/bin', '/usr/local/sbin', '/usr/local/libexec', '/usr/libexec/rockberry', '/opt', '/var/lib/rancher'];
const NAMED = ['k3s', 'rke2', 'kubelet', 'kubeadm', 'kubectl', 'containerd', 'crictl', 'runc'].map((name) => `/usr/bin/${name}`);
const MAX_PROGRAMS = 5000;
const HEAD = 256; // bytes; BINPRM_BUF_SIZE, include/uapi/linux/binfmts.h: the kernel looks no further for "#!"

/** What is executable, and what stands in a directory of programs without being so. */
export const programsOf: (node: Node) => Programs = remembered(readPrograms);

/** Whether the last directory of a path is one of programs. */
export function isInProgramDirectory(path: string): boolean {
  return /\/s?bin\/[^/]+$/.test(path);
}

function readPrograms(node: Node): Programs {
  const walks = node.placed.length > 0 ? [] : PLACES.map((place) => walk(node, place));
  const placed = node.placed.filter(({ removed }) => !removed).map(({ path }) => path);
  const paths = node.placed.length > 0 ? placed : [...walks.flatMap(({ found }) => found.map(({ path }) => path)), ...NAMED];
  const found: Program[] = [];
  for (const path of new Set(paths)) {
    const program = isOnFat(node, path) ? undefined : readProgram(node, path);
    if (program) found.push(program);
    if (found.length === MAX_PROGRAMS) return { found, isWhole: false };
  }
  return { found, isWhole: walks.every(({ isWhole }) => isWhole) };
}

function readProgram(node: Node, path: string): Program | undefined {
  const stat = lstat(node, path);
  if (stat?.type !== 'file') return undefined;
  const isExecutable = (stat.mode & 0o111) !== 0;
  if (!isExecutable && !isInProgramDirectory(path)) return undefined;
  const head = node.tree.read(path, 0, HEAD);
  const common = { path, isExecutable };
  if (!isElf(head)) return { ...common, ...(scriptOf(head) ?? { kind: 'other', head }) };
  try {
    return { ...common, kind: 'elf', elf: readElf({ size: stat.size, read: (offset, length) => node.tree.read(path, offset, length) }) };
  } catch (error) {
    if (!(error instanceof RockberryError) || error.code !== 'corrupt') throw error;
    return { ...common, kind: 'damaged', problem: error.message };
  }
}

/** As fs/binfmt_script.c: blanks around go, the first word is the interpreter, the rest is one argument. */
function scriptOf(head: Uint8Array): { kind: 'script'; interpreter: string; argument: string } | undefined {
  const [line] = Buffer.from(head).toString('utf8').split('\n');
  const [, interpreter, argument] = /^#![ \t]*([^ \t]+)[ \t]*(.*?)[ \t]*$/s.exec(line!) ?? [];
  return interpreter === undefined ? undefined : { kind: 'script', interpreter, argument: argument! };
}
