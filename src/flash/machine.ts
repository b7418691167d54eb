/** What is asked of this machine about its disks. Tests answer with what was captured on other machines. */
import { readFileSync, readdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { hostError, systemPath } from '../device/host.js';
import { RockberryError } from '../errors.js';

export interface Ran {
  readonly status: number;
  readonly output: string;
}

export interface Machine {
  readonly platform: NodeJS.Platform;
  /** A program's exit status and stdout. Errors: `missing-program`, and `io` when it was killed or took more than a minute (a dying disk). */
  run(program: string, args: readonly string[]): Promise<Ran>;
  /** The text of a file of /proc or /sys; '' when there is none. */
  text(path: string): string;
  /** The names in a directory, sorted; none when there is none. */
  names(directory: string): readonly string[];
  /** `path` without symbolic links. System errors pass through. */
  realPath(path: string): string;
}

/** Messages in English, sizes without separators. */
const environment = (): NodeJS.ProcessEnv => ({ LC_ALL: 'C', PATH: systemPath() });
const LIMIT = 60_000; // milliseconds

async function run(program: string, args: readonly string[]): Promise<Ran> {
  const result = await execa(program, args, { env: environment(), reject: false, timeout: LIMIT, stdin: 'ignore', maxBuffer: 2 ** 26 });
  if (result.exitCode !== undefined) return { status: result.exitCode, output: result.stdout };
  if (result.code === 'ENOENT') throw new RockberryError('missing-program', `expected the program ${program}, found none in PATH`, { cause: result });
  throw new RockberryError('io', `expected an answer of ${program}, found none: ${result.shortMessage}`, { cause: result });
}

function orElse<T>(otherwise: T, work: () => T): T {
  try {
    return work();
  } catch {
    return otherwise; // not there, or not for us: /sys and /dev/disk are missing in many containers
  }
}

export const thisMachine: Machine = {
  platform: process.platform,
  run,
  text: (path) => orElse('', () => readFileSync(path, 'utf8')),
  names: (directory) => orElse([], () => readdirSync(directory).sort()),
  realPath: (path) => realpathSync(path),
};

/** The links in `directory` that lead to `target`, as absolute paths in the order of their names. */
export function linksTo(machine: Machine, directory: string, target: string): string[] {
  return machine.names(directory).map((name) => join(directory, name)).filter((link) => orElse('', () => machine.realPath(link)) === target);
}

/** `path` without symbolic links. Errors: `io` when it is not there. */
export function resolved(machine: Machine, path: string): string {
  try {
    return machine.realPath(path);
  } catch (error) {
    throw hostError(error, 'find the disk', path);
  }
}
