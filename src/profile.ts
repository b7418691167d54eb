/**
 * Profiles: YAML files with an ordered list of steps, variables, and `extends`. Values go into the parsed scalars, never into the text. Whatever is wrong is
 * told with file, line and column.
 */
import { createHash } from 'node:crypto';
import { RockberryError } from './errors.js';
import type { Finding } from './report.js';
import { bindSteps, type BindOptions, type Bound, type BoundStep, type ProfileStep } from './profile/bind.js';
import type { Problem } from './profile/document.js';
import { exposedSecrets, resolveValues, secretsToAsk, type GivenValues } from './profile/given.js';
import { masking, maskedError, type Mask } from './profile/masking.js';
import { asError, findProfile, readProfile, readWithParents, shippedNames, type ProfileFile } from './profile/files.js';
import type { Readiness } from './profile/schema.js';
import type { Variables } from './profile/template.js';
import { defaultValue, shownValues, withoutValue, type Declaration, type Declarations, type Values } from './profile/variables.js';

export type { BoundStep, ProfileStep } from './profile/bind.js';
export type { Readiness } from './profile/schema.js';
export { profileSchema } from './profile/schema.js';

export interface LoadedProfiles {
  readonly steps: readonly ProfileStep[];
  /** Names of all profiles that take part, parents first. */
  readonly names: readonly string[];
  /** Their names, with the SHA-256 of each one's text. */
  readonly digests: readonly { readonly name: string; readonly sha256: string }[];
  /** Values as they may be shown: a secret one is "***", a path its last part. */
  readonly variables: Values;
  /** Takes the secrets out of what else is shown or written beside the image. */
  readonly mask: Mask;
  /** Titles of the steps that `when` skips. */
  readonly skipped: readonly string[];
  /** Whom the result has to be ready for: the last profile that says so counts. */
  readonly readiness: Readiness | undefined;
}

export interface ProfileSummary {
  readonly name: string;
  readonly description: string;
  readonly path: string;
  readonly variables: Readonly<Record<string, Declaration>>;
}

/**
 * Reads the profiles (shipped names or paths) with their parents and binds their steps to the values. A profile that comes up twice runs once.
 * Errors: `profile` for anything wrong with a profile, a variable or a value; `usage` for a --set without "=".
 */
export function loadProfiles(profiles: readonly string[], values: GivenValues): LoadedProfiles {
  const files = readWithParents(profiles, process.cwd());
  const declarations = declarationsOf(files);
  const variables = resolveValues(declarations, values);
  const mask = maskOf(declarations, variables);
  const bound = files.map((file) => boundSteps(file, { variables, unknown: [], mask }));
  const problems = bound.flatMap((one) => one.problems);
  if (problems.length > 0) throw asError(problems);
  return {
    steps: bound.flatMap(({ steps }) => steps), names: files.map(({ form }) => form.name), skipped: bound.flatMap(({ skipped }) => skipped),
    digests: files.map(({ form, file }) => ({ name: form.name, sha256: createHash('sha256').update(file.text).digest('hex') })),
    readiness: files.findLast(({ form }) => form.readiness !== undefined)?.form.readiness,
    variables: shownValues(declarations, variables), mask,
  };
}

/** Before the profiles are loaded: secrets to ask for, and what is unwise about how others were given. */
export function secretsOf(profiles: readonly string[], values: GivenValues): { missing: { name: string; description: string }[]; warnings: Finding[] } {
  const declarations = declarationsOf(readWithParents(profiles, process.cwd()));
  return { missing: secretsToAsk(declarations, values), warnings: exposedSecrets(declarations, values) };
}

/** Names of the secret variables that these profiles and their parents declare. */
export function secretNames(profiles: readonly string[]): string[] {
  return [...declarationsOf(readWithParents(profiles, process.cwd()))].filter(([, { secret }]) => secret).map(([name]) => name);
}

/** Steps with their values; what fails on the way shows no secret. */
function boundSteps(file: ProfileFile, options: BindOptions): Bound {
  try {
    return bindSteps(file, options);
  } catch (error) {
    throw maskedError(error, options.mask);
  }
}

/** The profiles in the package, by name. */
export function listProfiles(): ProfileSummary[] {
  return shippedNames().map((name) => {
    const files = readWithParents([name], process.cwd());
    const { path, form } = files.at(-1)!;
    return { name: form.name, description: form.description, path, variables: Object.fromEntries(declarationsOf(files)) };
  });
}

/** The file's text, then its variables (with those of its parents) and the plan of its steps. */
export function showProfile(name: string): string {
  const files = readWithParents([name], process.cwd());
  const declarations = declarationsOf(files);
  const { variables, unknown } = withoutValues(declarations);
  const mask = maskOf(declarations, variables);
  const plan = files.flatMap((file) => planOf(file, bindSteps(file, { variables, unknown, mask }).steps));
  const table = [...declarations].map(([variable, declaration]) => `  ${variable}: ${declaration.description}${traits(declaration)}`);
  return [
    mask(files.at(-1)!.file.text.trimEnd()), '', '# variables', ...(table.length > 0 ? table : ['  none']), '',
    '# steps with the default values', ...(plan.length > 0 ? plan : ['  none']), '',
  ].join('\n');
}

/** Everything that is wrong with a profile file; empty when it is sound. Required variables without a default are not missed here. */
export function lintProfile(reference: string): Finding[] {
  const path = findProfile(reference, process.cwd()); // one that is not there is no finding, but a wrong call
  try {
    const own = readProfile(path);
    if (!own.profile) return own.problems.map(asFinding);
    const files = readWithParents([reference], process.cwd());
    const declarations = declarationsOf(files);
    const { variables, unknown } = withoutValues(declarations);
    return files.flatMap((file) => bindSteps(file, { variables, unknown, mask: maskOf(declarations, variables) }).problems).map(asFinding);
  } catch (error) {
    if (!(error instanceof RockberryError) || error.code !== 'profile') throw error;
    const [, where = reference, message = error.message] = /^(.*?:\d+:\d+): (.*)$/s.exec(error.message) ?? [];
    return [asFinding({ where, message, ...(error.hint !== undefined && { hint: error.hint }) })];
  }
}

function asFinding({ where, message, hint }: Problem): Finding {
  return { severity: 'error', id: 'profile', subject: where, message, ...(hint !== undefined && { hint }) };
}

/** Declarations of all files; a later file's fields go over an earlier one's. */
function declarationsOf(files: readonly ProfileFile[]): Declarations {
  const merged = new Map<string, Declaration>();
  for (const { form } of files) for (const [name, own] of Object.entries(form.variables ?? {})) merged.set(name, { ...merged.get(name), ...own });
  return merged;
}

/** The defaults, and the names of what has to be given; those stand as their own name, for something has to. */
function withoutValues(declarations: Declarations): { variables: Variables; unknown: string[] } {
  const unknown = withoutValue(declarations);
  const variables = new Map([...declarations].map(([name, declaration]) => [name, unknown.includes(name) ? `<${name}>` : defaultValue(name, declaration)]));
  return { variables, unknown };
}

function maskOf(declarations: Declarations, variables: Variables): Mask {
  const secrets = [...declarations].filter(([, { secret, type }]) => secret && type !== 'boolean').flatMap(([name]) => [variables.get(name)].flat());
  return masking(secrets.filter((value) => value !== null && value !== undefined).map(String));
}

function planOf({ form }: ProfileFile, steps: readonly BoundStep[]): string[] {
  return steps.map(({ title }) => `  ${form.name}: ${title}`);
}

function traits({ type = 'string', required, secret, pattern, default: initial }: Declaration): string {
  const parts = [type, required && 'required', secret && 'secret', pattern !== undefined && `pattern ${pattern}`, initial !== undefined && !secret && `default ${JSON.stringify(initial)}`];
  return ` (${parts.filter((part) => part).join(', ')})`;
}
