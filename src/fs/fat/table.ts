/**
 * The file allocation table: for each cluster the next one of its chain. Read in pages that are kept, so that scanning it again costs no reads; the
 * writer tells which bytes changed. Nothing here trusts a chain: lengths are bounded and every link is checked.
 */
import { RockberryError } from '../../errors.js';
import { u16, u32 } from '../../bytes/fields.js';
import type { ReadableDevice } from '../../device/device.js';
import type { FatGeometry } from './geometry.js';
import { entryBits } from './geometry.js';

/** Divides by 3 (two FAT12 entries), by 4 and by every sector size up to 4096. 48 KiB hold a whole FAT12. */
const PAGE = 49152;
/** Pages kept: 12 MiB of FAT, which is a FAT32 of three million clusters. */
const MAX_PAGES = 256;

/** Clusters that follow one another on the device. */
export interface Run {
  readonly cluster: number;
  readonly count: number;
}

interface Page {
  readonly data: Uint8Array;
  free: number | undefined;
}

const NO_PAGE = { index: -1, page: { data: new Uint8Array(0), free: undefined } };

export const FREE = 0;
const REPAIR = { hint: 'Repair a copy of the image with fsck.vfat.' };

export class FatTable {
  readonly #pages = new Map<number, Page>();
  /** The page of the last look, because looks come in rows. */
  #last: { readonly index: number; readonly page: Page } = NO_PAGE;
  readonly #bits: 12 | 16 | 32;
  /** The first value that does not name a cluster: bad (…F7) and end of chain (…F8 to …FF) lie above it. */
  readonly #reserved: number;

  constructor(readonly device: ReadableDevice, readonly geometry: FatGeometry) {
    this.#bits = entryBits(geometry.variant);
    this.#reserved = this.#bits === 12 ? 0xff7 : this.#bits === 16 ? 0xfff7 : 0x0ffffff7;
  }

  /** Forgets what was read from these bytes of the device. */
  invalidate(offset: number, length: number): void {
    this.#last = NO_PAGE;
    const first = Math.floor((offset - this.geometry.fatOffset) / PAGE);
    const last = Math.floor((offset + length - 1 - this.geometry.fatOffset) / PAGE);
    for (let page = Math.max(0, first); page <= last && page * PAGE < this.geometry.fatLength; page++) this.#pages.delete(page);
  }

  #page(index: number): Page {
    if (index === this.#last.index) return this.#last.page;
    let page = this.#pages.get(index);
    if (page === undefined) {
      const length = Math.min(PAGE, this.geometry.fatLength - index * PAGE);
      page = { data: this.device.read(this.geometry.fatOffset + index * PAGE, length), free: undefined };
      if (this.#pages.size >= MAX_PAGES) this.#pages.clear();
      this.#pages.set(index, page);
    }
    this.#last = { index, page };
    return page;
  }

  /** The raw entry of a cluster (without FAT32's upper four bits). */
  entry(cluster: number): number {
    const bit = cluster * this.#bits;
    const index = Math.floor(bit / 8 / PAGE);
    return this.#decode(this.#page(index).data, Math.floor(bit / 8) - index * PAGE, cluster);
  }

  #decode(data: Uint8Array, at: number, cluster: number): number {
    if (this.#bits === 16) return u16(data, at);
    if (this.#bits === 32) return u32(data, at) & 0x0fffffff;
    return cluster % 2 === 0 ? u16(data, at) & 0xfff : u16(data, at) >> 4;
  }

  isEnd(value: number): boolean {
    return value > this.#reserved;
  }

  isBad(value: number): boolean {
    return value === this.#reserved;
  }

  isCluster(value: number): boolean {
    return value >= 2 && value <= this.geometry.clusterCount + 1;
  }

  /** Free clusters. */
  countFree(): number {
    const perPage = (PAGE * 8) / this.#bits;
    const last = this.geometry.clusterCount + 1;
    let free = 0;
    for (let index = 0; index * perPage <= last; index++) {
      const page = this.#page(index);
      page.free ??= this.#freeOfPage(index * perPage, Math.min(last, (index + 1) * perPage - 1));
      free += page.free;
    }
    return free;
  }

  #freeOfPage(first: number, last: number): number {
    let free = 0;
    for (let cluster = Math.max(2, first); cluster <= last; cluster++) if (this.entry(cluster) === FREE) free++;
    return free;
  }

  /**
   * The chain from `first`, as runs. With `wanted`, exactly that many clusters (a shorter chain is corrupt, the rest of a longer one is ignored);
   * without, all up to the end mark. More than `limit` clusters are corrupt, and so is a loop: a marker that is left behind at every power of two is met
   * again within twice the loop's length (Brent's algorithm).
   */
  chain(first: number, what: string, wanted: number | undefined, limit: number): Run[] {
    const runs: { cluster: number; count: number }[] = [];
    if (!this.isCluster(first)) throw this.#brokenLink(what, 0, first, wanted);
    let cluster = first;
    let taken = 0;
    let [marker, moveAt] = [0, 1];
    while (wanted === undefined ? !this.isEnd(cluster) : taken < wanted) {
      if (!this.isCluster(cluster)) throw this.#brokenLink(what, taken, cluster, wanted);
      if (cluster === marker) throw new RockberryError('corrupt', `FAT: expected the cluster chain of ${what} to end, found a loop at cluster ${cluster}`, REPAIR);
      if (taken >= limit) throw new RockberryError('corrupt', `FAT: expected the cluster chain of ${what} to end after ${limit} clusters, found a longer one`, REPAIR);
      if (taken + 1 === moveAt) [marker, moveAt] = [cluster, moveAt * 2];
      const run = runs.at(-1);
      if (run !== undefined && run.cluster + run.count === cluster) run.count++;
      else runs.push({ cluster, count: 1 });
      taken++;
      cluster = this.entry(cluster);
    }
    return runs;
  }

  #brokenLink(what: string, taken: number, value: number, wanted: number | undefined): RockberryError {
    const found = value === FREE ? 'a free cluster' : this.isBad(value) ? 'a bad cluster' : this.isEnd(value) ? 'its end' : `cluster ${value}, which does not exist`;
    const expected = wanted === undefined ? 'a cluster or the end' : `${wanted} clusters`;
    return new RockberryError('corrupt', `FAT: expected ${expected} in the cluster chain of ${what}, found ${found} after ${taken}`,
      REPAIR);
  }

  /** Bytes from the start of the volume. */
  offsetOf(cluster: number): number {
    return this.geometry.dataOffset + (cluster - 2) * this.geometry.clusterSize;
  }
}
