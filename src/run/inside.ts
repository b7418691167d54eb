/**
 * Paths inside a root directory, as the image's own programs would follow them: an absolute symbolic link begins at the image's root again, ".." at the root stays
 * there. Every component is looked at by itself and no path with a link in it is given to the kernel, so that nothing leads to the host's tree.
 */
import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { hostError, systemCode } from '../device/host.js';
import { RockberryError } from '../errors.js';

export interface Place {
  /** Absolute path in the image, without links; its last components may be missing. */
  readonly path: string;
  /** How many of its last components are missing. */
  readonly missing: number;
  /** undefined when it is not there. */
  readonly stat: Stats | undefined;
}

const LINKS = 40; // MAXSYMLINKS (include/linux/namei.h)

/**
 * `covered`: directories in the root that something is mounted on, so that what the image has in them is not there. Errors: `refused` for links that go in circles
 * and for a file where a directory is needed, `io`.
 */
export function locate(root: string, path: string, covered: readonly string[] = []): Place {
  const ahead = components(path);
  let done: string[] = [];
  let missing = 0;
  for (let links = 0; ahead.length > 0;) {
    const name = ahead.shift()!;
    if (name === '..') {
      if (missing > 0) throw unusable(path, `a directory at /${done.join('/')}`, 'nothing');
      done.pop();
      continue;
    }
    const stat = missing > 0 || covered.includes(`/${done[0]}`) ? undefined : look(root, [...done, name]);
    if (stat?.isSymbolicLink()) {
      if (++links > LINKS) throw unusable(path, `at most ${LINKS} symbolic links`, 'more');
      const target = targetOf(join(root, ...done, name));
      if (target.startsWith('/')) done = [];
      ahead.unshift(...components(target));
      continue;
    }
    if (stat && ahead.length > 0 && !stat.isDirectory()) throw unusable(path, `a directory at /${[...done, name].join('/')}`, 'a file');
    if (!stat) missing++;
    done.push(name);
  }
  return { path: `/${done.join('/')}`, missing, stat: missing > 0 ? undefined : look(root, done) };
}

function components(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

function look(root: string, names: readonly string[]): Stats | undefined {
  const path = join(root, ...names);
  try {
    return lstatSync(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw hostError(error, 'read', path);
  }
}

function targetOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch (error) {
    throw hostError(error, 'read', link);
  }
}

function unusable(path: string, expected: string, found: string): RockberryError {
  return new RockberryError('refused', `${path} in the image: expected ${expected}, found ${found}`);
}

/** Whether the path is one of these directories or in one of them. */
export function isBelow(path: string, directories: readonly string[]): boolean {
  return directories.some((one) => path === one || path.startsWith(`${one}/`));
}
