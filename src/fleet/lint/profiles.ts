/** What the profiles of a node ask for: their variables, as they stand in the files, and whether the node's values will do. Each list of profiles is read once. */
import { dirname } from 'node:path';
import { RockberryError } from '../../errors.js';
import { readWithParents, type ProfileFile } from '../../profile/files.js';
import { resolveValues, type GivenValues } from '../../profile/given.js';
import { suggestion } from '../../profile/nearest.js';
import { defaultValue, isBlank, valueFor, type Declaration, type Declarations } from '../../profile/variables.js';
import type { Readiness } from '../../profile/schema.js';
import type { FleetNode } from '../model.js';
import { own } from './words.js';

/** The profiles of one or more nodes, read. */
export interface ProfileSet {
  readonly files: readonly ProfileFile[];
  /** Of all profiles that take part, parents first. */
  readonly names: ReadonlySet<string>;
  readonly declarations: Declarations;
  readonly defaults: ReadonlyMap<string, unknown>;
  readonly readiness: Readiness | undefined;
  /** What every node is given beside the inventory: it goes over the inventory's values. */
  readonly given: ReadonlyMap<string, unknown>;
}

/** What is wrong with a value. `message` shows no secret. */
export interface VariableProblem {
  readonly variable: string;
  readonly message: string;
  readonly hint: string;
}

export interface NodeValues {
  /** Every variable that has a value, as its type asks. Without defaults. */
  readonly values: ReadonlyMap<string, unknown>;
  readonly problems: readonly VariableProblem[];
}

/** Reads a list of profiles, or gives what is wrong with one of them. */
export type ReadProfiles = (profiles: readonly string[]) => ProfileSet | RockberryError;

/** A reader that remembers what it read: fleets have a few lists of profiles and many nodes. */
export function profileReader(given: GivenValues): ReadProfiles {
  const known = new Map<string, ProfileSet | RockberryError>();
  return (profiles) => {
    const key = JSON.stringify(profiles);
    const found = known.get(key) ?? readSet(profiles, given);
    known.set(key, found);
    return found;
  };
}

function readSet(profiles: readonly string[], given: GivenValues): ProfileSet | RockberryError {
  try {
    const files = readWithParents(profiles, process.cwd());
    const declarations = new Map<string, Declaration>();
    for (const { form } of files) for (const [name, one] of Object.entries(form.variables ?? {})) declarations.set(name, { ...declarations.get(name), ...one });
    return {
      files, declarations, names: new Set(files.map(({ form }) => form.name)), given: givenValues(declarations, given),
      defaults: new Map([...declarations].map(([name, declaration]) => [name, defaultValue(name, declaration)])),
      readiness: files.findLast(({ form }) => form.readiness !== undefined)?.form.readiness,
    };
  } catch (error) {
    if (error instanceof RockberryError) return error;
    throw error;
  }
}

/** Only what was given: without defaults, and nothing is missed yet. */
function givenValues(declarations: Declarations, given: GivenValues): ReadonlyMap<string, unknown> {
  const bare = new Map([...declarations].map(([name, declaration]) => [name, { ...declaration, default: undefined, required: false }]));
  return new Map([...resolveValues(bare, given)].filter(([, value]) => !isBlank(value)));
}

/** The node's values for the variables of its profiles, and what the profiles would refuse. */
export function nodeValues(node: FleetNode, set: ProfileSet, inventory: string): NodeValues {
  const problems = unknownVariables(node, set);
  const values = new Map<string, unknown>(set.given);
  for (const [name, declaration] of set.declarations) {
    if (set.given.has(name)) continue;
    const value = own(node.variables, name);
    if (isBlank(value) && declaration.required !== true) continue;
    try {
      const typed = valueFor(name, declaration, value === undefined ? undefined : { value, where: node.where, directory: dirname(inventory) });
      if (value !== undefined && !isBlank(typed)) values.set(name, typed);
    } catch (error) {
      if (!(error instanceof RockberryError)) throw error;
      problems.push({ variable: name, message: error.message, hint: `set ${name} for the node in the inventory${error.hint === undefined ? '' : `, or ${error.hint}`}` });
    }
  }
  return { values, problems };
}

function unknownVariables({ variables, where }: FleetNode, { declarations }: ProfileSet): VariableProblem[] {
  return Object.keys(variables).filter((name) => !declarations.has(name)).map((name) => ({
    variable: name, message: `${where}: expected a variable of the node's profiles, found "${name.slice(0, 60)}"${suggestion(name, declarations.keys())}`,
    hint: declarations.size > 0 ? `their variables: ${[...declarations.keys()].join(', ')}` : 'these profiles have no variables',
  }));
}
