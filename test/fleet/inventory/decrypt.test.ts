/** Encrypted inventories: real ansible-vault there and back, and sops by a stand-in, for Debian has no sops. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execaSync } from 'execa';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { RockberryError } from '../../../src/errors.js';
import { readInventory } from '../../../src/fleet/inventory.js';
import { runAnsible } from '../../ansible/support.js';
import { scratch } from '../../support/cli.js';
import { hasProgram, needs } from '../../support/oracle.js';
import { folderOf, inventoryEnvironment, listed, type Answer } from './oracle.js';

const PASSWORD = 'correct horse';
const SECRETS = ['s3cret-token', '$6$salted$hash', '192.0.2.77'];
const vault = needs('ansible-vault', 'ansible-inventory');
const { PATH, ANSIBLE_VAULT_PASSWORD_FILE } = process.env;
const encrypted = { file: '', hash: '', address: '', inventory: '' };
let passwordFile = '';

beforeAll(() => {
  passwordFile = join(scratch(), 'password');
  writeFileSync(passwordFile, `${PASSWORD}\n`);
  if (!hasProgram('ansible-vault')) return;
  const folder = folderOf({ file: `vault_token: ${SECRETS[0]}\nplain: yes\n`, inventory: '[server]\nn1 token=s3cret-token\n[server:vars]\nopen "quote\n' });
  const ask = (...args: readonly string[]): string => execaSync('ansible-vault', [...args, '--vault-password-file', passwordFile], { env: inventoryEnvironment(), extendEnv: false }).stdout;
  ask('encrypt', join(folder, 'file'), join(folder, 'inventory'));
  const [hash, address] = ask('encrypt_string', SECRETS[1]!, `${SECRETS[2]!}.1`, '--name', 'rockberry_password_hash', '--name', 'ip').split(/\n(?=ip: )/);
  Object.assign(encrypted, { file: readFileSync(join(folder, 'file'), 'utf8'), inventory: readFileSync(join(folder, 'inventory'), 'utf8'), hash, address });
});

afterEach(() => {
  process.env.PATH = PATH;
  if (ANSIBLE_VAULT_PASSWORD_FILE === undefined) delete process.env.ANSIBLE_VAULT_PASSWORD_FILE;
  else process.env.ANSIBLE_VAULT_PASSWORD_FILE = ANSIBLE_VAULT_PASSWORD_FILE;
});

function fleet(): string {
  return folderOf({
    'inventory.ini': '[server]\nn1 ansible_host=192.0.2.11\n[agent]\nn2\n[all:vars]\nk3s_version=v1.34.1+k3s1\n',
    'group_vars/all/vault.yml': `${encrypted.file}\n`, 'group_vars/all/vars.yml': 'token: "{{ vault_token }}"\n', 'host_vars/n1.yml': `${encrypted.hash}\nother: 1\n`,
  });
}

async function errorOf(work: Promise<unknown>): Promise<RockberryError> {
  const error: unknown = await work.then(() => undefined, (failure: unknown) => failure);
  expect(error).toBeInstanceOf(RockberryError);
  for (const secret of SECRETS) expect(JSON.stringify([error, (error as Error).stack, (error as Error).cause ?? null])).not.toContain(secret);
  return error as RockberryError;
}

vault('a file and a value of ansible-vault\'s are what they were, and what Ansible makes of them', async () => {
  const folder = fleet();
  process.env.ANSIBLE_VAULT_PASSWORD_FILE = passwordFile;
  const inventory = await readInventory(join(folder, 'inventory.ini'));
  const { output } = await runAnsible(inventoryEnvironment({ ANSIBLE_VAULT_PASSWORD_FILE: passwordFile }), '/', 'ansible-inventory', ['-i', join(folder, 'inventory.ini'), '--list']);
  const { n1, n2 } = listed(JSON.parse(output) as Answer)!.vars;
  expect((n1!.rockberry_password_hash as { __ansible_vault: string }).__ansible_vault).toContain('$ANSIBLE_VAULT;1.1;AES256');
  expect(inventory.nodes.map(({ hostVars }) => hostVars)).toEqual([{ ...n1, rockberry_password_hash: SECRETS[1] }, n2]);
  expect(inventory.nodes.map(({ variables }) => [variables.token, variables.password_hash, variables.server])).toEqual([[SECRETS[0], SECRETS[1], undefined], [SECRETS[0], undefined, 'https://192.0.2.11:6443']]);
  expect(inventory.files).toEqual([['group_vars/all/vars.yml', false], ['group_vars/all/vault.yml', true], ['host_vars/n1.yml', true], ['inventory.ini', false]].map(([name, isEncrypted]) => ({ path: join(folder, String(name)), encrypted: isEncrypted })));
  expect(readdirSync(folder).sort()).toEqual(['group_vars', 'host_vars', 'inventory.ini']);
});

vault('a wrong password, and no program', async () => {
  writeFileSync(`${passwordFile}.wrong`, 'battery staple\n');
  const folder = fleet();
  const wrong = await errorOf(readInventory(join(folder, 'inventory.ini'), { vaultPasswordFile: `${passwordFile}.wrong` }));
  expect(wrong.code).toBe('io');
  expect(wrong.message).toMatch(/^\S+\/group_vars\/all\/vault\.yml: expected ansible-vault to open it, found: .*[Dd]ecrypt/);
  process.env.PATH = scratch();
  const missing = await errorOf(readInventory(join(folder, 'inventory.ini')));
  expect([missing.code, missing.message]).toEqual(['missing-program', `${folder}/group_vars/all/vault.yml: expected the program ansible-vault, which opens it, found none`]);
  expect(missing.hint).toContain('ansible-core');
});

vault('what was decrypted is in no error: a value that is wrong, a file that is wrong', async () => {
  const folder = folderOf({
    'value.yaml': `all:\n  hosts:\n    n1:\n${encrypted.address.replace(/^/gm, '      ')}\n`,
    'own.yaml': `nodes: {n1: }\n${encrypted.address.replace('ip:', 'vip:')}\n`,
    'file.ini': `${encrypted.inventory}\n`,
  });
  const options = { vaultPasswordFile: passwordFile };
  expect((await errorOf(readInventory(join(folder, 'value.yaml'), options))).message).toBe(`${folder}/value.yaml:4:7: expected an IP address for "ip" of the node "n1", found another value (not shown: it is secret)`);
  expect((await errorOf(readInventory(join(folder, 'own.yaml'), options))).message).toBe(`${folder}/own.yaml:2:13: expected an IP address for "vip", found another value (not shown: the file has secrets)`);
  expect((await errorOf(readInventory(join(folder, 'file.ini'), options))).message).toBe(`${folder}/file.ini:4:1: expected key=value in [server:vars], found a line without "="`);
});

vault('our own YAML with a value of ansible-vault\'s', async () => {
  const folder = folderOf({ 'fleet.yaml': `nodes:\n  n1:\n    variables:\n${encrypted.hash.replace('rockberry_', '').replace(/^/gm, '      ')}\n` });
  const { nodes, files } = await readInventory(join(folder, 'fleet.yaml'), { vaultPasswordFile: passwordFile });
  expect(nodes[0]!.variables.password_hash).toBe(SECRETS[1]);
  expect(files).toEqual([{ path: join(folder, 'fleet.yaml'), encrypted: true }]);
});

/** Prints what lies in FILE.plain, or fails as sops does; and notes its arguments. */
function standIn(): string {
  const folder = scratch();
  const path = join(folder, 'sops');
  writeFileSync(path, '#!/bin/sh\nprintf "%s\\n" "$*" >> "${0%/*}/calls"\nfor file; do :; done\n[ -e "$file.plain" ] && exec cat "$file.plain"\necho "Failed to get the data key required to decrypt the SOPS file." >&2\nexit 128\n');
  chmodSync(path, 0o755);
  process.env.PATH = `${folder}:${PATH}`;
  return join(folder, 'calls');
}

const SOPS_YAML = 'token: ENC[AES256_GCM,data:q1c=,iv:a=,tag:b=,type:str]\nsops:\n    age: []\n    lastmodified: "2026-01-01T00:00:00Z"\n    mac: ENC[AES256_GCM,data:xyz=,type:str]\n    version: 3.9.0\n';

test('files of sops are opened by sops: YAML, JSON, without an ending, NAME.sops.yml', async () => {
  const calls = standIn();
  const folder = folderOf({
    'hosts.ini': '[server]\nn1\n[agent]\nn2\n', 'group_vars/all.yml': SOPS_YAML, 'group_vars/all.yml.plain': `token: ${SECRETS[0]}\nk3s_version: v1.34.1+k3s1\n`,
    'group_vars/agent.json': '{"a": "ENC[AES256_GCM,data:q=]", "sops": {"mac": "ENC[x]"}}', 'group_vars/agent.json.plain': '{"a": 1}',
    'host_vars/n1': SOPS_YAML, 'host_vars/n1.plain': 'b: 2\n', 'host_vars/n2.sops.yaml': SOPS_YAML, 'host_vars/n2.sops.yaml.plain': 'c: 3\n', 'host_vars/n2.yml': 'c: 1\nsops: no\n',
  });
  const { nodes, files } = await readInventory(join(folder, 'hosts.ini'));
  expect(nodes.map(({ hostVars }) => hostVars)).toEqual([{ token: SECRETS[0], k3s_version: 'v1.34.1+k3s1', b: 2 }, { token: SECRETS[0], k3s_version: 'v1.34.1+k3s1', a: 1, c: 3, sops: false }]);
  expect(files.filter(({ encrypted: isEncrypted }) => isEncrypted).map(({ path }) => path.slice(folder.length + 1))).toEqual(['group_vars/agent.json', 'group_vars/all.yml', 'host_vars/n1', 'host_vars/n2.sops.yaml']);
  expect(readFileSync(calls, 'utf8').trim().split('\n').sort()).toEqual([
    `-d ${folder}/group_vars/agent.json`, `-d ${folder}/group_vars/all.yml`, `-d ${folder}/host_vars/n2.sops.yaml`, `-d --input-type yaml --output-type yaml ${folder}/host_vars/n1`,
  ].sort());
});

test('an inventory that sops encrypted as a whole', async () => {
  const calls = standIn();
  const folder = folderOf({ 'nodes.csv': '{"data": "ENC[AES256_GCM,data:q=]", "sops": {"mac": "ENC[x]"}}', 'nodes.csv.plain': `name,token,groups\nn1,${SECRETS[0]},server\n` });
  const { kind, nodes } = await readInventory(join(folder, 'nodes.csv'));
  expect([kind, nodes[0]!.variables.token]).toEqual(['csv', SECRETS[0]]);
  expect(readFileSync(calls, 'utf8').trim()).toBe(`-d --input-type binary --output-type binary ${folder}/nodes.csv`);
});

test('sops that fails, and no sops', async () => {
  standIn();
  const folder = folderOf({ 'fleet.yaml': `nodes: {n1: }\n${SOPS_YAML}` });
  mkdirSync(join(folder, 'empty'));
  const failed = await errorOf(readInventory(join(folder, 'fleet.yaml')));
  expect([failed.code, failed.message]).toEqual(['io', `${folder}/fleet.yaml: expected sops to open it, found: Failed to get the data key required to decrypt the SOPS file.`]);
  process.env.PATH = join(folder, 'empty');
  const missing = await errorOf(readInventory(join(folder, 'fleet.yaml')));
  expect([missing.code, missing.message, missing.hint]).toEqual(['missing-program', `${folder}/fleet.yaml: expected the program sops, which opens it, found none`, 'install sops (https://getsops.io): the inventory holds a file that it encrypted']);
});
