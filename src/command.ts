/** What every verb of the program is made of: its flags, how it is run, and how texts of flags become values. */
import { InvalidArgumentError, type Command } from 'commander';
import { exitStatus, RockberryError } from './errors.js';
import type { Terminal } from './terminal.js';
import type { Version } from './verify.js';

export const FINDINGS = 1;
export const USAGE = 2;

export interface Common {
  readonly json?: boolean;
  readonly debug?: boolean;
  readonly backend?: BackendName;
}

export const BACKENDS = ['auto', 'user', 'loop'] as const;
export type BackendName = (typeof BACKENDS)[number];

export interface ProfileFlags extends Common {
  readonly profile: readonly string[];
  readonly set: readonly string[];
  readonly vars: readonly string[];
  readonly secret: readonly string[];
}

export interface BuildFlags extends ProfileFlags {
  readonly output?: string;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly imageOnly?: boolean;
  readonly cache: boolean;
  readonly blockSize?: number;
  readonly preset?: number;
}

export type PrepareFlags = Pick<BuildFlags, 'json' | 'debug' | 'output' | 'force' | 'blockSize' | 'preset'>;

export type Work<F> = (terminal: Terminal, flags: F, ...args: string[]) => Promise<number>;

/** Runs a verb: makes the terminal, turns an error into its exit status. Commander hands over the arguments, then the options, then the command. */
export function action<F extends Common>(work: Work<F>): (...given: unknown[]) => Promise<void> {
  return async (...given) => {
    const command = given.at(-1) as Command;
    const flags = command.optsWithGlobals<F>();
    if (flags.debug) process.setSourceMapsEnabled(true); // for what is loaded from here on: the bundle has its lines in src
    const { Terminal } = await import('./terminal.js');
    const terminal = new Terminal({ json: flags.json ?? false, debug: flags.debug ?? false });
    const run = (): Promise<number> => work(terminal, flags, ...(given.slice(0, -2) as string[]));
    try {
      process.exitCode = await (flags.backend === undefined ? withoutKernel(command, run) : withKernel(flags.backend, run));
    } catch (error) {
      terminal.error(error);
      process.exitCode = exitStatus(error);
    }
  };
}

/** A command without the flag that others have: it must not advise it, but can name them. */
async function withoutKernel(command: Command, run: () => Promise<number>): Promise<number> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof RockberryError) || !error.needsKernel) throw error;
    let root = command;
    while (root.parent) root = root.parent;
    const others = root.commands.filter(({ options }) => options.some(({ long }) => long === '--backend')).map((other) => other.name());
    const hint = `${command.name()} does not read such an image; ${others.slice(0, -1).join(', ')} and ${others.at(-1)} do, as root on Linux`;
    throw new RockberryError(error.code, error.message, { hint, cause: error });
  }
}

/** A command that may use the kernel: at once when that is asked for, or when it turns out that nothing else will do. */
async function withKernel(backend: BackendName, run: () => Promise<number>): Promise<number> {
  if (backend === 'user') return run();
  const { isPrivate, kernelCommand, runPrivately, whyNoKernel } = await import('./kernel/namespace.js');
  if (backend === 'loop') {
    if (isPrivate()) return run();
    const reason = whyNoKernel();
    if (reason !== undefined) throw new RockberryError('usage', `expected to be able to mount for --backend loop, found that ${reason}`, { hint: kernelCommand() });
    return runPrivately([]);
  }
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof RockberryError) || !error.needsKernel) throw error;
    const reason = whyNoKernel();
    if (reason === undefined) return runPrivately(['--backend', 'loop']);
    throw new RockberryError(error.code, `${error.message}; the kernel can, but ${reason}`, { hint: kernelCommand(), cause: error });
  }
}

export function collect(value: string, all: readonly string[]): readonly string[] {
  return [...all, value];
}

/** "4MiB", "24M", "65536": bytes. Commander turns what is thrown into its usage error. */
export function size(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,9})(K|M|KiB|MiB)?$/.exec(text) ?? [];
  if (digits === undefined) throw new InvalidArgumentError('expected a size such as 4MiB or 65536');
  return Number(digits) * ({ K: 1024, M: 1024 ** 2 }[unit.charAt(0)] ?? 1);
}

export function whole(text: string): number {
  if (!/^\d{1,2}$/.test(text)) throw new InvalidArgumentError('expected a whole number');
  return Number(text);
}

/** Megabytes, seconds. */
export function amount(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('expected a whole number above 0');
  return Number(text);
}

/** "1.36" or "v1.36.4". */
export function kubernetesVersion(text: string): Version {
  const [, major, minor] = /^v?(\d{1,3})\.(\d{1,3})(?:\.\d{1,3})?$/.exec(text) ?? [];
  if (major === undefined) throw new InvalidArgumentError('expected a version such as 1.36');
  return { major: Number(major), minor: Number(minor) };
}

export function encoding({ blockSize, preset }: PrepareFlags): { blockSize?: number; preset?: number } {
  return { ...(blockSize !== undefined && { blockSize }), ...(preset !== undefined && { preset }) };
}
