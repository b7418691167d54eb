/** For each id of fleet lint fleets that trigger it, with what is said of them, and fleets that come near and do not. */
import { expect, test } from 'vitest';
import type { Inventory } from '../../../src/fleet/model.js';
import { FLEET_RULES, lintFleet, type LintContext } from '../../../src/fleet/lint.js';
import type { Finding } from '../../../src/report.js';

export type MakeFleet = () => Inventory | Promise<Inventory>;

export interface Trigger {
  readonly id: string;
  /** What is wrong. */
  readonly name: string;
  readonly fleet: MakeFleet;
  readonly context?: LintContext;
  readonly severity: Finding['severity'];
  readonly subject: string;
  readonly message: RegExp;
  /** How many nodes it is said of; left out: one finding. */
  readonly count?: number;
  /** What else must come; left out: nothing. */
  readonly also?: readonly string[];
}

export interface Quiet {
  readonly id: string;
  readonly name: string;
  readonly fleet: MakeFleet;
  readonly context?: LintContext;
  /** What comes all the same; left out: nothing at all. */
  readonly also?: readonly string[];
}

/** Nothing of the environment that the tests run in. */
export const ALONE: LintContext = { given: { set: [], varsFiles: [], environment: {} } };

export async function findingsOf(fleet: MakeFleet, context: LintContext = {}): Promise<Finding[]> {
  return lintFleet(await fleet(), { ...ALONE, ...context });
}

const RANK = ['error', 'warning', 'info'];

export function testCases(triggers: readonly Trigger[], quiet: readonly Quiet[]): void {
  test.each(triggers.map((one) => [one.id, one.name, one] as const))('%s: %s', async (id, _, { fleet, context, severity, subject, message, count = 1, also = [] }) => {
    const findings = await findingsOf(fleet, context);
    const own = findings.filter((finding) => finding.id === id);
    expect(own).toContainEqual({ id, severity, subject, message: expect.stringMatching(message) as string, hint: expect.stringMatching(/./) as string });
    expect(own.length, JSON.stringify(own)).toBe(count);
    expect([...new Set(findings.map((finding) => finding.id))].sort(), JSON.stringify(findings)).toEqual([...new Set([id, ...also])].sort());
    expect(findings.filter((finding) => !/^(node |group |fleet$)/.test(finding.subject) || !finding.hint || !/^(.*: )?expected .*found /s.test(finding.message))).toEqual([]);
    expect(RANK.indexOf(severity)).toBeGreaterThanOrEqual(RANK.indexOf(FLEET_RULES.find((rule) => rule.id === id)!.severity));
  });

  test.each(quiet.map((one) => [one.id, one.name, one] as const))('not %s: %s', async (id, _, { fleet, context, also = [] }) => {
    expect(also).not.toContain(id);
    const findings = await findingsOf(fleet, context);
    expect([...new Set(findings.map((finding) => finding.id))].sort(), JSON.stringify(findings)).toEqual([...also].sort());
  });
}
