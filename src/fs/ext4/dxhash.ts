/** The hashes of directory indexes: legacy, half MD4 and TEA, with signed or unsigned characters (Linux: fs/ext4/hash.c, lib/halfmd4.c). */
import { u32 } from '../../bytes/fields.js';
import { RockberryError } from '../../errors.js';

const LEGACY = 0;
const HALF_MD4 = 1;
const TEA = 2;
const NAMES = new Map([[6, 'siphash (casefolded or encrypted directories)']]);
/** The hash that marks the end of a directory; a name that has it gets the one before. */
const END_OF_DIRECTORY = 0xfffffffe;

/** What a name's hash depends on, apart from the name. */
export interface HashRules {
  /** As stored in dx_root and s_def_hash_version: 0 legacy, 1 half_md4, 2 tea. */
  readonly version: number;
  /** 16 bytes of s_hash_seed; all zero means the built-in seed. */
  readonly seed: Uint8Array;
  readonly unsigned: boolean;
}

type State = [number, number, number, number];

/** The even 32-bit hash by which the tree sorts the name; a version that we do not know is 'unsupported'. */
export function nameHash(name: Uint8Array, rules: HashRules): number {
  const hash = rawHash(name, rules) & ~1;
  return hash >>> 0 === END_OF_DIRECTORY ? END_OF_DIRECTORY - 2 : hash >>> 0;
}

function rawHash(name: Uint8Array, rules: HashRules): number {
  if (rules.version === LEGACY) return legacyHash(name, rules.unsigned);
  const state = initialState(rules.seed);
  if (rules.version === HALF_MD4) {
    for (let at = 0; at < name.length; at += 32) halfMd4(state, words(name, at, 8, rules.unsigned));
    return state[1];
  }
  if (rules.version === TEA) {
    for (let at = 0; at < name.length; at += 16) tea(state, words(name, at, 4, rules.unsigned));
    return state[0];
  }
  const found = `${rules.version} ${NAMES.get(rules.version) ?? ''}`.trim();
  throw new RockberryError('unsupported', `expected a directory index with hash legacy, half_md4 or tea, found version ${found}`);
}

function initialState(seed: Uint8Array): State {
  if (seed.every((byte) => byte === 0)) return [0x67452301, 0xefcdab89 | 0, 0x98badcfe | 0, 0x10325476];
  return [u32(seed, 0), u32(seed, 4), u32(seed, 8), u32(seed, 12)];
}

function character(byte: number, unsigned: boolean): number {
  return unsigned ? byte : (byte << 24) >> 24;
}

function legacyHash(name: Uint8Array, unsigned: boolean): number {
  let newer = 0x12a3fe2d;
  let older = 0x37abe8f9;
  for (const byte of name) {
    let hash = (older + (newer ^ Math.imul(character(byte, unsigned), 7152373))) | 0;
    if (hash < 0) hash = (hash - 0x7fffffff) | 0;
    older = newer;
    newer = hash;
  }
  return newer << 1;
}

/** `count` big-endian words of the name from `from`; what is missing is filled with the length of what was left (str2hashbuf). */
function words(name: Uint8Array, from: number, count: number, unsigned: boolean): Int32Array {
  const left = name.length - from;
  const pad = Math.imul(left, 0x01010101); // names are at most 255 bytes, so this is the length in every byte
  const found = new Int32Array(count).fill(pad);
  const end = Math.min(name.length, from + count * 4);
  for (let at = from; at < end; at++) {
    const word = (at - from) >> 2;
    found[word] = character(name[at]!, unsigned) + (found[word]! << 8);
  }
  return found;
}

const K2 = 0x5a827999;
const K3 = 0x6ed9eba1;
/** The order in which each of the three rounds takes the words, and how far it rotates. */
const ROUNDS = [
  { order: [0, 1, 2, 3, 4, 5, 6, 7], rotate: [3, 7, 11, 19], add: 0, mix: (x: number, y: number, z: number): number => z ^ (x & (y ^ z)) },
  { order: [1, 3, 5, 7, 0, 2, 4, 6], rotate: [3, 5, 9, 13], add: K2, mix: (x: number, y: number, z: number): number => (x & y) + ((x ^ y) & z) },
  { order: [3, 7, 2, 6, 1, 5, 0, 4], rotate: [3, 9, 11, 15], add: K3, mix: (x: number, y: number, z: number): number => x ^ y ^ z },
];

function halfMd4(state: State, input: Int32Array): void {
  let [a, b, c, d] = state;
  for (const { order, rotate, add, mix } of ROUNDS) {
    for (let step = 0; step < 8; step++) {
      const sum = (a + mix(b, c, d) + input[order[step]!]! + add) | 0;
      const turn = rotate[step & 3]!;
      [a, b, c, d] = [d, (sum << turn) | (sum >>> (32 - turn)), b, c];
    }
  }
  state[0] = (state[0] + a) | 0;
  state[1] = (state[1] + b) | 0;
  state[2] = (state[2] + c) | 0;
  state[3] = (state[3] + d) | 0;
}

function tea(state: State, key: Int32Array): void {
  let [high, low] = state;
  let sum = 0;
  for (let round = 0; round < 16; round++) {
    sum = (sum + 0x9e3779b9) | 0;
    high = (high + (((low << 4) + key[0]!) ^ (low + sum) ^ ((low >>> 5) + key[1]!))) | 0;
    low = (low + (((high << 4) + key[2]!) ^ (high + sum) ^ ((high >>> 5) + key[3]!))) | 0;
  }
  state[0] = (state[0] + high) | 0;
  state[1] = (state[1] + low) | 0;
}
