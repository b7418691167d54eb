/**
 * Pages of a base that were read once and are kept: metadata of a filesystem lies everywhere in an image, and to read it from a compressed one is to decode
 * nearly all of it. What is kept is the base's own bytes, so that it never matters what is kept and what is not: only how often something is decoded.
 */
import { isZero } from '../bytes/fields.js';
import type { Range } from '../bytes/ranges.js';
import { checkBounds, type ReadableDevice } from './device.js';

/** Bytes of a page. */
export const PAGE = 4096;
/** Longer reads are of all of the image, for encoding, which nobody does twice. */
const LONGEST = 128 * PAGE;
/** Pages that are not zero, in bytes: the metadata of a root filesystem of 3 GiB is a tenth of it. */
const LIMIT = 64 * 2 ** 20;

const ZEROS = Buffer.alloc(PAGE);

/** Whole pages of one image by number. */
export class Pages {
  readonly #kept = new Map<number, Uint8Array>();
  #bytes = 0;

  /** Of pages that are kept. */
  get count(): number {
    return this.#kept.size;
  }

  has(page: number): boolean {
    return this.#kept.has(page);
  }

  /** The page's bytes, not to be changed. */
  get(page: number): Uint8Array | undefined {
    return this.#kept.get(page);
  }

  /** Keeps a copy of a full page, as long as there is room. */
  add(page: number, data: Uint8Array): void {
    if (this.#kept.has(page)) return;
    const zero = isZero(data);
    if (!zero && this.#bytes + PAGE > LIMIT) return;
    this.#kept.set(page, zero ? ZEROS : new Uint8Array(data));
    if (!zero) this.#bytes += PAGE;
  }

  /** Whether all of the range can be read from kept pages. */
  covers({ offset, length }: Range): boolean {
    for (let page = Math.floor(offset / PAGE); page * PAGE < offset + length; page++) if (!this.#kept.has(page)) return false;
    return true;
  }

  /** Numbers (f64, little endian) of all pages, sorted; then the contents of those that are not zero, whose numbers are stored negated minus one. */
  save(): Uint8Array[] {
    const numbers = [...this.#kept.keys()].sort((a, b) => a - b);
    const head = Buffer.alloc(8 * (numbers.length + 1));
    head.writeDoubleLE(numbers.length, 0);
    numbers.forEach((page, at) => head.writeDoubleLE(this.#kept.get(page) === ZEROS ? page : -1 - page, 8 * (at + 1)));
    return [head, ...numbers.map((page) => this.#kept.get(page)!).filter((data) => data !== ZEROS)];
  }

  /** What save() gave, as one piece whose memory is taken over; throws RangeError where it is cut short. */
  restore(saved: Buffer): void {
    const count = saved.readDoubleLE(0);
    let at = 8 * (count + 1);
    for (let index = 1; index <= count; index++) {
      const number = saved.readDoubleLE(8 * index);
      if (number < 0 && at + PAGE > saved.length) throw new RangeError('pages are cut short');
      this.#kept.set(number < 0 ? -1 - number : number, number < 0 ? saved.subarray(at, at + PAGE) : ZEROS);
      if (number < 0) at += PAGE;
    }
    this.#bytes = at - 8 * (count + 1);
  }
}

/** `base`, with short reads answered from kept pages; what they read of the base is kept. Closing it closes the base. */
export function rememberingDevice(base: ReadableDevice, pages: Pages): ReadableDevice {
  const { size } = base;
  return {
    size,
    read(offset, length) {
      checkBounds(size, offset, length, 'image');
      const first = Math.floor(offset / PAGE);
      const end = Math.ceil((offset + length) / PAGE);
      if (length > LONGEST || length === 0 || end * PAGE > size) return base.read(offset, length);
      for (let page = first; page < end; page++) {
        if (pages.has(page)) continue;
        let last = page + 1;
        while (last < end && !pages.has(last)) last++;
        const data = base.read(page * PAGE, (last - page) * PAGE);
        for (let at = page; at < last; at++) pages.add(at, data.subarray((at - page) * PAGE, (at + 1 - page) * PAGE));
        page = last;
      }
      return readKept(base, pages, { offset, length });
    },
    close: () => base.close(),
  };
}

function readKept(base: ReadableDevice, pages: Pages, { offset, length }: Range): Uint8Array {
  const result = Buffer.allocUnsafe(length);
  for (let at = 0; at < length;) {
    const page = Math.floor((offset + at) / PAGE);
    const from = offset + at - page * PAGE;
    const count = Math.min(PAGE - from, length - at);
    const kept = pages.get(page);
    result.set(kept ? kept.subarray(from, from + count) : base.read(offset + at, count), at);
    at += count;
  }
  return result;
}
