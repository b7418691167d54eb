/** integrations/github: of the published schemas, and inputs that stay words, whatever is in them. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execaSync } from 'execa';
import { describe, expect, test } from 'vitest';
import { rockberry, scratch } from '../support/cli.js';
import { needs } from '../support/oracle.js';
import { at, documents, needsNpm, npmPackage, recorder, resolved, shellcheck, text, type Call, type Yaml } from './integrations-support.js';

const ACTIONS = ['github/action.yml', 'github/merge/action.yml'] as const;
const WORKFLOW = 'github/fleet.yml';

interface Step { readonly name?: string; readonly run?: string; readonly shell?: string; readonly uses?: string; readonly env?: Record<string, string>; readonly with?: Record<string, Yaml> }
const only = (name: string): Yaml => documents(name)[0]!;
const stepsOf = (name: string): Step[] => at(only(name), 'runs.steps') as unknown as Step[];
const jobsOf = (): [string, { readonly steps: Step[]; readonly needs?: string; readonly strategy?: Yaml }][] => Object.entries(at(only(WORKFLOW), 'jobs') as object);
const allSteps = (): Step[] => [...ACTIONS.flatMap(stepsOf), ...jobsOf().flatMap(([, { steps }]) => steps)];

interface Validator { validateAction(source: string): { errors: unknown[] }; validateWorkflow(source: string): { errors: unknown[] } }
const VALIDATOR = '@action-validator/core'; // SchemaStore's github-action.json and github-workflow.json

describe('schemas', () => {
  needsNpm(VALIDATOR)('actions and workflow are of SchemaStore\'s', () => {
    const { validateAction, validateWorkflow } = npmPackage(VALIDATOR) as Validator;
    for (const name of ACTIONS) expect(validateAction(text(name)).errors, name).toEqual([]);
    expect(validateWorkflow(text(WORKFLOW)).errors).toEqual([]);
  });

  needsNpm(VALIDATOR)('which would tell a wrong key, and a job that waits for none', () => {
    const { validateAction, validateWorkflow } = npmPackage(VALIDATOR) as Validator;
    expect(JSON.stringify(validateAction(text(ACTIONS[0]).replace('shell: bash', 'shel: bash')).errors)).toContain("Additional property 'shel' is not allowed");
    expect(JSON.stringify(validateWorkflow(text(WORKFLOW).replace('timeout-minutes', 'timeout')).errors)).toContain("Additional property 'timeout' is not allowed");
    expect(JSON.stringify(validateWorkflow(text(WORKFLOW).replace('needs: build', 'needs: builds')).errors)).toContain('unresolved job builds');
  });
});

describe('steps', () => {
  test('no expression stands in shell text, and every expression of an action is one that it may use', () => {
    for (const { run, name } of allSteps()) expect(run ?? '', name).not.toContain('${{');
    // docs.github.com, "Contexts reference": no secrets and no vars in actions
    const used = ACTIONS.flatMap((name) => [...text(name).matchAll(/\$\{\{ ?([\w.-]+) ?\}\}/g)].map(([, expression]) => expression!));
    expect(used.filter((expression) => !/^(inputs\.[\w-]+|github\.action_path|strategy\.job-(index|total))$/.test(expression))).toEqual([]);
    expect(used.length).toBeGreaterThan(10);
  });

  test('every input is described, used, and of every use there is an input', () => {
    for (const name of ACTIONS) {
      const inputs = at(only(name), 'inputs') as Record<string, { description?: string; required?: boolean; default?: string }>;
      expect(Object.entries(inputs).filter(([, { description, required, default: value }]) => !description || (required !== true && value === undefined))).toEqual([]);
      const used = new Set([...text(name).matchAll(/\$\{\{ ?inputs\.([\w-]+) ?\}\}/g)].map(([, input]) => input!));
      expect([...used].sort()).toEqual(Object.keys(inputs).sort());
      const given = allSteps().filter(({ uses }) => uses === `OWNER/rockberry/integrations/${name.replace('/action.yml', '')}@main`);
      expect(given.length, name).toBe(1);
      expect(Object.keys(given[0]!.with!).filter((key) => !(key in inputs))).toEqual([]);
    }
  });

  test('there is no sudo, no container and no write permission', () => {
    const everything = [...ACTIONS, WORKFLOW].map((name) => text(name).replaceAll(/^description: .*$/gm, '')).join('\n');
    expect(everything).not.toMatch(/\b(sudo|privileged|docker|container)\b/);
    expect(at(only(WORKFLOW), 'permissions')).toEqual({ contents: 'read' });
    for (const step of allSteps().filter(({ uses }) => uses?.startsWith('actions/checkout'))) expect(step.with).toMatchObject({ 'persist-credentials': false });
  });

  needs('shellcheck')('have sound shell', () => {
    const scripts = allSteps().flatMap(({ run, shell }) => (run === undefined ? [] : [{ run, shell: shell ?? 'bash' }]));
    expect(scripts.length).toBe(6);
    for (const { run, shell } of scripts) {
      expect(shell).toBe('bash');
      // variables come from the step's env
      expect(shellcheck('bash', `# shellcheck disable=SC2154\n${run}`), run).toBe('');
    }
  });
});

/** GitHub's own way to run `shell: bash` (docs.github.com, "Workflow syntax", jobs.<job_id>.steps[*].shell). */
const BASH = ['--noprofile', '--norc', '-eo', 'pipefail', '-c'];

/** Runs all `run` steps of an action as the runner does, with a recorder in rockberry's place. */
function act(name: string, given: Record<string, string>, root: string, cwd: string, strategy = { index: '0', total: '1' }): { calls: Call[]; failed: boolean } {
  const { record, calls } = recorder(root);
  const depth = name.split('/').length - 1;
  const actionPath = join(root, ...['integrations', 'github', 'merge'].slice(0, depth + 1));
  mkdirSync(actionPath, { recursive: true });
  const inputs = at(only(name), 'inputs') as Record<string, { default?: string }>;
  const values = {
    'github.action_path': actionPath, 'strategy.job-index': strategy.index, 'strategy.job-total': strategy.total,
    ...Object.fromEntries(Object.entries(inputs).map(([input, { default: value }]) => [`inputs.${input}`, given[input] ?? value ?? ''])),
  };
  const failed = stepsOf(name).some(({ run, env }) => execaSync('bash', [...BASH, run!], {
    cwd, reject: false, env: { RECORD: record, ...Object.fromEntries(Object.entries(env ?? {}).map(([key, value]) => [key, resolved(value, values)])) },
  }).failed);
  return { calls: calls(), failed };
}

describe('the build action', () => {
  const build = (given: Record<string, string>, strategy?: { index: string; total: string }): { call: Call; cwd: string } => {
    const cwd = scratch();
    const { calls, failed } = act(ACTIONS[0], given, scratch(), cwd, strategy);
    expect({ calls: calls.length, failed }).toEqual({ calls: 1, failed: false });
    return { call: calls[0]!, cwd };
  };

  needs('bash')('passes what was given, and only that', () => {
    expect(build({ inventory: 'fleet.yaml' }).call).toEqual({ argv: ['fleet', 'build', '--output=fleet', '--as=image', '--', 'fleet.yaml'], env: {} });
    const all = { inventory: 'inventory.ini', image: 'base.img.xz', output: 'out', as: 'patch', jobs: '4', only: 'node*', shard: '2/3' };
    expect(build(all).call.argv).toEqual(['fleet', 'build', '--output=out', '--as=patch', '--image=base.img.xz', '--jobs=4', '--only=node*', '--shard=2/3', '--', 'inventory.ini']);
  });

  needs('bash')('tells the place in the matrix in variables', () => {
    const { call } = build({ inventory: 'fleet.yaml', shard: 'matrix' }, { index: '2', total: '5' });
    expect(call).toEqual({ argv: ['fleet', 'build', '--output=fleet', '--as=image', '--', 'fleet.yaml'], env: { ROCKBERRY_SHARD_INDEX: '2', ROCKBERRY_SHARDS: '5' } });
  });

  needs('bash')('takes every input as a word', () => {
    const evil = `-x $(touch pwned) \`touch pwned\`; touch pwned & "' \n| * \${{ github.token }}`;
    const { call, cwd } = build({ inventory: evil, image: evil, output: `out/${evil.replaceAll('/', '')}`, as: evil, jobs: evil, only: evil, shard: evil });
    expect(call.argv).toEqual(['fleet', 'build', `--output=out/${evil}`, `--as=${evil}`, `--image=${evil}`, `--jobs=${evil}`, `--only=${evil}`, `--shard=${evil}`, '--', evil]);
    expect(existsSync(join(cwd, 'pwned'))).toBe(false);
  });

  test('knows no flag that the program does not', async () => {
    const { stdout } = await rockberry(['fleet', 'build', '--help']);
    const flags = [...text(ACTIONS[0]).matchAll(/"(--[a-z-]+)=/g)].map(([, flag]) => flag!);
    expect(flags.sort()).toEqual(['--as', '--image', '--jobs', '--only', '--output', '--shard']);
    for (const flag of flags) expect(stdout).toMatch(new RegExp(`${flag}[ ,]`));
  });
});

describe('the merge action', () => {
  needs('bash')('merges every shard, and moves what they built into one folder', () => {
    const cwd = scratch();
    for (const part of ['shard-1', 'shard-2', '-x $(touch pwned)']) {
      mkdirSync(join(cwd, 'my shards', part), { recursive: true });
      for (const name of ['fleet.json', `${part}.img.xz`, `${part}.img.xz.bmap`, `${part}.patch`]) writeFileSync(join(cwd, 'my shards', part, name), part);
    }
    const { calls, failed } = act(ACTIONS[1], { shards: 'my shards', output: 'all of it' }, scratch(), cwd);
    expect(failed).toBe(false);
    const [first, ...folders] = calls[0]!.argv.slice(4).sort();
    expect(calls[0]!.argv.slice(0, 4)).toEqual(['fleet', 'merge', '--output=all of it', '--']);
    expect([first, ...folders]).toEqual(['my shards/-x $(touch pwned)', 'my shards/shard-1', 'my shards/shard-2']);
    expect(readdirSync(join(cwd, 'all of it')).length).toBe(1 + 3 * 3);
    expect(readdirSync(join(cwd, 'my shards', 'shard-1'))).toEqual(['fleet.json']);
    expect(existsSync(join(cwd, 'pwned'))).toBe(false);
  });

  needs('bash')('fails when the program does', () => {
    const root = scratch();
    mkdirSync(join(root, 'dist'), { recursive: true });
    const cwd = scratch();
    mkdirSync(join(cwd, 'shards', 'shard-1'), { recursive: true });
    const merge = stepsOf(ACTIONS[1]).at(-1)!;
    writeFileSync(join(root, 'dist', 'main.js'), 'process.exit(4)');
    expect(execaSync('bash', [...BASH, merge.run!], { cwd, reject: false, env: { ROCKBERRY: root, SHARDS: 'shards', OUTPUT: 'fleet' } }).exitCode).toBe(4);
  });
});

test('the example: as many shards as the matrix has entries, and the merge gets the artifacts that the jobs upload', () => {
  const jobs = Object.fromEntries(jobsOf());
  expect(at(jobs.build!.strategy, 'matrix')).toEqual({ shard: [1, 2, 3, 4] });
  const step = (job: string, uses: string): Record<string, Yaml> => jobs[job]!.steps.find((each) => each.uses?.startsWith(uses))!.with!;
  expect(step('build', 'OWNER/')).toMatchObject({ shard: 'matrix' });
  expect(step('build', 'actions/upload-artifact')).toMatchObject({ name: 'shard-${{ matrix.shard }}', path: 'fleet' });
  expect(step('merge', 'actions/download-artifact')).toEqual({ pattern: 'shard-*', path: 'shards' });
  expect(step('merge', 'OWNER/')).toEqual({ shards: 'shards' });
});
