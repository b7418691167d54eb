/**
 * One inode: its bytes with the fields under their kernel names (Documentation/filesystems/ext4/inodes.rst, struct ext4_inode).
 * Offsets 0x00..0x7f exist in every inode; those from 0x80 on only as far as i_extra_isize says.
 */
import { crc32c } from '../../bytes/crc.js';
import { setU16, setU32, u16, u32 } from '../../bytes/fields.js';
import { RockberryError } from '../../errors.js';
import type { FileType, Time } from '../filesystem.js';
import type { Superblock } from './superblock.js';

export const ROOT_INODE = 2;
export const INODE_FLAG = { hashed: 0x1000, hugeFile: 0x40000, extents: 0x80000 } as const;
const UNHANDLED_FLAGS = 0x4 | 0x200 | 0x800 | 0x100000 | 0x200000 | 0x10000000 | 0x40000000; // compressed, encrypted, verity, ea_inode, inline_data, casefold

const FORMAT = { type: 0xf000, permissions: 0xfff } as const;
const TYPES: Readonly<Record<number, FileType>> = {
  0x1000: 'fifo', 0x2000: 'character', 0x4000: 'directory', 0x6000: 'block', 0x8000: 'file', 0xa000: 'symlink', 0xc000: 'socket',
};
/** Type bytes of directory entries (EXT4_FT_*). */
const ENTRY_TYPES: readonly (FileType | undefined)[] = [undefined, 'file', 'directory', 'character', 'block', 'fifo', 'socket', 'symlink'];

const TIME_AT = { atime: [0x08, 0x8c], ctime: [0x0c, 0x84], mtime: [0x10, 0x88], crtime: [0x90, 0x94] } as const;

export function entryType(type: FileType): number {
  return ENTRY_TYPES.indexOf(type);
}

export function typeOfEntry(value: number): FileType | undefined {
  return ENTRY_TYPES[value & 7];
}

export function modeOf(type: FileType, permissions: number): number {
  const [format] = Object.entries(TYPES).find(([, name]) => name === type)!;
  return Number(format) | (permissions & FORMAT.permissions);
}

export class Inode {
  constructor(private readonly sb: Superblock, readonly number: number, readonly raw: Uint8Array) {}

  get mode(): number { return u16(this.raw, 0x00); }
  set mode(value: number) { setU16(this.raw, 0x00, value); }

  get type(): FileType {
    const type = TYPES[this.mode & FORMAT.type];
    if (!type) throw new RockberryError('corrupt', `ext4 inode ${this.number}: expected a file type in the mode, found 0o${this.mode.toString(8)}`);
    return type;
  }

  get permissions(): number { return this.mode & FORMAT.permissions; }
  set permissions(value: number) { this.mode = (this.mode & FORMAT.type) | (value & FORMAT.permissions); }

  get uid(): number { return u16(this.raw, 0x02) + u16(this.raw, 0x78) * 65536; }
  set uid(value: number) { setU16(this.raw, 0x02, value & 0xffff); setU16(this.raw, 0x78, value >>> 16); }

  get gid(): number { return u16(this.raw, 0x18) + u16(this.raw, 0x7a) * 65536; }
  set gid(value: number) { setU16(this.raw, 0x18, value & 0xffff); setU16(this.raw, 0x7a, value >>> 16); }

  /** Bytes. The upper half is a regular file's; in a directory the field once meant an ACL. */
  get size(): number {
    const high = this.type === 'file' ? u32(this.raw, 0x6c) : 0;
    const size = u32(this.raw, 0x04) + high * 2 ** 32;
    if (!Number.isSafeInteger(size)) throw new RockberryError('corrupt', `ext4 inode ${this.number}: expected a size below 2^53, found ${size}`);
    return size;
  }

  set size(value: number) {
    setU32(this.raw, 0x04, value % 2 ** 32);
    if (this.type === 'file') setU32(this.raw, 0x6c, Math.floor(value / 2 ** 32));
  }

  get links(): number { return u16(this.raw, 0x1a); }
  set links(value: number) { setU16(this.raw, 0x1a, value); }

  get flags(): number { return u32(this.raw, 0x20); }
  set flags(value: number) { setU32(this.raw, 0x20, value); }

  get usesExtents(): boolean { return (this.flags & INODE_FLAG.extents) !== 0; }

  get hashed(): boolean { return (this.flags & INODE_FLAG.hashed) !== 0; }
  set hashed(value: boolean) { this.flags = (value ? this.flags | INODE_FLAG.hashed : this.flags & ~INODE_FLAG.hashed) >>> 0; }

  /** i_block: 60 bytes of extent tree, block map or short link. */
  get blockArea(): Uint8Array { return this.raw.subarray(0x28, 0x64); }

  get generation(): number { return u32(this.raw, 0x64); }

  /** The attribute block, 0 for none. */
  get xattrBlock(): number { return u32(this.raw, 0x68) + (this.sb.incompat('64bit') ? u16(this.raw, 0x76) * 2 ** 32 : 0); }
  set xattrBlock(value: number) {
    setU32(this.raw, 0x68, value % 2 ** 32);
    if (this.sb.incompat('64bit')) setU16(this.raw, 0x76, Math.floor(value / 2 ** 32));
  }

  /** Bytes after the first 128 that hold fields; the rest is for attributes. */
  get extraSize(): number {
    if (this.sb.inodeSize === 128) return 0;
    const size = u16(this.raw, 0x80);
    if (size % 4 !== 0 || size > this.sb.inodeSize - 128) {
      throw new RockberryError('corrupt', `ext4 inode ${this.number}: expected i_extra_isize up to ${this.sb.inodeSize - 128}, found ${size}`);
    }
    return size;
  }

  /** Where attributes live inside the inode; empty with 128-byte inodes and with i_extra_isize 0. */
  get inlineArea(): Uint8Array {
    const extra = this.extraSize;
    return extra === 0 ? new Uint8Array(0) : this.raw.subarray(128 + extra);
  }

  get blocks512(): number { // i_blocks as stored; the unit depends on huge_file
    return u32(this.raw, 0x1c) + u16(this.raw, 0x74) * 2 ** 32;
  }

  /** All blocks that the inode owns, in filesystem blocks (kernel: ext4_inode_blocks). */
  get blockCount(): number {
    const huge = this.sb.roCompat('huge_file');
    if (!huge) return (u32(this.raw, 0x1c) * 512) / this.sb.blockSize;
    return (this.flags & INODE_FLAG.hugeFile) !== 0 ? this.blocks512 : (this.blocks512 * 512) / this.sb.blockSize;
  }

  set blockCount(value: number) {
    const sectors = value * (this.sb.blockSize / 512);
    const huge = this.sb.roCompat('huge_file');
    if (sectors >= 2 ** 32 && !huge) throw new RockberryError('unsupported', `expected a file below 2 TiB on a filesystem without huge_file, found ${value} blocks`);
    const inBlocks = sectors >= 2 ** 48;
    const stored = inBlocks ? value : sectors;
    this.flags = (inBlocks ? this.flags | INODE_FLAG.hugeFile : this.flags & ~INODE_FLAG.hugeFile) >>> 0;
    setU32(this.raw, 0x1c, stored % 2 ** 32);
    if (huge) setU16(this.raw, 0x74, Math.floor(stored / 2 ** 32));
  }

  set deletionTime(value: number) { setU32(this.raw, 0x14, value); }

  private has(offset: number): boolean {
    return this.sb.inodeSize > 128 && offset + 4 <= 128 + this.extraSize;
  }

  /** Seconds are 34 bits, two of them beside the nanoseconds (kernel: ext4_decode_extra_time). */
  time(name: keyof typeof TIME_AT): Time {
    const [low, extra] = TIME_AT[name];
    if (low >= 0x80 && !this.has(low)) return { seconds: 0, nanoseconds: 0 };
    const more = this.has(extra) ? u32(this.raw, extra) : 0;
    return { seconds: (u32(this.raw, low) | 0) + (more & 3) * 2 ** 32, nanoseconds: more >>> 2 };
  }

  setTime(name: keyof typeof TIME_AT, time: Time): void {
    const [low, extra] = TIME_AT[name];
    if (low >= 0x80 && !this.has(low)) return;
    const last = this.has(extra) ? 2 ** 34 - 2 ** 31 - 1 : 2 ** 31 - 1;
    const seconds = Math.max(-(2 ** 31), Math.min(last, time.seconds));
    setU32(this.raw, low, seconds >>> 0);
    if (!this.has(extra)) return;
    const epoch = Math.floor((seconds - ((seconds >>> 0) | 0)) / 2 ** 32) & 3;
    setU32(this.raw, extra, ((time.nanoseconds << 2) | epoch) >>> 0);
  }

  /** Whether setting this time would change a byte; without room for nanoseconds they do not count. */
  timeEquals(name: keyof typeof TIME_AT, time: Time): boolean {
    const copy = new Inode(this.sb, this.number, this.raw.slice());
    copy.setTime(name, time);
    return Buffer.compare(copy.raw, this.raw) === 0;
  }

  /** Seed of the checksums of everything that belongs to this inode (kernel: i_csum_seed); undefined without metadata_csum. */
  get seed(): number | undefined {
    if (this.sb.checksumSeed === undefined) return undefined;
    const number = new Uint8Array(4);
    setU32(number, 0, this.number);
    return crc32c(crc32c(this.sb.checksumSeed, number), this.raw.subarray(0x64, 0x68));
  }

  /** The checksum of the inode as it stands (kernel: ext4_inode_csum): both halves count as zero. */
  private checksum(seed: number): number {
    const copy = this.raw.slice();
    setU16(copy, 0x7c, 0);
    if (this.has(0x80)) setU16(copy, 0x82, 0);
    const sum = crc32c(seed, copy);
    return this.has(0x80) ? sum : sum & 0xffff;
  }

  seal(): void {
    const { seed } = this;
    if (seed === undefined) return;
    const sum = this.checksum(seed);
    setU16(this.raw, 0x7c, sum & 0xffff);
    if (this.has(0x80)) setU16(this.raw, 0x82, sum >>> 16);
  }

  /** Throws 'corrupt' for a wrong checksum, 'unsupported' for contents we cannot handle (encrypted, inline, compressed …). */
  validate(): void {
    const { seed } = this;
    if (seed !== undefined) {
      const found = u16(this.raw, 0x7c) + (this.has(0x80) ? u16(this.raw, 0x82) * 65536 : 0);
      const expected = this.checksum(seed);
      if (found !== expected) throw new RockberryError('corrupt', `ext4 inode ${this.number}: expected checksum 0x${expected.toString(16)}, found 0x${found.toString(16)}`);
    }
    if ((this.flags & UNHANDLED_FLAGS) !== 0) {
      throw new RockberryError('unsupported', `ext4 inode ${this.number}: expected plain contents, found flags 0x${(this.flags & UNHANDLED_FLAGS).toString(16)}`);
    }
  }
}
