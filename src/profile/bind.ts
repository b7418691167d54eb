/** Steps of a profile with their values put in: checked, named, and ready to be applied. */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { isMap, isSeq, type Node } from 'yaml';
import { RockberryError } from '../errors.js';
import type { Finding } from '../report.js';
import type { Tree } from '../fs/filesystem.js';
import { stepKinds } from '../steps/registry.js';
import type { Step, StepContext, StepGrowth } from '../steps/step.js';
import { LEFT_OUT, locate, placeKey, type Located, type Path, type Problem, type YamlFile } from './document.js';
import type { ProfileFile } from './files.js';
import { maskedError, maskedValue, type Mask } from './masking.js';
import { checkValue, shown, unknownKey } from './problems.js';
import { STEP_EXTRAS, whenPathForm } from './schema.js';
import { isTemplate, mentions, renderText, wholeVariable, type Variables } from './template.js';

export interface BoundStep {
  readonly step: string;
  /** It runs programs of the image. */
  readonly needsMachine?: boolean;
  readonly growth?: StepGrowth;
  /** The step's `name` in the profile, or what it says of itself. */
  readonly title: string;
  /** "node.yaml:12:5" */
  readonly where: string;
  describe(): string;
  apply(tree: Tree): Promise<void>;
  verify(tree: Tree): Promise<Finding[]>;
}

/** A step of a profile. */
export interface ProfileStep extends BoundStep {
  /** sha256 of everything that decides what the step does, but for the contents of `sources`: two steps with the same one do the same. Made of secrets, too. */
  readonly fingerprint: string;
  /** Files and folders of the host that it reads, absolute, sorted. */
  readonly sources: readonly string[];
}

export interface BindOptions {
  readonly variables: Variables;
  /** Required variables without a value: what depends on them is not judged (lint). */
  readonly unknown: readonly string[];
  /** Takes secrets out of anything that is shown. */
  readonly mask: Mask;
}

export interface Bound {
  readonly steps: readonly ProfileStep[];
  /** Titles of the steps that `when` skips. */
  readonly skipped: readonly string[];
  readonly problems: readonly Problem[];
}

/** All steps of one file, in order, with every problem found in them. */
export function bindSteps(profile: ProfileFile, options: BindOptions): Bound {
  const steps: ProfileStep[] = [];
  const skipped: string[] = [];
  const problems: Problem[] = [];
  stepNodes(profile.file).forEach((node) => {
    try {
      const one = bindStep(profile.file, node, options);
      problems.push(...one.problems.map((problem) => ({ ...problem, message: options.mask(problem.message) })));
      if (one.bound && one.skip) skipped.push(one.bound.title);
      else if (one.bound) steps.push(one.bound);
    } catch (error) {
      if (!(error instanceof RockberryError)) throw error;
      problems.push(located(error, options.mask));
    }
  });
  return { steps, skipped, problems };
}

/** An error whose sentence begins with its place, as a problem. */
function located(error: RockberryError, mask: Mask): Problem {
  const [, where = '', message = error.message] = /^(.*?:\d+:\d+): (.*)$/s.exec(error.message) ?? [];
  return { where, message: mask(message), ...(error.hint !== undefined && { hint: mask(error.hint) }) };
}

function stepNodes(file: YamlFile): Node[] {
  const root = file.document.contents;
  const steps = isMap(root) ? root.get('steps', true) : undefined;
  return isSeq(steps) ? (steps.items as Node[]) : [];
}

function bindStep(file: YamlFile, node: Node, options: BindOptions): { bound?: ProfileStep; skip: boolean; problems: Problem[] } {
  const raw = locate(file, node);
  const start = file.where(node.range?.[0] ?? 0);
  const found = Object.keys(raw.value as object).filter((key) => !(STEP_EXTRAS as readonly string[]).includes(key));
  const unknown = found.filter((key) => !stepKinds.has(key));
  if (unknown.length > 0) return { skip: false, problems: unknown.map((key) => ({ ...unknownKey(file, raw, [], key, [...stepKinds.keys(), ...STEP_EXTRAS]) })) };
  if (found.length !== 1) return { skip: false, problems: [{ where: start, message: `expected one kind of step in a list item, found ${found.length === 0 ? 'none' : found.join(' and ')}` }] };

  const values = locate(file, node, (text) => renderValue(text, options.variables));
  const { name, when } = values.value as { name?: unknown; when?: unknown };
  const needed = neededPaths(file, values);
  const skip = 'when' in (raw.value as object) && isOff(when);
  const kind = stepKinds.get(found[0]!)!;
  const extras = [...(['name', 'when'] as const).flatMap((key) => extraProblem(file, raw, key)), ...needed.problems];
  const { parsed, problems } = checkValue(file, values, [kind.key], kind.schema, (path) => isUnsure(raw, path, skip, options.unknown));
  if (parsed === undefined && (problems.length > 0 || !skip)) return { skip, problems: [...extras, ...problems] };
  const what = typeof name === 'string' ? name : skip ? kind.key : `${kind.describe(parsed)}${needed.paths.length > 0 ? `, where the image has ${needed.paths.join(' and ')}` : ''}`;
  return { bound: makeBound(kind, parsed, { title: options.mask(what), where: start, directory: file.directory, needed: needed.paths }, options), skip, problems: extras };
}

/** The paths without which a step is left out. */
function neededPaths(file: YamlFile, values: Located): { paths: readonly string[]; problems: readonly Problem[] } {
  if (!('when_path' in (values.value as object))) return { paths: [], problems: [] };
  const { parsed = [], problems } = checkValue(file, values, ['when_path'], whenPathForm);
  return { paths: [parsed].flat(), problems };
}

interface Placing { readonly title: string; readonly where: string; readonly directory: string; readonly needed: readonly string[] }

function makeBound(kind: Step<unknown>, value: unknown, { title, where, directory, needed }: Placing, { variables, mask }: BindOptions): ProfileStep {
  const context: StepContext = { directory, render: (text) => renderText(text, variables), mask };
  const placed = async <T>(work: () => T | Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw maskedError(error instanceof RockberryError ? new RockberryError(error.code, `${where}: ${error.message}`, { hint: error.hint, cause: error.cause }) : error, mask);
    }
  };
  const isMeant = (tree: Tree): boolean => needed.every((path) => tree.stat(tree.resolve(path)));
  return {
    step: kind.key, needsMachine: kind.needsMachine ?? false, ...(kind.growth && { growth: kind.growth(value) }), title, where, sources: [...sourcesIn(value)].map((source) => resolve(directory, source)).sort(),
    fingerprint: fingerprintOf([kind.key, directory, needed, value, rendersFiles(value) ? [...variables] : []]),
    describe: () => mask(kind.describe(value)),
    apply: (tree) => placed(async () => { if (isMeant(tree)) await kind.apply(tree, value, context); }),
    verify: (tree) => placed(async () => (isMeant(tree) ? await kind.verify(tree, value, context) : []).map((finding) => maskedValue(finding, mask))),
  };
}

function fingerprintOf(parts: unknown): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/** Keys under which steps name files of the host. */
const SOURCE_KEYS = new Set(['source', 'template', 'archive']);

function* sourcesIn(value: unknown): Iterable<string> {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    if (SOURCE_KEYS.has(key) && typeof inner === 'string') yield inner;
    else yield* sourcesIn(inner);
  }
}

/** Whether the step renders files of the host, with whatever variables they mention. */
function rendersFiles(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.entries(value).some(([key, inner]) => key === 'template' || rendersFiles(inner));
}

/** A scalar that is one whole variable keeps the variable's type, and its entry is left out when the variable has no value. */
function renderValue(text: string, variables: Variables): unknown {
  const whole = wholeVariable(text);
  if (whole === undefined || !variables.has(whole)) return renderText(text, variables);
  const value = variables.get(whole);
  return value === null || value === '' || (Array.isArray(value) && value.length === 0) ? LEFT_OUT : value;
}

function isOff(when: unknown): boolean {
  return when === undefined || when === null || ['', 'false', '0', 'no'].includes(String(when).trim().toLowerCase());
}

function extraProblem(file: YamlFile, raw: Located, key: 'name' | 'when'): Problem[] {
  const value = (raw.value as Record<string, unknown>)[key];
  const fine = value === undefined || typeof value === 'string' || (key === 'when' && (typeof value === 'boolean' || typeof value === 'number'));
  return fine ? [] : [{ where: file.where(raw.places.get(placeKey([key]))?.value ?? 0), message: `expected a string for "${key}", found ${shown(value)}` }];
}

/** Whether something at, in or around a path depends on what is not known: in a skipped step on variables at all, else on one without a value. */
function isUnsure(raw: Located, path: Path, skip: boolean, unknown: readonly string[]): boolean {
  const key = placeKey(path);
  return [...raw.places].some(([at, { text }]) => {
    if (text === undefined || !isTemplate(text) || !(at === key || at.startsWith(`${key}\0`) || key.startsWith(`${at}\0`))) return false;
    return skip || unknown.some((name) => mentions(text, name));
  });
}
