/** A directory's blocks as directory.ts sees them, over an inode and the block cache. */
import { RockberryError } from '../../errors.js';
import type { DirectoryFile } from './directory.js';
import type { Inode } from './inode.js';
import { fillRuns, freeRuns, readMapping, setSize, storeRuns } from './mapping.js';
import { cutRuns, type Mapping } from './runs.js';
import type { Volume } from './volume.js';

const MAXIMUM_SIZE = 2 ** 32 - 1; // bytes: a directory's i_size has 32 bits

export class InodeDirectory implements DirectoryFile {
  private mapping: Mapping;

  constructor(private readonly volume: Volume, private readonly node: Inode) {
    if (node.size % volume.sb.blockSize !== 0) throw new RockberryError('corrupt', `ext4 inode ${node.number}: expected a directory of whole blocks, found ${node.size} bytes`);
    this.mapping = readMapping(volume, node);
  }

  get inode(): number { return this.node.number; }
  get generation(): number { return this.node.generation; }
  get blocks(): number { return this.node.size / this.volume.sb.blockSize; }
  get hashed(): boolean { return this.node.hashed; }

  setHashed(value: boolean): void {
    this.node.hashed = value;
    this.volume.save(this.node);
  }

  /** Every block that holds data of this directory or of its mapping is known to the filesystem; a hole is corrupt. */
  private physical(block: number): number {
    const [run] = block < this.blocks ? cutRuns(this.mapping.runs, block, block + 1) : [];
    if (!run || run.unwritten) throw new RockberryError('corrupt', `ext4 inode ${this.inode}: expected directory block ${block}, found a hole or the end`);
    return run.physical;
  }

  read(block: number): Uint8Array {
    return this.volume.cache.get(this.physical(block)).slice();
  }

  write(block: number, data: Uint8Array): void {
    this.volume.cache.put(this.physical(block), data);
  }

  append(data: Uint8Array): number {
    const block = this.blocks;
    if ((block + 1) * this.volume.sb.blockSize > MAXIMUM_SIZE) throw new RockberryError('no-space', `ext4 inode ${this.inode}: expected a directory below 4 GiB, found a larger one`);
    const runs = fillRuns(this.volume, this.node, this.mapping.runs, [{ from: block, to: block + 1 }]);
    this.mapping = storeRuns(this.volume, this.node, this.mapping, runs);
    setSize(this.volume, this.node, (block + 1) * this.volume.sb.blockSize);
    this.volume.save(this.node);
    this.write(block, data);
    return block;
  }

  truncate(blocks: number): void {
    freeRuns(this.volume, cutRuns(this.mapping.runs, blocks, Number.POSITIVE_INFINITY));
    this.mapping = storeRuns(this.volume, this.node, this.mapping, cutRuns(this.mapping.runs, 0, blocks));
    setSize(this.volume, this.node, blocks * this.volume.sb.blockSize);
    this.volume.save(this.node);
  }
}
