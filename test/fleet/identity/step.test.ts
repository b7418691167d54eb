/** An identity in a tree. That labels come from the image's policy and that ext4 keeps it all is shown by the steps' own tests: the identity goes the way of files. */
import { describe, expect, test } from 'vitest';
import type { Tree } from '../../../src/fs/filesystem.js';
import { identityFiles, identityStep, MINTED_PATHS } from '../../../src/fleet/identity/step.js';
import { identityStep as resetStep } from '../../../src/steps/identity.js';
import { hygieneRules } from '../../../src/verify/rules/hygiene.js';
import { memoryTree, textOf, touched } from '../../support/memory-tree.js';
import { needs, run } from '../../support/oracle.js';
import { memoryNode } from '../../verify/node.js';
import { quickIdentity } from './quick.js';

const identity = quickIdentity('node1');
const EL9 = { '/etc/group': 'root:x:0:\nssh_keys:x:101:\n', '/etc/ssh/sshd_config': 'x', '/etc/machine-id': { content: '', mode: 0o444 }, '/boot/cmdline.txt': 'x' };
const DEBIAN = { ...EL9, '/etc/group': 'root:x:0:\n' };
const modes = (tree: Tree): Record<string, string> => Object.fromEntries(MINTED_PATHS.map((path) => {
  const { mode, uid, gid, type } = tree.stat(path)!;
  return [path, `${type} ${mode.toString(8).padStart(4, '0')} ${uid}:${gid}`];
}));

async function placed(seeds: Parameters<typeof memoryTree>[0], label?: NonNullable<Parameters<typeof memoryTree>[1]>['label']): Promise<Tree> {
  const tree = memoryTree(seeds, label && { label });
  await identityStep(identity).apply(tree);
  expect(await identityStep(identity).verify(tree)).toEqual([]);
  return tree;
}

describe('placed', () => {
  test('on EL9: keys 0640 root:ssh_keys, public halves 0644, machine-id 0444, with the policy\'s labels', async () => {
    const tree = await placed(EL9, (path) => (path.startsWith('/etc/ssh/ssh_host_') ? 'system_u:object_r:sshd_key_t:s0' : path === '/etc/machine-id' ? 'system_u:object_r:machineid_t:s0' : 'system_u:object_r:etc_t:s0'));
    expect(modes(tree)).toEqual({
      '/etc/machine-id': 'file 0444 0:0',
      '/etc/ssh/ssh_host_ecdsa_key': 'file 0640 0:101', '/etc/ssh/ssh_host_ecdsa_key.pub': 'file 0644 0:0', '/etc/ssh/ssh_host_ed25519_key': 'file 0640 0:101',
      '/etc/ssh/ssh_host_ed25519_key.pub': 'file 0644 0:0', '/etc/ssh/ssh_host_rsa_key': 'file 0640 0:101', '/etc/ssh/ssh_host_rsa_key.pub': 'file 0644 0:0',
    });
    expect(textOf(tree, '/etc/machine-id')).toBe(`${identity.machineId}\n`);
    for (const { type, privateKey, publicKey } of identity.hostKeys) {
      expect([textOf(tree, `/etc/ssh/ssh_host_${type}_key`), textOf(tree, `/etc/ssh/ssh_host_${type}_key.pub`)]).toEqual([privateKey, `${publicKey}\n`]);
    }
    const labels = MINTED_PATHS.map((path) => Buffer.from(tree.xattrs(path).get('security.selinux')!).toString().split(':')[2]);
    expect(labels).toEqual(['machineid_t', ...Array.from({ length: 6 }, () => 'sshd_key_t')]);
    expect(touched(tree)).toEqual(['changed /etc/machine-id', 'created /etc/rockberry', 'created /etc/rockberry/node', ...MINTED_PATHS.slice(1).map((path) => `created ${path}`)]);
  });

  test('where there is no ssh_keys: 0600 root:root', async () => {
    expect(Object.values(modes(await placed(DEBIAN))).sort()).toEqual(['file 0444 0:0', ...Array.from({ length: 3 }, () => 'file 0600 0:0'), ...Array.from({ length: 3 }, () => 'file 0644 0:0')]);
  });

  test('whose image it is: by the host name in it, else by the inventory\'s', async () => {
    expect(textOf(await placed({ ...EL9, '/etc/hostname': 'node1.example.org\n' }), '/etc/rockberry/node')).toBe('node1.example.org\n');
    expect([textOf(await placed(EL9), '/etc/rockberry/node'), textOf(await placed({ ...EL9, '/etc/hostname': '' }), '/etc/rockberry/node')]).toEqual(['node1\n', 'node1\n']);
  });

  test('verify\'s hygiene takes them for the node\'s own, and for nobody\'s without that word', async () => {
    const seeds = { ...EL9, '/etc/hostname': 'node1\n' };
    const ids = ['hygiene-host-keys', 'hygiene-machine-id', 'hygiene-private-keys'];
    const problems = (files: Parameters<typeof memoryNode>[0]): string[] => hygieneRules.filter(({ id }) => ids.includes(id)).flatMap((rule) => {
      const verdict = rule.check(memoryNode(files));
      return verdict && 'problems' in verdict ? verdict.problems.map(({ subject }) => subject) : [];
    });
    const tree = await placed(seeds);
    const read = (paths: readonly string[]): Record<string, string> => Object.fromEntries(paths.map((path) => [path, textOf(tree, path)!]));
    expect(problems({ ...seeds, ...read([...MINTED_PATHS, '/etc/rockberry/node']) })).toEqual([]);
    expect(problems({ ...seeds, ...read(MINTED_PATHS) }).sort()).toEqual(MINTED_PATHS);
  });

  test('twice is once', async () => {
    const tree = await placed(EL9);
    const before = tree.actions();
    await identityStep(identity).apply(tree);
    expect(tree.actions()).toEqual(before);
  });

  test('over what another machine left, links and wrong modes among it', async () => {
    const left = { '/etc/ssh/ssh_host_rsa_key': { content: 'old', mode: 0o644, uid: 5 }, '/etc/ssh/ssh_host_ecdsa_key': { target: '/dev/null' }, '/etc/machine-id': { target: '/etc/elsewhere' }, '/etc/elsewhere': 'mine' };
    const tree = await placed({ ...EL9, ...left });
    expect([tree.stat('/etc/machine-id')!.type, textOf(tree, '/etc/elsewhere'), tree.stat('/dev/null'), tree.stat('/etc/ssh/ssh_host_rsa_key')!.uid]).toEqual(['file', 'mine', undefined, 0]);
  });

  test('after identity: reset, which takes such files away', async () => {
    const tree = memoryTree({ ...EL9, '/etc/ssh/ssh_host_dsa_key': 'old' });
    await resetStep.apply(tree, 'reset', { directory: '/' });
    await identityStep(identity).apply(tree);
    expect([await identityStep(identity).verify(tree), tree.stat('/etc/ssh/ssh_host_dsa_key')]).toEqual([[], undefined]);
    const reset = (await resetStep.verify(tree, 'reset', { directory: '/' })).filter(({ id }) => id === 'step-identity');
    expect(reset.map(({ subject }) => subject).sort()).toEqual(MINTED_PATHS); // what the check of the reset has to leave out
  });

  needs('ssh-keygen')('what is in the tree is what ssh-keygen knows', async () => {
    const tree = await placed(EL9);
    const shown = run('ssh-keygen', ['-l', '-f', '-'], tree.read('/etc/ssh/ssh_host_ed25519_key.pub'));
    expect(shown).toEqual({ status: 0, output: `256 ${identity.hostKeys[0]!.fingerprint} root@node1 (ED25519)` });
  });
});

describe('verify', () => {
  const wrong = async (change: (tree: Tree) => void): Promise<string[]> => {
    const tree = await placed(EL9);
    change(tree);
    const findings = await identityStep(identity).verify(tree);
    expect(findings.every(({ severity, id }) => severity === 'error' && id === 'step-minted')).toBe(true);
    return findings.map(({ subject, message }) => `${subject}: ${message}`);
  };

  test.each<[string, (tree: Tree) => void, RegExp]>([
    ['another key', (tree) => tree.write('/etc/ssh/ssh_host_rsa_key', Buffer.from(quickIdentity('node1').hostKeys[0]!.privateKey)), /rsa_key: expected the content/],
    ['another mode', (tree) => tree.change('/etc/ssh/ssh_host_ed25519_key', { mode: 0o644 }), /ed25519_key: expected the mode 640, found 644/],
    ['another owner', (tree) => tree.change('/etc/machine-id', { uid: 1 }), /machine-id: expected the owner 0, found 1/],
    ['another group', (tree) => tree.change('/etc/ssh/ssh_host_ecdsa_key', { gid: 0 }), /ecdsa_key: expected the group 101, found 0/],
    ['a public half that is gone', (tree) => tree.remove('/etc/ssh/ssh_host_ecdsa_key.pub'), /ecdsa_key\.pub: expected a file, found nothing/],
    ['an empty machine-id', (tree) => tree.truncate('/etc/machine-id', 0), /machine-id: expected the content/],
  ])('%s', async (_, change, message) => {
    expect(await wrong(change)).toEqual([expect.stringMatching(message)]);
  });

  test('says no secret, and another node\'s identity is seen', async () => {
    const tree = await placed(EL9);
    const step = identityStep(quickIdentity('node2'));
    const said = JSON.stringify([await step.verify(tree), step.title, step.describe(), step.where]);
    expect(await step.verify(tree)).toHaveLength(8); // with whose image it is
    const secrets = [identity.machineId, ...identity.hostKeys.flatMap(({ privateKey }) => privateKey.split('\n').slice(1, -2))];
    expect(secrets.filter((secret) => said.includes(secret.slice(0, 16)))).toEqual([]);
    expect(step.title).toBe('identity of node2: SSH host keys and machine-id');
  });
});

describe('what would make other keys at the first boot', () => {
  const UNIT = '[Unit]\nDescription=Regenerate SSH host keys\n[Service]\nType=oneshot\nExecStart=/usr/lib/raspberrypi-sys-mods/regenerate_ssh_host_keys\n[Install]\nWantedBy=multi-user.target\n';
  const SCRIPT = '/usr/lib/raspberrypi-sys-mods/regenerate_ssh_host_keys';
  const LINK = '/etc/systemd/system/multi-user.target.wants/regenerate_ssh_host_keys.service';
  const RASPBERRY = {
    ...DEBIAN, '/usr/lib/systemd/system/regenerate_ssh_host_keys.service': UNIT, [LINK]: { target: '/usr/lib/systemd/system/regenerate_ssh_host_keys.service' },
    [SCRIPT]: { content: '#!/bin/sh -e\nrm -f /etc/ssh/ssh_host_*_key*\nssh-keygen -A > /dev/null\n', mode: 0o755 },
  };

  test('Raspberry Pi OS: its unit is disabled, and the program that the first-boot script calls removes nothing', async () => {
    const tree = await placed(RASPBERRY);
    expect([tree.stat(LINK), tree.stat(SCRIPT)!.mode]).toEqual([undefined, 0o755]);
    expect(textOf(tree, SCRIPT)).not.toMatch(/\brm\b|ssh-keygen/);
    expect(run('sh', ['-s'], textOf(tree, SCRIPT))).toEqual({ status: 0, output: '' });
    tree.makeLink(LINK, '/usr/lib/systemd/system/regenerate_ssh_host_keys.service');
    expect((await identityStep(identity).verify(tree)).map(({ subject }) => subject)).toEqual([LINK]);
  });

  test('cloud-init is told to leave them', async () => {
    const path = '/etc/cloud/cloud.cfg.d/99-rockberry-host-keys.cfg';
    const tree = await placed({ ...DEBIAN, '/etc/cloud/cloud.cfg': 'x' });
    expect(textOf(tree, path)).toMatch(/^ssh_deletekeys: false$/m);
    tree.remove(path);
    expect((await identityStep(identity).verify(tree)).map(({ subject }) => subject)).toEqual([path]);
  });

  test('an image with neither gets nothing of it', async () => {
    expect(touched(await placed(EL9)).some((line) => /cloud|sys-mods/.test(line))).toBe(false);
  });
});

test('the fingerprint is the identity\'s', () => {
  expect(identityStep({ ...identity }).fingerprint).toBe(identityStep(identity).fingerprint);
  expect(identityStep({ ...identity, machineId: '0'.repeat(32) }).fingerprint).not.toBe(identityStep(identity).fingerprint);
  expect(identityStep(identity)).toMatchObject({ step: 'minted', sources: [], fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/) as string });
});

test('the list of files: bytes, modes and owners', () => {
  const files = identityFiles(identity, memoryTree(EL9));
  expect(files.map(({ path }) => path).sort()).toEqual(MINTED_PATHS);
  expect(files.map(({ content }) => Buffer.from(content).toString())).toContain(identity.hostKeys[1]!.privateKey);
  expect(files.filter(({ group }) => group === 101).map(({ mode }) => mode)).toEqual([0o640, 0o640, 0o640]);
});
