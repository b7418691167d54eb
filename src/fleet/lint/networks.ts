/**
 * Addresses, networks and ranges of IPv4 and IPv6 as numbers (RFC 4632, RFC 4291). node:net's BlockList says whether a list holds an address; lint also asks
 * which network it was, whether two overlap, and how many networks of a node's size fit into one.
 */
import { familyOf } from '../../steps/addresses.js';

export type Family = 'ipv4' | 'ipv6';

export interface Ip {
  readonly family: Family;
  readonly value: bigint;
}

/** From `first` to `last`, both inside. */
export interface IpRange {
  readonly family: Family;
  readonly first: bigint;
  readonly last: bigint;
}

export interface Network extends IpRange {
  readonly prefix: number;
}

const BITS: Readonly<Record<Family, number>> = { ipv4: 32, ipv6: 128 };

/** The address of a text; undefined for what is none, and for one with a zone. IPv4 in dotted decimals without leading zeros, IPv6 in every form of RFC 4291. */
export function parseIp(text: string): Ip | undefined {
  const family = familyOf(text);
  if (family === undefined) return undefined;
  return { family, value: family === 'ipv4' ? quadValue(text) : groupsOf(text).reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n) };
}

function quadValue(text: string): bigint {
  return text.split('.').reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** The eight groups of an IPv6 address, in hexadecimal. */
function groupsOf(text: string): string[] {
  const [head = [], tail] = text.split('::').map((side) => (side === '' ? [] : side.split(':').flatMap(hexGroups)));
  return tail === undefined ? head : [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail];
}

/** An IPv4 address at the end of an IPv6 one is two groups (RFC 4291 section 2.2). */
function hexGroups(part: string): string[] {
  if (!part.includes('.')) return [part];
  const value = quadValue(part);
  return [(value >> 16n).toString(16), (value & 0xffffn).toString(16)];
}

/** As RFC 5952 writes it, but IPv4 inside IPv6 in hexadecimal too. */
export function formatIp({ family, value }: Ip): string {
  if (family === 'ipv4') return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join('.');
  const groups = Array.from({ length: 8 }, (_, at) => ((value >> BigInt(112 - 16 * at)) & 0xffffn).toString(16)).join(':');
  const zeros = (groups.match(/\b0(:0)+\b/g) ?? []).reduce((longest, run) => (run.length > longest.length ? run : longest), '');
  return zeros === '' ? groups : groups.replace(new RegExp(`(^|:)${zeros}(:|$)`), '::');
}

/** "10.233.64.0/18": the network that holds the address, whatever its host bits say. Undefined for what is no CIDR (RFC 4632 section 3.1). */
export function parseNetwork(text: string): Network | undefined {
  const [address = '', length = '', ...rest] = text.split('/');
  const ip = parseIp(address);
  if (!ip || rest.length > 0 || !/^\d{1,3}$/.test(length) || Number(length) > BITS[ip.family]) return undefined;
  return networkOf(ip, Number(length));
}

/** The network of an address with a prefix, which is at most 32 or 128. */
export function networkOf({ family, value }: Ip, prefix: number): Network {
  const host = (1n << BigInt(BITS[family] - prefix)) - 1n;
  return { family, first: value & ~host, last: value | host, prefix };
}

export function formatNetwork({ family, first, prefix }: Network): string {
  return `${formatIp({ family, value: first })}/${prefix}`;
}

/** "192.0.2.240-192.0.2.250", a CIDR or one address, as MetalLB and kube-vip take them. */
export function parseRange(text: string): IpRange | undefined {
  const [from = '', to = from, ...rest] = text.split('-').map((end) => end.trim());
  if (from.includes('/') && to === from) return parseNetwork(from);
  const [first, last] = [parseIp(from), parseIp(to)];
  if (!first || !last || rest.length > 0 || first.family !== last.family || first.value > last.value) return undefined;
  return { family: first.family, first: first.value, last: last.value };
}

export function holds(range: IpRange, { family, value }: Ip): boolean {
  return range.family === family && range.first <= value && value <= range.last;
}

/** 'network' or 'broadcast' (RFC 1122 section 3.2.1.3), 'anycast' of the routers (RFC 4291 section 2.6.1); /31, /32, /127 and /128 have none (RFC 3021, RFC 6164). */
export function reservedUse({ family, first, last, prefix }: Network, { value }: Ip): 'network' | 'broadcast' | 'anycast' | undefined {
  if (BITS[family] - prefix < 2) return undefined;
  if (value === first) return family === 'ipv4' ? 'network' : 'anycast';
  return family === 'ipv4' && value === last ? 'broadcast' : undefined;
}

/** How many networks with this prefix fit into it; 0 when it is smaller than one. */
export function capacity(network: Network, prefix: number): bigint {
  return prefix < network.prefix ? 0n : 1n << BigInt(prefix - network.prefix);
}

/** Finds one of the ranges that shares an address with the asked one: n log n to make, log n to ask. */
export function rangeFinder<T extends IpRange>(ranges: readonly T[]): (asked: IpRange) => T | undefined {
  const byFamily = new Map<Family, readonly T[]>((['ipv4', 'ipv6'] as const).map((family) => [family, maximal(ranges.filter((range) => range.family === family))]));
  return (asked) => {
    const sorted = byFamily.get(asked.family)!;
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle]!.last < asked.first) low = middle + 1;
      else high = middle;
    }
    const found = sorted[low];
    return found && found.first <= asked.last ? found : undefined;
  };
}

/** Sorted, without those inside of others: then both ends only rise. */
function maximal<T extends IpRange>(ranges: readonly T[]): T[] {
  const kept: T[] = [];
  for (const range of [...ranges].sort(byPlace)) if (kept.length === 0 || range.last > kept.at(-1)!.last) kept.push(range);
  return kept;
}

/** By where they begin, the larger first. */
export function byPlace(a: IpRange, b: IpRange): number {
  if (a.first !== b.first) return a.first < b.first ? -1 : 1;
  return a.last === b.last ? 0 : a.last > b.last ? -1 : 1;
}
