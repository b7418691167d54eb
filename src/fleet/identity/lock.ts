/**
 * One writer at a time: a symbolic link beside the file, whose target says who holds it ("1234@host"). Making a link is exclusive, and unlike a file that is made
 * and then written, a link is never seen without its content. Who died leaves a link to a process that is gone; the next one takes it away.
 */
import { readlinkSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { hostError, isRunning, systemCode } from '../../device/host.js';
import { RockberryError } from '../../errors.js';

const POLL = 50; // milliseconds
const PATIENCE = 60_000; // milliseconds; the lock is held while a small file is read and written, and perhaps while someone types a passphrase
/** Locks of this process: others of that number are from an earlier process that had it (in containers numbers come again). */
const held = new Set<string>();

/** Does the work while `path`.lock is ours. Errors: `refused` when somebody else holds it for longer than `patience` milliseconds. */
export async function withLock<T>(path: string, work: () => Promise<T>, patience = PATIENCE): Promise<T> {
  const lock = `${path}.lock`;
  await acquire(lock, patience);
  try {
    return await work();
  } finally {
    held.delete(lock);
    rmSync(lock, { force: true }); // somebody may have taken it away by hand
  }
}

async function acquire(lock: string, patience: number): Promise<void> {
  for (let waited = 0; ; waited += POLL) {
    if (take(lock)) return;
    if (removeStale(lock)) continue;
    if (waited >= patience) throw stillHeld(lock);
    await delay(POLL);
  }
}

function take(lock: string): boolean {
  if (held.has(lock) || !makeLink(lock)) return false;
  held.add(lock);
  return true;
}

/** false: something has that name. */
function makeLink(path: string): boolean {
  try {
    symlinkSync(`${process.pid}@${hostname()}`, path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw hostError(error, 'make the lock', path);
  }
}

/** Two that see the same dead holder must not both take its lock away, or the second takes the first one's: only who has made the second link may. */
function removeStale(lock: string): boolean {
  if (!isStale(lock)) return false;
  const guard = guardOf(lock);
  if (!makeLink(guard)) return false;
  try {
    if (!isStale(lock)) return false;
    unlinkSync(lock);
    return true;
  } finally {
    unlinkSync(guard);
  }
}

const guardOf = (lock: string): string => `${lock}.stale`;

/** Of processes on other machines nothing is known. */
function isStale(lock: string): boolean {
  const [, pid = '', host] = /^(\d+)@(.*)$/s.exec(holderOf(lock) ?? '') ?? [];
  if (pid === '' || host !== hostname()) return false;
  return Number(pid) === process.pid ? !held.has(lock) : !isRunning(Number(pid));
}

function holderOf(lock: string): string | undefined {
  try {
    return readlinkSync(lock);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw new RockberryError('refused', `expected a lock of rockberry's at ${lock}, found something else`, { hint: 'move it away', cause: error });
  }
}

function stillHeld(lock: string): RockberryError {
  const [, pid = '', host = ''] = /^(\d+)@([\w.-]*)$/.exec(holderOf(lock) ?? '') ?? [];
  const holder = pid === '' ? 'it still there' : `it held by process ${pid} on ${host}`;
  return new RockberryError('refused', `expected ${lock} to be free, found ${holder}`, { hint: `wait for it; if nothing runs there any more, remove ${lock} and ${guardOf(lock)}` });
}
