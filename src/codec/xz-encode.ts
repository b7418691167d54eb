/** xz blocks of our own: encoded each on its own, with both sizes in the header, to be put into a stream by whoever asks. */
import { RockberryError } from '../errors.js';
import type { Lzma } from './liblzma.js';
import {
  HEADER_LENGTH, type XzRecord, checkLength, encodeBlockHeader, padded, parseBlockHeader, parseIndex, parseStreamFooter,
} from './xz-format.js';

export interface XzBlock {
  /** Header, packed data, padding and check. */
  readonly bytes: Uint8Array;
  readonly record: XzRecord;
}

/**
 * Encodes `plain` as one block. liblzma makes a stream of one block, whose header leaves the sizes out, as it does when it does not know them yet;
 * with them in, decoders can work on several blocks at once and find them without the index.
 */
export async function encodeXzBlock(lzma: Lzma, plain: Uint8Array, preset: number, check: number): Promise<XzBlock> {
  const what = 'the block just encoded';
  const stream = await lzma.encode(plain, preset, check);
  const { indexLength } = parseStreamFooter(stream.subarray(stream.length - HEADER_LENGTH), what);
  const [record, ...others] = parseIndex(stream.subarray(stream.length - HEADER_LENGTH - indexLength, stream.length - HEADER_LENGTH), 1, what);
  if (!record || others.length > 0 || record.plain !== plain.length) throw new RockberryError('io', `expected liblzma to encode ${plain.length} bytes as one block, found another size`);
  const header = parseBlockHeader(stream.subarray(HEADER_LENGTH), what);
  const body = stream.subarray(HEADER_LENGTH + header.length, HEADER_LENGTH + padded(record.unpadded)); // data, padding and check
  const packed = record.unpadded - header.length - checkLength(check);
  const ours = encodeBlockHeader(packed, plain.length, header.filterCount, header.filters);
  return { bytes: Buffer.concat([ours, body]), record: { unpadded: ours.length + packed + checkLength(check), plain: plain.length } };
}
