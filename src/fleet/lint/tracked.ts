/**
 * What git tracks of some files. Asked of the git program, which runs nothing of the repository's: no hooks, no file system monitor, no locks. A repository is
 * found by walking up to a .git; variables that would lead git to another one are taken away.
 */
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { execa } from 'execa';

export interface Tracked {
  /** Of the files asked for, by their real paths: in a repository and known to it. */
  readonly tracked: ReadonlySet<string>;
  /** Why git could not be asked, once for each reason; for files in a repository only. */
  readonly problems: readonly string[];
}

const OPTIONS = ['--literal-pathspecs', '--no-optional-locks', '-c', 'core.fsmonitor=false', '-c', 'core.hooksPath=/dev/null'];
const ENVIRONMENT = {
  GIT_OPTIONAL_LOCKS: '0', GIT_TERMINAL_PROMPT: '0', LC_ALL: 'C', GIT_DIR: undefined, GIT_WORK_TREE: undefined, GIT_INDEX_FILE: undefined, GIT_COMMON_DIR: undefined,
  GIT_NAMESPACE: undefined, GIT_PREFIX: undefined,
};
const TIMEOUT = 20_000; // milliseconds
const AT_ONCE = 200; // paths of one call: arguments are limited

/** Finds the folder with .git above a real path, and remembers every folder on the way. */
export function repositoryFinder(): (path: string) => string | undefined {
  const known = new Map<string, string | undefined>();
  const find = (folder: string): string | undefined => {
    if (known.has(folder)) return known.get(folder);
    const found = existsSync(join(folder, '.git')) ? folder : dirname(folder) === folder ? undefined : find(dirname(folder));
    known.set(folder, found);
    return found;
  };
  return (path) => find(dirname(path));
}

/** The path without links, undefined when there is nothing. */
export function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

/** Which of these real paths git tracks. Does not throw. */
export async function trackedPaths(paths: readonly string[], repositoryOf: (path: string) => string | undefined): Promise<Tracked> {
  const byRepository = new Map<string, string[]>();
  for (const path of paths) {
    const repository = repositoryOf(path);
    if (repository === undefined) continue;
    const list = byRepository.get(repository);
    if (list) list.push(path);
    else byRepository.set(repository, [path]);
  }
  const tracked = new Set<string>();
  const problems = new Set<string>();
  for (const [repository, inside] of byRepository) {
    for (let from = 0; from < inside.length; from += AT_ONCE) {
      const answer = await ask(repository, inside.slice(from, from + AT_ONCE).map((path) => relative(repository, path)));
      if (typeof answer === 'string') problems.add(answer);
      else for (const path of answer) tracked.add(join(repository, path));
    }
  }
  return { tracked, problems: [...problems] };
}

/** Relative paths that are tracked, or why it is not known. */
async function ask(repository: string, paths: readonly string[]): Promise<string | readonly string[]> {
  const result = await execa('git', [...OPTIONS, '-C', repository, 'ls-files', '-z', '--', ...paths], { env: ENVIRONMENT, reject: false, stdin: 'ignore', timeout: TIMEOUT, stripFinalNewline: false });
  if (result.exitCode === 0) return result.stdout.split('\0').filter((path) => path !== '');
  if (result.code === 'ENOENT') return 'git is not installed';
  return result.timedOut ? `git gave no answer in ${TIMEOUT / 1000} s` : `git gave no answer (exit status ${result.exitCode ?? 'none'})`;
}
