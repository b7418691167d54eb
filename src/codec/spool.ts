/** Decoded images that cannot be read in parts: the plain bytes in a temporary file without a name, with holes for zeros. */
import { closeSync, ftruncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isZero } from '../bytes/fields.js';
import type { ReadableDevice } from '../device/device.js';
import { fileDevice } from '../device/file.js';
import { hostError, openUnlinked, writeFully } from '../device/host.js';
import { RockberryError } from '../errors.js';

const HOLE = 65536;
/** No card is larger; a file that decodes to more is a bomb. */
export const PLAIN_LIMIT = 2 ** 40;

/** Writes `piece` at `offset` of a file, leaving holes where it is zero. */
function writeSparse(fd: number, piece: Uint8Array, offset: number): void {
  for (let at = 0; at < piece.length;) {
    const start = at;
    while (at < piece.length && !isZero(piece.subarray(at, at + HOLE))) at += HOLE;
    if (at > start) writeFully(fd, piece.subarray(start, Math.min(at, piece.length)), offset + start);
    while (at < piece.length && isZero(piece.subarray(at, at + HOLE))) at += HOLE;
  }
}

/**
 * Takes all pieces and returns a device over them. `declared` is the number of bytes the packed file says it holds, where it says so: more or
 * fewer are `corrupt`. A full disk is `no-space` and says where. Nothing is left behind, whatever happens.
 */
export async function spool(pieces: AsyncIterable<Uint8Array>, declared: number | undefined, path: string, directory = tmpdir()): Promise<ReadableDevice> {
  const limit = declared ?? PLAIN_LIMIT;
  const fd = openUnlinked(directory);
  let size = 0;
  try {
    for await (const piece of pieces) {
      if (size + piece.length > limit) throw new RockberryError('corrupt', `${path}: expected at most ${limit} bytes when decoded, found more`);
      try {
        writeSparse(fd, piece, size);
      } catch (error) {
        throw hostError(error, 'decode the image to a temporary file in', directory, declared);
      }
      size += piece.length;
    }
    if (declared !== undefined && size !== declared) throw new RockberryError('corrupt', `${path}: expected ${declared} bytes when decoded, found ${size}`);
    ftruncateSync(fd, size);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return fileDevice(fd, size, `the decoded image of ${path}`);
}
