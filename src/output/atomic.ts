/**
 * Files that appear under their name only when they are complete: written as `.NAME.rockberry-PID.part` beside it, hashed on the way, flushed to the
 * disk, then linked or renamed into place. Whatever ends the program before leaves the old file, or none.
 */
import {
  accessSync, closeSync, constants, fstatSync, fsync, fsyncSync, ftruncateSync, linkSync, lstatSync, openSync, readdirSync, renameSync, rmSync, statSync, unlinkSync,
  type Stats,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { FilePart } from '../device/file.js';
import { hostError, isRunning, systemCode } from '../device/host.js';
import { RockberryError } from '../errors.js';
import { type Progress, silentProgress } from '../report.js';
import { cloneInto, type CloneOf } from './clone.js';
import { createSink } from './sink.js';

export interface Staged {
  /** The temporary file beside the output. */
  readonly path: string;
  readonly bytes: number;
  /** Of all bytes, holes included; lower-case hexadecimal. */
  readonly sha256: string;
  /** Resolves when all of it is on the disk: to be awaited before commit(). */
  readonly flushed: Promise<void>;
  /** Gives it its name; what had the name before is replaced only with `force`. Names of one directory that come together are flushed with the last one. */
  commit(isLast?: boolean): void;
  /** Removes it; harmless after commit(). */
  discard(): void;
}

export interface StageOptions {
  /** Replace an existing file. */
  readonly force?: boolean;
  /** Leave holes where the bytes are zero. */
  readonly sparse?: boolean;
  readonly progress?: Progress;
  /** Bytes to come, for the progress, where known. */
  readonly total?: number;
  /** The file is handed over while it is still being flushed: it can be read back meanwhile. */
  readonly flushLater?: boolean;
  /** A file with the same bytes but for some ranges: its blocks are shared where the filesystem can, and `pieces` are then only hashed outside them. */
  readonly cloneOf?: CloneOf;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Temporary files of this process that are neither committed nor discarded. */
const live = new Set<string>();

function removeLive(): void {
  for (const path of live) rmSync(path, { force: true });
  live.clear();
}

/** Removes what is unfinished, then lets the signal do what it would have done: the shell sees 130, 143 or 129. */
function onSignal(signal: NodeJS.Signals): void {
  removeLive();
  for (const each of SIGNALS) process.removeListener(each, onSignal);
  process.kill(process.pid, signal);
}

function track(path: string): void {
  if (live.size === 0) for (const signal of SIGNALS) process.on(signal, onSignal);
  live.add(path);
}

function untrack(path: string): void {
  if (live.delete(path) && live.size === 0) for (const signal of SIGNALS) process.removeListener(signal, onSignal);
}

/** Removes what earlier runs that were killed have left beside `path`. */
function removeStale(path: string): void {
  const directory = dirname(path);
  const prefix = `.${basename(path)}.rockberry-`;
  for (const name of readdirSync(directory)) {
    const pid = name.startsWith(prefix) ? /^(\d+)\.part$/.exec(name.slice(prefix.length))?.[1] : undefined;
    if (pid === undefined) continue;
    const part = join(directory, name);
    // A file with our own pid that we do not know is from an earlier process that had it: in containers numbers come again.
    const isStale = Number(pid) === process.pid ? !live.has(part) : !isRunning(Number(pid));
    if (isStale) rmSync(part, { force: true });
  }
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw hostError(error, 'write', path);
    return undefined;
  }
}

const refused = (message: string, hint: string): RockberryError => new RockberryError('refused', message, { hint });

/**
 * Throws unless `path` can become an output file; asked before any work. `refused`: it exists and `force` is not given, it is a directory or a device,
 * or it is one of the `inputs`. `io`: its directory is missing or not writable.
 */
export function checkOutput(path: string, force = false, inputs: readonly string[] = []): void {
  const directory = dirname(resolve(path));
  const parent = statOf(directory);
  if (!parent) throw new RockberryError('io', `cannot write ${path}: the directory ${directory} does not exist`, { hint: `make it: mkdir -p ${directory}` });
  if (!parent.isDirectory()) throw new RockberryError('io', `cannot write ${path}: ${directory} is not a directory`);
  const existing = statOf(path);
  if (existing?.isDirectory()) throw refused(`expected a file name for the output, found a directory: ${path}`, 'name a file in it');
  if (existing && !existing.isFile()) throw refused(`expected a file name for the output, found a device: ${path}`, 'build to a file, then flash that');
  for (const input of inputs) {
    const other = statOf(input);
    if (existing && other && other.ino === existing.ino && other.dev === existing.dev) throw refused(`the output ${path} is the input ${input}`, 'write to another file');
  }
  if (!force && (existing || lstatSync(path, { throwIfNoEntry: false }))) throw refused(`${path} exists already`, 'use --force to replace it');
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw hostError(error, 'write to the directory', directory);
  }
}

function syncDirectory(directory: string): void {
  if (process.platform === 'win32') return; // directories cannot be opened there
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV']);

/** Gives `part` the name `path` if nothing has it: a link fails where a rename would replace. FAT and some network disks have no links. */
function linkIntoPlace(part: string, path: string): void {
  try {
    linkSync(part, path);
    unlinkSync(part);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'EEXIST') throw refused(`${path} has come into being meanwhile`, 'use --force to replace it');
    if (!NO_LINKS.has(code)) throw error;
    checkOutput(path);
    renameSync(part, path);
  }
}

interface Part {
  readonly part: string;
  readonly path: string;
  readonly force: boolean;
  readonly bytes: number;
  readonly sha256: string;
  readonly flushed: Promise<void>;
}

function stagedFile({ part, path, force, bytes, sha256, flushed }: Part): Staged {
  return {
    path: part, bytes, sha256, flushed,
    commit(isLast = true) {
      try {
        if (force) renameSync(part, path);
        else linkIntoPlace(part, path);
        untrack(part);
        if (isLast) syncDirectory(dirname(path));
      } catch (error) {
        throw hostError(error, 'write', path);
      }
    },
    discard() {
      if (live.has(part)) rmSync(part, { force: true });
      untrack(part);
    },
  };
}

/** Opens the temporary file for `output`, an absolute path; it is new, and nobody else's. */
function openPart(output: string, cloneOf: CloneOf | undefined): { part: string; fd: number; cloned: boolean } {
  const part = join(dirname(output), `.${basename(output)}.rockberry-${process.pid}.part`);
  try {
    removeStale(output);
    const fd = openSync(part, 'wx+', 0o666);
    track(part);
    return { part, ...(cloneOf ? cloneInto(part, fd, cloneOf) : { fd, cloned: false }) };
  } catch (error) {
    if (systemCode(error) === 'EEXIST') throw refused(`${output} is being written already, to ${part}`, 'wait for it');
    throw hostError(error, 'write', output);
  }
}

/** On another thread, for it takes as long as the disk does. */
function flushAndClose(fd: number, path: string): Promise<void> {
  const flushed = promisify(fsync)(fd).catch((error: unknown) => { throw hostError(error, 'write', path); }).finally(() => closeSync(fd));
  flushed.catch(() => undefined); // reported where it is awaited
  return flushed;
}

/** Writes all pieces to a temporary file beside `path` and flushes it to the disk. On any error nothing is left behind. */
export async function stageOutput(path: string, pieces: AsyncIterable<Uint8Array | FilePart>, options: StageOptions = {}): Promise<Staged> {
  const output = resolve(path);
  const force = options.force ?? false;
  checkOutput(output, force);
  const progress = options.progress ?? silentProgress;
  const { part, fd, cloned } = openPart(output, options.cloneOf);
  let open = true;
  const sink = createSink(fd, { sparse: options.sparse ?? false, ...(cloned && { only: options.cloneOf!.changed }) });
  try {
    for await (const piece of pieces) {
      await ('file' in piece ? sink.copy(piece) : sink.write(piece));
      progress.advance(sink.bytes(), Math.max(options.total ?? 0, sink.bytes()));
    }
    const sha256 = await sink.finish();
    const bytes = sink.bytes();
    ftruncateSync(fd, bytes);
    if (fstatSync(fd).size !== bytes) throw new RockberryError('io', `expected ${bytes} bytes in ${part}, found ${fstatSync(fd).size}`);
    await sink.close();
    const flushed = flushAndClose(fd, path);
    open = false;
    if (!options.flushLater) await flushed;
    return stagedFile({ part, path: output, force, bytes, sha256, flushed });
  } catch (error) {
    await sink.close();
    if (open) closeSync(fd);
    rmSync(part, { force: true });
    untrack(part);
    throw systemCode(error) === '' ? error : hostError(error, 'write', path, options.total);
  }
}
