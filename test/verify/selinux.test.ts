/** The SELinux rules and the modes that go with them: one seeded defect each, the healthy node, and expected labels as libselinux's matchpathcon has them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openLabels, type Labels } from '../../src/fs/labels.js';
import type { Attributes } from '../../src/fs/filesystem.js';
import type { Node } from '../../src/verify/node.js';
import type { Problem } from '../../src/verify/rule.js';
import { selinuxRules } from '../../src/verify/rules/selinux.js';
import { FILE_MODES } from '../../src/verify/tables/file-modes.js';
import { policyLabel } from '../support/disk.js';
import { needs } from '../support/oracle.js';
import { testRules, type Defect } from './cases.js';
import { memoryNode, problemsOf, type Files, type NodeParts } from './node.js';

const CONFIG = '/etc/selinux/config';
const POLICY = '/etc/selinux/targeted/policy/policy.33';
const CMDLINE = '/boot/cmdline.txt';
const [UNIT, KEYS, OWN] = ['/etc/systemd/system/k3s.service', '/home/rocky/.ssh/authorized_keys', '/etc/sysctl.d/99-kubernetes-cri.conf'];

const SYSTEM: Files = {
  [CONFIG]: '# SELINUX= can take one of these three values:\nSELINUX=enforcing\nSELINUXTYPE=targeted\n', [POLICY]: 'policy',
  [CMDLINE]: 'console=tty1 root=LABEL=RPIROOT selinux=1 enforcing=1 cgroup_enable=memory rootwait\n',
  '/etc/hostname': '', '/etc/passwd': 'root:x:0:0:root:/root:/bin/bash\n', '/etc/shadow': { content: 'root:!::0:99999:7:::\n', mode: 0 }, '/etc/machine-id': { mode: 0o444 },
  '/etc/rancher/k3s/config.yaml': { content: 'write-kubeconfig-mode: "0600"\n', mode: 0o600 }, '/usr/local/sbin/setup': { content: '#!/bin/sh\n', mode: 0o755 },
  '/etc/ssh/sshd_config.d/50-redhat.conf': { content: 'UsePAM yes\n', mode: 0o600 }, '/etc/os-release': 'ID=rocky\n',
  [UNIT]: '[Service]\n', '/etc/systemd/system/swap.target': { target: '/dev/null' }, [KEYS]: { content: 'ssh-ed25519 AAAA\n', mode: 0o600, uid: 1000, gid: 1000 }, [OWN]: 'vm.overcommit_memory=1\n',
};

/** Types by path, as a policy would; FAT never asks. */
function label(path: string): string | undefined {
  const type = path.startsWith('/etc/systemd/system') ? 'systemd_unit_file_t' : path.startsWith('/home') ? 'ssh_home_t' : path.startsWith('/tmp') ? undefined : 'etc_t';
  return type && `system_u:object_r:${type}:s0`;
}

/** Every path of the files gets the label that the policy has for it, as restorecon would do. */
function labelled(files: Files, parts: NodeParts = {}): Node {
  const node = memoryNode(files, { label, ...parts });
  const give = (path: string): void => {
    const stat = node.tree.stat(path)!;
    const context = label(path);
    if (context !== undefined && !path.startsWith('/boot')) setLabel(node, path, context);
    if (stat.type === 'directory') node.tree.list(path).forEach(({ name }) => give(`${path === '/' ? '' : path}/${name}`));
  };
  give('/');
  return node;
}

/** Of a link itself, too: a link is made again with the attribute. */
function setLabel(node: Node, path: string, context: string | null): void {
  const attributes: Attributes = { xattrs: new Map([['security.selinux', context === null ? null : Buffer.from(`${context}\0`)]]) };
  if (node.tree.stat(path)!.type === 'symlink') node.tree.makeLink(path, node.tree.readLink(path), attributes);
  else node.tree.change(path, attributes);
}

const healthy = (): Node => labelled(SYSTEM);
const changed = (files: Files) => (): Node => labelled({ ...SYSTEM, ...files });
const relabelled = (path: string, context: string | null, files: Files = {}, parts: NodeParts = {}) => (): Node => {
  const node = labelled({ ...SYSTEM, ...files }, parts);
  setLabel(node, path, context);
  return node;
};
const without = (...paths: string[]): Files => Object.fromEntries(Object.entries(SYSTEM).filter(([path]) => !paths.includes(path)));
const config = (text: string): Files => ({ [CONFIG]: text });
const cmdline = (words: string): Files => ({ [CMDLINE]: `console=tty1 root=LABEL=RPIROOT ${words}\n` });

const DEFECTS: readonly Defect[] = [
  ...[['a word that is no mode', 'SELINUX=enabled\n', /found "SELINUX=enabled"/], ['a line that is indented', ' SELINUX=enforcing\n', /found "SELINUX=enforcing"/], ['spaces around the sign', 'SELINUX = enforcing\n', /found "SELINUX = enforcing"/],
    ['no mode', 'SELINUXTYPE=targeted\n', /found no such line/], ['small letters', 'selinux=enforcing\n', /found "selinux=enforcing"/]].map(([name, text, message]): Defect => (
    { rule: 'selinux-mode', name: name as string, node: changed(config(text as string)), severity: 'error', subject: CONFIG, message: message as RegExp })),
  { rule: 'selinux-mode', name: 'disabled', node: changed(config('SELINUX=disabled\n')), severity: 'info', subject: CONFIG, message: /needs a relabel of everything/ },
  { rule: 'selinux-command-line', name: 'selinux=0', node: changed(cmdline('selinux=1 selinux=0')), severity: 'warning', subject: CMDLINE, message: /found selinux=0/ },
  { rule: 'selinux-command-line', name: 'enforcing=0 against the file', node: changed(cmdline('enforcing=0')), severity: 'warning', subject: CMDLINE, message: /found enforcing=0 against SELINUX=enforcing/ },
  { rule: 'selinux-command-line', name: 'autorelabel', node: changed(cmdline('autorelabel')), severity: 'error', subject: CMDLINE, message: /relabels and reboots, without end/ },
  { rule: 'selinux-command-line', name: 'autorelabel with a value, as the generator takes it', node: changed(cmdline('autorelabel=0')), severity: 'error', subject: CMDLINE, message: /relabels and reboots/ },
  { rule: 'selinux-command-line', name: 'autorelabel where SELinux is off', node: changed(cmdline('selinux=0 autorelabel')), severity: 'warning', subject: CMDLINE, message: /relabels and reboots/ },
  { rule: 'selinux-policy', name: 'an empty policy directory', node: () => labelled({ ...without(POLICY), '/etc/selinux/targeted/policy': { directory: true } }), severity: 'error', subject: CONFIG, message: /expected the policy in .*found none: init halts/ },
  { rule: 'selinux-policy', name: 'labels without a policy, permissive', node: () => labelled({ ...without(POLICY), ...config('SELINUX=permissive\n') }), severity: 'error', subject: CONFIG, message: /every file is unlabeled/ },
  { rule: 'selinux-policy', name: 'no policy at all', node: () => memoryNode({ ...SYSTEM, ...config('SELINUX=enforcing\nSELINUXTYPE=mls\n') }), severity: 'error', subject: CONFIG, message: /expected file_contexts of the policy mls, found none: init halts/ },
  { rule: 'selinux-labels', name: 'a unit without a label', node: relabelled(UNIT, null), severity: 'error', subject: UNIT, message: /expected the label system_u:object_r:systemd_unit_file_t:s0, found none/ },
  { rule: 'selinux-labels', name: 'a link without a label', node: relabelled('/etc/systemd/system/swap.target', null), severity: 'error', subject: '/etc/systemd/system/swap.target', message: /found none/ },
  { rule: 'selinux-labels', name: 'keys without a label', node: relabelled(KEYS, null), severity: 'error', subject: KEYS, message: /ssh_home_t/ },
  { rule: 'selinux-labels', name: 'another type', node: relabelled(OWN, 'system_u:object_r:tmp_t:s0'), severity: 'warning', subject: OWN, message: /etc_t:s0, found system_u:object_r:tmp_t:s0$/ },
  { rule: 'selinux-labels', name: 'no label where SELinux is off', node: relabelled(UNIT, null, config('SELINUX=disabled\n')), severity: 'warning', subject: UNIT, message: /found none/ },
  { rule: 'selinux-labels', name: 'no label where the kernel turns SELinux off', node: relabelled(UNIT, null, cmdline('selinux=0')), severity: 'warning', subject: UNIT, message: /found none/ },
  { rule: 'selinux-labels', name: 'no label, permissive', node: relabelled(UNIT, null, cmdline('enforcing=0')), severity: 'error', subject: UNIT, message: /found none/ },
  { rule: 'selinux-labels', name: 'what a profile places, anywhere', node: relabelled('/srv/x', null, { '/srv/x': '' }, { placed: [{ path: '/srv/x', removed: false }] }), severity: 'error', subject: '/srv/x', message: /found none/ },
  { rule: 'selinux-labels', name: 'what a profile places has the whole label', node: relabelled(OWN, 'unconfined_u:object_r:etc_t:s0', {}, { placed: [{ path: OWN, removed: false }] }), severity: 'warning', subject: OWN, message: /found unconfined_u/ },
  { rule: 'selinux-relabel', name: 'a relabel is pending', node: changed({ '/.autorelabel': '' }), severity: 'info', subject: '/.autorelabel', message: /the first boot relabels every file/ },
  { rule: 'access-file-modes', name: 'a file that everybody may write', node: changed({ [OWN]: { content: 'a=1\n', mode: 0o666 } }), severity: 'error', subject: OWN, message: /expected mode 0644 .*found 0666 and 0:0: others than root could change/ },
  { rule: 'access-file-modes', name: 'a script of its group', node: changed({ '/usr/local/sbin/setup': { content: '#!/bin/sh\n', mode: 0o775, gid: 10 } }), severity: 'error', subject: '/usr/local/sbin/setup', message: /expected mode 0755 .*found 0775 and 0:10/ },
  { rule: 'access-file-modes', name: 'a unit of another owner', node: changed({ [UNIT]: { content: '[Service]\n', uid: 1000 } }), severity: 'error', subject: UNIT, message: /root as the owner, found 0644 and 1000:0/ },
  { rule: 'access-file-modes', name: 'a token that everybody may read', node: changed({ '/etc/rancher/k3s/config.yaml': { content: 'token: x\n', mode: 0o644 } }), severity: 'error', subject: '/etc/rancher/k3s/config.yaml', message: /expected mode 0600 .*found 0644.*read the secrets/ },
  { rule: 'access-file-modes', name: 'password hashes that everybody may read', node: changed({ '/etc/shadow': { content: 'x', mode: 0o644 } }), severity: 'error', subject: '/etc/shadow', message: /expected mode 0000 .*found 0644/ },
  { rule: 'access-file-modes', name: 'accounts that nobody may read', node: changed({ '/etc/passwd': { content: 'x', mode: 0o600 } }), severity: 'error', subject: '/etc/passwd', message: /expected mode 0644 .*could not read it/ },
  { rule: 'access-file-modes', name: 'a directory that everybody may write', node: changed({ '/etc/systemd/system': { directory: true, mode: 0o777 } }), severity: 'error', subject: '/etc/systemd/system', message: /expected mode 0755 .*found 0777/ },
];

describe('rules', () => testRules(selinuxRules.filter(({ group }) => group === 'selinux'), healthy, DEFECTS.filter(({ rule }) => rule.startsWith('selinux-'))));
describe('modes', () => testRules(selinuxRules.filter(({ group }) => group === 'access'), healthy, DEFECTS.filter(({ rule }) => rule.startsWith('access-'))));

describe('where rules do not judge', () => {
  test('an image without SELinux', () => {
    const node = memoryNode(without(CONFIG));
    for (const id of ['selinux-mode', 'selinux-command-line', 'selinux-policy']) expect(problemsOf(selinuxRules, id, node)).toBe(`the image has no ${CONFIG}`);
    expect(problemsOf(selinuxRules, 'selinux-labels', node)).toBe('the image has no SELinux policy');
  });

  test('a command line that is missing or cannot be read is no finding of these', () => {
    expect(problemsOf(selinuxRules, 'selinux-command-line', labelled(without(CMDLINE)))).toMatch(/no command line/);
    const broken = labelled({ ...SYSTEM, [CMDLINE]: 'root=\x01\n' });
    expect(problemsOf(selinuxRules, 'selinux-command-line', broken)).toMatch(/no command line/);
    expect(problemsOf(selinuxRules, 'selinux-labels', broken)).toBeUndefined();
  });

  test('the mode as libselinux reads it: the first word that is one, whatever follows it', () => {
    for (const text of ['SELINUX=maybe\nSELINUX= Permissive\n', 'SELINUX=enforcing-or-so\r\n', '#SELINUX=x\nSELINUX=PERMISSIVE']) {
      expect(problemsOf(selinuxRules, 'selinux-mode', labelled({ ...SYSTEM, [CONFIG]: text }))).toBeUndefined();
    }
    const first = labelled({ ...SYSTEM, ...config('SELINUX=disabled\nSELINUX=enforcing\n') });
    expect(problemsOf(selinuxRules, 'selinux-mode', first)).toMatchObject([{ severity: 'info' }]);
    expect(problemsOf(selinuxRules, 'selinux-policy', first)).toBe('SELinux is disabled');
  });
});

describe('labels', () => {
  const labelsOf = (node: Node): string | readonly Problem[] | undefined => problemsOf(selinuxRules, 'selinux-labels', node);

  test('as restorecon: the user and the level do not count, and neither do types that administrators give', () => {
    expect(labelsOf(relabelled(OWN, 'unconfined_u:object_r:etc_t:s0:c1')())).toBeUndefined();
    const custom: Files = { '/etc/selinux/targeted/contexts/customizable_types': 'container_file_t\nsvirt_image_t\n' };
    expect(labelsOf(relabelled(OWN, 'system_u:object_r:container_file_t:s0', custom)())).toBeUndefined();
    expect(labelsOf(relabelled(OWN, 'system_u:object_r:container_file_t:s0')())).toHaveLength(1);
  });

  test('without a final NUL it is the same label; a label that is no context is another one', () => {
    const node = healthy();
    node.tree.change(OWN, { xattrs: new Map([['security.selinux', Buffer.from(label(OWN)!)]]) });
    expect(labelsOf(node)).toBeUndefined();
    node.tree.change(OWN, { xattrs: new Map([['security.selinux', Buffer.from('\xff\xfe')]]) });
    expect(labelsOf(node)).toMatchObject([{ severity: 'warning', subject: OWN }]);
  });

  test('FAT has none, <<none>> asks for none, and what a profile removes or nobody made is not there', () => {
    const placed = [CMDLINE, '/boot', '/tmp/x', '/gone', '/etc/hostname'].map((path) => ({ path, removed: path === '/gone' }));
    expect(labelsOf(labelled({ ...SYSTEM, '/tmp/x': 'x' }, { placed }))).toBeUndefined();
  });

  test('without profiles only where a node\'s own files are', () => {
    expect(labelsOf(relabelled('/usr/share/x', null, { '/usr/share/x': '' })())).toBeUndefined();
    for (const path of ['/etc/ssh/moduli', '/etc/NetworkManager/system-connections/a.nmconnection', '/usr/local/bin/k3s', '/var/lib/rockberry/done', '/etc/kubernetes/x/y/z', '/etc/sudoers.d/90-ansible']) {
      expect(labelsOf(relabelled(path, null, { [path]: '' })())).toMatchObject([{ subject: path, severity: 'error' }]);
    }
  });

  test('an image without any label: ten of them and a number', () => {
    const many = Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`/etc/sysctl.d/${10 + at}.conf`, '']));
    const problems = labelsOf(memoryNode({ ...SYSTEM, ...many }, { label }));
    expect(problems).toHaveLength(11);
    expect(problems).toContainEqual(expect.objectContaining({ severity: 'error', message: expect.stringMatching(/^and \d\d more like these/) as string }));
  });

  needs('matchpathcon')('what is expected of the sample images\' policy is what libselinux expects', () => {
    const policy = join(import.meta.dirname, '../../images/policy');
    const labels: Labels = openLabels({ read: (path) => (path === CONFIG ? Buffer.from('SELINUXTYPE=targeted\n') : readFileSync(join(policy, path.slice(path.lastIndexOf('/') + 1)))) })!;
    const files = Object.fromEntries(Object.entries(SYSTEM).filter(([path]) => !path.startsWith('/boot')));
    const paths = [...Object.keys(files), '/etc', '/etc/systemd/system', '/home/rocky', '/usr/local/sbin'];
    for (const path of paths) {
      const bare = memoryNode(files, { placed: [{ path, removed: false }] });
      const node = { ...bare, image: { ...bare.image, labels: () => labels } };
      const expected = policyLabel(join(policy, 'file_contexts'), path, node.tree.stat(path)!.type);
      expect(labelsOf(node), path).toMatchObject([{ severity: 'error', subject: path, message: `expected the label ${expected}, found none (unlabeled_t)` }]);
    }
    expect(paths.length).toBeGreaterThan(15);
  });
});

describe('the table of modes', () => {
  test('every row fails on a file that everybody may write and passes with its own mode', () => {
    for (const row of FILE_MODES) {
      const path = row.path.replace('/etc/rancher/*', '/etc/rancher/k3s').replace('/var/lib/rancher/*', '/var/lib/rancher/k3s').replace(/\*/g, 'x');
      const node = (mode: number): Node => memoryNode({ [path]: { ...(row.type === 'directory' ? { directory: true } : { content: 'x' }), mode } });
      expect(problemsOf(selinuxRules, 'access-file-modes', node(row.mode)), path).toBeUndefined();
      expect(problemsOf(selinuxRules, 'access-file-modes', node(0o666)), path).toMatchObject([{ subject: path, severity: 'error' }]);
    }
  });

  test('the files that EL9 has with other, stricter modes are well', () => {
    const node = memoryNode({ '/etc/shadow': { content: 'x', mode: 0o600 }, '/etc/gshadow': { content: 'x', mode: 0o640, gid: 42 }, '/etc/machine-id': { mode: 0o644 }, '/etc/NetworkManager/conf.d/dns.conf': { content: 'x', mode: 0o600 } });
    expect(problemsOf(selinuxRules, 'access-file-modes', node)).toBeUndefined();
  });
});
