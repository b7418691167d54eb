import { expect, test } from 'vitest';
import { identityStep } from '../../src/steps/identity.js';
import { memoryTree, textOf, touched } from '../support/memory-tree.js';
import { applyTwice } from './support.js';

const unit = { '/usr/lib/systemd/system/sshd.service': '[Unit]\n', '/usr/lib/systemd/system/sshd-keygen@.service': '[Unit]\n' };

test('a node that has run becomes an image again', async () => {
  const removed = [
    '/etc/ssh/ssh_host_ed25519_key', '/etc/ssh/ssh_host_ed25519_key.pub', '/var/lib/systemd/random-seed', '/var/lib/systemd/credential.secret', '/var/lib/NetworkManager/secret_key',
    '/var/lib/NetworkManager/internal-1-eth0.lease', '/var/lib/NetworkManager/timestamps', '/var/lib/dhclient/dhclient.leases', '/var/log/journal/0123/system.journal', '/root/.bash_history',
    '/home/rocky/.bash_history', '/home/rocky/.lesshst', '/var/lib/cloud/instances/i-1/user-data.txt', '/var/lib/cloud/data/instance-id', '/var/lib/dbus/machine-id', '/boot/loader/random-seed',
    '/var/lib/chrony/drift', '/var/lib/rockberry/grow-root.done',
  ];
  const kept = ['/etc/ssh/sshd_config', '/etc/ssh/ssh_config', '/var/lib/NetworkManager/NetworkManager.state', '/root/.bashrc', '/home/rocky/.bashrc', '/var/lib/cloud/seed/nocloud/user-data', '/var/log/messages'];
  const tree = memoryTree({
    ...unit, ...Object.fromEntries([...removed, ...kept].map((path) => [path, 'x'])),
    '/etc/machine-id': { content: '0123456789abcdef0123456789abcdef\n', mode: 0o444 }, '/var/log/wtmp': { content: 'logins', mode: 0o664 }, '/var/log/lastlog': '',
  });
  expect(await identityStep.verify(tree, 'reset', { directory: '/' })).toHaveLength(removed.length + 2); // and machine-id and wtmp
  expect(await applyTwice(identityStep, tree, 'reset')).toEqual([]);
  for (const path of removed) expect(tree.stat(path), path).toBeUndefined();
  for (const path of kept) expect(tree.stat(path), path).toBeDefined();
  expect(textOf(tree, '/etc/machine-id')).toBe('');
  expect(tree.stat('/etc/machine-id')).toMatchObject({ mode: 0o444, size: 0 });
  expect(tree.stat('/var/log/wtmp')).toMatchObject({ mode: 0o664, size: 0 });
  expect(tree.stat('/var/log/journal')).toMatchObject({ type: 'directory' });
});

test("Rocky's image as it comes: nothing but the mode of machine-id", async () => {
  const tree = memoryTree({ ...unit, '/etc/machine-id': '', '/var/log/wtmp': '', '/var/lib/dbus/machine-id': { target: '/etc/machine-id' } });
  await applyTwice(identityStep, tree, 'reset');
  expect(touched(tree)).toEqual(['changed /etc/machine-id']);
});

test('a missing machine-id is made; "uninitialized" is no empty file', async () => {
  for (const files of [{}, { '/etc/machine-id': 'uninitialized\n' }] as Record<string, string>[]) {
    const tree = memoryTree(files);
    await applyTwice(identityStep, tree, 'reset');
    expect(textOf(tree, '/etc/machine-id')).toBe('');
  }
});

test('an image that would not make host keys is told', async () => {
  expect(await applyTwice(identityStep, memoryTree({ '/usr/lib/systemd/system/ssh.service': '[Unit]\n' }), 'reset')).toMatchObject([{ id: 'identity-host-keys' }]);
});

test('only "reset"', () => expect(identityStep.schema.safeParse('keep').success).toBe(false));
