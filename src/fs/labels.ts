/**
 * The SELinux label that the image's own policy gives a path: what `restorecon` would set on the running node. The order is that of libselinux 3.6
 * (src/label_file.c, selabel_lookup): substitutions first, then the specifications of file_contexts, .homedirs and .local in this order, literal ones last,
 * and the last one that matches wins. Only the text files are read; the .bin files beside them are caches of the same.
 */
import { RockberryError } from '../errors.js';
import type { FileType } from './filesystem.js';
import { compilePattern, type Automaton } from './labels/automaton.js';
import { Problems, readSpecifications, readSubstitutions, substitute, type Specification, type Substitution } from './labels/contexts.js';
import { PatternError } from './labels/pattern.js';
import { encodeText } from './names.js';

export interface LabelSource {
  /** The whole file, links followed; undefined when there is none. */
  read(path: string): Uint8Array | undefined;
}

export interface Labels {
  /** "targeted" */
  readonly policy: string;
  /** The context without its final NUL; undefined when the policy has none for the path, or `<<none>>`. `path` is absolute and normal. */
  label(path: string, type: FileType): string | undefined;
  /** Lines of the policy that could not be used, so far (expressions are looked at when first needed). */
  readonly problems: readonly string[];
}

const NONE = '<<none>>';
/** Steps of automata for one path. EL9's whole policy needs some ten thousand; this is about a second. */
const MAX_STEPS = 50_000_000;
/** States of compiled expressions that are kept. */
const MAX_CACHED_STATES = 1_000_000;

/** Text that every match begins with; '' when that is not plain to see. */
function prefixOf(pattern: string): string {
  if (pattern.includes('|')) return '';
  const plain = /^(?:[^.^$?*+|[({\\)]|\\[^0-9A-Za-z])*/.exec(pattern)![0];
  const next = pattern[plain.length];
  const kept = next === '?' || next === '*' || next === '{' ? plain.replace(/\\?[^]$/, '') : plain;
  return kept.replace(/\\([^])/g, '$1');
}

class Entry {
  readonly prefix: string;
  automaton: Automaton | 'unusable' | undefined;
  /** `order`: its place after libselinux's sort; the highest wins. */
  constructor(readonly specification: Specification, readonly order: number) {
    this.prefix = prefixOf(specification.pattern);
  }
}

/** libselinux's sort_specs: literal specifications to the end, otherwise in the order of the files. */
function sorted(specifications: readonly Specification[]): Entry[] {
  return [...specifications.filter((one) => !one.literal), ...specifications.filter((one) => one.literal)].map((one, order) => new Entry(one, order));
}

class PolicyLabels implements Labels {
  private readonly byStem = new Map<string, Entry[]>();
  private cachedStates = 0;
  private cached: Entry[] = [];

  constructor(readonly policy: string, specifications: readonly Specification[], private readonly local: readonly Substitution[],
    private readonly distribution: readonly Substitution[], private readonly found: Problems) {
    for (const entry of sorted(specifications).reverse()) {
      const { stem } = entry.specification;
      const group = this.byStem.get(stem);
      if (group) group.push(entry);
      else this.byStem.set(stem, [entry]);
    }
  }

  get problems(): readonly string[] {
    return this.found.list;
  }

  label(path: string, type: FileType): string | undefined {
    const key = this.substituted(Buffer.from(encodeText(path)).toString('latin1').replace(/\/{2,}/g, '/'));
    const slash = key.indexOf('/', 1);
    const stem = slash < 0 ? '' : key.slice(0, slash);
    const context = this.last(key, stem, type);
    return context === NONE ? undefined : context;
  }

  private substituted(path: string): string {
    const local = substitute(this.local, path) ?? path;
    return substitute(this.distribution, local) ?? local;
  }

  /** Goes through the entries of the path's stem and those without one from the strongest to the weakest. */
  private last(key: string, stem: string, type: FileType): string | undefined {
    let left = MAX_STEPS;
    const spend = (steps: number): void => {
      left -= steps;
      if (left < 0) throw new RockberryError('unsupported', `expected an SELinux policy that labels a path in ${MAX_STEPS} steps, found that ${key} needs more`,
        { hint: 'the image\'s file_contexts has expressions that no policy compiler writes; check where the image is from' });
    };
    const general = this.byStem.get('') ?? [];
    const special = stem === '' ? [] : (this.byStem.get(stem) ?? []);
    for (let i = 0, j = 0; i < general.length || j < special.length;) {
      const stronger = i >= general.length || (j < special.length && special[j]!.order > general[i]!.order);
      const entry = stronger ? special[j++]! : general[i++]!;
      spend(1);
      if (entry.specification.type !== undefined && entry.specification.type !== type) continue;
      if (key.startsWith(entry.prefix) && this.matches(entry, key, spend)) return entry.specification.context;
    }
    return undefined;
  }

  private matches(entry: Entry, text: string, spend: (steps: number) => void): boolean {
    entry.automaton ??= this.compiled(entry, spend);
    return entry.automaton !== 'unusable' && entry.automaton.matches(text, spend);
  }

  /** label_file.h, compile_regex: put between "^" and "$" as text, so a bare "|" splits the anchors, too. */
  private compiled(entry: Entry, spend: (steps: number) => void): Automaton | 'unusable' {
    const { pattern, place } = entry.specification;
    try {
      const automaton = compilePattern(`^${pattern}$`);
      spend(automaton.states);
      this.keep(entry, automaton.states);
      return automaton;
    } catch (error) {
      if (!(error instanceof PatternError)) throw error;
      this.found.add(place, `the expression ${pattern} is left out, it has ${error.message}`);
      return 'unusable';
    }
  }

  private keep(entry: Entry, states: number): void {
    this.cachedStates += states;
    this.cached.push(entry);
    if (this.cachedStates <= MAX_CACHED_STATES) return;
    for (const old of this.cached) old.automaton = undefined;
    this.cached = [];
    this.cachedStates = 0;
  }
}

/** SELINUXTYPE of /etc/selinux/config; libselinux takes "targeted" when it says nothing (src/selinux_config.c). */
function policyName(config: Uint8Array): string {
  let name = 'targeted';
  for (const line of Buffer.from(config).toString('latin1').split('\n')) {
    const value = /^\s*SELINUXTYPE=\s*([^]*)$/i.exec(line)?.[1]?.trimEnd();
    if (value) name = value;
  }
  return name;
}

/**
 * The labels of the image's policy; undefined when it has none. SELINUX=disabled counts for nothing: the labels are right for the day it is switched on.
 * Throws 'unsupported' for a file of more than 32 MiB and 'corrupt' for a policy name that is not one path component.
 */
export function openLabels(source: LabelSource): Labels | undefined {
  const config = source.read('/etc/selinux/config');
  if (config === undefined) return undefined;
  const policy = policyName(config);
  if (policy.includes('/') || policy === '..' || policy === '.') {
    throw new RockberryError('corrupt', `expected the name of a policy in SELINUXTYPE of /etc/selinux/config, found ${JSON.stringify(policy)}`);
  }
  const base = `/etc/selinux/${policy}/contexts/files/file_contexts`;
  const main = source.read(base);
  if (main === undefined) return undefined;
  const problems = new Problems();
  const specifications = readSpecifications(main, 'file_contexts', problems);
  for (const suffix of ['.homedirs', '.local']) specifications.push(...readSpecifications(source.read(base + suffix) ?? new Uint8Array(), `file_contexts${suffix}`, problems));
  const substitutions = (suffix: string): Substitution[] => readSubstitutions(source.read(base + suffix) ?? new Uint8Array(), `file_contexts${suffix}`, problems);
  return new PolicyLabels(policy, specifications, substitutions('.subs'), substitutions('.subs_dist'), problems);
}
