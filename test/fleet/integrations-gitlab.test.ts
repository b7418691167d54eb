/** integrations/gitlab: of GitLab's own schema, and scripts that do what they say, with a recorder in rockberry's place. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execaSync } from 'execa';
import { describe, expect } from 'vitest';
import { scratch } from '../support/cli.js';
import { needs, oracleEnvironment } from '../support/oracle.js';
import { documents, INTEGRATIONS, needsNpm, npmPath, recorder, shellcheck, text } from './integrations-support.js';

const TEMPLATE = 'gitlab/rockberry.gitlab-ci.yml';
const RUNNER = 'gitlab-ci-local/package.json'; // it has GitLab's ci.json inside

interface Job { readonly script: readonly string[]; readonly parallel?: number }
const template = documents(TEMPLATE)[0] as unknown as { readonly variables: Record<string, string>; readonly 'rockberry-build': Job; readonly 'rockberry-merge': Job };
const [build, merge] = [template['rockberry-build'], template['rockberry-merge']];

/** A repository whose pipeline is README's example; `change` is made to the template that it includes. */
function repository(change: (content: string) => string): string {
  const folder = scratch();
  const example = /```yaml\n([\s\S]*?)```/.exec(text('gitlab/README.md'))![1]!;
  const local = example.replace(/ {2}- project: infra\/rockberry\n {4}ref: main\n {4}file: /, '  - local: ');
  expect(local).toContain('  - local: integrations/gitlab/rockberry.gitlab-ci.yml\n');
  writeFileSync(join(folder, '.gitlab-ci.yml'), local);
  mkdirSync(join(folder, 'integrations/gitlab'), { recursive: true });
  copyFileSync(join(INTEGRATIONS, TEMPLATE), join(folder, 'integrations', TEMPLATE));
  writeFileSync(join(folder, 'integrations', TEMPLATE), change(text(TEMPLATE)));
  const git = (...args: string[]): unknown => execaSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', '-c', 'init.defaultBranch=main', ...args], { cwd: folder });
  git('init', '--quiet');
  git('remote', 'add', 'origin', 'git@gitlab.example.com:infra/fleet.git');
  git('add', '.');
  git('commit', '--quiet', '--message', 'fleet');
  return folder;
}

/** The newest gitlab-ci-local is written for Node 22: of what Node 20 lacks it uses one method. */
const POLYFILL = `data:text/javascript,${encodeURIComponent('Set.prototype.union ??= function (other) { return new Set([...this, ...other]); };')}`;

/** The jobs that GitLab would run, or why it would run none. */
function jobsOf(folder: string): { readonly status: number; readonly output: string; readonly jobs: readonly string[] } {
  const program = join(dirname(npmPath(RUNNER)), 'dist/index.js');
  const { exitCode, all } = execaSync(process.execPath, ['--import', POLYFILL, program, '--list-csv'], { cwd: folder, reject: false, all: true, env: { ...oracleEnvironment, HOME: folder } });
  return { status: exitCode ?? -1, output: all.slice(-4000), jobs: all.split('\n').filter((line) => line.startsWith('rockberry-')).map((line) => line.split(';')[0]!) };
}

describe('the template', () => {
  needsNpm(RUNNER)('included as README says is of GitLab\'s schema', () => {
    const { status, output, jobs } = jobsOf(repository((content) => content));
    expect({ status, output: status === 0 ? '' : output }).toEqual({ status: 0, output: '' });
    expect(output).toContain('json schema validated');
    expect(jobs).toEqual([...Array.from({ length: 8 }, (_, at) => `rockberry-build: [${at + 1}/8]`), 'rockberry-merge']);
  });

  needsNpm(RUNNER)('with a wrong key would not be', () => {
    const { status, output } = jobsOf(repository((content) => content.replace('expire_in', 'expires_in')));
    expect(status).toBe(1);
    expect(output).toContain("'expires_in' property is not expected to be here at rockberry-build.artifacts");
  });

  needs('shellcheck')('has sound shell', () => {
    for (const { script } of [build, merge]) expect(shellcheck('sh', `# shellcheck disable=SC2154\n${script.join('\n')}\n`)).toBe('');
  });
});

needs('sh', 'find')('every shard builds into a folder of its own, and the last job joins them', () => {
  const cwd = scratch();
  const { record, bin, calls } = recorder(scratch());
  const evil = 'a b; touch pwned $(touch pwned)';
  const run = ({ script }: Job, env: Record<string, string>): void => {
    execaSync('sh', ['-euc', script.join('\n')], { cwd, env: { ...template.variables, ROCKBERRY_INVENTORY: evil, RECORD: record, PATH: `${bin}:${oracleEnvironment.PATH}`, ...env } });
  };
  const parts = Array.from({ length: build.parallel! }, (_, at) => String(at + 1));
  for (const part of parts) run(build, { CI_NODE_INDEX: part, CI_NODE_TOTAL: String(build.parallel) });
  run(merge, {});
  expect(calls().map(({ argv }) => argv)).toEqual([
    ...parts.map((part) => ['fleet', 'build', `--output=fleet-shards/${part}`, '--as=image', '--image=base.img.xz', '--', evil]),
    ['fleet', 'merge', '--output=fleet', '--', ...parts.map((part) => `fleet-shards/${part}`)],
  ]);
  const built = parts.flatMap((part) => ['.img.xz', '.img.xz.bmap', '.patch'].map((ending) => `node${part}${ending}`));
  expect(readdirSync(join(cwd, 'fleet')).sort()).toEqual(['fleet.json', ...built].sort());
  expect(existsSync(join(cwd, 'pwned'))).toBe(false);
});
