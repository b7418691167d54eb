/** The file of a patch, in memory: it is small, or it is no patch. */
import { openFileDevice } from '../../device/file.js';
import { RockberryError } from '../../errors.js';
import { DATA_LIMIT, MANIFEST_LIMIT } from './manifest.js';

/** What the largest patch can have, with data that does not compress. */
const FILE_LIMIT = DATA_LIMIT + MANIFEST_LIMIT + 2 ** 20; // bytes

/** Errors: `io` when it cannot be read, `corrupt` when it is too large. */
export function readPatchFile(path: string): Uint8Array {
  const file = openFileDevice(path);
  try {
    if (file.size > FILE_LIMIT) throw new RockberryError('corrupt', `${path}: expected a patch of at most ${FILE_LIMIT} bytes, found ${file.size}`);
    return file.read(0, file.size);
  } finally {
    file.close();
  }
}
