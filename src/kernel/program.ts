/** Programs of util-linux and attr, run and waited for. Arguments go as arrays; messages come in English. */
import { execaSync } from 'execa';
import { systemPath } from '../device/host.js';
import { RockberryError } from '../errors.js';

const LIMIT = 10 * 60_000; // milliseconds
const MOST = 2 ** 29; // bytes of output: the attributes of every file of an image

export interface Ran {
  readonly status: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

const PACKAGES: Readonly<Record<string, string>> = { getfattr: 'attr', setfattr: 'attr' };

/** Errors: `missing-program`; `io` when it was killed. A status other than 0 is the caller's. */
export function runProgram(program: string, args: readonly string[], input?: Uint8Array): Ran {
  const ran = execaSync(program, args, {
    env: { PATH: systemPath(), LC_ALL: 'C' }, extendEnv: false, reject: false, timeout: LIMIT, encoding: 'buffer', maxBuffer: MOST, stripFinalNewline: false, ...(input ? { input } : { stdin: 'ignore' as const }),
  });
  const stderr = Buffer.from(ran.stderr).toString('utf8').trim();
  if (ran.exitCode !== undefined) return { status: ran.exitCode, stdout: Buffer.from(ran.stdout), stderr };
  if (ran.code === 'ENOENT') throw new RockberryError('missing-program', `expected the program ${program}, found none in PATH`, { hint: `install the package ${PACKAGES[program] ?? 'util-linux'}`, cause: ran });
  throw new RockberryError('io', `expected ${program} to end by itself, found that it did not: ${ran.shortMessage}`, { cause: ran });
}
