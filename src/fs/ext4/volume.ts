/** One open ext4: the device with everything that its parts share. Inodes are handed out once per operation that writes, so that all parts see one copy. */
import type { BlockDevice } from '../../device/device.js';
import { RockberryError } from '../../errors.js';
import type { Time } from '../filesystem.js';
import { Allocator } from './allocate.js';
import { BlockCache } from './cache.js';
import { Groups } from './groups.js';
import { Inode, ROOT_INODE } from './inode.js';
import { newestTime, seal, setWriteTime, SUPERBLOCK_OFFSET, type Superblock } from './superblock.js';
import { UndoLog } from './undo.js';

const MAXIMUM_KNOWN = 10_000; // inodes that look() keeps

export class Volume {
  readonly undo = new UndoLog();
  readonly cache: BlockCache;
  readonly groups: Groups;
  readonly allocator: Allocator;
  readonly time: Time;
  private readonly inodes = new Map<number, Inode>();
  private knownAt = 0; // changes of the undo log
  private readonly writes: (() => void)[] = [];

  constructor(readonly device: BlockDevice, readonly sb: Superblock, time?: Time) {
    this.cache = new BlockCache(device, sb.blockSize, this.undo);
    this.groups = new Groups(device, sb, this.cache, this.undo);
    this.allocator = new Allocator(sb, this.groups, this.cache, this.undo);
    this.time = time ?? newestTime(sb.raw);
  }

  /** An operation that only reads. Its inodes stay known until something changes: whoever reads asks for the same paths again and again. */
  look<T>(work: () => T): T {
    if (this.undo.isRunning) return work();
    const { changes } = this.undo;
    if (changes !== this.knownAt || this.inodes.size >= MAXIMUM_KNOWN) this.inodes.clear();
    this.knownAt = changes;
    try {
      return this.undo.run(work);
    } finally {
      this.cache.trim();
    }
  }

  /** One operation, reading or writing: it happens whole or not at all. */
  operate<T>(work: () => T): T {
    if (this.undo.isRunning) return work(); // an operation inside an operation is a part of it
    this.inodes.clear();
    try {
      return this.undo.run(() => {
        const result = work();
        for (const write of this.writes) write();
        return result;
      });
    } finally {
      this.writes.length = 0;
      this.inodes.clear();
      this.cache.trim();
    }
  }

  /** File contents are written when all metadata of the operation is settled: a full filesystem is noticed before a byte of data is overwritten. */
  later(write: () => void): void {
    this.writes.push(write);
  }

  /** The inode of that number, in use and with a right checksum; the same object for the whole operation. */
  inode(number: number): Inode {
    const known = this.inodes.get(number);
    if (known) return known;
    this.checkNumber(number);
    const inode = this.load(number);
    inode.validate();
    if (inode.links === 0) throw new RockberryError('corrupt', `ext4 inode ${number}: expected an inode in use, found one without links`);
    this.inodes.set(number, inode);
    return inode;
  }

  /** The inode's bytes as they are on disk, whatever is in them; for checks. */
  load(number: number): Inode {
    const offset = this.groups.inodeOffset(number);
    const block = this.cache.get(Math.floor(offset / this.sb.blockSize));
    const at = offset % this.sb.blockSize;
    return new Inode(this.sb, number, block.slice(at, at + this.sb.inodeSize));
  }

  private checkNumber(number: number): void {
    const sound = number === ROOT_INODE || (number >= this.sb.firstInode && number <= this.sb.inodesCount);
    if (!sound) throw new RockberryError('corrupt', `expected an inode number from ${this.sb.firstInode} to ${this.sb.inodesCount}, found ${number}`);
  }

  /** A fresh inode, zeroed; the caller fills it and saves it. */
  newInode(parent: number, directory: boolean): Inode {
    const number = this.allocator.allocateInode(this.groups.groupOfInode(parent), directory);
    const inode = new Inode(this.sb, number, new Uint8Array(this.sb.inodeSize));
    if (this.sb.extraSize > 0) new DataView(inode.raw.buffer).setUint16(0x80, this.sb.extraSize, true);
    this.inodes.set(number, inode);
    return inode;
  }

  save(inode: Inode): void {
    inode.seal();
    const offset = this.groups.inodeOffset(inode.number);
    const at = offset % this.sb.blockSize;
    this.cache.edit(Math.floor(offset / this.sb.blockSize)).set(inode.raw, at);
  }

  /** Writes a file's data, past the cache; `block` is where it starts, and a last part of a block is padded with zeros. */
  writeData(block: number, data: Uint8Array): void {
    const rest = data.length % this.sb.blockSize;
    let whole = data;
    if (rest !== 0) {
      whole = new Uint8Array(data.length - rest + this.sb.blockSize);
      whole.set(data);
    }
    this.device.write(block * this.sb.blockSize, whole);
    this.cache.changed = true;
  }

  flush(): void {
    if (this.cache.changed) {
      setWriteTime(this.sb, this.time);
      this.groups.flush();
      this.cache.flush();
      seal(this.sb);
      this.device.write(SUPERBLOCK_OFFSET, this.sb.raw);
      this.cache.changed = false;
    }
    this.device.flush();
  }
}
