/**
 * The namespaces and the processes in them, from outside to inside:
 *
 *   unshare    in the new mount, ipc, uts, cgroup and net namespace; mounts are made through its /proc entry
 *   init       sh, process 1 of the pid namespace; its end is the end of everything in there. The host's program with all capabilities: the command, with fewer,
 *              can neither open /proc/1/exe nor look through /proc/1/root (ptrace(2), PTRACE_MODE_READ)
 *   watcher    a child of init: a word on the lifeline sends TERM to all, the lifeline's end KILL. Only rockberry holds the other end
 *   entry      sh with the command's capabilities; waits until everything is mounted and the host's tree is gone, then becomes the command
 *
 * So there are two ways to end all of it that need no help of ours: the parent-death signal of each (unshare's by setpriv, init's by --kill-child), and the
 * lifeline, for the moments in which that signal was not yet set.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { constants } from 'node:os';
import type { Writable } from 'node:stream';
import { execa } from 'execa';
import { RockberryError } from '../errors.js';
import { call, findProgram, lastLine, PLAIN } from './programs.js';

/** Docker's default list without MKNOD (moby, oci/caps/defaults.go). */
const CAPABILITIES = ['chown', 'dac_override', 'fsetid', 'fowner', 'net_raw', 'setgid', 'setuid', 'setfcap', 'setpcap', 'net_bind_service', 'sys_chroot', 'kill', 'audit_write'];

/**
 * First what rockberry's own parent left open is closed: a directory of the host among it would be a way out. Node closes the low numbers, and only bash can name
 * those above 9. The command is no background job: those ignore SIGINT for good. What `kill -1` sends goes to all but the sender and init.
 */
const INIT = `
if [ -n "\${BASH_VERSION-}" ]; then
  for fd in /proc/self/fd/*; do
    [ "\${fd##*/}" -le 3 ] || eval "exec \${fd##*/}>&-"
  done
fi
{ while read -r word; do kill -s TERM -- -1; done; kill -s KILL -- -1; } <&3 >/dev/null 2>&1 &
"$@" 3<&-
exit $?`;

/** $1: how many variables; $2: where output goes; then the command. Variables come under names that mean nothing to the host's programs, and get their own here. */
const ENTRY = `
echo ready
read -r go || exit 125
umask 022
cd / || exit 125
count=$1 output=$2 at=0
shift 2
unset _ LC_ALL PWD OLDPWD SHLVL
while [ "$at" -lt "$count" ]; do
  eval "export \\"\\$ROCKBERRY_RUN_$at\\"; unset ROCKBERRY_RUN_$at"
  at=$((at + 1))
done
exec "$@" </dev/null >"$output" 2>&1`;

const STDERR_LIMIT = 8192; // characters

export interface HolderOptions {
  readonly network: 'host' | 'none';
  readonly environment: ReadonlyMap<string, string>;
  /** In the image. */
  readonly command: readonly string[];
  /** A FIFO in the image. */
  readonly output: string;
  /** A process whose user namespace the command is in. */
  readonly userNamespaceOf: number | undefined;
}

export interface Ended {
  readonly status: number;
  readonly signal: boolean;
}

export interface Holder {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** Runs a program of the host in the mount namespace, before the host's tree is gone from it. */
  inside(doing: string, args: readonly string[], also?: readonly string[]): Promise<void>;
  /** Lets the command begin. */
  start(): void;
  /** TERM to all of them. */
  terminate(): void;
  /** KILL to all of them; resolves when they are gone. */
  kill(): Promise<void>;
}

/** Errors: `unsupported` where the kernel, or what the host is itself in, allows no namespaces. */
export async function openHolder(options: HolderOptions): Promise<Holder> {
  const child = spawnHolder(options);
  const said = gather(child.stderr);
  let killed = false;
  const ended = child.then(({ exitCode, signal }): Ended => {
    if (killed || signal === 'SIGKILL') return { status: 137, signal: true }; // unshare 2.38 makes a 1 of it
    return exitCode === undefined ? { status: 128 + constants.signals[signal!], signal: true } : { status: exitCode, signal: false };
  });
  const ready = new Promise<boolean>((resolve) => {
    child.stdout.once('data', () => resolve(true));
    void ended.then(() => resolve(false));
  });
  child.stdin.on('error', () => undefined); // it may end before it reads
  const lifeline = child.stdio[3] as unknown as Writable; // execa takes it for output; it is a socket, as all of Node's pipes
  lifeline.on('error', () => undefined);
  if (!await ready || child.pid === undefined) {
    throw new RockberryError('unsupported', `running commands in the image: expected namespaces of its own, found: ${lastLine(said()) || 'the processes in them ended at once'}`, {
      hint: 'run it as root on the host itself or in a container that may make namespaces (docker run --privileged)',
    });
  }
  const { pid } = child;
  const init = childOf(pid);
  return {
    pid, ended,
    inside: (doing, args, also = []) => call(doing, 'nsenter', ['--target', String(pid), '--mount', ...also, ...args]),
    start: () => void child.stdin.end('go\n'),
    terminate: () => void lifeline.write('TERM\n'),
    kill: async () => {
      lifeline.end();
      if (child.exitCode === null && child.signalCode === null) {
        killed = true;
        killIfThere(init ?? pid); // by its process 1: the kernel then ends all others before unshare sees it gone
      }
      await ended;
    },
  };
}

function spawnHolder({ network, environment, command, output, userNamespaceOf }: HolderOptions) {
  const variables = [...environment].map(([name, value]) => `${name}=${value}`);
  const entry = [
    ...(userNamespaceOf === undefined ? [] : ['nsenter', `--user=/proc/${userNamespaceOf}/ns/user`]),
    'setpriv', '--clear-groups', '--inh-caps', '-all', '--bounding-set', ['-all', ...CAPABILITIES.map((name) => `+${name}`)].join(','),
    'sh', '-c', ENTRY, 'sh', String(variables.length), output, ...command,
  ];
  const namespaces = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--ipc', '--uts', '--cgroup', ...(network === 'none' ? ['--net'] : [])];
  return execa('setpriv', ['--pdeathsig', 'KILL', 'unshare', ...namespaces, '--wd=/', ...shell(), '-c', INIT, 'sh', ...entry], {
    env: { ...PLAIN, ...Object.fromEntries(variables.map((variable, at) => [`ROCKBERRY_RUN_${at}`, variable])) }, extendEnv: false,
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'], buffer: false, reject: false, cleanup: false,
    detached: true, // a session of its own: no terminal that the command could type into
  });
}

/** A bash whose standard input is a socket reads ~/.bashrc otherwise: it takes itself for a remote shell's. */
function shell(): string[] {
  const bash = findProgram('bash');
  return bash === undefined ? ['sh'] : [bash, '--norc'];
}

/** The first process that this one forked. Not every kernel has /proc/PID/task/PID/children. */
function childOf(parent: number): number | undefined {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).find((pid) => parentOf(pid) === parent);
}

function parentOf(pid: number): number | undefined {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /s, '').split(' ')[1]);
  } catch {
    return undefined; // it is gone
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it is gone
  }
}

function gather(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.on('data', (piece: Buffer) => {
    if (text.length < STDERR_LIMIT) text += piece.toString('utf8');
  });
  return () => text;
}
