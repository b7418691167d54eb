/**
 * Passwords as crypt(5) hashes them: SHA-512 ("$6$") and SHA-256 ("$5$") by Ulrich Drepper's specification (https://www.akkadia.org/drepper/SHA-crypt.txt),
 * and MD5 ("$1$", crypt-md5.c of FreeBSD). Only to compare a hash with a password that everybody knows: nothing here makes one.
 * yescrypt ("$y$"), gost-yescrypt, scrypt and bcrypt need functions that Node does not have.
 */
import { createHash } from 'node:crypto';

export interface Crypt {
  readonly scheme: '1' | '5' | '6';
  readonly rounds: number;
  /** One character per byte. */
  readonly salt: string;
  readonly digest: string;
}

type Bytes = Uint8Array;

const NAMES: Readonly<Record<string, string>> = {
  y: 'yescrypt', gy: 'gost-yescrypt', '7': 'scrypt', '2a': 'bcrypt', '2b': 'bcrypt', '2y': 'bcrypt', sha1: 'PBKDF1 with SHA-1', md5: 'SunMD5',
};
const DEFAULT_ROUNDS = 5000;
const [LEAST_ROUNDS, MOST_ROUNDS] = [1000, 999_999_999];
const MD5_ROUNDS = 1000;
const DIGITS = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** The parts of a hash, or the name of its method where it is one that cannot be computed here ("yescrypt", "unknown"). */
export function parseCrypt(hash: string): Crypt | string {
  const md5 = /^\$1\$([^$]{0,8})\$([./0-9A-Za-z]{22})$/.exec(hash);
  if (md5) return { scheme: '1', rounds: MD5_ROUNDS, salt: md5[1]!, digest: md5[2]! };
  const sha = /^\$([56])\$(?:rounds=(\d{1,9})\$)?([^$]{0,16})\$([./0-9A-Za-z]{43}|[./0-9A-Za-z]{86})$/.exec(hash);
  if (sha) {
    const rounds = Math.min(MOST_ROUNDS, Math.max(LEAST_ROUNDS, Number(sha[2] ?? DEFAULT_ROUNDS)));
    return { scheme: sha[1] as '5' | '6', rounds, salt: sha[3]!, digest: sha[4]! };
  }
  return NAMES[/^\$([0-9a-z]+)[$,]/.exec(hash)?.[1] ?? ''] ?? 'an unknown method';
}

/** Whether the password has that hash. Takes about 30 ms for 5000 rounds: bound them before calling. */
export function isPassword(password: string, { scheme, rounds, salt, digest }: Crypt): boolean {
  const words = [Buffer.from(password, 'utf8'), Buffer.from(salt, 'latin1')] as const;
  return (scheme === '1' ? md5Digest(...words) : shaDigest(scheme, rounds, ...words)) === digest;
}

/** Steps 1 to 22 of the specification. */
function shaDigest(scheme: '5' | '6', rounds: number, password: Bytes, salt: Bytes): string {
  const hash = (...parts: readonly Bytes[]): Buffer => parts.reduce((sum, part) => sum.update(part), createHash(scheme === '5' ? 'sha256' : 'sha512')).digest();
  const b = hash(password, salt, password);
  let sum: Bytes = hash(password, salt, repeated(b, password.length), ...binary(password.length).map((bit) => (bit ? b : password)));
  const p = repeated(hash(...Array<Bytes>(password.length).fill(password)), password.length);
  const s = repeated(hash(...Array<Bytes>(16 + sum[0]!).fill(salt)), salt.length);
  for (let round = 0; round < rounds; round++) {
    const isOdd = round % 2 === 1;
    sum = hash(isOdd ? p : sum, ...(round % 3 ? [s] : []), ...(round % 7 ? [p] : []), isOdd ? sum : p);
  }
  return scheme === '5' ? encode(sum, triples(10, [0, 10, 20], [2, 0, 1]), [31, 30]) : encode(sum, triples(21, [0, 21, 42], [1, 2, 0]), [63]);
}

function md5Digest(password: Bytes, salt: Bytes): string {
  const hash = (...parts: readonly Bytes[]): Buffer => parts.reduce((sum, part) => sum.update(part), createHash('md5')).digest();
  const b = hash(password, salt, password);
  const zero = Buffer.alloc(1);
  let sum: Bytes = hash(password, Buffer.from('$1$'), salt, repeated(b, password.length), ...binary(password.length).map((bit) => (bit ? zero : password.subarray(0, 1))));
  for (let round = 0; round < MD5_ROUNDS; round++) {
    const isOdd = round % 2 === 1;
    sum = hash(isOdd ? password : sum, ...(round % 3 ? [salt] : []), ...(round % 7 ? [password] : []), isOdd ? sum : password);
  }
  return encode(sum, [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]], [11]);
}

function repeated(block: Bytes, length: number): Buffer {
  return Buffer.alloc(length, block.length > 0 ? block : undefined);
}

/** The bits of a length, the lowest first, up to the highest that is set. */
function binary(length: number): boolean[] {
  return length === 0 ? [] : [...length.toString(2)].reverse().map((digit) => digit === '1');
}

/** The order in which the specification takes three bytes at a time: each triple is the one before, plus one, turned. */
function triples(count: number, first: readonly number[], turn: readonly number[]): number[][] {
  const found = [[...first]];
  while (found.length < count) found.push(turn.map((from) => found.at(-1)![from]! + 1));
  return found;
}

/** Base 64 of crypt(5): the last byte of a group is the lowest, and so is the first digit. */
function encode(sum: Bytes, groups: readonly (readonly number[])[], rest: readonly number[]): string {
  return [...groups, rest].map((group) => {
    let value = group.reduce((total, index) => total * 256 + sum[index]!, 0);
    return Array.from({ length: group.length + 1 }, () => {
      const digit = DIGITS[value % 64]!;
      value = Math.floor(value / 64);
      return digit;
    }).join('');
  }).join('');
}
