/**
 * Extended attributes, which Node cannot reach: by getfattr and setfattr (package attr), whose dumps hold any name and any value. A process takes some
 * milliseconds, so that those who ask for many files get all of the filesystem's at once.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { RockberryError } from '../errors.js';
import { runProgram } from './program.js';

export type Xattrs = ReadonlyMap<string, Uint8Array>;

export interface AttributeReader {
  /** Of what is at the path (bytes of the host); symbolic links are not followed. */
  get(path: Buffer): Xattrs;
  /** null removes. */
  set(path: Buffer, values: ReadonlyMap<string, Uint8Array | null>): void;
  /** One of them for many paths. */
  setMany(name: string, values: readonly (readonly [path: Buffer, value: Uint8Array])[]): void;
  /** Something else may have changed them. */
  forget(): void;
}

/** Files that are asked for one by one, before all are read. */
const SINGLE = 64;
const NONE: Xattrs = new Map();

/** `root`: the directory where the filesystem is mounted now. */
export function attributeReader(root: () => string): AttributeReader {
  let asked = 0;
  let all: Map<string, Xattrs> | undefined; // by path in Latin-1, one character per byte
  return {
    get(path) {
      if (!all && ++asked > SINGLE) all = dump(['-R', '-P', root()]);
      const known = all?.get(path.toString('latin1'));
      if (all) return known ?? NONE;
      if (isPlain(path)) return dump(['--', path.toString('utf8')]).get(path.toString('latin1')) ?? NONE;
      all = dump(['-R', '-P', root()]);
      return all.get(path.toString('latin1')) ?? NONE;
    },
    set(path, values) {
      const [given, removed] = [[...values].filter(([, value]) => value !== null), [...values].filter(([, value]) => value === null)];
      if (given.length > 0) restoreAll([[path, given as [string, Uint8Array][]]]);
      for (const [name] of removed) remove(path, name);
      all = undefined;
      asked = 0;
    },
    setMany(name, values) {
      if (values.length > 0) restoreAll(values.map(([path, value]) => [path, [[name, value]]]));
      all = undefined;
      asked = 0;
    },
    forget() {
      all = undefined;
      asked = 0;
    },
  };
}

/** Whether it can be an argument: those are UTF-8 text here, and getfattr's answer is looked up by it. */
function isPlain(path: Buffer): boolean {
  return !path.includes(0) && Buffer.from(path.toString('utf8')).equals(path);
}

/** getfattr -d -e hex, by path. */
function dump(args: readonly string[]): Map<string, Xattrs> {
  const { status, stdout, stderr } = runProgram('getfattr', ['--absolute-names', '-h', '-d', '-m', '-', '-e', 'hex', ...args]);
  if (status !== 0 && stdout.length === 0 && stderr !== '') throw new RockberryError('io', `expected getfattr to read extended attributes, found: ${stderr}`);
  const found = new Map<string, Xattrs>();
  for (const block of stdout.toString('latin1').split('\n\n')) {
    const [head = '', ...lines] = block.split('\n').filter((line) => line !== '');
    if (!head.startsWith('# file: ')) continue;
    found.set(unescaped(head.slice('# file: '.length)), new Map(lines.map((line): [string, Uint8Array] => {
      const at = line.lastIndexOf('=0x');
      return at < 0 ? [unescaped(line.replace(/=$/, '')), new Uint8Array()] : [unescaped(line.slice(0, at)), Buffer.from(line.slice(at + 3), 'hex')];
    })));
  }
  return found;
}

/** attr's own quoting: backslash and three octal digits. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

function escaped(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => (byte > 0x20 && byte < 0x7f && byte !== 0x5c && byte !== 0x3d ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, '0')}`)).join('');
}

type Values = readonly (readonly [name: string, value: Uint8Array])[];

/** setfattr's form of a dump. */
function restoreAll(files: readonly (readonly [path: Buffer, values: Values])[]): void {
  const blocks = files.map(([path, values]) => `# file: ${escaped(path)}\n${values.map(([name, value]) => `${escaped(Buffer.from(name))}=0x${Buffer.from(value).toString('hex')}\n`).join('')}\n`);
  const { status, stderr } = runProgram('setfattr', ['-h', '--restore=-'], Buffer.from(blocks.join(''), 'latin1'));
  const names = [...new Set(files.flatMap(([, values]) => values.map(([name]) => name)))].join(', ');
  if (status !== 0) throw new RockberryError('io', `expected to set extended attributes (${names}), found that the kernel refuses: ${stderr.replace(/^.*: /, '')}`);
}

function remove(path: Buffer, name: string): void {
  const fd = isPlain(path) ? undefined : openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const where = fd === undefined ? ['-h', '-x', name, '--', path.toString('utf8')] : ['-x', name, '--', `/proc/${process.pid}/fd/${fd}`];
    const { status, stderr } = runProgram('setfattr', where);
    if (status !== 0 && !/No such attribute/.test(stderr)) throw new RockberryError('io', `expected to remove the extended attribute ${name}, found: ${stderr}`);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
