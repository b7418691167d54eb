/** Contents that may be larger than memory: files of the host as something that a tree can write, and the comparison with what a tree holds. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { RockberryError } from '../errors.js';
import type { Content, Tree } from '../fs/filesystem.js';

const PIECE = 1 << 20; // bytes

/** Opens a host's file, hands it over as content, and closes it. Errors: `io` when it cannot be read or shrinks meanwhile. */
export function withHostFile<T>(path: string, work: (content: Content) => T): T {
  const descriptor = attempt(path, () => openSync(path, 'r'));
  try {
    return work(descriptorContent(descriptor, attempt(path, () => fstatSync(descriptor).size), path));
  } finally {
    closeSync(descriptor);
  }
}

/** `size` bytes behind an open descriptor, read piece by piece; whoever opened it closes it. */
export function descriptorContent(descriptor: number, size: number, path: string): Content {
  return {
    size,
    read(offset, length) {
      const data = new Uint8Array(length);
      for (let done = 0; done < length;) {
        const count = attempt(path, () => readSync(descriptor, data, done, length - done, offset + done));
        if (count === 0) throw new RockberryError('io', `expected ${size} bytes in ${path}, found only ${offset + done}`);
        done += count;
      }
      return data;
    },
    close: () => undefined,
  };
}

export function contentSize(content: Content): number {
  return content instanceof Uint8Array ? content.length : content.size;
}

/** Whether the tree has a regular file with this content at the path itself (links are not followed). */
export function holdsContent(tree: Tree, path: string, content: Content): boolean {
  const stat = tree.stat(path);
  const size = contentSize(content);
  if (stat?.type !== 'file' || stat.size !== size) return false;
  for (let offset = 0; offset < size; offset += PIECE) {
    const length = Math.min(PIECE, size - offset);
    const wanted = content instanceof Uint8Array ? content.subarray(offset, offset + length) : content.read(offset, length);
    if (Buffer.compare(tree.read(path, offset, length), wanted) !== 0) return false;
  }
  return true;
}

function attempt<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof RockberryError) throw error;
    throw new RockberryError('io', `expected to read ${path}, found: ${(error as Error).message}`, { cause: error });
  }
}
