/** The host's resolver in the image for the length of a run: mounted over what the image has, which is never written. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { hostError, systemCode } from '../device/host.js';
import { RockberryError } from '../errors.js';
import { MOUNT_POINTS, place, placeDirectory } from './furnish.js';
import type { Holder } from './holder.js';
import { isBelow, locate } from './inside.js';
import { makePlace, type Remove } from './placeholder.js';

const PATH = '/etc/resolv.conf';

/** Called when our tmpfs are mounted: a link into /run leads into ours, which is empty. `spare` is a directory in /run of which the image knows nothing. */
export async function putResolver(holder: Holder, root: string, view: string, spare: string, made: Remove[]): Promise<void> {
  const content = hostResolver();
  if (content === undefined) return;
  const target = locate(root, PATH, MOUNT_POINTS);
  if (isBelow(target.path, ['/run', '/tmp'])) {
    placeDirectory(dirname(join(view, target.path)), 0o755);
    place(join(view, target.path), content, 0o644);
    return;
  }
  if (isBelow(target.path, ['/proc', '/sys', '/dev']) || (target.stat && !target.stat.isFile())) {
    const instead = target.path === PATH ? 'something else' : `a symbolic link to ${target.path}`;
    throw new RockberryError('refused', `running commands in the image: expected a file at ${PATH}, found ${instead}`);
  }
  place(join(view, spare, 'resolv.conf'), content, 0o644);
  makePlace(root, target, 'file', made);
  await holder.inside('put the resolver in', ['mount', '--bind', join(root, spare, 'resolv.conf'), join(root, target.path)]);
}

function hostResolver(): string | undefined {
  try {
    return readFileSync(PATH, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw hostError(error, 'read', PATH);
  }
}
