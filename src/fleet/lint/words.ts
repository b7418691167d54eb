/** How messages of lint show what an inventory says: short, in quotes, and no value that could be a secret. */
import type { FleetNode, Value } from '../model.js';

const SHOWN = 60; // characters of a value
const LISTED = 3;

/** A value in double quotes, cut short. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text);
}

/** "a, b, c and 7 more". `count` is of all, where not all are given. */
export function some(items: readonly string[], count = items.length): string {
  const shown = items.slice(0, LISTED);
  if (count > shown.length) return `${shown.join(', ')} and ${count - shown.length} more`;
  return shown.length > 1 ? `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)!}` : (shown[0] ?? '');
}

/** "node1 (inventory.ini:5)" */
export function labelOf({ name, where }: FleetNode): string {
  return `${nameText(name)} (${where})`;
}

export function nameText(name: string): string {
  return /^[\w.:-]{1,80}$/.test(name) ? name : quoted(name);
}

/** The entry of a record, not what every object has. */
export function own(record: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

/** A text or a number, without blanks around it; undefined for nothing, for other values, and for what Ansible would still have to render. */
export function textOf(value: unknown): string | undefined {
  if (typeof value !== 'string' && typeof value !== 'number') return undefined;
  const text = String(value).trim();
  return text === '' || text.includes('{{') || text.includes('{%') ? undefined : text;
}

/** Order of code units: no locale. */
export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Numbers inside of names in the order of their values: node2 before node10. */
export function naturalKey(name: string): string {
  return name.replace(/\d+/g, (digits) => digits.padStart(12, '0'));
}
