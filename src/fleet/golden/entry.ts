/** One node of an image for all: how its board is known, and what it has that others have not. Checked here; what passes can be written as lines of text. */
import { RockberryError } from '../../errors.js';
import type { Where } from '../model.js';

export interface GoldenFile {
  /** Absolute, normal, printable ASCII. */
  readonly path: string;
  readonly content: Uint8Array;
  /** 0 to 0o7777. */
  readonly mode: number;
  /** Numeric user id. */
  readonly owner: number;
  /** Numeric group id. */
  readonly group: number;
}

export interface GoldenLink {
  readonly path: string;
  /** As symlink(2) takes it: printable ASCII. */
  readonly target: string;
  readonly owner: number;
  readonly group: number;
}

export interface GoldenDirectory {
  readonly path: string;
  readonly mode: number;
  readonly owner: number;
  readonly group: number;
}

export interface BoardMatch {
  /** 1 to 16 hexadecimal digits; at most eight (leading zeros apart) are the lower half of the board's serial number. */
  readonly serial?: string | undefined;
  /** Six pairs of hexadecimal digits, with ":" or "-" between them. */
  readonly mac?: string | undefined;
}

export interface GoldenEntry {
  /** The node's name in the inventory. */
  readonly name: string;
  readonly match: BoardMatch;
  readonly files: readonly GoldenFile[];
  readonly links?: readonly GoldenLink[];
  readonly directories?: readonly GoldenDirectory[];
  /** Paths that this node must not have although the image has them. */
  readonly remove: readonly string[];
  /** Names of the secret variables whose values are in the files. */
  readonly secrets: readonly string[];
  readonly where: Where;
}

/** Where the table and the entries are on the image. */
export const NODES = '/etc/rockberry/nodes';
export const PROGRAM = '/usr/local/sbin/rockberry-node';
/** Made by the program once a node has its files; systemd asks for it. */
export const MARKER = '/var/lib/rockberry/node.done';
export const INSTALLED = '/var/lib/rockberry/node.installed';
export const UNIT = 'rockberry-node.service';
export const UNIT_PATH = `/etc/systemd/system/${UNIT}`;

const MAX_ENTRIES = 4096;
const MAX_PATHS = 4096; // of one entry
const MAX_CONTENT = 16 << 20; // bytes of one entry
const MAX_PATH = 4095; // PATH_MAX without its NUL
const MAX_NAME = 255 - '.rockberry-new'.length; // NAME_MAX, and what the program appends to a name while it writes
const MAX_ID = 0xfffffffe; // the last 32-bit id stands for "none" (chown(2))
const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?'; // RFC 1123 section 2.1
const NODE_NAME = new RegExp(`^(?=.{1,64}$)${LABEL}(?:\\.${LABEL})*$`);
/** Where nothing that is written stays, and what belongs to the program itself. */
const FORBIDDEN = ['/proc', '/sys', '/dev', '/run', NODES, PROGRAM, MARKER, INSTALLED, UNIT_PATH];

/** The serial number as the program compares it: lower case, without leading zeros. Errors: `profile`. */
export function canonicalSerial(serial: string, place: string): string {
  const digits = /^(?:0x)?([0-9a-f]{1,16})$/i.exec(serial)?.[1]?.toLowerCase().replace(/^0+/, '');
  if (digits) return digits;
  throw new RockberryError('profile', `${place}: expected a board serial of 1 to 16 hexadecimal digits that are not all zero, found ${shown(serial)}`, {
    hint: 'on the board: cat /proc/device-tree/serial-number',
  });
}

/** The MAC as the kernel writes it: lower case, with colons. Errors: `profile`. */
export function canonicalMac(mac: string, place: string): string {
  const canonical = mac.toLowerCase().replaceAll('-', ':');
  const isGroup = /^.[13579bdf]/.test(canonical); // the lowest bit of the first byte (IEEE 802)
  if (/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/.test(canonical) && canonical !== '00:00:00:00:00:00' && !isGroup) return canonical;
  throw new RockberryError('profile', `${place}: expected the MAC of an interface, as "dc:a6:32:01:02:03", found ${shown(mac)}`, {
    hint: 'on the board: cat /sys/class/net/eth0/address',
  });
}

/** Errors: `profile` for anything that a table, a line of an entry or the program could not hold. */
export function checkEntries(entries: readonly GoldenEntry[]): void {
  if (entries.length === 0) throw new RockberryError('profile', 'expected nodes for an image that holds them all, found none');
  if (entries.length > MAX_ENTRIES) throw new RockberryError('unsupported', `expected at most ${MAX_ENTRIES} nodes in one image, found ${entries.length}`);
  const names = new Map<string, Where>();
  for (const entry of entries) {
    checkName(entry, names);
    checkPaths(entry);
    checkContents(entry);
  }
}

function checkName({ name, where }: GoldenEntry, names: Map<string, Where>): void {
  if (!NODE_NAME.test(name)) {
    const rule = 'letters, digits and "-", in labels joined by ".", at most 64 characters';
    throw new RockberryError('profile', `${where}: expected a node's name as RFC 1123 has it (${rule}), found ${shown(name)}`);
  }
  const first = names.get(name);
  if (first !== undefined) throw new RockberryError('profile', `${where}: expected each node once, found "${name}" at ${first} too`);
  names.set(name, where);
}

function checkPaths({ name, where, files, links = [], directories = [], remove }: GoldenEntry): void {
  const paths = [...files, ...links, ...directories].map(({ path }) => path).concat(remove);
  if (paths.length > MAX_PATHS) throw new RockberryError('unsupported', `${where}: expected at most ${MAX_PATHS} paths of ${name} alone, found ${paths.length}`);
  const seen = new Set<string>();
  for (const path of paths) {
    const problem = problemOf(path) ?? (seen.has(path) ? 'each path once' : undefined);
    if (problem !== undefined) throw new RockberryError('unsupported', `${where}: expected ${problem} among the files of ${name} alone, found ${shown(path)}`);
    seen.add(path);
  }
  for (const { path, target } of links) {
    if (/^[ -~]+$/.test(target) && target.length <= MAX_PATH) continue;
    throw new RockberryError('unsupported', `${where}: expected a link of printable ASCII at ${path} of ${name}, found one to ${shown(target)}`);
  }
}

/** What a path has to be and is not: it stands at the end of a line, after tabs, and is written by root. */
function problemOf(path: string): string | undefined {
  const parts = path.slice(1).split('/');
  if (!path.startsWith('/') || parts.some((part) => part === '' || part === '.' || part === '..')) return 'absolute paths without empty, "." and ".." components';
  if (!/^[ -~]+$/.test(path)) return 'paths of printable ASCII';
  if (path.length > MAX_PATH || parts.some((part) => part.length > MAX_NAME)) return `paths of at most ${MAX_PATH} characters, ${MAX_NAME} between two "/"`;
  if (FORBIDDEN.some((other) => path === other || path.startsWith(`${other}/`))) return 'paths that a node can keep, and not those of rockberry-node itself,';
  return undefined;
}

function checkContents({ name, where, files, links = [], directories = [] }: GoldenEntry): void {
  const size = files.reduce((sum, { content }) => sum + content.length, 0);
  if (size > MAX_CONTENT) throw new RockberryError('unsupported', `${where}: expected at most ${MAX_CONTENT} bytes of ${name} alone, found ${size}`);
  for (const { path, mode } of [...files, ...directories]) {
    if (Number.isInteger(mode) && mode >= 0 && mode <= 0o7777) continue;
    throw new RockberryError('profile', `${where}: expected a mode from 0 to 07777 for ${path} of ${name}, found ${mode}`);
  }
  for (const { path, owner, group } of [...files, ...links, ...directories]) {
    const wrong = [owner, group].find((id) => !Number.isInteger(id) || id < 0 || id > MAX_ID);
    if (wrong !== undefined) throw new RockberryError('profile', `${where}: expected a numeric owner and group for ${path} of ${name}, found ${wrong}`);
  }
}

/** Hostile text, short and on one line. */
function shown(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}
