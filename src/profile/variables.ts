/**
 * Variables of profiles: how they are declared, and where their values come from. Defaults are the weakest, then each --vars file in order, then each --set in
 * order. A list is written `--set dns=192.0.2.1,192.0.2.2` (a comma that belongs to a value is written "\,") or by repeating --set; in a file it is a YAML list.
 */
import { resolve } from 'node:path';
import { z } from 'zod';
import { RockberryError } from '../errors.js';
import { locate, placeOf, readYaml, syntaxProblems } from './document.js';
import { shown } from './problems.js';
import { suggestion } from './nearest.js';

const VALUE_LIMIT = 1 << 16; // characters

const pattern = z.string().refine(isPattern, { error: 'expected a regular expression (JavaScript, flag u)' });
export const variableSchema = z.strictObject({
  description: z.string().min(1).describe('what it is, in one sentence'),
  type: z.enum(['string', 'list', 'boolean', 'number']).optional().describe('default: string'),
  default: z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]).optional(),
  pattern: pattern.optional().describe('regular expression that the whole value (each item of a list) has to match'),
  required: z.boolean().optional(),
  secret: z.boolean().optional().describe('the value is never shown'),
});
export const variableName = z.string().regex(/^[a-z][a-z0-9_]*$/);

export type Declaration = z.output<typeof variableSchema>;
export type Declarations = ReadonlyMap<string, Declaration>;
export interface GivenValues { readonly set: readonly string[]; readonly varsFiles: readonly string[] }
export type Values = ReadonlyMap<string, unknown>;

interface Given { readonly value: unknown; readonly where: string }

/** Every declared variable with its value, null where it has none. Errors: `profile` for unknown names, wrong types, patterns and missing values. */
export function resolveValues(declarations: Declarations, values: GivenValues): Values {
  const given = new Map<string, Given>();
  for (const path of values.varsFiles) for (const [name, one] of fromFile(path, declarations)) given.set(name, one);
  for (const [name, one] of fromArguments(values.set, declarations)) given.set(name, one);
  return new Map([...declarations].map(([name, declaration]) => [name, valueFor(name, declaration, given.get(name))]));
}

/** Required variables that nothing gives a value. */
export function withoutValue(declarations: Declarations): string[] {
  return [...declarations].filter(([, { required, default: initial }]) => required === true && initial === undefined).map(([name]) => name);
}

/** The value of a declaration by itself, for a check of the profile without values. */
export function defaultValue(name: string, declaration: Declaration): unknown {
  return valueFor(name, { ...declaration, required: false }, undefined);
}

function fromFile(path: string, declarations: Declarations): Map<string, Given> {
  const file = readYaml(resolve(path), path);
  const [problem] = syntaxProblems(file);
  if (problem) throw new RockberryError('profile', `${problem.where}: ${problem.message}`);
  const { value, places } = locate(file, file.document.contents);
  if (value === null) return new Map();
  if (typeof value !== 'object' || Array.isArray(value)) throw new RockberryError('profile', `expected a mapping of variables in ${path}, found ${shown(value)}`);
  return new Map(Object.entries(value).map(([name, one]) => {
    const where = file.where(placeOf(places, [name])?.key ?? 0);
    known(name, declarations, where);
    return [name, { value: one, where }];
  }));
}

function fromArguments(settings: readonly string[], declarations: Declarations): Map<string, Given> {
  const given = new Map<string, Given>();
  for (const setting of settings) {
    const equals = setting.indexOf('=');
    if (equals < 1) throw new RockberryError('usage', `expected --set name=value, found "${setting}"`);
    const name = setting.slice(0, equals);
    const text = setting.slice(equals + 1);
    const where = `--set ${name}`;
    if (known(name, declarations, where).type !== 'list') given.set(name, { value: text, where });
    else given.set(name, { value: [...((given.get(name)?.value as string[] | undefined) ?? []), ...splitList(text)], where });
  }
  return given;
}

function known(name: string, declarations: Declarations, where: string): Declaration {
  const declaration = declarations.get(name);
  if (declaration) return declaration;
  throw new RockberryError('profile', `${where}: expected a variable of the profile, found "${name}"${suggestion(name, declarations.keys())}`, {
    hint: declarations.size > 0 ? `known variables: ${[...declarations.keys()].join(', ')}` : 'the profile has no variables',
  });
}

function splitList(text: string): string[] {
  return text.split(/(?<!\\),/).map((item) => item.replaceAll('\\,', ',').trim()).filter((item) => item !== '');
}

function valueFor(name: string, declaration: Declaration, given: Given | undefined): unknown {
  const source = given ?? (declaration.default === undefined ? undefined : { value: declaration.default, where: `default of ${name}` });
  if (source === undefined || isBlank(source.value)) {
    if (declaration.required === true) {
      throw new RockberryError('profile', `expected a value for the variable "${name}" (${declaration.description}), found none`, { hint: `give it with --set ${name}=… or in a --vars file` });
    }
    return source?.value ?? null;
  }
  const value = typed(name, declaration, source);
  for (const item of Array.isArray(value) ? value : [value]) checkItem(name, declaration, String(item), source.where);
  return value;
}

function isBlank(value: unknown): boolean {
  return value === null || value === '' || (Array.isArray(value) && value.length === 0);
}

function typed(name: string, { type = 'string', secret }: Declaration, { value, where }: Given): unknown {
  const converted = type === 'list' ? asList(value) : type === 'boolean' ? asBoolean(value) : type === 'number' ? asNumber(value) : asText(value);
  if (converted !== undefined) return converted;
  throw new RockberryError('profile', `${where}: expected a ${type} for the variable "${name}", found ${secret ? 'something else (not shown: it is secret)' : shown(value)}`);
}

function asText(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

function asList(value: unknown): string[] | undefined {
  const items = (Array.isArray(value) ? value : [value]).map(asText);
  return items.some((item) => item === undefined) ? undefined : (items as string[]);
}

function asBoolean(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value;
  const words: Record<string, boolean> = { true: true, yes: true, on: true, 1: true, false: false, no: false, off: false, 0: false };
  return words[String(value).toLowerCase()];
}

function asNumber(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined;
}

function checkItem(name: string, { pattern: wanted, description, secret }: Declaration, item: string, where: string): void {
  if (item.length > VALUE_LIMIT) throw new RockberryError('profile', `${where}: expected at most ${VALUE_LIMIT} characters for the variable "${name}", found ${item.length}`);
  if (wanted === undefined || new RegExp(wanted, 'u').test(item)) return;
  const found = secret ? 'another value (not shown: it is secret)' : JSON.stringify(item);
  throw new RockberryError('profile', `${where}: expected a value that matches ${wanted} for the variable "${name}" (${description}), found ${found}`);
}

function isPattern(text: string): boolean {
  try {
    return new RegExp(text, 'u') !== undefined;
  } catch {
    return false;
  }
}
