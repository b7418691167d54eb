/** A file or directory tree of the host that a profile places in the image: what is in it, in an order that does not depend on the host. */
import { lstatSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { RockberryError } from '../errors.js';

export interface SourceEntry {
  /** '' for the source itself, else relative with '/'. */
  readonly relative: string;
  readonly type: 'file' | 'directory' | 'symlink';
  readonly host: string;
  readonly target?: string;
  /** The owner's executable bit: all of a mode that version control keeps. */
  readonly executable: boolean;
}

const ENTRY_LIMIT = 1_000_000;

/** Parents before children, sorted by name (code units). A link given as the source is followed, links inside stay links. Errors: `profile`. */
export function scanSource(source: string): SourceEntry[] {
  const found: SourceEntry[] = [];

  function visit(host: string, relative: string): void {
    if (found.length >= ENTRY_LIMIT) throw new RockberryError('profile', `expected at most ${ENTRY_LIMIT} files in the source ${source}, found more`);
    if (relative.includes('\ufffd')) throw new RockberryError('profile', `expected names in UTF-8 in the source ${source}, found ${relative}`);
    const stat = relative === '' ? statSync(host) : lstatSync(host);
    const entry = { relative, host, executable: (stat.mode & 0o100) !== 0 };
    if (stat.isDirectory()) {
      found.push({ ...entry, type: 'directory' });
      for (const name of readdirSync(host).sort()) visit(`${host}/${name}`, relative === '' ? name : `${relative}/${name}`);
    } else if (stat.isSymbolicLink()) found.push({ ...entry, type: 'symlink', target: readlinkSync(host) });
    else if (stat.isFile()) found.push({ ...entry, type: 'file' });
    else throw new RockberryError('profile', `expected files, directories and links in the source ${source}, found something else at ${host}`);
  }

  try {
    visit(source, '');
  } catch (error) {
    if (error instanceof RockberryError) throw error;
    throw new RockberryError('profile', `expected a readable source at ${source}, found: ${(error as Error).message}`, { cause: error });
  }
  return found;
}
