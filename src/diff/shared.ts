/**
 * What two image files share in packed form. Chunks with the same packed bytes are the same decoded, and comparing them as they are costs no decoding. Of an xz
 * block the filters and the packed data count: the sizes in its header may be left out, and the check behind the data is of whatever kind the stream says.
 */
import { equalBytes } from '../bytes/fields.js';
import type { Range } from '../bytes/ranges.js';
import type { Chunk, DecodedImage } from '../codec/codec.js';
import { readXzChunks } from '../codec/xz.js';
import { checkLength, parseBlockHeader } from '../codec/xz-format.js';
import type { ReadableDevice } from '../device/device.js';

const PIECE = 1 << 20; // bytes
const MAX_BLOCK_HEADER = 1024; // .xz format, 3.1.1

interface OpenFile {
  readonly path: string;
  readonly decoded: DecodedImage;
}

/** A chunk's packed data without what says nothing about its contents; `method` tells how it is decoded. */
interface Packed {
  readonly plain: Range;
  data(): { readonly range: Range; readonly method: Uint8Array };
}

const NO_METHOD = new Uint8Array();

function packedChunks({ decoded, path }: OpenFile): Packed[] {
  if (decoded.format !== 'xz') return decoded.chunks.map(({ plain, packed }: Chunk) => ({ plain, data: () => ({ range: packed, method: NO_METHOD }) }));
  return readXzChunks(decoded.file, path).map(({ plain, packed, unpadded, check }) => ({
    plain,
    data() {
      const header = parseBlockHeader(decoded.file.read(packed.offset, Math.min(MAX_BLOCK_HEADER, unpadded)), path);
      const range = { offset: packed.offset + header.length, length: unpadded - header.length - checkLength(check) };
      return { range, method: Uint8Array.of(header.filterCount, ...header.filters) };
    },
  }));
}

function sameBytes(a: ReadableDevice, b: ReadableDevice, atA: number, atB: number, length: number): boolean {
  for (let done = 0; done < length; done += PIECE) {
    const count = Math.min(PIECE, length - done);
    if (!equalBytes(a.read(atA + done, count), b.read(atB + done, count))) return false;
  }
  return true;
}

/** Ranges of the raw image that are the same in both, for all that the packed files tell. */
export function sharedChunks(a: OpenFile, b: OpenFile): Range[] {
  if (a.decoded.format !== b.decoded.format) return [];
  const known = new Map(packedChunks(a).map((chunk) => [chunk.plain.offset, chunk]));
  return packedChunks(b).filter((chunk) => {
    const twin = known.get(chunk.plain.offset);
    if (twin?.plain.length !== chunk.plain.length) return false;
    const [mine, other] = [chunk.data(), twin.data()];
    return mine.range.length === other.range.length && equalBytes(mine.method, other.method)
      && sameBytes(a.decoded.file, b.decoded.file, other.range.offset, mine.range.offset, mine.range.length);
  }).map(({ plain }) => plain);
}
