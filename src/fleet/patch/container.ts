/**
 * The file of a patch: a tar (POSIX ustar) of exactly three members, in this order, with fixed times, owners and modes:
 *
 *   manifest.json · ranges.br · SHA256SUMS
 *
 * `tar -xf PATCH && sha256sum -c SHA256SUMS` checks it by hand. Reading takes nothing but the sizes from it, makes the tar again and compares: so there is no
 * byte, in headers, padding or behind the end, that may differ.
 */
import { createHash } from 'node:crypto';
import { pack } from 'tar-stream';
import { RockberryError } from '../../errors.js';

export interface PatchParts {
  readonly manifest: Uint8Array;
  /** The ranges' bytes, compressed. */
  readonly packed: Uint8Array;
}

interface Member {
  readonly name: string;
  readonly data: Uint8Array;
}

const [MANIFEST, RANGES, SUMS] = ['manifest.json', 'ranges.br', 'SHA256SUMS'] as const;
const BLOCK = 512;
const MODE = 0o600; // what is unpacked may hold secrets
const [SIZE_AT, SIZE_LENGTH] = [124, 12];

/** The pieces of the file; some share memory with the parts. */
export async function* writeContainer({ manifest, packed }: PatchParts): AsyncIterable<Uint8Array> {
  const members = [{ name: MANIFEST, data: manifest }, { name: RANGES, data: packed }];
  yield* writeTar([...members, { name: SUMS, data: Buffer.from(members.map(sumLine).join('')) }]);
}

/** As sha256sum writes it. */
function sumLine({ name, data }: Member): string {
  return `${createHash('sha256').update(data).digest('hex')}  ${name}\n`;
}

async function* writeTar(members: readonly Member[]): AsyncIterable<Uint8Array> {
  const tar = pack();
  for (const { name, data } of members) tar.entry({ name, mode: MODE, mtime: new Date(0) }, Buffer.from(data.buffer, data.byteOffset, data.length));
  tar.finalize();
  for await (const piece of tar) yield piece as Uint8Array;
}

/** The parts of a file that is exactly what writeContainer makes of them; anything else is 'corrupt'. `what` names the file. */
export async function readContainer(file: Uint8Array, what: string): Promise<PatchParts> {
  if (!startsWith(file, MANIFEST)) throw corrupt(`${what}: expected a patch of rockberry, a tar that begins with ${MANIFEST}, found something else`);
  const manifest = readMember(file, 0, MANIFEST, what);
  const packed = readMember(file, manifest.end, RANGES, what);
  let at = 0;
  for await (const piece of writeContainer({ manifest: manifest.data, packed: packed.data })) {
    const found = file.subarray(at, at + piece.length);
    if (Buffer.compare(found, piece) !== 0) throw difference(at, found, piece, what);
    at += piece.length;
  }
  if (at !== file.length) throw corrupt(`${what}: expected its end at offset ${at}, found ${file.length - at} more bytes`);
  return { manifest: manifest.data, packed: packed.data };
}

const corrupt = (message: string): RockberryError => new RockberryError('corrupt', message, { hint: 'copy or build the patch again' });

function startsWith(file: Uint8Array, name: string): boolean {
  return file.length >= BLOCK && Buffer.from(file.buffer, file.byteOffset, name.length + 1).equals(Buffer.from(`${name}\0`));
}

function readMember(file: Uint8Array, at: number, name: string, what: string): { data: Uint8Array; end: number } {
  const size = Buffer.from(file.subarray(at + SIZE_AT, at + SIZE_AT + SIZE_LENGTH)).toString('latin1');
  if (!/^[0-7]{11} $/.test(size)) throw corrupt(`${what}: expected the size of ${name} at offset ${at + SIZE_AT}, found none: the file is cut off or damaged`);
  const start = at + BLOCK;
  const length = parseInt(size, 8);
  if (start + length > file.length) throw corrupt(`${what}: expected ${length} bytes of ${name} at offset ${start}, found ${Math.max(0, file.length - start)}: the file is cut off`);
  return { data: file.subarray(start, start + length), end: start + Math.ceil(length / BLOCK) * BLOCK };
}

function difference(at: number, found: Uint8Array, expected: Uint8Array, what: string): RockberryError {
  if (found.length < expected.length) return corrupt(`${what}: expected at least ${at + expected.length} bytes, found ${at + found.length}: the file is cut off`);
  const first = expected.findIndex((byte, index) => byte !== found[index]);
  return corrupt(`${what}: expected the members ${MANIFEST}, ${RANGES} and ${SUMS} and their check sums, found another byte at offset ${at + first}: the file is damaged or no patch`);
}
