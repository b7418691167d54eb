/** Small ELF files of every class, byte order and machine, put together by gABI chapters 4 and 5; readelf judges them in elf.test.ts. */
export interface ElfParts {
  readonly bits?: 32 | 64;
  readonly order?: 'little' | 'big';
  readonly machine?: number;
  readonly type?: number;
  readonly interpreter?: string;
  readonly needed?: readonly string[];
  readonly runPath?: string;
  readonly align?: number;
}

const BASE = 0x400000;

/** One PT_LOAD over the whole file; PT_INTERP and PT_DYNAMIC as asked for. The default is a static program for aarch64 with pages of 64 KiB. */
export function makeElf(parts: ElfParts = {}): Buffer {
  const { bits = 64, order = 'little', machine = 183, type = 2, interpreter, needed = [], runPath, align = 65536 } = parts;
  const wide = bits === 64;
  const [headerSize, entrySize, word] = wide ? [64, 56, 8] : [52, 32, 4];
  const strings = Buffer.from(['', ...needed, ...(runPath === undefined ? [] : [runPath])].join('\0') + '\0');
  const hasDynamic = needed.length > 0 || runPath !== undefined;
  const count = 1 + (interpreter === undefined ? 0 : 1) + (hasDynamic ? 1 : 0);
  const name = Buffer.from(interpreter === undefined ? '' : `${interpreter}\0`);
  const nameAt = headerSize + count * entrySize;
  const stringsAt = nameAt + name.length;
  const dynamicAt = Math.ceil((stringsAt + strings.length) / 8) * 8;
  const entries: [number, number][] = [];
  let at = 1;
  for (const library of needed) {
    entries.push([1, at]);
    at += library.length + 1;
  }
  if (runPath !== undefined) entries.push([29, at]);
  entries.push([5, BASE + stringsAt], [10, strings.length], [0, 0]);
  const size = hasDynamic ? dynamicAt + entries.length * 2 * word : stringsAt + strings.length;
  const file = Buffer.alloc(size);
  const put = (offset: number, value: number, bytes: number): void => {
    if (order === 'little') file.writeUIntLE(value % 2 ** 32, offset, Math.min(bytes, 4));
    else file.writeUIntBE(value % 2 ** 32, offset + Math.max(0, bytes - 4), Math.min(bytes, 4));
  };
  file.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, order === 'little' ? 1 : 2, 1]);
  put(16, type, 2);
  put(18, machine, 2);
  put(20, 1, 4); // version
  put(24, BASE + nameAt, word); // entry
  put(24 + word, headerSize, word); // program headers
  put(headerSize - 12, headerSize, 2);
  put(headerSize - 10, entrySize, 2);
  put(headerSize - 8, count, 2);
  put(headerSize - 6, wide ? 64 : 40, 2); // section headers: none
  const segment = (index: number, kind: number, offset: number, length: number, alignment: number): void => {
    const start = headerSize + index * entrySize;
    const fields = wide ? [[0, kind, 4], [4, 5, 4], [8, offset, 8], [16, BASE + offset, 8], [24, BASE + offset, 8], [32, length, 8], [40, length, 8], [48, alignment, 8]]
      : [[0, kind, 4], [4, offset, 4], [8, BASE + offset, 4], [12, BASE + offset, 4], [16, length, 4], [20, length, 4], [24, 5, 4], [28, alignment, 4]];
    for (const [field, value, bytes] of fields as [number, number, number][]) put(start + field, value, bytes);
  };
  let index = 0;
  if (interpreter !== undefined) segment(index++, 3, nameAt, name.length, 1);
  segment(index++, 1, 0, size, align);
  if (hasDynamic) segment(index, 2, dynamicAt, entries.length * 2 * word, word);
  file.set(name, nameAt);
  file.set(strings, stringsAt);
  if (hasDynamic) {
    entries.forEach(([tag, value], row) => {
      put(dynamicAt + row * 2 * word, tag, word);
      put(dynamicAt + row * 2 * word + word, value, word);
    });
  }
  return file;
}
