/**
 * A compressed image whose parts are decoded once: walking a tree jumps between directories that lie in different chunks, and the codec keeps only the last
 * few of them. What was decoded goes to a nameless temporary file, without its zeros.
 */
import { closeSync, ftruncateSync } from 'node:fs';
import { isZero } from '../bytes/fields.js';
import { rangeEnd, type Range } from '../bytes/ranges.js';
import { CHUNK_LIMIT, chunkAt } from '../codec/chunks.js';
import type { DecodedImage } from '../codec/codec.js';
import type { ReadableDevice } from '../device/device.js';
import { fileDevice } from '../device/file.js';
import { hostError, openUnlinked, systemCode, writeFully } from '../device/host.js';

const PIECE = 1 << 20; // bytes
const HOST_FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

export interface KeptDevice extends ReadableDevice {
  /** Reads cost no decoding: the image is raw, or the codec has decoded it to a file. */
  readonly direct: boolean;
  /** As read, without keeping what must be decoded for it: for those who read everything once. */
  peek(offset: number, length: number): Uint8Array;
  /** Decodes on other threads what is about to be read. */
  prepare(range: Range): Promise<void>;
}

/** The device of a decoded image. Closing it leaves the image open. */
export function keepDecoded(decoded: DecodedImage, path: string): KeptDevice {
  const { device, chunks } = decoded;
  const direct = chunks.length === 0 || decoded.format === 'gzip' || chunks.some(({ plain }) => plain.length > CHUNK_LIMIT);
  const peek = (offset: number, length: number): Uint8Array => device.read(offset, length);
  if (direct) return { size: device.size, direct, read: peek, peek, prepare: decoded.prefetch, close: () => undefined };
  const fd = openUnlinked();
  ftruncateSync(fd, device.size);
  const file = fileDevice(fd, device.size, `the temporary copy of ${path}`);
  const kept = new Set<number>();
  let full = false;

  function keep(index: number): void {
    const { plain } = chunks[index]!;
    for (let at = plain.offset; at < rangeEnd(plain); at += PIECE) {
      const data = device.read(at, Math.min(PIECE, rangeEnd(plain) - at));
      if (!isZero(data)) writeFully(fd, data, at);
    }
    kept.add(index);
  }

  /** Without room for the copy the image is decoded as often as it must be. */
  function tryKeep(index: number): void {
    try {
      if (!full) keep(index);
    } catch (error) {
      if (!HOST_FULL.has(systemCode(error))) throw hostError(error, 'write a temporary copy of', path);
      full = true;
    }
  }

  function missing(range: Range): number[] {
    const found: number[] = [];
    for (let index = chunkAt(chunks, range.offset); index < chunks.length && chunks[index]!.plain.offset < rangeEnd(range); index++) {
      if (!kept.has(index)) found.push(index);
    }
    return found;
  }

  return {
    size: device.size, direct, peek, prepare: decoded.prefetch,
    read(offset, length) {
      missing({ offset, length }).forEach(tryKeep);
      return missing({ offset, length }).length === 0 ? file.read(offset, length) : device.read(offset, length);
    },
    close: () => {
      kept.clear();
      closeSync(fd);
    },
  };
}
