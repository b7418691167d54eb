/** Folders beside an inventory. */
import { readdirSync, statSync } from 'node:fs';
import { RockberryError } from '../../errors.js';

/** In the order of their code points; nothing for what is no folder. Errors: `io` for a folder that cannot be read. */
export function namesIn(folder: string): string[] {
  try {
    return isFolder(folder) ? readdirSync(folder).sort() : [];
  } catch (error) {
    throw new RockberryError('io', `expected a readable folder at ${folder}, found: ${(error as NodeJS.ErrnoException).code}`, { cause: error });
  }
}

/** What cannot be looked at is none: reading it as a file says why. */
export function isFolder(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  } catch {
    return false;
  }
}
