/**
 * One fleet on several machines: each builds the nodes of its shard. The engines that run a job several times tell each run its number in the environment.
 * Who builds what follows from the names alone, so the machines agree without talking to each other.
 */
import { createHash } from 'node:crypto';
import { RockberryError } from '../errors.js';

export interface Shard {
  /** From 0. */
  readonly index: number;
  readonly count: number;
}

export type Environment = Readonly<Record<string, string | undefined>>;

interface Engine {
  readonly index: string;
  /** Variables that tell how many runs there are; the first that is set counts. */
  readonly counts: readonly string[];
  /** What the engine calls its first run. */
  readonly first: 0 | 1;
}

/**
 * The first engine whose index is set counts.
 *   ours: for engines without variables of their own; GitHub has strategy.job-index and strategy.job-total as expressions only (docs.github.com, "Contexts reference")
 *   GitLab: docs.gitlab.com/ci/variables/predefined_variables, set where a job has `parallel`
 *   Kubernetes: kubernetes.io/docs/concepts/workloads/controllers/job, completionMode Indexed; the number of completions is not told
 */
const ENGINES: readonly Engine[] = [
  { index: 'ROCKBERRY_SHARD_INDEX', counts: ['ROCKBERRY_SHARDS'], first: 0 },
  { index: 'CI_NODE_INDEX', counts: ['CI_NODE_TOTAL'], first: 1 },
  { index: 'JOB_COMPLETION_INDEX', counts: ['ROCKBERRY_SHARDS', 'JOB_COMPLETIONS'], first: 0 },
];

const COUNT_LIMIT = 100_000; // as Kubernetes' own

/**
 * The part of the fleet that this run is for; undefined for the whole. "I/N" (1 to N) decides alone; "/N" takes the number of the run from the environment,
 * and so does no `spec` where an engine says both. Errors: `usage` for anything that does not fit together: a node that nobody builds is worse than no build.
 */
export function shardOf(spec: string | undefined, environment: Environment): Shard | undefined {
  const [, given, of] = spec === undefined ? [] : (/^(\d*)\/(\d+)$/.exec(spec) ?? wrong(`expected a shard as I/N, 1 to N, or /N, found "${spec}"`));
  if (of === undefined) return fromEnvironment(undefined, environment);
  const count = countOf(of, '--shard');
  return given === '' ? fromEnvironment(count, environment) : shard(Number(given) - 1, count, `--shard ${spec}`, 1);
}

function fromEnvironment(asked: number | undefined, environment: Environment): Shard | undefined {
  const engine = ENGINES.find(({ index }) => environment[index]);
  if (!engine) return asked === undefined ? undefined : wrong(`expected the number of this run in ${ENGINES.map(({ index }) => index).join(', ')} beside --shard /${asked}, found none`);
  const { index, counts, first } = engine;
  const name = counts.find((variable) => environment[variable]);
  const told = name === undefined ? undefined : countOf(environment[name]!, name);
  if (asked !== undefined && told !== undefined && asked !== told) wrong(`expected --shard /${told}, as ${name} says, found /${asked}`);
  const count = asked ?? told ?? wrong(`expected the number of shards in ${counts.join(' or ')} beside ${index}, found none`);
  const value = environment[index]!;
  return shard(/^\d+$/.test(value) ? Number(value) - first : NaN, count, `${index}=${value}`, first);
}

function countOf(text: string, where: string): number {
  const count = /^\d+$/.test(text) ? Number(text) : NaN;
  return count >= 1 && count <= COUNT_LIMIT ? count : wrong(`expected a number of shards between 1 and ${COUNT_LIMIT} in ${where}, found "${text}"`);
}

function shard(index: number, count: number, found: string, first: 0 | 1): Shard {
  return index >= 0 && index < count ? { index, count } : wrong(`expected a shard between ${first} and ${count - 1 + first}, found ${found}`);
}

function wrong(message: string): never {
  throw new RockberryError('usage', message, { hint: 'say which of how many this run is, --shard 2/5, or 1/1 for all nodes' });
}

/**
 * The names that are this shard's. All shards of a count are disjoint and complete, and their sizes differ by one at most: the names are sorted by their hash,
 * so that a group of like nodes spreads, and dealt out in turn. The order of the inventory does not matter.
 */
export function namesOfShard(names: readonly string[], { index, count }: Shard): ReadonlySet<string> {
  const keys = new Map(names.map((name) => [name, createHash('sha256').update(name).digest('hex') + name]));
  const dealt = [...keys.keys()].sort((a, b) => (keys.get(a)! < keys.get(b)! ? -1 : 1));
  return new Set(dealt.filter((_, at) => at % count === index));
}
