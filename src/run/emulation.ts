/**
 * Programs for another processor. Since Linux 6.7 every user namespace may have a binfmt_misc of its own (fs/binfmt_misc.c, load_binfmt_misc: the nearest one up
 * the tree of namespaces counts), so the host's is neither needed nor touched: a process is held in a user namespace where every id is itself, with that
 * filesystem mounted in its own mount namespace; the command joins the user namespace only.
 */
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { RockberryError } from '../errors.js';
import { hostMachine, isStatic } from './elf.js';
import { call, findProgram, lastLine, PLAIN } from './programs.js';

export interface Emulator {
  /** The process whose user namespace the command must be in; undefined when the host itself has a handler. */
  readonly pid: number | undefined;
  close(): Promise<void>;
}

const NAMES = ['qemu-aarch64-static', 'qemu-aarch64'];
const HOST_HANDLERS = '/proc/sys/fs/binfmt_misc';
const REGISTERED = '/proc/register'; // where the holder mounts its own: over its /proc, which is there on every kernel

/** An ELF file, 64 bit, little endian, executable or shared, for AArch64; the operating system's ABI may be any. As qemu's scripts/qemu-binfmt-conf.sh has it. */
const MAGIC = String.raw`\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00`;
const MASK = String.raw`\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`;
/** F: opened now, so it need not be in the image. P: it is told argv[0]. C: setuid counts (Documentation/admin-guide/binfmt-misc.rst). */
const FLAGS = 'FPC';

const INSTALL = 'install qemu\'s static user emulation (apt install qemu-user-static, dnf install qemu-user-static-aarch64)';

/** undefined where the host runs such programs itself. Errors: `missing-program` without qemu, `unsupported` for another processor and on kernels that cannot. */
export async function openEmulator(machine: string): Promise<Emulator | undefined> {
  if (machine === hostMachine || (machine === 'i386' && hostMachine === 'x86_64')) return undefined;
  if (machine !== 'aarch64') throw new RockberryError('unsupported', `running commands in the image: expected programs for ${hostMachine} or aarch64, found ${machine}`);
  const qemu = NAMES.map(findProgram).find((path) => path !== undefined && isStatic(path));
  const reason = qemu === undefined ? undefined : await privately(qemu);
  if (typeof reason === 'object') return reason;
  if (hostHandles()) return { pid: undefined, close: async () => undefined };
  const needed = `running commands in the image: its programs are for aarch64, this is ${hostMachine}`;
  if (reason === undefined) throw new RockberryError('missing-program', `${needed}: expected the program ${NAMES[0]}, found none on PATH`, { hint: INSTALL });
  throw new RockberryError('unsupported', `${needed}, and the kernel has no binfmt_misc of ours: ${reason}`, {
    hint: 'use Linux 6.7 or newer, or register qemu for the whole host (apt install qemu-user-static binfmt-support, or docker run --privileged tonistiigi/binfmt --install arm64)',
  });
}

/** The emulator, or why there is none. */
async function privately(qemu: string): Promise<Emulator | string> {
  const child = execa('setpriv', ['--pdeathsig', 'KILL', 'unshare', '--user', '--mount', 'sh', '-c', 'echo ready; read -r _', 'sh'], {
    env: PLAIN, extendEnv: false, stdio: 'pipe', buffer: { stdout: false, stderr: true }, reject: false, cleanup: false, detached: true,
  });
  child.stdin.on('error', () => undefined);
  const close = async (): Promise<void> => {
    child.stdin.end();
    await child;
  };
  try {
    const ready = await Promise.race([new Promise<true>((resolve) => child.stdout.once('data', () => resolve(true))), child]);
    if (ready !== true) return lastLine(ready.stderr) || 'no user namespace';
    const { pid } = child as { pid: number };
    for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${pid}/${map}`, identity(map));
    await call('mount binfmt_misc', 'nsenter', ['--target', String(pid), '--user', '--mount', 'mount', '-t', 'binfmt_misc', 'binfmt_misc', '/proc']);
    writeFileSync(`/proc/${pid}/root${REGISTERED}`, `:qemu-aarch64:M::${MAGIC}:${MASK}:${qemu}:${FLAGS}`);
    return { pid, close };
  } catch (error) {
    await close();
    return error instanceof Error ? error.message : String(error);
  }
}

/** Every id that there is here, as itself: util-linux 2.38 cannot say this. */
function identity(map: string): string {
  const ranges = readFileSync(`/proc/self/${map}`, 'utf8').trim().split('\n').map((line) => line.trim().split(/\s+/));
  return ranges.map(([inside, , count]) => `${inside} ${inside} ${count}\n`).join('');
}

/** Whether the host has a handler that works in a root without it. */
function hostHandles(): boolean {
  if (!existsSync(join(HOST_HANDLERS, 'status'))) return false;
  return readdirSync(HOST_HANDLERS).filter((name) => name !== 'status' && name !== 'register').some((name) => {
    const text = readFileSync(join(HOST_HANDLERS, name), 'utf8');
    return /^enabled$/m.test(text) && /^flags: .*F/m.test(text) && /^magic 7f454c460201.*b700$/m.test(text);
  });
}
