/** A machine that answers with what was captured on another one: only programs and files of the system are replaced, none of our own code. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RockberryError } from '../../src/errors.js';
import type { Machine, Ran } from '../../src/flash/machine.js';

const DATA = join(import.meta.dirname, '../flash/data');
export const dataFile = (name: string): string => readFileSync(join(DATA, name), 'utf8');

export interface Captured {
  readonly platform?: NodeJS.Platform;
  /** What programs print: "lsblk" or "blkid /dev/sda" (its last argument) → text, or text and status. Others are not installed. */
  readonly programs?: Readonly<Record<string, string | Ran>>;
  /** Files of /proc and /sys. */
  readonly files?: Readonly<Record<string, string>>;
  /** Symbolic links, absolute. Paths that are none are themselves. */
  readonly links?: Readonly<Record<string, string>>;
  /** false: no udev, so blkid is asked. */
  readonly udev?: boolean;
}

export function captured({ platform = 'linux', programs = {}, files = {}, links = {}, udev = true }: Captured): Machine {
  const names = [...Object.keys(links), ...Object.keys(files), ...(udev ? ['/run/udev/data/b8:0'] : [])];
  return {
    platform,
    run: (program, args) => {
      const found = programs[`${program} ${args.at(-1) ?? ''}`] ?? programs[program];
      if (found === undefined) return Promise.reject(new RockberryError('missing-program', `expected the program ${program}, found none in PATH`));
      return Promise.resolve(typeof found === 'string' ? { status: 0, output: found } : found);
    },
    text: (path) => files[path] ?? '',
    names: (directory) => names.filter((name) => name.startsWith(`${directory}/`)).map((name) => name.slice(directory.length + 1)).sort(),
    realPath: (path) => {
      if (path.includes('nowhere')) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
      return links[path] ?? path;
    },
  };
}

/** A Linux machine with one of the captured listings. */
export const withListing = (file: string, more: Omit<Captured, 'platform'> = {}): Machine => captured({ ...more, programs: { lsblk: dataFile(file), ...more.programs } });

/** A Mac with the captured lists of its kind. */
export function mac(year: '2016' | '2024', disks: readonly string[]): Machine {
  const infos = Object.fromEntries(disks.map((disk) => [`diskutil ${disk}`, dataFile(`mac-${year}-${disk}.plist`)]));
  return captured({ platform: 'darwin', programs: { ...infos, 'diskutil -plist': dataFile(`mac-${year}-list.plist`) } });
}
