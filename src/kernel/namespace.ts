/**
 * A mount namespace of our own (mount_namespaces(7)): what is mounted there nobody else sees, and when the last process in it ends, however it does, the kernel
 * takes the mounts away and frees their loop devices. Node cannot unshare itself, so the program starts itself again there; a parent that is killed takes the
 * child with it (prctl(2), PR_SET_PDEATHSIG).
 */
import { readlinkSync } from 'node:fs';
import { execa } from 'execa';
import { systemPath } from '../device/host.js';
import { RockberryError } from '../errors.js';
import { findProgram } from '../run/programs.js';

const MARK = 'ROCKBERRY_NAMESPACE'; // "PID NAMESPACE" of the parent
const PROGRAMS = ['setpriv', 'unshare', 'mount', 'umount'];
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const ownNamespace = (): string => readlinkSync('/proc/self/ns/mnt');

/** Whether this process is the one in the namespace. Ends the process when its parent is gone: it would go on unseen. */
export function isPrivate(): boolean {
  const [parent, namespace] = (process.env[MARK] ?? '').split(' ');
  if (namespace === undefined || namespace === ownNamespace()) return false;
  if (process.ppid !== Number(parent)) process.kill(process.pid, 'SIGKILL');
  return true;
}

/** Why the kernel cannot be used by this process; undefined when it can. */
export function whyNoKernel(): string | undefined {
  if (process.platform !== 'linux') return 'mounting needs Linux';
  if (process.geteuid?.() !== 0) return 'mounting needs root';
  const missing = PROGRAMS.filter((program) => findProgram(program) === undefined);
  return missing.length > 0 ? `mounting needs ${missing.join(' and ')} (package util-linux)` : undefined;
}

/** The command that does the same with the kernel's help, for messages. */
export function kernelCommand(): string {
  const given = process.argv.slice(2);
  const words = ['rockberry', ...given.filter((word, at) => word !== '--backend' && given[at - 1] !== '--backend'), '--backend', 'loop'];
  return ['sudo', ...words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))].join(' ');
}

/** Runs the same command there, with `extra` arguments; its exit status. A signal that ends it ends this process, too. */
export async function runPrivately(extra: readonly string[]): Promise<number> {
  const args = ['--pdeathsig', 'KILL', '--', 'unshare', '--mount', '--propagation', 'private', '--', process.execPath, ...process.execArgv, ...process.argv.slice(1), ...extra];
  const child = execa('setpriv', args, { stdio: 'inherit', reject: false, cleanup: false, env: { PATH: systemPath(), [MARK]: `${process.pid} ${ownNamespace()}` } });
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  for (const signal of SIGNALS) process.on(signal, pass);
  const { exitCode, signal, originalMessage } = await child;
  for (const each of SIGNALS) process.removeListener(each, pass);
  if (signal) process.kill(process.pid, signal);
  if (exitCode === undefined && !signal) throw new RockberryError('io', `expected to start again in a mount namespace, found that setpriv or unshare does not start: ${originalMessage ?? ''}`);
  return exitCode ?? 1;
}
