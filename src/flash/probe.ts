/**
 * What lies on a block device where udev does not say. lsblk asks udev's database, and where there is none (containers, minimal systems) versions up to 2.38 at
 * least say that nothing lies anywhere, to root too: a LUKS disk would look empty. There blkid, of the same package, reads the devices themselves.
 */
import { RockberryError } from '../errors.js';
import type { Block } from './lsblk.js';
import type { Machine } from './machine.js';

/** Exit status of blkid when it found nothing, or was not let: who may not read a device cannot write it either. */
const NOTHING = 2;
/** Signatures of several filesystems; those of RAID, LVM and LUKS come first in libblkid's order and are never ambivalent. */
const AMBIVALENT = 8;

const hasUdev = (machine: Machine): boolean => machine.names('/run/udev/data').length > 0;

/** The same devices with what lies on them. Errors: `missing-program` where blkid is needed and is none of util-linux; `io`. */
export async function withContents(machine: Machine, blocks: readonly Block[]): Promise<readonly Block[]> {
  return hasUdev(machine) ? blocks : Promise.all(blocks.map((block) => probed(machine, block)));
}

async function probed(machine: Machine, block: Block): Promise<Block> {
  const children = await Promise.all(block.children.map((child) => probed(machine, child)));
  if (block.holds !== '' || block.size === 0 || block.type === 'rom') return { ...block, children };
  const found = await contentsOf(machine, block.path);
  return { ...block, children, holds: found.TYPE ?? '', label: block.label || (found.LABEL ?? ''), uuid: block.uuid || (found.UUID ?? '') };
}

async function contentsOf(machine: Machine, path: string): Promise<Readonly<Record<string, string>>> {
  const { status, output } = await machine.run('blkid', ['--probe', '--output', 'export', path]).catch((cause: unknown) => {
    if (cause instanceof RockberryError && cause.code === 'missing-program') throw needed(cause);
    throw cause;
  });
  if (status === NOTHING || status === AMBIVALENT) return {};
  if (status !== 0) throw needed();
  return Object.fromEntries(output.split('\n').flatMap((line) => {
    const at = line.indexOf('=');
    return at > 0 ? [[line.slice(0, at), line.slice(at + 1)]] : [];
  }));
}

const needed = (cause?: unknown): RockberryError => new RockberryError('missing-program', 'expected blkid of util-linux to say what lies on the disks, as there is no udev here, found none that can', {
  hint: 'install util-linux, not only busybox', cause,
});
