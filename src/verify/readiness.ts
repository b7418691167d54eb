/** All rules over one node. A rule that meets something unreadable says so as its finding: the others are still shown. */
import { RockberryError } from '../errors.js';
import { worstOf, type Finding } from '../report.js';
import type { Node } from './node.js';
import { GROUPS, type Group, type Problem, type Rule, type Verdict } from './rule.js';
import { accessRules } from './rules/access.js';
import { bootRules } from './rules/boot.js';
import { cgroupsRules } from './rules/cgroups.js';
import { hygieneRules } from './rules/hygiene.js';
import { kernelRules } from './rules/kernel.js';
import { networkRules } from './rules/network.js';
import { programsRules } from './rules/programs.js';
import { selinuxRules } from './rules/selinux.js';
import { servicesRules } from './rules/services.js';
import { storageRules } from './rules/storage.js';
import { timeRules } from './rules/time.js';

/** Every rule, grouped in the order of the report. */
export const RULES: readonly Rule[] = [
  ...bootRules, ...cgroupsRules, ...kernelRules, ...storageRules, ...networkRules, ...accessRules, ...timeRules, ...servicesRules, ...selinuxRules, ...hygieneRules, ...programsRules,
].sort((a, b) => GROUPS.indexOf(a.group) - GROUPS.indexOf(b.group));

export type Status = 'ok' | 'skipped' | Finding['severity'];

export interface RuleResult {
  readonly id: string;
  readonly group: Group;
  readonly title: string;
  readonly source: string;
  /** The worst of its findings. */
  readonly status: Status;
  /** What was seen when all is well, or why it was not judged. */
  readonly detail: string | null;
  readonly findings: readonly Finding[];
}

export function judge(node: Node): RuleResult[] {
  return RULES.filter(({ targets }) => targets === undefined || (node.target !== undefined && targets.includes(node.target))).map((rule) => apply(rule, node));
}

function apply(rule: Rule, node: Node): RuleResult {
  const seen = check(rule, node);
  const findings = ('problems' in seen ? seen.problems : []).map((problem) => ({ id: rule.id, ...problem }));
  return {
    id: rule.id, group: rule.group, title: rule.title, source: rule.source, findings,
    status: 'ok' in seen ? 'ok' : 'skipped' in seen ? 'skipped' : worstOf(findings) ?? 'info',
    detail: 'ok' in seen ? seen.ok : 'skipped' in seen ? seen.skipped : null,
  };
}

function check(rule: Rule, node: Node): Verdict {
  try {
    return rule.check(node);
  } catch (error) {
    if (!(error instanceof RockberryError)) throw error;
    const problem: Problem = { severity: 'error', subject: rule.group, message: error.message, ...(error.hint !== undefined && { hint: error.hint }) };
    return { problems: [problem] };
  }
}
