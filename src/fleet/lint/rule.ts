/** A rule of fleet lint: one thing that would bite at the first boot of a fleet. Rules read the inventory's value and each can fail; a test makes each of them. */
import type { Finding } from '../../report.js';
import type { Fleet } from './fleet.js';

export interface FleetRule {
  /** Stable, for scripts; the id of its findings. */
  readonly id: string;
  /** The gravest that it finds. */
  readonly severity: Finding['severity'];
  /** What holds when all is well. */
  readonly title: string;
  /** Where the demand is written down: a URL, or a place in our own README. */
  readonly source: string;
  check(fleet: Fleet): readonly FleetProblem[] | Promise<readonly FleetProblem[]>;
}

export interface FleetProblem {
  /** "node NAME", "group NAME" or "fleet". */
  readonly subject: string;
  /** One sentence: expected …, found …. */
  readonly message: string;
  /** What to do. */
  readonly hint: string;
  /** Left out: the rule's. */
  readonly severity?: Finding['severity'];
}
