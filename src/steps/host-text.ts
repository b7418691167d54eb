/** Text that a profile keeps in a file beside it. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { RockberryError } from '../errors.js';
import type { StepContext } from './step.js';

/** The file's text, UTF-8; `source` is relative to the profile's directory. */
export function readSourceText(source: string, { directory }: StepContext): string {
  const path = resolve(directory, source);
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const found = (cause as NodeJS.ErrnoException).code ?? 'an error';
    throw new RockberryError('profile', `expected a readable file at ${path}, found ${found}`, { hint: 'source is relative to the profile', cause });
  }
}

const UNITS = ['', 'K', 'M', 'G', 'T'];

/** "8GiB", "500 MB", "1.5G": bytes, by powers of 1024 whichever way it is written. */
export function sizeInBytes(text: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d)?) ?([KMGT]?)/.exec(text) ?? [];
  return Math.round(Number(number) * 1024 ** UNITS.indexOf(unit));
}
