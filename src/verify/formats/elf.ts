/**
 * Programs and libraries: the ELF header, the program headers, the interpreter and the names of needed libraries (System V ABI, gABI edition 4.1, chapters 4
 * and 5; the AArch64 values: ELF for the Arm 64-bit Architecture, aaelf64). What Linux refuses to start (fs/binfmt_elf.c) is 'corrupt' here: program headers
 * of another size or more than 64 KiB of them, an interpreter's name without its NUL. So is a file that ends before its segments do: a cut download.
 */
import { RockberryError } from '../../errors.js';
import { u16, u16be, u32, u32be } from '../../bytes/fields.js';

/** A file that is read piece by piece: programs are large, and few of their bytes matter here. */
export interface ElfSource {
  /** Bytes. */
  readonly size: number;
  read(offset: number, length: number): Uint8Array;
}

export interface Segment {
  /** PT_LOAD = 1, PT_DYNAMIC = 2, PT_INTERP = 3 */
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly fileSize: number;
  readonly memorySize: number;
  readonly align: number;
}

export interface Elf {
  readonly bits: 32 | 64;
  readonly isLittleEndian: boolean;
  /** ET_REL = 1, ET_EXEC = 2, ET_DYN = 3, ET_CORE = 4 */
  readonly type: number;
  readonly machine: number;
  readonly segments: readonly Segment[];
  /** The program that loads it: "/lib/ld-linux-aarch64.so.1"; undefined for a static one. */
  readonly interpreter: string | undefined;
  /** DT_NEEDED: names of libraries, in their order. */
  readonly needed: readonly string[];
  /** DT_RUNPATH, else DT_RPATH: directories, with $ORIGIN as it stands there. */
  readonly runPath: readonly string[];
}

export const EM_AARCH64 = 183;
export const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DYNAMIC = { end: 0, needed: 1, strings: 5, runPathOld: 15, runPath: 29 } as const; // DT_NULL, DT_NEEDED, DT_STRTAB, DT_RPATH, DT_RUNPATH
const MAX_HEADERS = 65_536; // bytes; load_elf_phdrs
const MAX_PATH = 4096; // bytes, PATH_MAX
const MAX_DYNAMIC = 65_536; // bytes; 4,096 entries of 64 bits
const MAX_NEEDED = 256;

/** Where the fields of the 32-bit and the 64-bit structures are: gABI figures 4-3 (Elf32_Ehdr, Elf64_Ehdr) and 5-1 (Elf32_Phdr, Elf64_Phdr). */
const LAYOUT = {
  32: { header: 52, tableOffset: 28, entrySize: 42, entries: 44, segment: 32, offset: 4, address: 8, fileSize: 16, memorySize: 20, align: 28, word: 4 },
  64: { header: 64, tableOffset: 32, entrySize: 54, entries: 56, segment: 56, offset: 8, address: 16, fileSize: 32, memorySize: 40, align: 48, word: 8 },
} as const;

/** Reads numbers of one class and one byte order. Words beyond 2^53 lose digits; whatever they count is then larger than any file. */
class Fields {
  readonly layout: (typeof LAYOUT)[32 | 64];
  constructor(readonly bits: 32 | 64, readonly isLittleEndian: boolean) {
    this.layout = LAYOUT[bits];
  }

  half(data: Uint8Array, offset: number): number {
    return this.isLittleEndian ? u16(data, offset) : u16be(data, offset);
  }

  int(data: Uint8Array, offset: number): number {
    return this.isLittleEndian ? u32(data, offset) : u32be(data, offset);
  }

  word(data: Uint8Array, offset: number): number {
    if (this.bits === 32) return this.int(data, offset);
    const [first, second] = [this.int(data, offset), this.int(data, offset + 4)];
    return this.isLittleEndian ? second * 2 ** 32 + first : first * 2 ** 32 + second;
  }
}

export function isElf(head: Uint8Array): boolean {
  return head.length >= 4 && head[0] === 0x7f && head[1] === 0x45 && head[2] === 0x4c && head[3] === 0x46;
}

/** Throws 'corrupt' for anything that Linux would not start, or that is cut off. */
export function readElf(source: ElfSource): Elf {
  const identification = piece(source, 0, 16, 'the ELF header');
  if (!isElf(identification)) throw corrupt('the ELF magic at the beginning, found other bytes');
  const [kind, order] = [identification[4], identification[5]];
  if (kind !== 1 && kind !== 2) throw corrupt(`an ELF class of 1 or 2, found ${kind}`);
  if (order !== 1 && order !== 2) throw corrupt(`an ELF byte order of 1 or 2, found ${order}`);
  const fields = new Fields(kind === 1 ? 32 : 64, order === 1);
  const header = piece(source, 0, fields.layout.header, 'the ELF header');
  const segments = readSegments(source, fields, header);
  return {
    bits: fields.bits, isLittleEndian: fields.isLittleEndian, type: fields.half(header, 16), machine: fields.half(header, 18), segments,
    interpreter: readInterpreter(source, segments), ...readDynamic(source, fields, segments),
  };
}

function readSegments(source: ElfSource, fields: Fields, header: Uint8Array): Segment[] {
  const { layout } = fields;
  const [table, size, count] = [fields.word(header, layout.tableOffset), fields.half(header, layout.entrySize), fields.half(header, layout.entries)];
  if (count === 0) return [];
  if (size !== layout.segment) throw corrupt(`program headers of ${layout.segment} bytes, found ${size}`);
  if (count * size > MAX_HEADERS) throw corrupt(`at most ${MAX_HEADERS} bytes of program headers, found ${count * size}`);
  const data = piece(source, table, count * size, 'the program headers');
  return Array.from({ length: count }, (_, index) => {
    const at = (field: number): number => fields.word(data, index * size + field);
    const segment = {
      type: fields.int(data, index * size), offset: at(layout.offset), address: at(layout.address), fileSize: at(layout.fileSize), memorySize: at(layout.memorySize), align: at(layout.align),
    };
    if (segment.type === PT_LOAD && segment.offset + segment.fileSize > source.size) {
      throw corrupt(`${segment.offset + segment.fileSize} bytes as its segments say, found only ${source.size}: it is cut off`);
    }
    return segment;
  });
}

/** The kernel takes the first; its size counts the NUL. */
function readInterpreter(source: ElfSource, segments: readonly Segment[]): string | undefined {
  const segment = segments.find(({ type }) => type === PT_INTERP);
  if (!segment) return undefined;
  if (segment.fileSize < 2 || segment.fileSize > MAX_PATH) throw corrupt(`2 to ${MAX_PATH} bytes for the interpreter's name, found ${segment.fileSize}`);
  const name = piece(source, segment.offset, segment.fileSize, 'the interpreter\'s name');
  if (name.at(-1) !== 0) throw corrupt('a NUL at the end of the interpreter\'s name, found none');
  return textUntilNul(name);
}

function readDynamic(source: ElfSource, fields: Fields, segments: readonly Segment[]): Pick<Elf, 'needed' | 'runPath'> {
  const segment = segments.find(({ type }) => type === PT_DYNAMIC);
  const entries = segment ? dynamicEntries(piece(source, segment.offset, Math.min(segment.fileSize, MAX_DYNAMIC), 'the dynamic section'), fields) : [];
  const valuesOf = (tag: number): number[] => entries.filter((entry) => entry.tag === tag).map(({ value }) => value);
  const needed = valuesOf(DYNAMIC.needed);
  const [runPath] = [...valuesOf(DYNAMIC.runPath), ...valuesOf(DYNAMIC.runPathOld)];
  if (needed.length === 0) return { needed: [], runPath: [] };
  if (needed.length > MAX_NEEDED) throw corrupt(`at most ${MAX_NEEDED} needed libraries, found ${needed.length}`);
  const strings = fileOffset(segments, valuesOf(DYNAMIC.strings)[0]);
  const string = (at: number): string => textUntilNul(piece(source, strings + at, Math.max(1, Math.min(MAX_PATH, source.size - strings - at)), 'a name in the string table'));
  return { needed: needed.map(string), runPath: runPath === undefined ? [] : string(runPath).split(':').filter((directory) => directory !== '') };
}

function dynamicEntries(data: Uint8Array, fields: Fields): { tag: number; value: number }[] {
  const { word } = fields.layout;
  const entries: { tag: number; value: number }[] = [];
  for (let at = 0; at + 2 * word <= data.length; at += 2 * word) {
    const tag = fields.word(data, at);
    if (tag === DYNAMIC.end) break;
    entries.push({ tag, value: fields.word(data, at + word) });
  }
  return entries;
}

/** Where the file has what is loaded at an address. */
function fileOffset(segments: readonly Segment[], address: number | undefined): number {
  const segment = segments.find((one) => one.type === PT_LOAD && address !== undefined && address >= one.address && address < one.address + one.fileSize);
  if (!segment || address === undefined) throw corrupt('the string table in a loaded segment, found it in none');
  return segment.offset + address - segment.address;
}

function piece(source: ElfSource, offset: number, length: number, what: string): Uint8Array {
  if (!Number.isSafeInteger(offset) || offset + length > source.size) {
    throw corrupt(`${length} bytes of ${what} at offset ${offset}, found only ${Math.max(0, source.size - offset)}`);
  }
  return source.read(offset, length);
}

function textUntilNul(data: Uint8Array): string {
  const end = data.indexOf(0);
  return Buffer.from(end < 0 ? data : data.subarray(0, end)).toString('utf8');
}

function corrupt(expectation: string): RockberryError {
  return new RockberryError('corrupt', `expected ${expectation}`);
}
