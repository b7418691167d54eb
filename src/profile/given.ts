/**
 * Where the values of variables come from. Defaults are the weakest, then the environment (for secret ones and those that name a variable), then each --vars file
 * in order, then what an inventory says of the node, then each --set in order, then files with one secret each, then what was answered on the terminal. A list is written
 * `--set dns=192.0.2.1,192.0.2.2` (a comma that belongs to a value is written "\,") or by repeating --set; in a file it is a YAML list.
 */
import { dirname, resolve } from 'node:path';
import { RockberryError } from '../errors.js';
import type { Finding } from '../report.js';
import { locate, placeOf, readYaml } from './document.js';
import { suggestion } from './nearest.js';
import { readSecret } from './secret-file.js';
import { environmentName, isBlank, valueFor, type Declaration, type Declarations, type Given, type Values } from './variables.js';

export interface GivenValues {
  /** "name=value" */
  readonly set: readonly string[];
  readonly varsFiles: readonly string[];
  /** One node's own values, as an inventory has them; `where` is for errors, `directory` is what paths are relative to. */
  readonly values?: { readonly entries: Readonly<Record<string, unknown>>; readonly where: string; readonly directory: string };
  /** "name=FILE" for secret variables; a name alone asks for an answer. */
  readonly secrets?: readonly string[];
  /** Given on the terminal. */
  readonly answers?: ReadonlyMap<string, string>;
  /** Left out: the process's own. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

type Sources = readonly (readonly [name: string, given: Given])[];

/** Every declared variable with its value, null where it has none. Errors: `profile` for unknown names, wrong types, patterns and missing values. */
export function resolveValues(declarations: Declarations, values: GivenValues): Values {
  const given = collect(declarations, values);
  return new Map([...declarations].map(([name, declaration]) => [name, valueFor(name, declaration, given.get(name))]));
}

/** Secret variables to ask for: those that are named without a file, and those that are required and have no value from anywhere. */
export function secretsToAsk(declarations: Declarations, values: GivenValues): { name: string; description: string }[] {
  const given = collect(declarations, values);
  const named = new Set((values.secrets ?? []).filter((one) => !one.includes('=')));
  const isMissing = (name: string, { required, default: initial }: Declaration): boolean => required === true && isBlank(given.get(name)?.value ?? initial);
  return [...declarations].filter(([name, declaration]) => declaration.secret && (named.has(name) || isMissing(name, declaration))).map(([name, { description }]) => ({ name, description }));
}

/** Secrets that came by --set: every user of the machine can read the arguments of a running program. */
export function exposedSecrets(declarations: Declarations, { set }: GivenValues): Finding[] {
  const names = new Set(set.map((setting) => setting.split('=', 1)[0]!).filter((name) => declarations.get(name)?.secret));
  return [...names].map((name) => ({
    severity: 'warning', id: 'secret-argument', subject: `--set ${name}`,
    message: `expected the secret "${name}" out of sight, found it among the arguments, which every user of this machine can read while the program runs`,
    hint: `use --secret ${name}=FILE or the environment variable ${environmentName(name, declarations.get(name)!)}`,
  }));
}

function collect(declarations: Declarations, { set, varsFiles, values, secrets = [], answers = new Map(), environment = process.env }: GivenValues): Map<string, Given> {
  return new Map([
    ...fromEnvironment(declarations, environment), ...varsFiles.flatMap((path) => fromFile(path, declarations)), ...fromValues(values, declarations), ...fromArguments(set, declarations),
    ...fromSecretFiles(secrets, declarations), ...fromAnswers(answers, declarations),
  ]);
}

function fromEnvironment(declarations: Declarations, environment: Readonly<Record<string, string | undefined>>): Sources {
  return [...declarations].flatMap(([name, declaration]): Sources => {
    const variable = environmentName(name, declaration);
    const text = variable === undefined ? undefined : environment[variable];
    if (text === undefined || text === '') return [];
    return [[name, { value: declaration.type === 'list' ? splitList(text) : text, where: `environment variable ${variable}`, directory: process.cwd() }]];
  });
}

function fromFile(path: string, declarations: Declarations): Sources {
  const file = readYaml(resolve(path), path);
  const [problem] = [...file.document.errors, ...file.document.warnings];
  if (problem) { // without the library's sentence, which quotes the text: that may be a secret
    throw new RockberryError('profile', `${file.where(problem.pos[0])}: expected valid YAML, found ${problem.code.toLowerCase().replaceAll('_', ' ')}`, { hint: 'put a value with special characters into single quotes' });
  }
  const { value, places } = locate(file, file.document.contents);
  if (value === null) return [];
  if (typeof value !== 'object' || Array.isArray(value)) throw new RockberryError('profile', `expected a mapping of variables in ${path}, found a ${Array.isArray(value) ? 'list' : typeof value}`);
  return Object.entries(value).map(([name, one]) => {
    const where = file.where(placeOf(places, [name])?.key ?? 0);
    known(name, declarations, where);
    return [name, { value: one, where, directory: dirname(resolve(path)) }];
  });
}

function fromValues(values: GivenValues['values'], declarations: Declarations): Sources {
  if (!values) return [];
  return Object.entries(values.entries).map(([name, value]) => {
    known(name, declarations, values.where);
    return [name, { value, where: values.where, directory: values.directory }];
  });
}

function fromArguments(settings: readonly string[], declarations: Declarations): Sources {
  const given = new Map<string, Given>();
  for (const setting of settings) {
    const equals = setting.indexOf('=');
    if (equals < 1) throw new RockberryError('usage', `expected --set name=value, found ${declarations.has(setting) ? `"${setting}"` : 'a text without a name and "="'}`);
    const name = setting.slice(0, equals);
    const text = setting.slice(equals + 1);
    const where = `--set ${name}`;
    const before = (given.get(name)?.value as string[] | undefined) ?? [];
    given.set(name, { value: known(name, declarations, where).type === 'list' ? [...before, ...splitList(text)] : text, where, directory: process.cwd() });
  }
  return [...given];
}

function fromSecretFiles(settings: readonly string[], declarations: Declarations): Sources {
  return settings.flatMap((setting): Sources => {
    const equals = setting.indexOf('=');
    const name = equals < 0 ? setting : setting.slice(0, equals);
    const where = `--secret ${name}`;
    const { secret, type } = known(name, declarations, where);
    if (!secret) throw new RockberryError('usage', `${where}: expected a secret variable, found one that is not`, { hint: `give it with --set ${name}=…` });
    if (equals < 0) return [];
    const text = readSecret(resolve(setting.slice(equals + 1)), where);
    return [[name, { value: type === 'list' ? text.split('\n').filter((line) => line !== '') : text, where }]];
  });
}

function fromAnswers(answers: ReadonlyMap<string, string>, declarations: Declarations): Sources {
  return [...answers].map(([name, text]) => [name, { value: declarations.get(name)?.type === 'list' ? splitList(text) : text, where: `the answer for ${name}` }]);
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
