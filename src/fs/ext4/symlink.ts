/** Where a symbolic link points: up to 59 bytes in the inode's own i_block, longer ones in a block of their own (kernel: fs/ext4/symlink.c, namei.c). */
import { equalBytes } from '../../bytes/fields.js';
import { RockberryError } from '../../errors.js';
import { readContent } from './contents.js';
import { INODE_FLAG, type Inode } from './inode.js';
import { fillRuns, freeRuns, initMapping, isFastLink, readMapping, storeRuns } from './mapping.js';
import { EMPTY_MAPPING } from './runs.js';
import type { Volume } from './volume.js';

const FAST = 60; // bytes of i_block; one of them is the terminating NUL
const PATH_MAX = 4096; // bytes, with the NUL

export function readTarget(volume: Volume, inode: Inode): Uint8Array {
  const fast = isFastLink(inode);
  const limit = fast ? FAST : volume.sb.blockSize;
  if (inode.size > limit) throw new RockberryError('corrupt', `ext4 inode ${inode.number}: expected a link of at most ${limit} bytes, found ${inode.size}`);
  return fast ? inode.blockArea.slice(0, inode.size) : readContent(volume, inode);
}

function checkTarget(volume: Volume, target: Uint8Array): void {
  const limit = Math.min(PATH_MAX, volume.sb.blockSize) - 1;
  if (target.length === 0 || target.length > limit || target.includes(0)) {
    throw new RockberryError('path', `expected a link target of 1 to ${limit} bytes without NUL, found ${target.length} bytes`);
  }
}

/** Points a link (new, or one that exists) at a target; false when it does already. The caller saves the inode. */
export function writeTarget(volume: Volume, inode: Inode, target: Uint8Array): boolean {
  checkTarget(volume, target);
  if (inode.size > 0 && equalBytes(readTarget(volume, inode), target)) return false;
  const old = inode.size === 0 ? EMPTY_MAPPING : readMapping(volume, inode);
  if (target.length < FAST) {
    freeRuns(volume, old.runs);
    for (const block of old.tree) volume.allocator.free(block, 1);
    inode.flags = (inode.flags & ~INODE_FLAG.extents) >>> 0;
    inode.blockArea.fill(0);
    inode.blockArea.set(target);
    inode.blockCount = inode.xattrBlock === 0 ? 0 : 1;
  } else {
    if (old.runs.length === 0) {
      inode.blockArea.fill(0);
      initMapping(volume, inode);
    }
    const runs = fillRuns(volume, inode, old.runs, [{ from: 0, to: 1 }]);
    storeRuns(volume, inode, old, runs);
    volume.later(() => volume.writeData(runs[0]!.physical, target));
  }
  inode.size = target.length;
  return true;
}
