/** Which format a file is in: by its content when read, by its name when written. */
import { RockberryError } from '../errors.js';

export type ImageFormat = 'raw' | 'xz' | 'gzip' | 'zstd';

/** Bytes detectFormat wants to see: the ISO 9660 descriptor ends at 32774. */
export const HEAD_LENGTH = 32774;

interface Signature {
  readonly name: string;
  readonly offset: number;
  readonly bytes: string;
  readonly hint: string;
}

const latin = (text: string): string => Buffer.from(text, 'latin1').toString('hex');
const convert = (format: string): string => `convert it first: qemu-img convert -f ${format} -O raw IMAGE image.img`;

/** File formats people have images in, that are not raw: refused by name, instead of "no partition table". */
const REFUSED: readonly Signature[] = [
  { name: 'a zip archive', offset: 0, bytes: latin('PK\x03\x04'), hint: 'unzip it first: unzip IMAGE' },
  { name: 'an empty zip archive', offset: 0, bytes: latin('PK\x05\x06'), hint: 'it holds no image' },
  { name: 'a 7z archive', offset: 0, bytes: latin('7z\xbc\xaf\x27\x1c'), hint: 'extract it first: 7z x IMAGE' },
  { name: 'a bzip2 file', offset: 0, bytes: latin('BZh'), hint: 'decompress it first: bunzip2 IMAGE' },
  { name: 'an lz4 file', offset: 0, bytes: '04224d18', hint: 'decompress it first: lz4 -d IMAGE image.img' },
  { name: 'an lzip file', offset: 0, bytes: latin('LZIP'), hint: 'decompress it first: lzip -d IMAGE' },
  { name: 'a rar archive', offset: 0, bytes: latin('Rar!\x1a\x07'), hint: 'extract it first: unrar x IMAGE' },
  { name: 'a qcow2 image', offset: 0, bytes: latin('QFI\xfb'), hint: convert('qcow2') },
  { name: 'a VMDK image', offset: 0, bytes: latin('KDMV'), hint: convert('vmdk') },
  { name: 'a VMDK descriptor', offset: 0, bytes: latin('# Disk DescriptorFile'), hint: convert('vmdk') },
  { name: 'a VHDX image', offset: 0, bytes: latin('vhdxfile'), hint: convert('vhdx') },
  { name: 'a VHD image', offset: 0, bytes: latin('conectix'), hint: convert('vpc') },
  { name: 'an Android sparse image', offset: 0, bytes: '3aff26ed', hint: 'convert it first: simg2img IMAGE image.img' },
  { name: 'a tar archive', offset: 257, bytes: latin('ustar'), hint: 'extract it first: tar xf IMAGE' },
];
const ISO: Signature = {
  name: 'an ISO 9660 image', offset: 32769, bytes: latin('CD001'), hint: 'Raspberry Pi boots from disk images only: take the .img.xz of the release',
};

function matches(head: Uint8Array, { offset, bytes }: Signature): boolean {
  const end = offset + bytes.length / 2;
  return head.length >= end && Buffer.from(head.subarray(offset, end)).toString('hex') === bytes;
}

/** A protective or plain MBR ends in 55 AA. Hybrid images are ISO 9660 as well, so that is asked first. */
function hasBootSignature(head: Uint8Array): boolean {
  return head.length >= 512 && head[510] === 0x55 && head[511] === 0xaa;
}

function isZstd(head: Uint8Array): boolean {
  if (head.length < 4 || head[2] !== (head[0]! >= 0x50 && head[0]! <= 0x5f ? 0x4d : 0x2f)) return false;
  const magic = Buffer.from(head.subarray(0, 4)).readUInt32LE(0);
  return magic === 0xfd2fb528 || (magic & 0xfffffff0) >>> 0 === 0x184d2a50; // RFC 8878, 3.1.1 frames and 3.1.2 skippable frames
}

/**
 * The format by the first bytes of the file (HEAD_LENGTH of them, or all there are), never by its name.
 * Another kind of archive or disk image is `unsupported`, with what to do; an empty file is `corrupt`; anything else is raw.
 */
export function detectFormat(head: Uint8Array): ImageFormat {
  if (head.length === 0) throw new RockberryError('corrupt', 'expected a disk image, found an empty file', { hint: 'download the image again' });
  const start = Buffer.from(head.subarray(0, 6)).toString('hex');
  if (start === 'fd377a585a00') return 'xz';
  if (start.startsWith('1f8b')) return 'gzip';
  if (isZstd(head)) return 'zstd';
  const known = [ISO, ...(hasBootSignature(head) ? [] : REFUSED)].find((signature) => matches(head, signature));
  if (known) throw new RockberryError('unsupported', `expected a disk image (raw, xz, gzip or zstd), found ${known.name}`, { hint: known.hint });
  return 'raw';
}

const ENDINGS: Record<string, ImageFormat> = { '.img': 'raw', '.raw': 'raw', '.xz': 'xz', '.gz': 'gzip', '.zst': 'zstd' };

/** The format a file is to be written in, by the ending of its name; `usage` for any other ending. */
export function formatOfName(path: string): ImageFormat {
  const ending = Object.keys(ENDINGS).find((known) => path.toLowerCase().endsWith(known));
  if (ending) return ENDINGS[ending]!;
  throw new RockberryError('usage', `expected a name that ends in ${Object.keys(ENDINGS).join(', ')}, found ${path}`, { hint: 'the ending decides the format: node1.img.xz' });
}
