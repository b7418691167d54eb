/**
 * Copy-on-write over a device: writes go to 4 KiB pages of our own, the base is never written.
 *
 * Pages live in memory up to a limit. After that, whole pages are appended to a temporary file without a name, and only their place in it is
 * remembered. What changed is compared with the base when it is asked for, so that writing what is already there changes nothing.
 */
import { closeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { RockberryError } from '../errors.js';
import { type Range, coalesce } from '../bytes/ranges.js';
import { equalBytes } from '../bytes/fields.js';
import { type Overlay, type ReadableDevice, checkBounds } from './device.js';
import { hostError, openUnlinked, readFully, writeFully } from './host.js';

const PAGE = 4096;
/** Differences less than this many bytes apart are reported as one range: one sector. */
const SECTOR = 512;

export interface OverlayOptions {
  /** Bytes of pages kept in memory; default 64 MiB. */
  readonly memoryLimit?: number;
  /** Where pages beyond that go; default os.tmpdir(). */
  readonly temporaryDirectory?: string;
}

/** Pages by number: in memory while the limit allows, else in slots of a nameless file. */
class PageStore {
  readonly #memory = new Map<number, Uint8Array>();
  readonly #slots = new Map<number, number>();
  /** Pages whose memory another store has too: they are copied before they are written to. */
  readonly #shared = new Set<number>();
  #fd: number | undefined;
  constructor(private readonly memoryPages: number, private readonly directory: string) {}

  numbers(): number[] {
    return [...this.#memory.keys(), ...this.#slots.keys()].sort((a, b) => a - b);
  }

  has(page: number): boolean {
    return this.#memory.has(page) || this.#slots.has(page);
  }

  get(page: number): Uint8Array | undefined {
    const slot = this.#slots.get(page);
    if (slot === undefined || this.#fd === undefined) return this.#memory.get(page);
    const data = Buffer.allocUnsafe(PAGE);
    try {
      if (readFully(this.#fd, data, slot * PAGE)) return data;
    } catch (error) {
      throw hostError(error, 'read a temporary file in', this.directory);
    }
    throw new RockberryError('io', `expected ${PAGE} bytes at offset ${slot * PAGE} of a temporary file in ${this.directory}, found fewer`);
  }

  /** As get(), to be written to and given to set(). */
  own(page: number): Uint8Array | undefined {
    const data = this.get(page);
    if (data === undefined || !this.#shared.delete(page)) return data;
    return new Uint8Array(data);
  }

  fork(): PageStore {
    const forked = new PageStore(this.memoryPages, this.directory);
    for (const page of this.numbers()) {
      const inMemory = this.#memory.has(page);
      forked.set(page, this.get(page)!); // what is in a slot was read into memory of its own
      if (inMemory) this.#shared.add(page);
      if (inMemory && forked.#memory.has(page)) forked.#shared.add(page);
    }
    return forked;
  }

  /** Takes a full page of bytes over; the caller does not keep it. */
  set(page: number, data: Uint8Array): void {
    if (!this.#slots.has(page) && (this.#memory.has(page) || this.#memory.size < this.memoryPages)) {
      this.#memory.set(page, data);
      return;
    }
    this.#fd ??= openUnlinked(this.directory);
    const slot = this.#slots.get(page) ?? this.#slots.size;
    try {
      writeFully(this.#fd, data, slot * PAGE);
    } catch (error) {
      throw hostError(error, 'write a temporary file in', this.directory, (slot + 1) * PAGE);
    }
    this.#slots.set(page, slot);
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#memory.clear();
    this.#slots.clear();
    this.#shared.clear();
  }
}

/** The ranges in which two pages differ, joined when less than a sector apart; offsets are those of the device. */
function differences(mine: Uint8Array, theirs: Uint8Array, offset: number, into: Range[]): void {
  if (equalBytes(mine, theirs)) return;
  let start = -1;
  let last = -1;
  for (let at = 0; at < mine.length; at++) {
    if (mine[at] === theirs[at]) continue;
    if (start >= 0 && at - last > SECTOR) {
      into.push({ offset: offset + start, length: last + 1 - start });
      start = at;
    }
    if (start < 0) start = at;
    last = at;
  }
  into.push({ offset: offset + start, length: last + 1 - start });
}

/** Cuts [offset, offset + length) at page borders; `at` is the place in the data, `from` the place in the page. */
function eachPage(offset: number, length: number, visit: (page: number, from: number, at: number, count: number) => void): void {
  for (let at = 0; at < length;) {
    const page = Math.floor((offset + at) / PAGE);
    const from = offset + at - page * PAGE;
    const count = Math.min(PAGE - from, length - at);
    visit(page, from, at, count);
    at += count;
  }
}

/**
 * A writable view of `base`. Closing it drops the changes and leaves the base open.
 * changes() returns sorted ranges in bytes, trimmed to the bytes that differ, joined when less than 512 bytes apart.
 */
export function createOverlay(base: ReadableDevice, options: OverlayOptions = {}): Overlay {
  const memoryPages = Math.floor((options.memoryLimit ?? 64 * 2 ** 20) / PAGE);
  return overlayOn(base, new PageStore(memoryPages, options.temporaryDirectory ?? tmpdir()));
}

function overlayOn(base: ReadableDevice, pages: PageStore): Overlay {
  const { size } = base;
  const pageLength = (page: number): number => Math.min(PAGE, size - page * PAGE);
  const fromBase = (page: number): Uint8Array => {
    const whole = Buffer.alloc(PAGE);
    whole.set(base.read(page * PAGE, pageLength(page)));
    return whole;
  };
  return {
    size,
    read(offset, length) {
      checkBounds(size, offset, length);
      return readThrough(base, pages, offset, length);
    },
    write(offset, data) {
      checkBounds(size, offset, data.length);
      eachPage(offset, data.length, (page, from, at, count) => {
        const target = pages.own(page) ?? (count === pageLength(page) ? Buffer.alloc(PAGE) : fromBase(page));
        target.set(data.subarray(at, at + count), from);
        pages.set(page, target);
      });
    },
    flush: () => undefined,
    close: () => pages.close(),
    fork: () => overlayOn(base, pages.fork()),
    changes() {
      const found: Range[] = [];
      for (const page of pages.numbers()) {
        const length = pageLength(page);
        differences(pages.get(page)!.subarray(0, length), base.read(page * PAGE, length), page * PAGE, found);
      }
      return coalesce(found, SECTOR - 1);
    },
  };
}

/** Reads runs of untouched bytes from the base in one piece each: a base that decodes or counts its reads is asked as seldom as can be. */
function readThrough(base: ReadableDevice, pages: PageStore, offset: number, length: number): Uint8Array {
  let touched = false;
  eachPage(offset, length, (page) => { touched ||= pages.has(page); });
  if (!touched) return base.read(offset, length);
  const result = Buffer.allocUnsafe(length);
  let run = 0; // bytes before `at` that are still to come from the base
  const fromBase = (end: number): void => {
    if (run > 0) result.set(base.read(offset + end - run, run), end - run);
    run = 0;
  };
  eachPage(offset, length, (page, from, at, count) => {
    const data = pages.get(page);
    if (!data) {
      run += count;
      return;
    }
    fromBase(at);
    result.set(data.subarray(from, from + count), at);
  });
  fromBase(length);
  return result;
}
