/** Which boards the entries fit: each by a serial number, a MAC or both, and no board by two. */
import { RockberryError } from '../../errors.js';
import { canonicalMac, canonicalSerial, type GoldenEntry } from './entry.js';

/** A way to know one board. */
export interface BoardKey {
  readonly kind: 'serial' | 'mac';
  /** As the program compares it. */
  readonly value: string;
  readonly entry: GoldenEntry;
}

/** Of a serial number, what the firmware's network boot uses (raspberrypi/rpi-eeprom#563). */
const HALF = 8; // hexadecimal digits

/** In the order of the entries. Errors: `profile` for nodes that no board could find, and for a board that would find two. */
export function boardKeys(entries: readonly GoldenEntry[]): BoardKey[] {
  const keys = entries.flatMap(keysOf);
  const known = new Set(keys.map(({ entry }) => entry));
  const lost = entries.filter((entry) => !known.has(entry)).map(({ name }) => name);
  if (lost.length > 0) {
    throw new RockberryError('profile', `expected a board serial or a MAC for every node of an image for all, found none for ${lost.join(', ')}`, {
      hint: 'give each node "serial" or "mac" in the inventory: a board without an entry says both on its console',
    });
  }
  for (const group of groups(keys)) refuseTwo(group);
  return keys;
}

function keysOf(entry: GoldenEntry): BoardKey[] {
  const { match: { serial, mac }, where, name } = entry;
  const place = `${where}: node ${name}`;
  return [
    ...(serial ? [{ kind: 'serial', value: canonicalSerial(serial, place), entry } as const] : []),
    ...(mac ? [{ kind: 'mac', value: canonicalMac(mac, place), entry } as const] : []),
  ];
}

/** Keys that may fit one board: the same MAC, or serial numbers with the same lower half. */
function groups(keys: readonly BoardKey[]): BoardKey[][] {
  const found = new Map<string, BoardKey[]>();
  for (const key of keys) {
    const common = `${key.kind} ${key.kind === 'serial' ? key.value.slice(-HALF).replace(/^0+/, '') : key.value}`;
    found.set(common, [...(found.get(common) ?? []), key]);
  }
  return [...found.values()];
}

function refuseTwo(group: readonly BoardKey[]): void {
  for (const [at, one] of group.entries()) {
    const other = group.slice(at + 1).find((key) => key.entry !== one.entry && (key.value === one.value || isHalf(key) || isHalf(one)));
    if (!other) continue;
    const same = one.value === other.value ? `"${one.value}"` : `"${one.value}" and "${other.value}", one of which is the lower half of the other,`;
    const [kind, first, second] = [one.kind === 'mac' ? 'MAC' : 'serial', ...[one, other].map(({ entry: { name, where } }) => `${name} (${where})`)];
    throw new RockberryError('profile', `expected one node for each board, found the ${kind} ${same} for ${first} and ${second}`);
  }
}

function isHalf({ kind, value }: BoardKey): boolean {
  return kind === 'serial' && value.length <= HALF;
}
