/**
 * The blocks that hold metadata: inode tables, bitmaps, directories, extent trees, attributes. File contents do not pass here.
 * Changed blocks stay until flush or until there are too many; clean ones are dropped oldest first, so memory is bounded.
 */
import type { BlockDevice } from '../../device/device.js';
import type { UndoLog } from './undo.js';

const LIMIT = 8 * 1024 * 1024; // bytes

interface Entry {
  data: Uint8Array;
  dirty: boolean;
}

/** A device may hand out a Buffer, whose slice() is no copy; ours are plain arrays. */
export function plain(data: Uint8Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.length);
}

export class BlockCache {
  private readonly entries = new Map<number, Entry>();
  private readonly limit: number;
  /** Whether anything was written since the filesystem was opened. */
  changed = false;

  constructor(private readonly device: BlockDevice, readonly blockSize: number, private readonly undo: UndoLog) {
    this.limit = LIMIT / blockSize;
  }

  /** A block to look at; it must not be changed. */
  get(block: number): Uint8Array {
    const found = this.entries.get(block);
    if (found) {
      this.entries.delete(block); // moves to the young end
      this.entries.set(block, found);
      return found.data;
    }
    const data = plain(this.device.read(block * this.blockSize, this.blockSize));
    this.entries.set(block, { data, dirty: false });
    if (this.entries.size > this.limit) this.dropClean();
    return data;
  }

  /** A block to change, until the operation ends. */
  edit(block: number): Uint8Array {
    const data = this.get(block);
    this.save(block);
    this.entries.set(block, { data, dirty: true });
    this.changed = true;
    return data;
  }

  /** Replaces a whole block without reading it from the device. */
  put(block: number, data: Uint8Array): void {
    this.save(block);
    this.entries.set(block, { data: new Uint8Array(data), dirty: true });
    this.changed = true;
  }

  /** A block that was freed: whoever gets it next must not find us writing it. */
  forget(block: number): void {
    if (!this.entries.has(block)) return;
    this.save(block);
    this.entries.delete(block);
  }

  flush(): void {
    const dirty = [...this.entries].filter(([, entry]) => entry.dirty).sort(([a], [b]) => a - b);
    for (const [block, entry] of dirty) {
      this.device.write(block * this.blockSize, entry.data);
      entry.dirty = false;
    }
  }

  /** Between operations: writes changed blocks early when they are many. */
  trim(): void {
    if (this.entries.size <= this.limit) return;
    this.flush();
    this.dropClean();
  }

  private dropClean(): void {
    for (const [block, entry] of this.entries) {
      if (this.entries.size <= this.limit / 2) return;
      if (!entry.dirty) this.entries.delete(block);
    }
  }

  private save(block: number): void {
    this.undo.before(`block ${block}`, () => {
      const { changed } = this;
      const before = this.entries.get(block);
      const copy = before && { data: before.data.slice(), dirty: before.dirty };
      return () => {
        this.changed = changed;
        if (copy) this.entries.set(block, copy);
        else this.entries.delete(block);
      };
    });
  }
}
