/** Mode, owner, times and extended attributes of an inode, compared first: setting what is there already changes nothing. */
import { equalBytes } from '../../bytes/fields.js';
import { RockberryError } from '../../errors.js';
import type { Attributes } from '../filesystem.js';
import type { Inode } from './inode.js';
import type { Volume } from './volume.js';
import { encodeXattrs, readXattrs, withReferences, xattrBlockReferences, type XattrFormat } from './xattr.js';

function xattrFormat(volume: Volume): XattrFormat {
  return { blockSize: volume.sb.blockSize, checksumSeed: volume.sb.checksumSeed };
}

function attributeBlock(volume: Volume, inode: Inode): Uint8Array | undefined {
  const block = inode.xattrBlock;
  if (block === 0) return undefined;
  if (!volume.groups.isDataRange(block, 1)) throw new RockberryError('corrupt', `ext4 inode ${inode.number}: expected its attribute block among the data blocks, found ${block}`);
  return volume.cache.get(block);
}

/** Full names ("security.selinux") to values. */
export function getXattrs(volume: Volume, inode: Inode): Map<string, Uint8Array> {
  return readXattrs(inode.inlineArea, attributeBlock(volume, inode), inode.xattrBlock, xattrFormat(volume));
}

/** Lets go of the attribute block: a shared one (h_refcount) loses one reference, the last one frees it. */
export function releaseXattrBlock(volume: Volume, inode: Inode): void {
  const data = attributeBlock(volume, inode);
  if (!data) return;
  const block = inode.xattrBlock;
  const references = xattrBlockReferences(data);
  if (references > 1) volume.cache.put(block, withReferences(data, references - 1, block, xattrFormat(volume)));
  else volume.allocator.free(block, 1);
  inode.xattrBlock = 0;
  inode.blockCount = Math.max(0, inode.blockCount - 1);
}

function storeXattrs(volume: Volume, inode: Inode, values: ReadonlyMap<string, Uint8Array>): void {
  const format = xattrFormat(volume);
  const length = inode.inlineArea.length;
  const before = attributeBlock(volume, inode);
  const shared = before !== undefined && xattrBlockReferences(before) > 1;
  const encoded = encodeXattrs(values, length, format, inode.xattrBlock);
  if (length > 0) inode.inlineArea.set(encoded.inline);
  if (!encoded.block || shared) releaseXattrBlock(volume, inode);
  if (!encoded.block) return;
  if (inode.xattrBlock === 0) {
    inode.xattrBlock = volume.allocator.allocate(1, volume.groups.groupOfInode(inode.number))[0]!.start;
    inode.blockCount += 1;
  }
  volume.cache.put(inode.xattrBlock, encodeXattrs(values, length, format, inode.xattrBlock).block!);
}

function applyXattrs(volume: Volume, inode: Inode, wanted: ReadonlyMap<string, Uint8Array | null>): boolean {
  const values = getXattrs(volume, inode);
  let changed = false;
  for (const [name, value] of wanted) {
    const before = values.get(name);
    if (value === null ? before === undefined : before !== undefined && equalBytes(before, value)) continue;
    changed = true;
    if (value === null) values.delete(name);
    else values.set(name, value);
  }
  if (changed) storeXattrs(volume, inode, values);
  return changed;
}

/** Sets what is given; false when all of it was so already. The change time and saving are the caller's. */
export function applyAttributes(volume: Volume, inode: Inode, attributes: Attributes): boolean {
  const before = inode.raw.slice();
  if (attributes.mode !== undefined) inode.permissions = attributes.mode;
  if (attributes.uid !== undefined) inode.uid = attributes.uid;
  if (attributes.gid !== undefined) inode.gid = attributes.gid;
  if (attributes.mtime !== undefined) inode.setTime('mtime', attributes.mtime);
  const fields = !equalBytes(before, inode.raw);
  const xattrs = attributes.xattrs !== undefined && applyXattrs(volume, inode, attributes.xattrs);
  return fields || xattrs;
}
