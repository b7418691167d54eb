import { expect, test } from 'vitest';
import { stepKinds } from '../../src/steps/registry.js';
import { memoryTree } from '../support/memory-tree.js';
import { snapshot } from './support.js';
import { units } from './units.js';

const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl';
const profile: [string, unknown][] = [
  ['identity', 'reset'], ['hostname', 'node1.example.org'], ['timezone', 'Europe/Berlin'], ['locale', 'en_US.UTF-8'], ['keyboard', 'de'],
  ['user', { name: 'kube', groups: ['wheel'], authorized_keys: [key], sudo: 'nopasswd' }], ['user', { name: 'rocky', lock: true }],
  ['network', { address: '192.0.2.11/24', gateway: '192.0.2.1' }], ['sysctl', { 'net.ipv4.ip_forward': 1 }], ['sysctl', { 'kernel.panic': 10 }],
  ['modules', { load: ['overlay'] }], ['modules', { load: ['br_netfilter'] }], ['swap', 'off'], ['services', { enable: ['sshd', 'chrony-wait'], disable: ['firewalld'], mask: ['sshd.socket'] }],
  ['unit', { name: 'mine', content: '[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n', enable: true }],
  ['first_boot', { script: 'echo one' }], ['first_boot', { script: 'echo two', needs_time: true, needs_network: true }], ['grow_root', true],
];

// Steps of one profile share files (presets, hosts, sysctl.d): none may undo another, and the whole is idempotent.
test('all steps in one profile', async () => {
  const tree = memoryTree({
    ...units, '/etc/passwd': 'root:x:0:0:root:/root:/bin/bash\nrocky:x:1000:1000::/home/rocky:/bin/bash\n', '/etc/shadow': 'root:!::0:99999:7:::\nrocky:$6$a$b:19000:0:99999:7:::\n',
    '/etc/group': 'root:x:0:\nwheel:x:10:rocky\nrocky:x:1000:\n', '/etc/gshadow': 'wheel:::rocky\n', '/bin/bash': '', '/bin/sh': '', '/usr/bin/growpart': '', '/etc/sudoers': '#includedir /etc/sudoers.d\n',
    '/home/rocky': { directory: true, uid: 1000, gid: 1000 }, '/usr/share/zoneinfo/Europe/Berlin': 'TZif2', '/etc/fstab': 'LABEL=_swap swap swap defaults 0 0\n', '/etc/machine-id': '',
  });
  const steps = profile.map(([name, options]) => ({ name, kind: stepKinds.get(name)!, options: stepKinds.get(name)!.schema.parse(options) }));
  const context = { directory: '/' };
  for (const { kind, options } of steps) await kind.apply(tree, options, context);
  const once = snapshot(tree);
  for (const { kind, options } of steps) await kind.apply(tree, options, context);
  expect(snapshot(tree)).toEqual(once);
  for (const { name, kind, options } of steps) {
    const findings = await kind.verify(tree, options, context);
    expect(findings.filter(({ id }) => id !== 'identity-host-keys'), name).toEqual([]);
  }
});
