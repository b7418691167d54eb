/** Secrets in clear in files that git tracks: real repositories, made by the real git. */
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execaSync } from 'execa';
import { afterEach, expect, test, vi } from 'vitest';
import type { Inventory } from '../../../src/fleet/model.js';
import { secretPlaces } from '../../../src/fleet/lint/secret-text.js';
import { scratch } from '../../support/cli.js';
import { needs, oracleEnvironment } from '../../support/oracle.js';
import { findingsOf, type Quiet, type Trigger } from './cases.js';
import { k3s, plain } from './fleet.js';

const git = needs('git');
const SECRET = 'sEcReT-of-the-cluster';
const PEM = '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk=\n-----END OPENSSH PRIVATE KEY-----\n';
const AGE = 'AGE-SECRET-KEY-1QYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQ';

interface Repository { readonly files: Readonly<Record<string, string>>; readonly untracked?: Readonly<Record<string, string>>; readonly config?: string }

const base = (): Inventory => plain(['node1']);
let template: string | undefined;

/** A repository without files; git makes one, and the others are its copies. */
function emptyRepository(): string {
  if (template === undefined) {
    template = scratch();
    execaSync('git', ['init', '-q', '--template='], { cwd: template, env: { ...oracleEnvironment, GIT_CONFIG_GLOBAL: '/dev/null' } });
  }
  const folder = scratch();
  cpSync(template, folder, { recursive: true });
  return folder;
}

function write(folder: string, files: Readonly<Record<string, string>>): string[] {
  return Object.entries(files).map(([name, text]) => {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  });
}

/** A folder with a repository that tracks the files; paths of all files, tracked ones first. */
function repository({ files, untracked = {}, config = '' }: Repository): { folder: string; paths: string[] } {
  const folder = emptyRepository();
  const tracked = write(folder, files);
  execaSync('git', ['add', '-A'], { cwd: folder, env: { ...oracleEnvironment, GIT_CONFIG_GLOBAL: '/dev/null' } });
  writeFileSync(join(folder, '.git/config'), config, { flag: 'a' });
  return { folder, paths: [...tracked, ...write(folder, untracked)] };
}

function fleetIn(parts: Repository, inventory: Inventory = base()): Inventory {
  return { ...inventory, files: repository(parts).paths.map((path) => ({ path, encrypted: false })) };
}

const trigger = (name: string, message: RegExp, make: () => Inventory, parts: Partial<Trigger> = {}): Trigger => ({ id: 'fleet-secret-tracked', name, fleet: make, severity: 'error', subject: 'fleet', message, ...parts });
const inGroup = (text: string): (() => Inventory) => () => fleetIn({ files: { 'inventory/group_vars/all.yml': text } });

const TRIGGERS: readonly Trigger[] = [
  trigger('a token', /^expected no secret in clear in "inventory\/group_vars\/all\.yml", which git tracks, found k3s_token \(line 2\)$/, inGroup(`a: 1\nk3s_token: ${SECRET}\n`)),
  trigger('a password of Ansible in an INI inventory', /found ansible_password \(line 2\) and ansible_become_pass \(line 2\)$/, () => fleetIn({ files: { 'inventory.ini': `[all]\nnode1 ansible_host=192.0.2.1 ansible_password=${SECRET} ansible_become_pass="${SECRET}"\n` } })),
  trigger('in a block', /found admin_password \(line 1\)$/, inGroup(`admin_password: >-\n  ${SECRET}\n`)),
  trigger('in a mapping on one line', /found token \(line 1\)$/, inGroup(`k3s: { server: true, "token": "${SECRET}" }\n`)),
  trigger('a private key', /found a private key \(line 2\)$/, inGroup(`host_key: |\n  ${PEM.replaceAll('\n', '\n  ')}`)),
  trigger('a private key of age', /found a private key of age \(line 2\)$/, inGroup(`# key\nx: ${AGE}\n`)),
  trigger('a secret of the profiles', /found token \(line 1\)$/, () => fleetIn({ files: { 'all.yml': `token: ${SECRET}\n` } }, k3s())),
  trigger('a hash is less', /in clear in "all\.yml".*found password_hash \(line 1\)$/, () => fleetIn({ files: { 'all.yml': 'password_hash: $6$salt$hash\n' } }, k3s()), { severity: 'warning' }),
  trigger('a table', /found k3s_token \(a column\)$/, () => fleetIn({ files: { 'nodes.csv': `name,k3s_token\nnode1,${SECRET}\n` } }, { ...plain(['node1', { hostVars: { k3s_token: SECRET } }]), kind: 'csv' })),
  trigger('a file that is led to by a link', /in clear in "real\.yml"/, () => {
    const { folder } = repository({ files: { 'real.yml': `token: ${SECRET}\n` } });
    symlinkSync('real.yml', join(folder, 'link.yml'));
    return { ...base(), files: [{ path: join(folder, 'link.yml'), encrypted: false }] };
  }),
  trigger('beside a vault\'s value', /found b_token \(line 4\)$/, inGroup(`a_token: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3835\nb_token: ${SECRET}\n`)),
  {
    id: 'fleet-vault-password-tracked', name: 'beside the repository\'s root', severity: 'error', subject: 'fleet', message: /found that it tracks "\.vault_pass"$/,
    fleet: () => { const { folder } = repository({ files: { '.vault_pass': `${SECRET}\n`, 'inventory/all.yml': 'a: 1\n' } }); return { ...base(), files: [{ path: join(folder, 'inventory/all.yml'), encrypted: false }] }; },
  },
  {
    id: 'fleet-git-silent', name: 'a repository that git cannot read', severity: 'info', subject: 'fleet', message: /found that git gave no answer \(exit status 128\)$/,
    fleet: () => fleetIn({ files: { 'all.yml': `token: ${SECRET}\n` }, config: '[core\n' }),
  },
];

const QUIET: readonly Quiet[] = [
  { id: 'fleet-secret-tracked', name: 'not tracked', fleet: () => fleetIn({ files: { 'a.yml': 'a: 1\n' }, untracked: { 'b.yml': `token: ${SECRET}\n`, 'host_vars/c.yml': PEM } }) },
  { id: 'fleet-secret-tracked', name: 'no repository', fleet: () => ({ ...base(), files: write(scratch(), { 'a.yml': `token: ${SECRET}\n` }).map((path) => ({ path, encrypted: false })) }) },
  { id: 'fleet-secret-tracked', name: 'encrypted, looked up, empty', fleet: inGroup('a_token: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3835\nb_token: "{{ lookup(\'env\', \'TOKEN\') }}"\nc_token: ENC[AES256_GCM,data:x,iv:x,tag:x,type:str]\nd_token:\ne_token: ""\nf_token: null\n# g_token: abc\nansible_ssh_private_key_file: ~/.ssh/id\ntoken_ttl: 24h\nh_token: *a_token\ni_token: |\n  $ANSIBLE_VAULT;1.1;AES256\n') },
  { id: 'fleet-secret-tracked', name: 'a whole file of a vault', fleet: inGroup('$ANSIBLE_VAULT;1.1;AES256\n38353162\n') },
  { id: 'fleet-secret-tracked', name: 'files that are gone, folders, none', fleet: () => ({ ...base(), files: [{ path: '/nowhere/a.yml', encrypted: false }, { path: scratch(), encrypted: false }] }) },
  { id: 'fleet-vault-password-tracked', name: 'a script, an encrypted one, one that is not tracked', fleet: () => fleetIn({ files: { 'vault_pass': '#!/bin/sh\npass vault\n', 'vault-password': '$ANSIBLE_VAULT;1.1;AES256\n38\n', 'all.yml': 'a: 1\n', '.vault_password': '' }, untracked: { '.vault_pass': SECRET } }) },
  { id: 'fleet-git-silent', name: 'no secrets', fleet: () => fleetIn({ files: { 'all.yml': 'a: 1\n' }, config: '[core\n' }) },
];

export const secretIds = { triggers: TRIGGERS.map(({ id }) => id), quiet: QUIET.map(({ id }) => id) };

git.each(TRIGGERS.map((one) => [one.id, one.name, one] as const))('%s: %s', async (id, _, { fleet, severity, subject, message }) => {
  const findings = await findingsOf(fleet);
  expect(findings).toEqual([{ id, severity, subject, message: expect.stringMatching(message) as string, hint: expect.stringMatching(/./) as string }]);
  expect(JSON.stringify(findings)).not.toContain(SECRET);
});

git.each(QUIET.map((one) => [one.id, one.name, one] as const))('not %s: %s', async (_id, _, { fleet }) => {
  expect(await findingsOf(fleet)).toEqual([]);
});

afterEach(() => { vi.unstubAllEnvs(); });

git('without git it is told, once, that nobody was asked', async () => {
  const fleet = fleetIn({ files: { 'a.yml': `token: ${SECRET}\n`, 'b.yml': `token: ${SECRET}\n` } });
  vi.stubEnv('PATH', scratch());
  expect(await findingsOf(() => fleet)).toEqual([expect.objectContaining({ severity: 'info', id: 'fleet-git-silent', message: expect.stringMatching(/found that git is not installed$/) as string })]);
});

git('nothing of the repository runs, and the environment of a hook leads to no other one', async () => {
  const proof = join(scratch(), 'ran');
  const fleet = fleetIn({ files: { 'a.yml': `token: ${SECRET}\n` }, config: `[core]\n\tfsmonitor = touch ${proof}\n\thooksPath = /tmp\n` });
  const { folder } = repository({ files: { 'other.yml': 'a: 1\n' } });
  vi.stubEnv('GIT_DIR', join(folder, '.git'));
  vi.stubEnv('GIT_INDEX_FILE', join(folder, '.git/index'));
  expect((await findingsOf(() => fleet)).map(({ id }) => id)).toEqual(['fleet-secret-tracked']);
  expect(execaSync('ls', [dirname(proof)]).stdout).toBe('');
  execaSync('git', ['status'], { cwd: dirname(fleet.files[0]!.path), env: { GIT_DIR: undefined, GIT_INDEX_FILE: undefined }, reject: false });
  expect(execaSync('ls', [dirname(proof)]).stdout, 'the file system monitor of this repository works').toBe('ran');
});

git('paths with blanks, signs of patterns and other scripts; many files', async () => {
  const names = ['a b.yml', '*.yml', ':(top)x.yml', '-x.yml', 'naïve ☃.yml', ...Array.from({ length: 450 }, (_, at) => `host_vars/n${at}.yml`)];
  const fleet = fleetIn({ files: Object.fromEntries(names.slice(0, -1).map((name) => [name, `token: ${SECRET}\n`])), untracked: { [names.at(-1)!]: `token: ${SECRET}\n` } });
  const findings = await findingsOf(() => fleet);
  expect(findings).toHaveLength(names.length - 1);
  expect(findings.filter(({ message }) => message.includes('naïve ☃.yml') || message.includes(':(top)x.yml') || message.includes('"-x.yml"'))).toHaveLength(3);
});

test('long lines and many secrets take no long time, and at most 20 are told', () => {
  const hostile = [`a="`.repeat(300_000), `token: ${' '.repeat(500_000)}`, 'token=a '.repeat(10_000), '_'.repeat(500_000), `${'x_'.repeat(200_000)}token: a`, '-----BEGIN '.repeat(50_000), 'token: |\n'.repeat(50_000)];
  for (const text of hostile) expect(secretPlaces(text, new Set()).length).toBeLessThanOrEqual(20);
  expect(secretPlaces(hostile[2]!, new Set())).toHaveLength(20);
});

test.each([
  ['token: "{secret}"', 1], ['token: {{ x }}', 0], ['token: #none', 0], ['token: "#abc"', 1], ['token == x', 1], ['my-token=x', 1], ['tokens: x', 0], ['atoken: x', 0], ['ANSIBLE_PASSWORD=x', 1], ['x.token: y', 0],
  ['ansible_ssh_pass: x', 1], ['ansible_become: true', 0], ['wifi_psk = "x"', 1], ['"password": "x"', 1], ['https://h/?token=abc', 1], ['-----BEGIN ENCRYPTED PRIVATE KEY-----', 0], ['-----BEGIN PRIVATE KEY-----', 1],
  ['-----BEGIN PUBLIC KEY-----', 0], [`K10${'a'.repeat(64)}::server:x`, 1], ['; token = x', 0],
])('%s: %i', (text, count) => {
  expect(secretPlaces(text, new Set())).toHaveLength(count);
});
