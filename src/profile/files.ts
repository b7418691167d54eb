/** Profile files: where they are, what each says, and the order in which "extends" puts them. */
import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { RockberryError } from '../errors.js';
import { PROFILES } from '../shipped.js';
import { locate, placeOf, readYaml, syntaxProblems, type Located, type Problem, type YamlFile } from './document.js';
import { suggestion } from './nearest.js';
import { checkValue } from './problems.js';
import { profileForm, type ProfileForm } from './schema.js';

export interface ProfileFile {
  readonly path: string;
  readonly file: YamlFile;
  readonly form: ProfileForm;
  /** Without rendering: templates are text here. */
  readonly located: Located;
}

export function shippedNames(): string[] {
  return readdirSync(PROFILES).filter((name) => name.endsWith('.yaml')).map((name) => name.slice(0, -'.yaml'.length)).sort();
}

/** The file of a shipped name or a path (relative to `directory`). Errors: `profile` when there is neither. */
export function findProfile(reference: string, directory: string): string {
  if (!/[/\\]|\.ya?ml$/.test(reference)) {
    const path = join(PROFILES, `${reference}.yaml`);
    if (existsSync(path)) return path;
    throw new RockberryError('profile', `expected the name of a shipped profile or the path of a file, found "${reference}"${suggestion(reference, shippedNames())}`, {
      hint: `shipped: ${shippedNames().join(', ')}; a file of your own is written with its ending, ./${reference}.yaml`,
    });
  }
  const path = resolve(directory, reference);
  if (existsSync(path)) return path;
  throw new RockberryError('profile', `expected a profile at ${reference}, found no such file`, { hint: `shipped profiles are used by name: ${shippedNames().join(', ')}` });
}

/** Reads one file and lists everything that is wrong with its form; `profile` is undefined when that is too much to go on with. */
export function readProfile(path: string): { profile: ProfileFile | undefined; problems: Problem[] } {
  const file = readYaml(path, displayName(path));
  const broken = syntaxProblems(file);
  if (broken.length > 0) return { profile: undefined, problems: broken };
  const located = locate(file, file.document.contents);
  const { parsed, problems } = checkValue(file, located, [], profileForm);
  return { profile: parsed && { path, file, form: parsed, located }, problems };
}

/** The profiles of the references and all that they extend, parents first, each once. Errors: `profile` for a problem in any of them, and for a cycle. */
export function readWithParents(references: readonly string[], directory: string): ProfileFile[] {
  const done = new Map<string, ProfileFile>();
  const open: string[] = [];

  function visit(path: string): void {
    if (done.has(path)) return;
    if (open.includes(path)) {
      throw new RockberryError('profile', `expected profiles that do not extend each other in a circle, found ${[...open.slice(open.indexOf(path)), path].map(displayName).join(' → ')}`);
    }
    open.push(path);
    const { profile, problems } = readProfile(path);
    if (!profile) throw asError(problems);
    parentPaths(profile).forEach(visit);
    open.pop();
    done.set(path, profile);
  }

  for (const reference of references) visit(findProfile(reference, directory));
  return [...done.values()];
}

function parentPaths({ path, file, form, located }: ProfileFile): string[] {
  return (form.extends ?? []).map((reference, index) => {
    try {
      return findProfile(reference, dirname(path));
    } catch (error) {
      if (!(error instanceof RockberryError)) throw error;
      const where = file.where(placeOf(located.places, ['extends', index])?.value ?? 0);
      throw new RockberryError('profile', `${where}: ${error.message}`, { hint: error.hint, cause: error });
    }
  });
}

/** The first problem as the error; its hint says how to see the others. */
export function asError(problems: readonly Problem[]): RockberryError {
  const [first] = problems as [Problem];
  const more = problems.length > 1 ? `${problems.length - 1} more: rockberry profile lint ${first.where.replace(/:\d+:\d+$/, '')}` : undefined;
  const hint = [first.hint, more].filter((text) => text !== undefined).join('; ');
  return new RockberryError('profile', `${first.where}: ${first.message}`, hint === '' ? {} : { hint });
}

/** How messages name a file: a shipped one by its own name, others as seen from here. */
function displayName(path: string): string {
  if (path.startsWith(PROFILES)) return basename(path);
  const seen = relative(process.cwd(), path);
  return seen.startsWith('..') ? path : seen;
}
