/**
 * Unit files as systemd.syntax(7) has them: sections, assignments, comments, lines continued by a backslash; and what their [Install] sections say
 * (systemd.unit(5)), with drop-ins and specifiers. Only names and text here; where units are is in systemd.ts.
 */
import { RockberryError } from '../errors.js';

export interface Assignment {
  readonly section: string;
  readonly key: string;
  readonly value: string;
}

export interface UnitFile {
  readonly sections: readonly string[];
  readonly assignments: readonly Assignment[];
  /** What systemd would warn about and skip, with the line's number. */
  readonly problems: readonly string[];
}

export interface Install {
  readonly aliases: readonly string[];
  readonly wantedBy: readonly string[];
  readonly requiredBy: readonly string[];
  readonly also: readonly string[];
  readonly defaultInstance: string | undefined;
}

const TYPES = ['service', 'socket', 'target', 'device', 'mount', 'automount', 'swap', 'timer', 'path', 'slice', 'scope'];
const UNIT_NAME = new RegExp(`^[A-Za-z0-9:_.\\\\-]+(@[A-Za-z0-9:_.\\\\@-]*)?\\.(${TYPES.join('|')})$`); // unit_name_is_valid, src/basic/unit-name.c

export function parseUnitFile(text: string): UnitFile {
  const sections: string[] = [];
  const assignments: Assignment[] = [];
  const problems: string[] = [];
  for (const { number, line } of logicalLines(text.replace(/^\xef\xbb\xbf/, ''))) {
    const section = /^\[([^\]]+)\]$/.exec(line)?.[1];
    const equals = line.indexOf('=');
    const key = line.slice(0, Math.max(0, equals)).trimEnd();
    if (section !== undefined) sections.push(section);
    else if (key === '' || line.startsWith('[')) problems.push(`line ${number}: expected "[Section]" or "Key=value", found "${line.slice(0, 60)}"`);
    else if (sections.length === 0) problems.push(`line ${number}: expected a section before "${key.slice(0, 60)}=", found none`);
    else assignments.push({ section: sections.at(-1)!, key, value: line.slice(equals + 1).trim() });
  }
  return { sections, assignments, problems };
}

/** Lines without comments and empty ones; those that end in a backslash joined with the next by a space, comments in between left out. */
function logicalLines(text: string): { number: number; line: string }[] {
  const found: { number: number; line: string }[] = [];
  let pieces: string[] = [];
  let start = 0;
  text.split('\n').forEach((raw, index) => {
    const line = pieces.length > 0 ? raw.trimEnd() : raw.trim();
    if (/^\s*[#;]/.test(line) || (line === '' && pieces.length === 0)) return;
    if (pieces.length === 0) start = index + 1;
    pieces.push(line.endsWith('\\') ? line.slice(0, -1) : line);
    if (line.endsWith('\\')) return;
    found.push({ number: start, line: pieces.join(' ').trim() });
    pieces = [];
  });
  return pieces.length > 0 ? [...found, { number: start, line: pieces.join(' ').trim() }] : found;
}

/** The [Install] sections of a unit and its drop-ins, in that order. An empty assignment clears what came before. */
export function installOf(texts: readonly string[]): Install {
  const lists: Record<string, string[]> = { Alias: [], WantedBy: [], RequiredBy: [], Also: [] };
  let defaultInstance: string | undefined;
  for (const { section, key, value } of texts.flatMap((text) => parseUnitFile(text).assignments)) {
    if (section !== 'Install') continue;
    if (key === 'DefaultInstance') defaultInstance = value || undefined;
    else if (value === '') lists[key] = [];
    else lists[key]?.push(...value.split(/\s+/).map((word) => word.replace(/^"(.*)"$/, '$1')));
  }
  return { aliases: lists.Alias!, wantedBy: lists.WantedBy!, requiredBy: lists.RequiredBy!, also: lists.Also!, defaultInstance };
}

export function isUnitName(name: string): boolean {
  return name.length < 256 && UNIT_NAME.test(name); // UNIT_NAME_MAX
}

/** "sshd" → "sshd.service", as systemctl takes names. */
export function withSuffix(name: string): string {
  return TYPES.includes(name.slice(name.lastIndexOf('.') + 1)) && name.includes('.') ? name : `${name}.service`;
}

export interface NameParts { readonly prefix: string; readonly instance: string | undefined; readonly type: string }

/** "getty@tty1.service" → getty, tty1, service. A template has the instance "", a plain unit has none. */
export function nameParts(name: string): NameParts {
  const dot = name.lastIndexOf('.');
  const at = name.indexOf('@');
  const isPlain = at < 0 || at > dot;
  return { prefix: name.slice(0, isPlain ? dot : at), instance: isPlain ? undefined : name.slice(at + 1, dot), type: name.slice(dot + 1) };
}

/** The template of an instance: "getty@tty1.service" → "getty@.service"; undefined for the others. */
export function templateOf(name: string): string | undefined {
  const { prefix, instance, type } = nameParts(name);
  return instance ? `${prefix}@.${type}` : undefined;
}

export function withInstance(template: string, instance: string): string {
  const { prefix, type } = nameParts(template);
  return `${prefix}@${instance}.${type}`;
}

/** The specifiers that [Install] may use and that do not depend on the machine (systemd.unit(5), "Specifiers"). */
export function expandSpecifiers(text: string, unit: string): string {
  return text.replace(/%(.)/g, (written, letter: string) => {
    const { prefix, instance = '', type } = nameParts(unit);
    const known: Record<string, string> = {
      '%': '%', n: unit, N: unit.slice(0, -type.length - 1), p: prefix, i: instance, j: prefix.slice(prefix.lastIndexOf('-') + 1),
    };
    if (known[letter] !== undefined) return known[letter];
    throw new RockberryError('unsupported', `expected a specifier that does not depend on the machine in [Install] of ${unit}, found "${written}"`);
  });
}
