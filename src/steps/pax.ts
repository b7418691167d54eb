/**
 * Extended attributes in a tar stream, byte for byte: tar-stream decodes pax records as UTF-8, which breaks binary values such as security.capability. This
 * passes the stream on unchanged, follows its framing (POSIX pax interchange format; 512-byte blocks), and keeps the attributes of each member in turn.
 */
import { Transform } from 'node:stream';
import { RockberryError } from '../errors.js';

export interface PaxAttributes {
  readonly stream: Transform;
  /** The attributes of the next member, in the order in which tar-stream gives them. */
  next(): ReadonlyMap<string, Uint8Array>;
}

const BLOCK = 512; // bytes
const HEADER_LIMIT = 1 << 20; // bytes of one extended header; attributes are at most 64 KiB each
const NAMES = ['SCHILY.xattr.', 'LIBARCHIVE.xattr.', 'RHT.security.selinux'] as const;
const EXTENDED = 'x'.charCodeAt(0);
const META = new Set(['x', 'g', 'L', 'K', 'N'].map((letter) => letter.charCodeAt(0))); // what tar-stream takes as belonging to the next member; N is old GNU
const DIRECTORY = '5'.charCodeAt(0);

export function paxAttributes(): PaxAttributes {
  const scanner = new Scanner();
  const stream = new Transform({
    transform(data: Buffer, _encoding, done) {
      try {
        scanner.feed(data);
        done(null, data);
      } catch (error) {
        done(error as Error);
      }
    },
    // An archive that was cut off between two members looks sound but for this.
    flush: (done) => done(scanner.atEnd ? null : new RockberryError('corrupt', 'expected a tar archive to end in blocks of zeros, found none: it is cut off')),
  });
  return { stream, next: () => scanner.ready.shift() ?? new Map() };
}

class Scanner {
  /** Whether the last block was one of zeros, the mark of the end. */
  atEnd = false;
  readonly ready: ReadonlyMap<string, Uint8Array>[] = [];
  private pending: Map<string, Uint8Array> = new Map();
  private size: number | undefined; // of the next member, where an extended header says so
  private header = Buffer.alloc(0);
  private body: Buffer[] | undefined; // of an extended header
  private bodyLength = 0;
  private skip = 0; // bytes up to the next header

  feed(data: Buffer): void {
    for (let at = 0; at < data.length;) {
      const piece = data.subarray(at, at + (this.skip > 0 ? this.skip : BLOCK - this.header.length));
      at += piece.length;
      if (this.skip > 0) this.onBody(piece);
      else this.collect(piece);
    }
  }

  private collect(piece: Buffer): void {
    this.header = Buffer.concat([this.header, piece]);
    if (this.header.length < BLOCK) return;
    const block = this.header;
    this.header = Buffer.alloc(0);
    this.atEnd = block.every((byte) => byte === 0);
    if (!this.atEnd) this.onHeader(block);
  }

  private onHeader(block: Buffer): void {
    const type = block[156]!;
    const own = headerSize(block);
    if (!META.has(type)) {
      this.skip = type === DIRECTORY ? 0 : padded(this.size ?? own); // tar-stream takes a directory to have no data
      this.ready.push(this.pending);
      [this.pending, this.size] = [new Map(), undefined];
      return;
    }
    if (own > HEADER_LIMIT) throw new RockberryError('unsupported', `expected at most ${HEADER_LIMIT} bytes in an extended header of a tar archive, found ${own}`);
    this.skip = padded(own);
    if (type === EXTENDED && own > 0) [this.body, this.bodyLength] = [[], own];
  }

  private onBody(piece: Buffer): void {
    this.skip -= piece.length;
    this.body?.push(piece);
    if (!this.body || this.skip > 0) return;
    const records = parseRecords(Buffer.concat(this.body).subarray(0, this.bodyLength));
    const size = records.get('size')?.toString('latin1');
    this.pending = attributesOf(records);
    this.size = size !== undefined && /^\d+$/.test(size) ? Number(size) : undefined;
    this.body = undefined;
  }
}

function padded(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK;
}

/** Octal digits, or base 256 where the top bit is set (GNU). tar-stream judges whether the header is sound. */
function headerSize(block: Buffer): number {
  const field = block.subarray(124, 136);
  if ((field[0]! & 0x80) === 0) return parseInt(field.toString('latin1').replace(/[\0 ]+$/, ''), 8) || 0;
  return field.subarray(1).reduce((value, byte) => value * 256 + byte, 0);
}

/** Records are "LENGTH KEY=VALUE\n", LENGTH in decimal and counting itself. */
function parseRecords(data: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  for (let at = 0; at < data.length;) {
    const space = data.indexOf(0x20, at);
    const length = space < 0 ? 0 : Number(data.subarray(at, space).toString('latin1'));
    if (!Number.isInteger(length) || length <= 0) break; // tar-stream stops here too
    const record = data.subarray(space + 1, at + length - 1);
    const equals = record.indexOf(0x3d);
    if (equals > 0) records.set(record.subarray(0, equals).toString('utf8'), Buffer.from(record.subarray(equals + 1)));
    at += length;
  }
  return records;
}

/** SCHILY (star, GNU tar) has the bytes themselves, LIBARCHIVE (bsdtar) base64 under a percent-encoded name, RHT (old star of EL) the label alone. */
function attributesOf(records: ReadonlyMap<string, Buffer>): Map<string, Uint8Array> {
  const [schily, libarchive, label] = NAMES;
  const found = new Map<string, Uint8Array>();
  for (const [key, value] of records) {
    if (key === label) found.set('security.selinux', Buffer.concat([value, Buffer.from([0])]));
    if (key.startsWith(libarchive)) found.set(percentDecoded(key.slice(libarchive.length)), Buffer.from(value.toString('latin1'), 'base64'));
  }
  for (const [key, value] of records) if (key.startsWith(schily)) found.set(key.slice(schily.length), value);
  return found;
}

function percentDecoded(name: string): string {
  return name.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
}
