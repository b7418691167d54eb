/** The inventory that goes back out, as Ansible reads it, and a first connection with it to a real sshd that has a minted key. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import { mkdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { ansibleInventoryOut, type InventoryOutOptions } from '../../../src/fleet/identity/ansible-inventory.js';
import { mintIdentity } from '../../../src/fleet/identity/mint.js';
import { knownHosts, type ByName } from '../../../src/fleet/identity/published.js';
import type { FleetNode, Value } from '../../../src/fleet/model.js';
import { hasProgram, needs, oracleEnvironment, output } from '../../support/oracle.js';
import { byName, fleetNode, quickIdentity, testFolder } from './quick.js';

const folder = testFolder();
const ansible = { ...oracleEnvironment, LC_ALL: 'C.UTF-8', HOME: folder, ANSIBLE_CONFIG: join(folder, 'none.cfg'), ANSIBLE_NOCOLOR: '1', ANSIBLE_INVENTORY_UNPARSED_FAILED: '1', ANSIBLE_LOCAL_TEMP: join(folder, 'tmp') };
writeFileSync(join(folder, 'none.cfg'), '');

interface Listed { _meta: { hostvars: Record<string, Record<string, Value>> }; [group: string]: unknown }
async function listed(text: string): Promise<Listed> {
  writeFileSync(join(folder, 'inventory.yaml'), text);
  const { stdout } = await execa('ansible-inventory', ['-i', join(folder, 'inventory.yaml'), '--list'], { env: ansible });
  return JSON.parse(stdout) as Listed;
}
const hostsOf = (list: Listed, group: string): string[] => (list[group] as { hosts?: string[] } | undefined)?.hosts ?? [];

function out(nodes: readonly FleetNode[], groups: Record<string, string[]> = {}, identities: ByName = new Map(), options: Partial<InventoryOutOptions> = {}): string {
  return ansibleInventoryOut({ nodes, groups: new Map(Object.entries(groups)) }, identities, { knownHosts: 'known_hosts', ...options });
}

describe('ansible-inventory --list', () => {
  const vars = { kube_version: '1.36.0', ansible_user: 'rocky', kube_owner: 'root', etcd_quota: '8G', list: [1, 'yes', { a: null }], quoted: 'it\'s "so"', template: '{{ groups["all"] | join(",") }}', lines: 'a\nb\n', 'odd key': true };
  const nodes = [
    fleetNode('node1', { address: '192.0.2.11', hostVars: { ...vars, ip: '192.0.2.11', etcd_member_name: 'etcd1' } }),
    fleetNode('node2', { address: '192.0.2.12', hostVars: { ...vars, ip: '192.0.2.12', ansible_host: 'node2.example.org' } }),
    fleetNode('lone', { address: '192.0.2.13', hostVars: { kube_version: '1.35.0' }, variables: { user: 'admin' } }),
  ];
  const groups = { kube_control_plane: ['node1'], kube_node: ['node1', 'node2'], k8s_cluster: ['node1', 'node2'], calico_rr: [] };

  needs('ansible-inventory')('groups and variables as they came in, address and user filled in', async () => {
    const list = await listed(out(nodes, groups));
    expect(['kube_control_plane', 'kube_node', 'k8s_cluster', 'ungrouped'].map((group) => hostsOf(list, group))).toEqual([['node1'], ['node1', 'node2'], ['node1', 'node2'], ['lone']]);
    expect(list._meta.hostvars).toEqual({
      node1: { ...nodes[0]!.hostVars, ansible_host: '192.0.2.11' }, node2: nodes[1]!.hostVars, lone: { kube_version: '1.35.0', ansible_host: '192.0.2.13', ansible_user: 'admin' },
    });
    expect((list.all as { children: string[] }).children).toContain('calico_rr'); // roles ask for it also when it is empty
  });

  const seed = 20_261_126;
  const text = fc.oneof(fc.string({ maxLength: 12 }), fc.string({ unit: 'grapheme', maxLength: 6 }), fc.constantFrom('yes', 'no', 'on', 'off', '~', 'null', '0644', '0x1f', '1_000', '1e3', '1:30', '.inf', '2026-11-26', '- a', 'a: b', '# c', '!vault x', '&a', '*a', '%x', '@x', '`x', '{a}', '[a]', '=', '<<', ' x ', '\t', 'a\r\nb', '\u{2028}', '\u{85}', '---', '...', '"', '\'', '\\', '{{ x }}'))
    .filter((one) => !/[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufeff\ufffe\uffff]|[\u0080-\u0084\u0086-\u009f]/u.test(one)); // YAML itself has no such characters
  const value: fc.Arbitrary<Value> = fc.letrec<{ value: Value }>((tie) => ({
    value: fc.oneof({ depthSize: 'small' }, text, fc.boolean(), fc.integer(), fc.constant(null), fc.array(tie('value'), { maxLength: 3 }), fc.dictionary(text, tie('value'), { maxKeys: 3, noNullPrototype: true }).filter((object) => !('__proto__' in object && Object.hasOwn(object, '__proto__')))),
  })).value;
  needs('ansible-inventory')(`any value that YAML can hold comes back the same, on one host and on all (seed ${seed})`, async () => {
    const values = fc.sample(value, { seed, numRuns: 250 });
    const own = Object.fromEntries(values.map((one, index) => [`v${index}`, one]));
    const list = await listed(out([fleetNode('node1', { hostVars: { ...own, same: values } }), fleetNode('007', { hostVars: { same: values } }), fleetNode('1e3', { hostVars: { same: values } })], { yes: ['node1', '007'], 'g-1': ['1e3'] }));
    expect(Object.keys(list._meta.hostvars).sort()).toEqual(['007', '1e3', 'node1']);
    expect(list._meta.hostvars.node1).toEqual({ ...own, same: values });
    expect(list._meta.hostvars['1e3']).toEqual({ same: values });
    expect(hostsOf(list, 'yes')).toEqual(['node1', '007']);
  });

  test('the same for the same; what all have stands once; no host', async () => {
    expect(out(nodes, groups)).toBe(out(nodes, groups));
    const same = Array.from({ length: 50 }, (_, index) => fleetNode(`n${index}`, { hostVars: { big: vars, ip: `192.0.2.${index}` } }));
    expect(out(same).split('kube_version').length - 1).toBe(1);
    expect(out([])).toMatch(/\nall:\n {2}hosts: \{\}\n {2}children: \{\}\n$/);
  });
});

describe('secrets', () => {
  const secret = 'hunter2-hunter2';
  const hidden: Record<string, Value> = {
    ansible_password: secret, ansible_ssh_pass: secret, ansible_become_password: 12345678, vault_k3s_token: secret, kubeadm_certificate_key: secret, registry: [{ host: 'r', password: secret }], grafana_admin_password: `x{{ y }}${secret}`,
    known_by_name: secret, known_by_value: { deep: [`a ${secret}-value b`] }, key_text: '-----BEGIN OPENSSH PRIVATE KEY-----\nx', vaulted: '$ANSIBLE_VAULT;1.1;AES256\n3132', etcd_secret: secret, htpasswd_secret: secret, api_key: secret, 'basic-auth': secret,
  };
  const shown: Record<string, Value> = {
    ansible_ssh_private_key_file: '~/.ssh/id_ed25519', kube_encrypt_secret_data: false, credentials_dir: '{{ inventory_dir }}/credentials', token_ttl: '24h', ansible_become_pass: '{{ vault_become_pass }}', kube_token_auth: true,
    passport: 'blue', tokenizer: 'bpe', password_hash_seed: 'x', kube_network_plugin: 'calico', author: 'me', empty_password: '',
  };
  const text = out([fleetNode('n1', { hostVars: { ...hidden, ...shown } }), fleetNode('n2', { hostVars: shown })], {}, new Map(), { secretNames: new Set(['known_by_name']), secretValues: [`${secret}-value`] });

  test('by name, by value, by form: none is in it, and their names are told', () => {
    expect(text).not.toMatch(/hunter2|12345678|BEGIN OPENSSH|ANSIBLE_VAULT/);
    expect(text.split('\n')[1]).toBe(`# Left out, for they are secret: ${Object.keys(hidden).sort().map((name) => JSON.stringify(name)).join(', ')}. Give them with a vault file, as before.`);
  });

  needs('ansible-inventory')('what only is called alike stays', async () => {
    const { hostvars } = (await listed(text))._meta;
    expect([hostvars.n1, hostvars.n2]).toEqual([shown, shown]);
  });

  test('a name with a line end makes no line of its own', () => {
    expect(out([fleetNode('n1', { hostVars: { 'token\nall: x': secret } })]).split('\n').filter((line) => line.startsWith('all:'))).toEqual(['all:']);
  });
});

describe('knowing the nodes', () => {
  const identities = byName(quickIdentity('n1'), quickIdentity('n2'));
  const args = '-o \'UserKnownHostsFile="/f/known_hosts"\' -o \'GlobalKnownHostsFile="/f/known_hosts"\' -o StrictHostKeyChecking=yes';

  needs('ansible-inventory')('ours come before the inventory\'s own; common args only where it has some; nothing for a node without an identity', async () => {
    const nodes = [fleetNode('n1'), fleetNode('n2', { hostVars: { ansible_ssh_common_args: '-o StrictHostKeyChecking=no -J bastion', ansible_ssh_extra_args: '-v' } }), fleetNode('n3')];
    const { hostvars } = (await listed(out(nodes, {}, identities, { knownHosts: '/f/known_hosts' })))._meta;
    const extra = { ansible_host_key_checking: true, ansible_ssh_extra_args: args, ansible_sftp_extra_args: args, ansible_scp_extra_args: args };
    expect(hostvars).toEqual({ n1: extra, n2: { ...extra, ansible_ssh_common_args: `${args} -o StrictHostKeyChecking=no -J bastion`, ansible_ssh_extra_args: `${args} -v` } });
  });

  test.each(['', 'a"b', 'a\'b', 'a\\b', '/x/${HOME}', '/x/{{ y }}', '/x/{% y %}', '/x\ny'])('a path that ssh or Ansible would read otherwise is refused: %j', (path) => {
    expect(() => out([], {}, identities, { knownHosts: path })).toThrow(expect.objectContaining({ code: 'usage' }));
  });
});

describe('a first connection', () => {
  const servers: ChildProcess[] = [];
  afterAll(() => servers.forEach((server) => server.kill('SIGTERM')));
  const home = join(folder, 'a %h folder'); // a token of ssh's, and spaces
  mkdirSync(home);

  const freePort = (): Promise<number> => new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });

  /** An sshd on 127.0.0.1 with these host keys, for the user who runs the tests. */
  async function serve(name: string, keys: readonly { type: string; privateKey: string }[]): Promise<number> {
    const port = await freePort();
    const directory = join(folder, name);
    mkdirSync(directory, { mode: 0o700 });
    if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
    for (const { type, privateKey } of keys) writeFileSync(join(directory, type), privateKey, { mode: 0o600 });
    writeFileSync(join(directory, 'config'), [
      `ListenAddress 127.0.0.1:${port}`, ...keys.map(({ type }) => `HostKey ${directory}/${type}`), `AuthorizedKeysFile ${folder}/user.pub`, 'StrictModes no', 'UsePAM no', 'PasswordAuthentication no', 'PermitRootLogin yes', 'PidFile none', '',
    ].join('\n'));
    const server = spawn(['/usr/sbin/sshd', '/usr/bin/sshd'].find(hasProgram)!, ['-D', '-e', '-f', join(directory, 'config')], { stdio: ['ignore', 'ignore', 'pipe'] });
    servers.push(server);
    let said = '';
    await new Promise<void>((resolve, reject) => {
      server.stderr!.on('data', (data: Buffer) => { said += data.toString(); if (/Server listening/.test(said)) resolve(); });
      server.on('exit', () => reject(new Error(`sshd ended: ${said}`)));
    });
    return port;
  }

  needs('ansible', 'sshd', 'ssh', 'ssh-keygen')('ssh and Ansible ask nothing where the node has its minted keys, and go no further where it has others, with Kubespray\'s ansible.cfg too', { timeout: 300_000 }, async () => {
    output('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'user')]);
    const [minted, impostor] = [await mintIdentity('node1'), quickIdentity('node1').hostKeys.slice(0, 2)];
    const [right, wrong] = [await serve('right', minted.hostKeys), await serve('wrong', impostor)];
    const connect = async (port: number, config: string): Promise<{ exitCode: number | undefined; all: string }> => {
      const node = fleetNode('node1', { address: '127.0.0.1', hostVars: { ansible_host: '127.0.0.1', ansible_port: port, ansible_user: userInfo().username, ansible_ssh_private_key_file: join(folder, 'user') } });
      writeFileSync(join(home, 'known_hosts'), knownHosts([node], byName(minted)));
      writeFileSync(join(home, 'inventory.yaml'), out([node], { kube_node: ['node1'] }, byName(minted)));
      writeFileSync(join(folder, 'ansible.cfg'), config);
      const command = ['-i', join(home, 'inventory.yaml'), 'all', '-m', 'raw', '-a', 'echo reached'];
      const { exitCode, all } = await execa('ansible', command, { env: { ...ansible, ANSIBLE_CONFIG: join(folder, 'ansible.cfg') }, all: true, reject: false, stdin: 'ignore' });
      return { exitCode, all };
    };
    const kubespray = '[defaults]\nhost_key_checking = False\n[ssh_connection]\npipelining = True\nssh_args = -o ControlMaster=no -o ConnectionAttempts=100 -o UserKnownHostsFile=/dev/null\n';
    for (const config of ['[ssh_connection]\nssh_args = -o ControlMaster=no\n', kubespray]) {
      expect(await connect(right, config)).toMatchObject({ exitCode: 0, all: expect.stringMatching(/node1 \| CHANGED \| rc=0 >>\n\s*reached/) as string });
    }
    expect(await connect(wrong, kubespray)).toMatchObject({ exitCode: 4, all: expect.stringMatching(/UNREACHABLE.*Host key verification failed/s) as string });
    const ssh = async (port: number): Promise<number | undefined> => {
      writeFileSync(join(folder, 'known'), knownHosts([fleetNode('node1', { address: '127.0.0.1', hostVars: { ansible_host: '127.0.0.1', ansible_port: port } })], byName(minted)));
      const options = ['BatchMode=yes', 'StrictHostKeyChecking=yes', `UserKnownHostsFile=${folder}/known`, 'GlobalKnownHostsFile=/dev/null'].flatMap((option) => ['-o', option]);
      return (await execa('ssh', ['-F', 'none', ...options, '-i', join(folder, 'user'), '-p', String(port), '127.0.0.1', 'true'], { reject: false, stdin: 'ignore' })).exitCode;
    };
    expect([await ssh(right), await ssh(wrong)]).toEqual([0, 255]);
  });
});
