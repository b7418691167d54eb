import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { needs } from '../support/oracle.js';
import { DEFECTS } from './defects.js';
import { HEALTHY, SCRIPT, SHELLS, preflight, type Check, type Entry } from './node.js';

const TOOLS = ['kubespray', 'kubeadm', 'k3s'] as const;
const source = readFileSync(SCRIPT, 'utf8');
const reported = [...new Set([...source.matchAll(/\breport ([a-z-]+) (?:ok|fail|warn|info|skip|"\$status") /g)].map(([, id]) => id!))];

const byId = (checks: readonly Check[], id: string): Check => checks.find((check) => check.id === id)!;

describe.each(SHELLS)('$name', (shell) => {
  const given = needs(...shell.programs);

  given('a healthy node passes every check, whatever it is for', () => {
    for (const args of [...TOOLS.flatMap((tool) => ['worker', 'control-plane'].map((role) => ['--for', tool, '--role', role])), ['--for=rke2', '--strict'], ['--kubernetes', '1.33', '--strict']]) {
      const { status, result } = preflight(HEALTHY, args, shell);
      expect(result.checks.filter(({ status }) => status !== 'ok')).toEqual([]);
      expect({ status, result: result.result }).toEqual({ status: 0, result: 'pass' });
    }
  });
});

const given = needs(...SHELLS[0]!.programs);

// Every defect is one change; what it says of the check is all that is asked here.
given.each(DEFECTS)('$id: $name', ({ id, node, args = [], status, says, hint, reason = '' }) => {
  const ran = preflight({ ...HEALTHY, ...node }, args);
  const check = byId(ran.result.checks, id);
  expect(check).toMatchObject({ status, reason });
  expect(check.message).toMatch(says);
  if (hint) expect(check.hint).toMatch(hint);
  if (status === 'fail' || status === 'warn') expect(check.hint).not.toBe('');
  const worst = ['fail', 'warn'].find((word) => ran.result.checks.some((one) => one.status === word)) ?? 'pass';
  expect({ status: ran.status, result: ran.result.result }).toEqual({ status: worst === 'fail' ? 1 : 0, result: worst });
});

/** Defects of other checks in other files, together on one node: each process costs more than what it does. */
function crowded(): { readonly args: readonly string[]; readonly ids: Set<string>; readonly node: Record<string, Entry> }[] {
  const nodes: ReturnType<typeof crowded> = [];
  for (const { id, node, args = [] } of DEFECTS) {
    const fits = nodes.find((one) => one.args.join(' ') === args.join(' ') && !one.ids.has(id) && Object.keys(node).every((path) => !(path in one.node)));
    const target = fits ?? { args, ids: new Set<string>(), node: {} };
    if (!fits) nodes.push(target);
    target.ids.add(id);
    Object.assign(target.node, node);
  }
  return nodes;
}

needs(...SHELLS.flatMap(({ programs }) => programs)).each(crowded().map(({ args, node, ids }) => [[...ids].join(' '), args, node] as const))('all shells say the same of a node with defects of %s', (_, args, node) => {
  const [first, ...others] = SHELLS.map((shell) => preflight({ ...HEALTHY, ...node }, args, shell));
  for (const other of others) expect(other).toEqual(first);
});

describe('no check is without a defect', () => {
  const { result } = preflight(HEALTHY);

  test('the ids are those of the script, once each', () => {
    const ids = result.checks.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect([...ids].sort()).toEqual([...reported].sort());
    for (const id of ids) expect(source).toContain(`\ncheck_${id.replaceAll('-', '_')}\n`);
  });

  test('each has a defect that makes it something other than ok', () => {
    const shown = new Set(DEFECTS.filter(({ status }) => status !== 'ok' && status !== 'skip').map(({ id }) => id));
    expect(result.checks.map(({ id }) => id).filter((id) => !shown.has(id))).toEqual([]);
  });

  test('each outcome that the script can report for a check is reached', () => {
    const reached = new Set([...DEFECTS.map(({ id, status }) => `${id} ${status}`), ...result.checks.map(({ id }) => `${id} ok`)]);
    const written = [...source.matchAll(/report ([a-z-]+) (ok|fail|warn|info|skip) /g)].map(([, id, status]) => `${id} ${status}`);
    expect(written.filter((outcome) => !reached.has(outcome))).toEqual([]);
    expect(written.length).toBeGreaterThan(80);
  });

  test('the reasons are those that the script documents', () => {
    const said = new Set(DEFECTS.filter(({ id }) => id === 'cgroup-memory').map(({ reason }) => reason));
    const given = new Set([...source.matchAll(/reason=([a-z-]+)/g)].map(([, reason]) => reason));
    expect([...said].sort()).toEqual([...given].sort());
    const header = source.slice(0, source.indexOf('set -u'));
    for (const reason of given) expect(header).toMatch(new RegExp(`\\b${reason}\\b \\(|\\b${reason}\\b\\.`));
  });
});
