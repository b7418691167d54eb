/** One seeded defect per rule: the same healthy node with one thing wrong, and what the rule must say of it. */
import { expect, test } from 'vitest';
import type { Node } from '../../src/verify/node.js';
import type { Problem, Rule } from '../../src/verify/rule.js';
import { problemsOf } from './node.js';

export interface Defect {
  readonly rule: string;
  /** What is wrong. */
  readonly name: string;
  readonly node: () => Node;
  readonly severity: Problem['severity'];
  readonly subject: string;
  readonly message: RegExp;
}

/** A test for each rule on the healthy node, one for each defect, and one that no rule is without a defect. */
export function testRules(rules: readonly Rule[], healthy: () => Node, defects: readonly Defect[]): void {
  test.each(rules.map(({ id }) => id))('%s: all well on the healthy node', (id) => {
    expect(problemsOf(rules, id, healthy())).toBeUndefined();
  });

  test.each(defects.map((defect) => [defect.rule, defect.name, defect] as const))('%s: %s', (id, _, { node, severity, subject, message }) => {
    const problems = problemsOf(rules, id, node());
    expect(problems).toContainEqual(expect.objectContaining({ severity, subject, message: expect.stringMatching(message) as string }));
  });

  test('every rule has a defect that makes it fail, a source and the name of its group', () => {
    expect(rules.filter(({ id }) => !defects.some(({ rule }) => rule === id)).map(({ id }) => id)).toEqual([]);
    expect(rules.filter(({ id, group, source }) => !id.startsWith(`${group}-`) || !/^https:\/\/\S+$/.test(source)).map(({ id }) => id)).toEqual([]);
    expect(new Set(rules.map(({ id }) => id)).size).toBe(rules.length);
  });
}
