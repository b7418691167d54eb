/**
 * A card that is open for writing: a block device, taken exclusively, or a regular file. A thread of its own writes, reads and hashes, so that several cards and
 * the decoder do not wait for each other. Large writes and all reads go past the page cache, small ones through it, with a flush every few MiB: progress is what
 * is on the card, and what is read back comes from the card.
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { Range } from '../bytes/ranges.js';
import { hostError, systemCode } from '../device/host.js';
import { deviceSize } from '../device/file.js';
import { RockberryError } from '../errors.js';
import { CARD_THREAD, type CardReply } from './card-thread.js';
import { CELL_BYTES, type Cell } from './plan.js';

export interface Slot {
  readonly index: number;
  /** CELL_BYTES of memory that the card's thread shares; byte 0 is the cell's first. */
  readonly memory: Buffer;
}

export interface CellWritten {
  /** Of the cell's mapped bytes, one after the other. */
  readonly sha256: string;
  /** Bytes that had to be written. */
  readonly written: number;
}

export interface Card {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  readonly isBlockDevice: boolean;
  /** Whether what is read comes from the medium and not from the page cache. */
  readonly isDirect: boolean;
  /** Memory for a cell; waits until one is free. Its owner hands it to write(). */
  slot(): Promise<Slot>;
  /** Resolves when the device has it, but for at most 4 MiB of small pieces, which the next flush() takes there. `compare`: reads first, and writes only the blocks of 4096 bytes that differ. */
  write(slot: Slot, cell: Cell, compare: boolean): Promise<CellWritten>;
  /** The sha256 of what the card has there. */
  check(cell: Cell): Promise<string>;
  /** At most CELL_BYTES, as the card has them. */
  read(range: Range): Promise<Buffer>;
  /** Everything that was written so far is on the medium. */
  flush(): Promise<void>;
  /** Must be called: the thread keeps the program alive. */
  close(): Promise<void>;
}

export interface CardOptions {
  /** A regular file is made this large, in bytes, if it is smaller; it is created if it is not there. */
  readonly atLeast: number;
  /** Bytes that are zeroed before anything else is written (unless they are zeros): the old system must not boot what is half another. */
  readonly wipe: number;
}

const SLOTS = 3;
/** Memory of WebAssembly is whole pages of the host, which direct I/O demands; Node's own buffers begin 16 bytes behind a page's border. */
const WASM_PAGE = 65_536;
declare const WebAssembly: { readonly Memory: new (size: { initial: number; maximum: number; shared: true }) => { readonly buffer: SharedArrayBuffer } }; // @types/node leaves it to the DOM's types
const { O_RDWR, O_CREAT, O_EXCL = 0, O_DIRECT = 0, O_NONBLOCK = 0 } = constants;

/** Errors: `refused` when somebody else uses the device, `io` for everything else of the host. */
export function openCard(path: string, options: CardOptions): Card {
  const files = openFiles(path, options.atLeast);
  const pages = ((SLOTS + 1) * CELL_BYTES) / WASM_PAGE; // one more than slots, for what is read
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const worker = new Worker(CARD_THREAD, { eval: true, workerData: { ...files, memory, cell: CELL_BYTES, slots: SLOTS, wipe: options.wipe } });
  const ask = conversation(worker, path);
  const free = freeSlots(Buffer.from(memory.buffer));
  const pairs = ({ offset, ranges }: Cell): object => ({ offset, ranges: ranges.map((range) => [range.offset, range.length]) });
  return {
    path, size: files.size, isBlockDevice: files.isBlockDevice, isDirect: files.direct !== files.plain,
    slot: free.take,
    write: (slot, cell, compare) => ask<CellWritten>('write', { slot: slot.index, compare, ...pairs(cell) }).finally(() => { free.give(slot); }),
    check: async (cell) => (await ask<CellWritten>('check', pairs(cell))).sha256,
    read: async ({ offset, length }) => Buffer.from(await ask<Uint8Array>('read', { offset, length })),
    flush: () => ask<undefined>('flush', {}),
    async close() {
      await worker.terminate();
      closeSync(files.plain);
      if (files.direct !== files.plain) closeSync(files.direct);
    },
  };
}

interface Files {
  /** The same file twice: past the page cache, and through it. One and the same descriptor where the former is not offered. */
  readonly direct: number;
  readonly plain: number;
  readonly size: number;
  readonly isBlockDevice: boolean;
}

function openFiles(path: string, atLeast: number): Files {
  let plain: number | undefined;
  try {
    plain = openExclusively(path);
    const stat = fstatSync(plain);
    const isRaw = stat.isCharacterDevice() && process.platform === 'darwin'; // /dev/rdisk4: a disk without a cache before it
    if (!stat.isFile() && !stat.isBlockDevice() && !isRaw) throw new RockberryError('io', `expected a disk or a regular file to write to, found neither: ${path}`);
    if (stat.isFile() && stat.size < atLeast) ftruncateSync(plain, atLeast);
    const size = stat.isFile() ? Math.max(stat.size, atLeast) : deviceSize(plain);
    return { plain, direct: openDirect(path) ?? plain, size, isBlockDevice: !stat.isFile() };
  } catch (error) {
    if (plain !== undefined) closeSync(plain);
    if (systemCode(error) === 'EBUSY') throw new RockberryError('refused', `${path} is in use by another program or mounted`, { hint: 'unmount it, or wait for the other program', cause: error });
    if (systemCode(error) === 'EACCES' && path.startsWith('/dev/')) throw new RockberryError('io', `cannot open ${path}: permission denied`, { hint: 'writing to a disk needs root: run it with sudo', cause: error });
    throw hostError(error, 'open', path);
  }
}

/** O_EXCL without O_CREAT: the kernel refuses a block device that is mounted, or that another has opened so (open(2)). */
function openExclusively(path: string): number {
  try {
    return openSync(path, O_RDWR | O_EXCL | O_NONBLOCK);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return openSync(path, O_RDWR | O_CREAT | O_EXCL, 0o600); // it may get a node's secrets
  }
}

function openDirect(path: string): number | undefined {
  if (O_DIRECT === 0) return undefined;
  try {
    return openSync(path, O_RDWR | O_DIRECT);
  } catch (error) {
    if (systemCode(error) === 'EINVAL') return undefined; // a filesystem in memory, for one
    throw error;
  }
}

type Ask = <T>(op: string, job: object) => Promise<T>;

/** Jobs are done in the order in which they were asked for; when the thread dies, all that wait are told. */
function conversation(worker: Worker, path: string): Ask {
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (error: RockberryError) => void }>();
  let next = 0;
  let dead: RockberryError | undefined;
  const end = (error: RockberryError): void => {
    dead = error;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  worker.on('message', ({ id, result, error }: CardReply) => {
    const one = waiting.get(id);
    waiting.delete(id);
    if (error) one?.reject(cardError(error, path));
    else one?.resolve(result as never);
  });
  worker.on('error', (error) => { end(new RockberryError('io', `cannot go on with ${path}: ${error.message}`, { cause: error })); });
  worker.on('exit', () => { end(new RockberryError('io', `cannot go on with ${path}: it was closed`)); });
  return <T>(op: string, job: object) => new Promise<T>((resolve, reject) => {
    if (dead) return reject(dead);
    waiting.set(next, { resolve, reject });
    worker.postMessage({ id: next++, op, ...job });
  });
}

/** What a card says when it is pulled out, or worn out. */
const GONE = new Set(['EIO', 'ENXIO', 'ENODEV', 'ENOMEDIUM']);

function cardError({ code, message, doing }: NonNullable<CardReply['error']>, path: string): RockberryError {
  const cause = Object.assign(new Error(message), { code });
  if (!GONE.has(code)) return hostError(cause, doing, path);
  return new RockberryError('io', `cannot ${doing} ${path}: the device reports an input/output error, as one does that is worn out or was taken away`, {
    hint: 'put it in again and run the same command: it goes on where it stopped', cause,
  });
}

function freeSlots(all: Buffer): { take(): Promise<Slot>; give(slot: Slot): void } {
  const free = Array.from({ length: SLOTS }, (_, index): Slot => ({ index, memory: all.subarray(index * CELL_BYTES, (index + 1) * CELL_BYTES) }));
  const waiting: ((slot: Slot) => void)[] = [];
  return {
    take: async () => free.pop() ?? new Promise((resolve) => { waiting.push(resolve); }),
    give(slot) {
      const next = waiting.shift();
      if (next) next(slot);
      else free.push(slot);
    },
  };
}
