/** Whether something may be written to: asked before any work, and answered with a sentence. */
import { realpathSync, statSync, type Stats } from 'node:fs';
import { systemCode, hostError } from '../device/host.js';
import { RockberryError } from '../errors.js';
import { findDisk, type Disk } from './disks.js';

export interface Target {
  /** As it is opened. */
  readonly path: string;
  /** What the card is known by the next time. */
  readonly identity: string;
  /** undefined for a regular file. */
  readonly disk: Disk | undefined;
}

export interface TargetOptions {
  /** A disk that is built in. */
  readonly allowFixed: boolean;
  /** The caller is sure of it, although it was not named by its stable id. */
  readonly yes: boolean;
  /** Never written to, whatever its name: the image. */
  readonly inputs: readonly string[];
  /** What it holds is changed, not replaced: it must be there, and a file needs no asking. */
  readonly inPlace?: boolean;
}

const STABLE = /^\/dev\/disk\/by-/;

/** Errors: `refused` for a disk that must not be written, with the reason and what to do; `io` when there is no such device. */
export async function openTarget(path: string, options: TargetOptions): Promise<Target> {
  const stat = statOf(path);
  if (stat?.isDirectory()) throw new RockberryError('io', `expected a disk or a regular file to write to, found a directory: ${path}`);
  if (stat && options.inputs.some((input) => isSame(input, stat))) throw new RockberryError('refused', `${path} is the image itself`, { hint: 'name the card' });
  const isDisk = stat ? stat.isBlockDevice() || stat.isCharacterDevice() : path.startsWith('/dev/');
  return isDisk ? diskTarget(path, options) : fileTarget(path, stat, options);
}

async function diskTarget(path: string, { allowFixed, yes }: TargetOptions): Promise<Target> {
  const disk = await findDisk(path);
  const [refusal] = disk.refusals.filter(({ id }) => id !== 'fixed' || !allowFixed);
  const name = description(disk);
  if (refusal) {
    const hint = refusal.hint ?? 'see: rockberry devices';
    throw new RockberryError('refused', `${name} must not be written: ${refusal.message}`, { hint });
  }
  if (!yes && !STABLE.test(path)) {
    const [id] = disk.ids;
    throw new RockberryError('refused', `${path} is ${name}; the next card in this reader has that name too`, {
      hint: id === undefined ? 'it has no stable id: if it really is the one, say so: --yes' : `name the card by what it is: ${id} (or say --yes)`,
    });
  }
  const raw = process.platform === 'darwin' ? disk.path.replace(/^\/dev\/disk/, '/dev/rdisk') : disk.path; // past macOS's cache
  return { path: raw, identity: JSON.stringify([disk.ids[0] ?? disk.path, disk.serial, disk.size]), disk };
}

function description({ path, model, size, bus }: Disk): string {
  return [path, `(${[model, `${(size / 1e9).toFixed(1)} GB`, bus].filter((part) => part !== '').join(', ')})`].join(' ');
}

function fileTarget(path: string, stat: Stats | undefined, { yes, inPlace }: TargetOptions): Target {
  if (!stat && inPlace) throw new RockberryError('io', `cannot open ${path}: it does not exist`);
  if (stat && !stat.isFile()) throw new RockberryError('io', `expected a disk or a regular file to write to, found neither: ${path}`);
  if (stat && stat.size > 0 && !yes && !inPlace) throw new RockberryError('refused', `${path} is a file that holds ${stat.size} bytes already`, { hint: 'to write over it: --yes' });
  return { path, identity: JSON.stringify(['file', stat ? realpathSync(path) : path]), disk: undefined };
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw hostError(error, 'open', path);
  }
}

function isSame(input: string, { dev, ino }: Stats): boolean {
  const other = statOf(input);
  return other !== undefined && other.dev === dev && other.ino === ino;
}
