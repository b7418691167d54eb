/** The host's programs that the room calls: util-linux and coreutils, found before anything is begun, called with arrays, in an environment of their own. */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { RockberryError } from '../errors.js';

const SEARCH = [...(process.env.PATH ?? '').split(':').filter((folder) => folder.startsWith('/')), '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
const LIMIT = 30_000; // milliseconds; each of them takes a few

const NEEDED: readonly (readonly [name: string, from: string])[] = [
  ['unshare', 'util-linux'], ['nsenter', 'util-linux'], ['setpriv', 'util-linux'], ['mount', 'mount or util-linux'], ['umount', 'mount or util-linux'], ['pivot_root', 'util-linux'],
  ['mkfifo', 'coreutils'], ['cp', 'coreutils'], ['tee', 'coreutils'], ['sh', 'dash or bash'],
];

/** What they see of our environment: nothing but where programs are. */
export const PLAIN = { PATH: SEARCH.join(':'), LC_ALL: 'C' } as const;

/** The path of a program on PATH. */
export function findProgram(name: string): string | undefined {
  return SEARCH.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Errors: `missing-program`, with the package. */
export function requirePrograms(): void {
  for (const [name, from] of NEEDED) {
    if (findProgram(name) !== undefined) continue;
    throw new RockberryError('missing-program', `running commands in the image: expected the program ${name}, found none on PATH`, { hint: `install it (package ${from})` });
  }
}

/** Runs one to its end. `doing` completes "cannot …". Errors: `io` with the last line that it said. */
export async function call(doing: string, program: string, args: readonly string[], input = ''): Promise<void> {
  const result = await execa(program, args, { env: PLAIN, extendEnv: false, reject: false, input, stdout: 'ignore', timeout: LIMIT });
  if (!result.failed) return;
  throw new RockberryError('io', `running commands in the image: cannot ${doing}: ${lastLine(result.stderr) || (result.timedOut ? 'it takes too long' : `${program} failed`)}`);
}

export function lastLine(text: string): string {
  return text.trim().split('\n').at(-1)!.trim();
}
