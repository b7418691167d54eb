/** Directories of the host in the image, such as a package manager's cache. */
import { realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { hostError } from '../device/host.js';
import { RockberryError } from '../errors.js';
import { MOUNT_POINTS } from './furnish.js';
import type { Holder } from './holder.js';
import { isBelow, locate } from './inside.js';
import { makePlace, type Remove } from './placeholder.js';
import type { Bind } from './request.js';

/** Errors: `refused` for a target that is the root, no directory, or one of the kernel's; `io`, `usage` for the host's. */
export async function putBinds(holder: Holder, root: string, binds: readonly Bind[], made: Remove[]): Promise<void> {
  for (const { from, to, readOnly } of binds) {
    const source = sourceOf(from);
    const target = locate(root, to, MOUNT_POINTS);
    if (target.path === '/' || isBelow(target.path, MOUNT_POINTS) || (target.stat && !target.stat.isDirectory())) {
      throw new RockberryError('refused', `a directory of the host at ${to} in the image: expected a directory outside of ${MOUNT_POINTS.join(', ')}, found ${target.path}`);
    }
    makePlace(root, target, 'directory', made);
    await holder.inside(`bind ${source} to ${to}`, ['mount', '--bind', '-o', ['nosuid', 'nodev', ...(readOnly ? ['ro'] : [])].join(','), source, join(root, target.path)]);
  }
}

function sourceOf(path: string): string {
  try {
    const source = realpathSync(path);
    if (path.startsWith('/') && statSync(source).isDirectory()) return source;
  } catch (error) {
    throw hostError(error, 'open', path);
  }
  throw new RockberryError('usage', `a directory of the host for the image: expected the absolute path of a directory, found ${path}`);
}
