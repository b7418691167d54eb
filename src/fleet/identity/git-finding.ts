/** Whether git would carry a file with secrets away: asked of git itself, so that every kind of ignore rule counts. */
import { execa } from 'execa';
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Finding } from '../../report.js';

/** A variable of a hook that runs us would make git look elsewhere. */
const OWN = { GIT_DIR: undefined, GIT_WORK_TREE: undefined, GIT_INDEX_FILE: undefined };

/** A warning when the file, which need not exist yet, is in a work tree whose git tracks it or does not ignore it. `path` is absolute. */
export async function gitFindings(path: string): Promise<Finding[]> {
  if (!isBelowRepository(dirname(path))) return [];
  const tracked = await ask(path, ['ls-files', '--error-unmatch']);
  if (tracked === 0) return [finding(path, 'git tracks it: whoever has the repository has the keys of all nodes', 'take it out (git rm --cached), make new keys, and encrypt it: a name that ends in .age or .sops.json')];
  const ignored = await ask(path, ['check-ignore', '--quiet']);
  if (ignored === 0) return [];
  const what = ignored === 1 ? 'git does not ignore it' : 'it is in a git repository, and git could not say whether it is ignored';
  return [finding(path, `${what}: a commit would give the keys of all nodes away`, 'add it to .gitignore, or encrypt it: a name that ends in .age or .sops.json')];
}

/** git's exit status; undefined when it is not installed. A repository's own settings must not run programs of its choice. */
async function ask(path: string, [command, option]: readonly [string, string]): Promise<number | undefined> {
  const args = ['-c', 'core.fsmonitor=false', '-C', dirname(path), command, option, '--', basename(path)];
  const { exitCode } = await execa('git', args, { env: OWN, reject: false, stdin: 'ignore' });
  return exitCode;
}

function isBelowRepository(directory: string): boolean {
  return existsSync(join(directory, '.git')) || (dirname(directory) !== directory && isBelowRepository(dirname(directory)));
}

function finding(path: string, message: string, hint: string): Finding {
  return { severity: 'warning', id: 'identity-in-git', subject: path, message, hint };
}
