/**
 * Names of hosts as an inventory writes them: with ranges (node[01:20], node[a:f], db[1:9:2]) and with a port (node:2222). What Ansible's parse_address and
 * expand_hostname_range do, with their leniency: a name that is no host name stands for itself (parsing/utils/addresses.py, plugins/inventory/__init__.py). A range
 * without a member (node[3:1]), which Ansible passes over in silence, is an error.
 */
import { RockberryError } from '../../errors.js';
import { quoted } from './problem.js';

export interface HostPattern {
  readonly names: readonly string[];
  readonly port: number | undefined;
}

/** Hosts that an inventory may have; every one becomes an image. */
export const HOST_LIMIT = 100_000;
const LENGTH_LIMIT = 1024; // characters

const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
const range = (ends: string): string => `\\[(?:${ends})(?::[0-9]+)?\\]`;
const SIXTEEN_BITS = `(?:[0-9a-f]{1,4}|${range('[0-9a-f]+:[0-9a-f]+')})`;
const EIGHT_BITS = `(?:[01]?[0-9]{1,2}|2[0-4][0-9]|25[0-5]|${range('[0-9]+:[0-9]+')})`;
const ALPHANUMERIC = range('[a-z]:[a-z]|[0-9]+:[0-9]+');
const LABEL = `(?:[\\p{L}\\p{N}_]|${ALPHANUMERIC})(?:[\\p{L}\\p{N}_-]|${ALPHANUMERIC})*(?<![_-])`;
const IPV4 = new RegExp(`^(?:${EIGHT_BITS}\\.){3}${EIGHT_BITS}$`, 'iu');
/** Only the last way of writing an address is held to its end, there as here. */
const IPV6 = new RegExp(`^(?:${[
  '(?:H:){7}H', '(?:H:){1,6}:', '(?:H:)(?::H){1,6}', '(?:H:){2}(?::H){1,5}', '(?:H:){3}(?::H){1,4}', '(?:H:){4}(?::H){1,3}', '(?:H:){5}(?::H){1,2}', '(?:H:){6}(?::H)',
  ':(?::H){1,6}', 'H?::', '(?:0:){6}(?:H\\.){3}H', '::(?:ffff:)?(?:H\\.){3}H', '(?:0:){5}ffff:(?:H\\.){3}H$',
].join('|').replaceAll('H', SIXTEEN_BITS)})`, 'iu');
const HOST_NAME = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`, 'iu');
const BRACKETED_PORT = /^\[(.+)\]:([0-9]+)$/;
const PORT = /^((?:[^:[\]]|\[[^\]]*\])*):([0-9]+)$/;

/** The hosts of a pattern and their port. Errors: `corrupt` for a range that is none, `unsupported` for too many hosts; without a place. */
export function expandHostPattern(pattern: string): HostPattern {
  if (pattern.length > LENGTH_LIMIT) throw new RockberryError('unsupported', `expected a host name of at most ${LENGTH_LIMIT} characters, found ${pattern.length}`);
  const { name, port } = splitPort(pattern);
  return { names: name.includes('[') ? expand(name) : [name], port };
}

function splitPort(pattern: string): { name: string; port: number | undefined } {
  let [name, port]: [string, number | undefined] = [pattern, undefined];
  for (const form of [BRACKETED_PORT, PORT]) {
    const [, host, digits] = form.exec(name) ?? [];
    if (host !== undefined) [name, port] = [host, Number(digits)];
  }
  const isKnown = IPV4.test(name) || IPV6.test(name) || HOST_NAME.test(name);
  return isKnown ? { name, port } : { name: pattern, port: undefined };
}

/** Ranges from the left to the right, each with all that the ones after it give. */
function expand(pattern: string): string[] {
  let names: string[] = [pattern];
  while (names.some((name) => name.includes('['))) {
    const ranges = names.map((name) => (name.includes('[') ? readRange(name) : undefined));
    const total = ranges.reduce((sum, one) => sum + (one?.count ?? 1), 0);
    if (total > HOST_LIMIT) throw new RockberryError('unsupported', `expected at most ${HOST_LIMIT} hosts, found ${total} in ${quoted(pattern)}`);
    names = names.flatMap((name, index) => ranges[index]?.names() ?? [name]);
  }
  return names;
}

function readRange(pattern: string): { count: number; names(): string[] } {
  const fail = (expected: string): never => {
    throw new RockberryError('corrupt', `expected ${expected}, found ${quoted(pattern)}`, { hint: 'a range is written node[01:20], node[a:f] or, with a step, node[0:9:3]' });
  };
  const parts = pattern.replace('[', '|').replace(']', '|').split('|');
  if (parts.length !== 3) return fail('a range "[begin:end]" in a host name');
  const [head, inner, tail] = parts as [string, string, string];
  const [start = '', end = '', step = '1', ...rest] = inner.split(':');
  const begin = start === '' ? '0' : start;
  if (rest.length > 0 || !inner.includes(':')) return fail('a range of begin:end or begin:end:step');
  if (end === '') return fail('a range with an end');
  const width = begin.startsWith('0') && begin.length > 1 ? begin.length : 0;
  if (width > 0 && width !== end.length) return fail('a range whose ends have as many digits as each other');
  if (!/^[0-9]{1,9}$/.test(step) || Number(step) === 0) return fail('a step above 0');
  const isAlpha = LETTERS.includes(begin) && LETTERS.includes(end);
  if (!isAlpha && ![begin, end].every((bound) => /^[0-9]{1,15}$/.test(bound))) return fail('two numbers or two letters as the ends of a range');
  const [from, to] = isAlpha ? [LETTERS.indexOf(begin), LETTERS.indexOf(end)] : [Number(begin), Number(end)];
  if (from > to) return fail('a range that does not run backwards');
  const count = Math.floor((to - from) / Number(step)) + 1;
  const one = (index: number): string => (isAlpha ? LETTERS[from + index * Number(step)]! : String(from + index * Number(step)).padStart(width, '0'));
  return { count, names: () => Array.from({ length: count }, (_, index) => `${head}${one(index)}${tail}`) };
}
