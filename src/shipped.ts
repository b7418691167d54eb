/** The files that come with the program. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Beside src and beside dist, in which there are no folders. */
export const PROFILES = fileURLToPath(new URL('../profiles/', import.meta.url));

/** The text of one of the files that profiles place. */
export function shippedFile(name: string): string {
  return readFileSync(`${PROFILES}files/${name}`, 'utf8');
}
