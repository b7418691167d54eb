/**
 * Runs a command of the image in the image: in namespaces that end with it, with the kernel's own filesystems, the host's resolver and secrets put over the root
 * and none of them in it. The order: mount points that are missing are made; namespaces; mounts; the host's tree is left; the command.
 *
 * Not by systemd-nspawn, even where there is one: what a command finds must not depend on that. It also makes directories in the image that it lacks, leaves locks
 * and directories in the host's /run/systemd/nspawn when it is killed, and cannot be in a user namespace with a binfmt_misc of its own.
 */
import { closeSync, constants, openSync, realpathSync, statSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { hostError, systemCode } from '../device/host.js';
import { RockberryError } from '../errors.js';
import { putBinds } from './binds.js';
import { machineOf } from './elf.js';
import { openEmulator } from './emulation.js';
import { enter, furnish, makeMountPoints, place, placeDirectory } from './furnish.js';
import { openHolder, type Holder } from './holder.js';
import { lines } from './lines.js';
import type { Remove } from './placeholder.js';
import { call, requirePrograms } from './programs.js';
import { checkRequest, environmentOf, type RunRequest } from './request.js';
import { putResolver } from './resolver.js';

export interface RunResult {
  /** The command's exit status; 128 + the signal's number when one ended it. */
  readonly status: number;
  /** As a shell would tell: a command that exits with more than 128 itself counts as ended by a signal. */
  readonly ended: 'exit' | 'signal' | 'timeout';
  readonly how: 'namespaces';
  /** Whether qemu ran the image's programs. */
  readonly emulated: boolean;
}

const OWN = '/run/rockberry';
const SECRETS = '/run/secrets';
const OUTPUT = `${OWN}/output`;
const SCRIPT = `${OWN}/script`;
const GRACE = 5000; // milliseconds from TERM to KILL

/**
 * Errors: `usage` for what cannot be asked, `refused` without root and for an image whose links lead astray, `missing-program`, `unsupported` for kernels and
 * processors, `io`. What the command itself does is no error, but a result.
 */
export async function runInRoot(request: RunRequest): Promise<RunResult> {
  const made: Remove[] = [];
  try {
    checkRequest(request);
    requirePrograms();
    const root = rootOf(request.root);
    const emulator = await openEmulator(machineOf(root));
    try {
      makeMountPoints(root, made);
      return { ...await runThere(request, root, emulator?.pid, made), how: 'namespaces', emulated: emulator !== undefined };
    } finally {
      for (const remove of made.reverse()) await remove();
      await emulator?.close();
    }
  } catch (error) {
    throw masked(error, request.mask);
  }
}

function rootOf(path: string): string {
  try {
    const root = realpathSync(path);
    if (root !== '/' && statSync(root).isDirectory()) return root;
  } catch (error) {
    throw hostError(error, 'open', path);
  }
  throw new RockberryError('usage', `running commands in the image: expected a directory that is the image's root, found ${path}`);
}

type Outcome = Pick<RunResult, 'status' | 'ended'>;

async function runThere(request: RunRequest, root: string, userNamespaceOf: number | undefined, made: Remove[]): Promise<Outcome> {
  const { command, network } = request;
  const argv = 'script' in command ? ['/bin/sh', '-e', SCRIPT] : command;
  const holder = await openHolder({ network, environment: environmentOf(request), command: argv, output: OUTPUT, userNamespaceOf });
  try {
    const view = `/proc/${holder.pid}/root${root}`;
    await furnish(holder, root, view, network);
    placeDirectory(join(view, OWN), 0o700);
    placeDirectory(join(view, SECRETS), 0o755);
    for (const [name, value] of request.secrets) place(join(view, SECRETS, name), value, 0o400);
    if ('script' in command) place(join(view, SCRIPT), command.script, 0o500);
    if (network === 'host') await putResolver(holder, root, view, OWN, made);
    await putBinds(holder, root, request.binds, made);
    await call('make a pipe', 'mkfifo', ['--mode=0666', join(view, OUTPUT)]); // one that can be opened again as /dev/stdout, which Node's own cannot: they are sockets
    const [reading, writing] = [openSync(join(view, OUTPUT), constants.O_RDONLY | constants.O_NONBLOCK), openSync(join(view, OUTPUT), constants.O_WRONLY)];
    const output = forward(reading, request);
    try {
      await enter(holder, root);
      return await supervise(holder, request, output);
    } finally {
      await holder.kill();
      closeSync(writing); // the last end: what was written before can still be read, then comes the end
      await output; // it throws what the taker of the lines threw
    }
  } finally {
    await holder.kill();
  }
}

/** The command from its start to its end, its time limit, or the moment in which its output cannot be taken any more. */
async function supervise(holder: Holder, { timeoutSeconds }: RunRequest, output: Promise<void>): Promise<Outcome> {
  let late = false;
  let killer: NodeJS.Timeout | undefined;
  const timer = setTimeout(() => {
    late = true;
    holder.terminate();
    killer = setTimeout(() => void holder.kill(), GRACE);
  }, timeoutSeconds * 1000);
  output.catch(() => void holder.kill());
  try {
    holder.start();
    const { status, signal } = await holder.ended;
    if (late) return { status, ended: 'timeout' };
    return { status, ended: signal || status > 128 ? 'signal' : 'exit' };
  } finally {
    clearTimeout(timer);
    clearTimeout(killer);
  }
}

async function forward(file: number, { output, mask }: RunRequest): Promise<void> {
  const lined = lines((line) => output(mask(line)));
  for await (const piece of new Socket({ fd: file, readable: true, writable: false })) lined.add(piece as Uint8Array);
  lined.end();
}

function masked(error: unknown, mask: (text: string) => string): unknown {
  if (error instanceof RockberryError) return new RockberryError(error.code, mask(error.message), { hint: error.hint && mask(error.hint) });
  return systemCode(error) === '' ? error : new RockberryError('io', `running commands in the image: ${mask((error as Error).message)}`);
}
