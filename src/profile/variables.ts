/** Variables of profiles: how they are declared, what a given value becomes, and how it may be shown. Where values come from is in given.ts. */
import { basename, resolve } from 'node:path';
import { z } from 'zod';
import { RockberryError } from '../errors.js';
import { HIDDEN } from './masking.js';
import { shown } from './problems.js';

const VALUE_LIMIT = 1 << 16; // characters

const pattern = z.string().refine(isPattern, { error: 'expected a regular expression (JavaScript, flag u)' });
export const variableSchema = z.strictObject({
  description: z.string().min(1).describe('what it is, in one sentence'),
  type: z.enum(['string', 'list', 'boolean', 'number', 'path']).optional().describe('default: string; a path is of this machine, relative to the current directory or to the --vars file'),
  default: z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]).optional(),
  pattern: pattern.optional().describe('regular expression that the whole value (each item of a list) has to match'),
  required: z.boolean().optional(),
  secret: z.boolean().optional().describe('the value is never shown; it may come from the environment, from a file of its own, or be asked for'),
  env: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/).optional().describe('environment variable that gives the value; a secret one has ROCKBERRY_VAR_NAME by itself'),
});
export const variableName = z.string().regex(/^[a-z][a-z0-9_]*$/);

export type Declaration = z.output<typeof variableSchema>;
export type Declarations = ReadonlyMap<string, Declaration>;
export type Values = ReadonlyMap<string, unknown>;

/** `directory` is what a path is relative to; none for a default, which is relative to its profile. */
export interface Given { readonly value: unknown; readonly where: string; readonly directory?: string }

/** The environment variable that may give the value. */
export function environmentName(name: string, { env, secret }: Declaration): string | undefined {
  return env ?? (secret ? `ROCKBERRY_VAR_${name.toUpperCase()}` : undefined);
}

/** Required variables that nothing gives a value. */
export function withoutValue(declarations: Declarations): string[] {
  return [...declarations].filter(([, { required, default: initial }]) => required === true && initial === undefined).map(([name]) => name);
}

/** The value of a declaration by itself, for a check of the profile without values. */
export function defaultValue(name: string, declaration: Declaration): unknown {
  return valueFor(name, { ...declaration, required: false }, undefined);
}

/** Values as they may be shown: secrets hidden, of paths the last part, so that it does not matter on which machine and in which folder. */
export function shownValues(declarations: Declarations, values: Values): Values {
  return new Map([...values].map(([name, value]) => {
    const { secret, type } = declarations.get(name)!;
    if (value === null || value === '') return [name, value];
    return [name, secret ? HIDDEN : type === 'path' ? basename(String(value)) : value];
  }));
}

/** What was given, else the default, converted and checked; null for nothing. Errors: `profile` for a missing value, a wrong type, a pattern that does not match. */
export function valueFor(name: string, declaration: Declaration, given: Given | undefined): unknown {
  const source = given ?? (declaration.default === undefined ? undefined : { value: declaration.default, where: `default of ${name}` });
  if (source === undefined || isBlank(source.value)) {
    if (declaration.required === true) throw missing(name, declaration);
    return source?.value ?? null;
  }
  const value = typed(name, declaration, source);
  for (const item of Array.isArray(value) ? value : [value]) checkItem(name, declaration, String(item), source.where);
  return value;
}

function missing(name: string, declaration: Declaration): RockberryError {
  const hint = declaration.secret ? `give it with --secret ${name}=FILE or in the environment variable ${environmentName(name, declaration)}` : `give it with --set ${name}=… or in a --vars file`;
  return new RockberryError('profile', `expected a value for the variable "${name}" (${declaration.description}), found none`, { hint });
}

export function isBlank(value: unknown): boolean {
  return value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0);
}

function typed(name: string, { type = 'string', secret }: Declaration, { value, where, directory }: Given): unknown {
  const converted = type === 'list' ? asList(value) : type === 'boolean' ? asBoolean(value) : type === 'number' ? asNumber(value) : asText(value);
  if (converted !== undefined) return type === 'path' && directory !== undefined ? resolve(directory, String(converted)) : converted;
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
