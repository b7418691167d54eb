/** What a schema finds wrong, told as one sentence with file, line and column: what was expected, what was found, and the nearest name. */
import { z } from 'zod';
import { placeOf, type Located, type Path, type Problem, type YamlFile } from './document.js';
import { suggestion } from './nearest.js';

type Issue = z.core.$ZodIssue;
interface JsonSchema { properties?: Record<string, JsonSchema>; items?: JsonSchema; additionalProperties?: JsonSchema | boolean; anyOf?: JsonSchema[]; oneOf?: JsonSchema[]; allOf?: JsonSchema[] }

const SHOWN = 60; // characters of a value

/** A place whose value is not known yet (a template of a variable without a value): problems there are not the profile's fault. */
export type IsUnsure = (path: Path) => boolean;

/** All problems of a located value, or its parsed form. `at` is the value's own path inside the located one. */
export function checkValue<T>(file: YamlFile, located: Located, at: Path, schema: z.ZodType<T>, isUnsure: IsUnsure = () => false): { parsed: T | undefined; problems: Problem[] } {
  const input = valueAt(located.value, at);
  const result = schema.safeParse(input, { reportInput: true });
  if (result.success) return { parsed: result.data, problems: [] };
  const problems = withoutEchoes(result.error.issues.flatMap(concrete)).filter(({ path }) => !isUnsure([...at, ...keys(path)])).flatMap((issue) => {
    const full = [...at, ...keys(issue.path)];
    if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(file, located, full, key, knownKeys(schema, keys(issue.path))));
    const place = placeOf(located.places, full);
    return [{ where: file.where(place?.value ?? 0), message: sentence(issue, full, valueAt(located.value, full)) }];
  });
  return { parsed: undefined, problems };
}

export function unknownKey(file: YamlFile, located: Located, path: Path, key: string, known: readonly string[]): Problem {
  const place = placeOf(located.places, [...path, key]);
  return {
    where: file.where(place?.key ?? 0), message: `expected a known key${path.length > 0 ? ` in "${path.filter((part) => typeof part === 'string').at(-1)}"` : ''}, found "${key}"${suggestion(key, known)}`,
    ...(known.length > 0 && { hint: `known keys: ${known.join(', ')}` }),
  };
}

/** How a message shows a value. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'an empty value';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object') return 'a mapping';
  const text = JSON.stringify(value);
  return `the ${typeof value} ${text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text}`;
}

/** A mistyped key also makes "one of these must be there" fail: that is the same mistake told twice. */
function withoutEchoes(issues: Issue[]): Issue[] {
  const mistyped = new Set(issues.filter(({ code }) => code === 'unrecognized_keys').map(({ path }) => path.join('\0')));
  return issues.filter(({ code, path }) => code !== 'custom' || !mistyped.has(path.join('\0')));
}

/** The problem inside a union that says most: of the branch that got furthest. */
function concrete(issue: Issue): Issue[] {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [issue];
  const nested = issue.errors.map((branch) => branch.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })) as Issue[]);
  const inside = nested.filter((branch) => branch.some(({ path, code }) => path.length > issue.path.length || code !== 'invalid_type'));
  if (inside.length === 0) return [issue];
  const depth = (branch: Issue[]): number => Math.max(...branch.map(({ path }) => path.length));
  return inside.reduce((best, branch) => (depth(branch) > depth(best) ? branch : best)).flatMap(concrete);
}

function sentence(issue: Issue, path: Path, input: unknown): string {
  const name = path.filter((part) => typeof part === 'string').at(-1);
  if (issue.code === 'invalid_type' && input === undefined) return `expected the key "${name}", found nothing of that name`;
  const found = `found ${shown(input)}`;
  const subject = name === undefined ? '' : ` for "${name}"`;
  if (issue.code === 'invalid_type') return `expected a ${typeName(issue.expected)}${subject}, ${found}`;
  if (issue.code === 'invalid_value') return `expected one of ${issue.values.map((value) => JSON.stringify(value)).join(', ')}${subject}, ${found}`;
  if (issue.code === 'invalid_union') return `expected a ${unionTypes(issue)}${subject}, ${found}`;
  const text = issue.message.replace(/^Invalid string: must match pattern/, 'expected text that matches').replace(/^(Invalid input|Too (small|big)): /, '').replace(/\.$/, '');
  return text.startsWith('expected') ? `${text}${subject}, ${found}` : `expected another value${subject}: ${text}, ${found}`;
}

function unionTypes(issue: Extract<Issue, { code: 'invalid_union' }>): string {
  const types = issue.errors.flat().map((inner) => (inner.code === 'invalid_type' ? typeName(inner.expected) : 'other value'));
  return [...new Set(types)].join(' or a ');
}

function typeName(expected: string): string {
  const names: Record<string, string> = { array: 'list', object: 'mapping', record: 'mapping', int: 'whole number' };
  return names[expected] ?? expected;
}

function keys(path: readonly PropertyKey[]): Path {
  return path.map((part) => (typeof part === 'symbol' ? String(part) : part));
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((inner, part) => (typeof inner === 'object' && inner !== null ? (inner as Record<string | number, unknown>)[part] : undefined), value);
}

/** The keys that a schema knows at a path, from its JSON Schema: it looks the same for every kind of schema. */
function knownKeys(schema: z.ZodType, path: Path): string[] {
  const root = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  const branches = (node: JsonSchema): JsonSchema[] => [node, ...[...(node.anyOf ?? []), ...(node.oneOf ?? []), ...(node.allOf ?? [])].flatMap(branches)];
  const down = (node: JsonSchema, part: string | number): JsonSchema[] => {
    const next = typeof part === 'number' ? node.items : (node.properties?.[part] ?? node.additionalProperties);
    return typeof next === 'object' ? branches(next) : [];
  };
  const ends = path.reduce<JsonSchema[]>((nodes, part) => nodes.flatMap((node) => down(node, part)), branches(root));
  return [...new Set(ends.flatMap((node) => Object.keys(node.properties ?? {})))];
}
