/** What is asked for, and what cannot be. */
import { RockberryError } from '../errors.js';

export interface Bind {
  /** A directory of the host. */
  readonly from: string;
  /** Absolute path in the image; made for the run where it is missing. */
  readonly to: string;
  readonly readOnly: boolean;
}

export interface RunRequest {
  /** Directory on the host where the image's root is mounted, read-write, with its other partitions mounted in it. */
  readonly root: string;
  /** argv in the image, or a shell script, run by the image's /bin/sh -e. */
  readonly command: readonly string[] | { readonly script: string };
  /** `host`: the host's network and resolver; `none`: nothing but a loopback device. */
  readonly network: 'host' | 'none';
  /** Added to PATH and HOME; may hold secrets. */
  readonly environment: ReadonlyMap<string, string>;
  /** Readable by root as files /run/secrets/NAME. */
  readonly secrets: ReadonlyMap<string, string>;
  readonly binds: readonly Bind[];
  readonly timeoutSeconds: number;
  /** What the command says, stdout and stderr as one, by line, as it comes. */
  readonly output: (line: string) => void;
  /** Applied to everything that leaves. */
  readonly mask: (text: string) => string;
}

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;
const SECRET = /^(?!\.{1,2}$)[\w.-]{1,255}$/;
const LONGEST = 2_000_000; // seconds, about three weeks: timers have 31 bits of milliseconds
const VARIABLE_LIMIT = 128 << 10; // bytes of NAME=value; MAX_ARG_STRLEN (include/uapi/linux/binfmts.h) less our own name for it

const BASIC: readonly (readonly [string, string])[] = [['PATH', '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], ['HOME', '/root']];

/** Errors: `usage`, `unsupported` where there is no Linux, `refused` without root. */
export function checkRequest({ command, environment, secrets, timeoutSeconds }: RunRequest): void {
  if (process.platform !== 'linux') throw new RockberryError('unsupported', `running commands in the image: expected Linux, found ${process.platform}`);
  if (process.getuid?.() !== 0) {
    throw new RockberryError('refused', `running commands in the image: expected root, found user ${process.getuid?.()}`, { hint: 'run rockberry with sudo' });
  }
  const wrong = (expected: string, found: string): RockberryError => new RockberryError('usage', `running commands in the image: expected ${expected}, found ${found}`);
  const texts = 'script' in command ? [command.script] : command;
  if (!('script' in command) && (command[0] ?? '') === '') throw wrong('the name of a program', 'none');
  if ([...texts, ...environment.values()].some((text) => text.includes('\0'))) throw wrong('text', 'a NUL character in a command or a variable');
  for (const [name, value] of environment) {
    if (!VARIABLE.test(name)) throw wrong('a variable\'s name of letters, digits and _', JSON.stringify(name));
    if (Buffer.byteLength(value) + name.length > VARIABLE_LIMIT - 64) throw wrong(`at most 128 KiB in the variable ${name}`, `${Buffer.byteLength(value)} bytes`);
  }
  for (const name of secrets.keys()) if (!SECRET.test(name)) throw wrong('a secret\'s name of letters, digits, _, - and .', JSON.stringify(name));
  if (!(timeoutSeconds > 0 && timeoutSeconds <= LONGEST)) throw wrong(`a time limit of up to ${LONGEST} seconds`, String(timeoutSeconds));
}

/** What a login of root has, and what was asked for. */
export function environmentOf({ environment }: RunRequest): Map<string, string> {
  return new Map([...BASIC, ...environment]);
}
