/** A rule: one thing that an image must have so that Kubernetes runs on it. Rules read a node and trust nothing; each can fail, and a test makes it. */
import { READINESS, type Readiness } from '../profile/schema.js';
import type { Finding } from '../report.js';
import type { Node } from './node.js';

/** In the order of the report. */
export const GROUPS = ['boot', 'cgroups', 'kernel', 'storage', 'network', 'access', 'time', 'services', 'selinux', 'hygiene', 'programs'] as const;
export type Group = (typeof GROUPS)[number];

/** Who installs Kubernetes on the node. */
export const TARGETS = READINESS;
export type Target = Readiness;

export interface Rule {
  /** Stable, for scripts: words with hyphens, the group's first ("cgroup-memory"). It is the id of its findings too. */
  readonly id: string;
  readonly group: Group;
  /** What holds when all is well, as a line of the report: "the memory controller will be on". */
  readonly title: string;
  /** Where the demand is written down: a URL. */
  readonly source: string;
  /** Looked at for these only; left out: always, also when no target is named. */
  readonly targets?: readonly Target[];
  check(node: Node): Verdict;
}

export interface Problem {
  readonly severity: Finding['severity'];
  /** A path of the image, a partition, or what else it is about. */
  readonly subject: string;
  /** One sentence: expected …, found …. */
  readonly message: string;
  /** What to do, with the profile or step that does it. */
  readonly hint?: string;
}

/** What a rule saw: all well (and what exactly), not to be judged here (and why), or what is wrong. */
export type Verdict = { readonly ok: string } | { readonly skipped: string } | { readonly problems: readonly Problem[] };

/** All well when there is no problem. */
export function verdict(problems: readonly Problem[], ok: string): Verdict {
  return problems.length === 0 ? { ok } : { problems };
}
