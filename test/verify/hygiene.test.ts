/** The hygiene rules: one seeded defect each and more where there are several kinds, the healthy node, keys that ssh-keygen and OpenSSL made, and hostile files. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { generateKeyPairSync } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Node } from '../../src/verify/node.js';
import type { Problem } from '../../src/verify/rule.js';
import { hygieneRules } from '../../src/verify/rules/hygiene.js';
import { needs, output } from '../support/oracle.js';
import { testRules, type Defect } from './cases.js';
import { memoryNode, problemsOf, type Files, type NodeParts } from './node.js';

const KEY = generateKeyPairSync('rsa', { modulusLength: 1024 });
const PKCS8 = KEY.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const TOKEN = 'sEcReT-words-of-the-cluster';
const BOOTSTRAP = 'abcdef.0123456789abcdef';
const kubeconfig = (user: string): string => `apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    server: https://k8s:6443\nusers:\n- name: admin\n  user:\n    ${user}\n`;

/** What a node image holds that looks like what it must not hold. */
const HEALTHY: Files = {
  '/etc/machine-id': { mode: 0o444 }, '/etc/os-release': 'ID="rocky"\nID_LIKE="rhel centos fedora"\n', '/var/lib/dbus/machine-id': { target: '/etc/machine-id' }, '/etc/hostname': 'localhost.localdomain\n',
  '/etc/ssh/moduli': 'x', '/etc/ssh/ssh_host_keys.README': 'x', '/var/lib/systemd/catalog': 'x', '/var/lib/NetworkManager/secret_key': '', '/var/lib/dhclient': { directory: true }, '/etc/chrony.keys': '# 1 SHA1 HEX:00\n\n',
  '/var/lib/cloud/seed/nocloud/user-data': '#cloud-config\n', '/var/log/journal': { directory: true }, '/var/log/wtmp': '', '/root/.bash_history': '', '/root/.bash_profile': 'x', '/home/rocky/.ssh/authorized_keys': 'ssh-ed25519 AAAA x\n',
  '/var/cache/dnf': { directory: true }, '/etc/kubernetes/manifests': { directory: true }, '/var/lib/kubelet': { directory: true }, '/var/lib/etcd': { directory: true },
  '/etc/kubernetes/manifests/kube-vip.yaml': 'apiVersion: v1\nkind: Pod\n', '/etc/cni/net.d/10-own.conflist': '{}', '/var/lib/rancher/k3s/agent/images/airgap.tar.zst': 'x', '/var/lib/rancher/k3s/server/manifests/a.yaml': 'kind: Pod\n',
  '/etc/rancher/k3s/config.yaml': '# token: put it here\nserver: https://k8s:6443\ntoken-file: /run/token\nagent-token:   \n"token":\n', '/etc/rancher/k3s/registries.yaml': 'mirrors:\n  docker.io:\n    endpoint: [ "https://mirror" ]\n',
  '/etc/pki/tls/certs/ca.crt': '-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUAAAA\n-----END CERTIFICATE-----\n', '/etc/pki/rpm-gpg/KEY': '-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQINBF6AAAAABBBBBBBBCCCCCC\n',
  '/etc/profile.d/check.sh': 'grep -- "-----BEGIN PRIVATE KEY-----" "$1"\n-----BEGIN PRIVATE KEY-----\n', '/root/notes.md': 'A key begins with\n-----BEGIN RSA PRIVATE KEY-----\nand then base64.\n',
  '/root/.kube/config': kubeconfig('exec: { command: aws }'), '/home/rocky/.docker/config.json': '{ "auths": { "registry": {} }, "credsStore": "pass" }', '/root/.aws/config': '[default]\nregion = eu\n', '/etc/sysconfig/k3s': 'K3S_TOKEN=\nK3S_TOKEN_FILE=/run/t\n',
};
const healthy = (): Node => memoryNode(HEALTHY);
const withFiles = (files: Files, parts: NodeParts = {}) => (): Node => memoryNode({ ...HEALTHY, ...files }, parts);
const without = (path: string): Files => Object.fromEntries(Object.entries(HEALTHY).filter(([name]) => name !== path));

function baked(rule: string, severity: Problem['severity'], path: string, message: RegExp = /^expected nothing here, found a file of \d+ bytes: /, subject = path, content = 'something'): Defect {
  return { rule, name: path, node: withFiles({ [path]: content }), severity, subject, message };
}
const folder = /^expected nothing here, found a directory with 0\.0 MiB: /;
const secret = (rule: string, name: string, path: string, content: string, message: RegExp, severity: Problem['severity'] = 'error'): Defect => ({ rule, name, node: withFiles({ [path]: content }), severity, subject: path, message });

const DEFECTS: readonly Defect[] = [
  { rule: 'hygiene-machine-id', name: 'an id', node: withFiles({ '/etc/machine-id': '0123456789abcdef0123456789abcdef\n' }), severity: 'error', subject: '/etc/machine-id', message: /found an id: every node would have it/ },
  { rule: 'hygiene-machine-id', name: 'none on EL', node: () => memoryNode(without('/etc/machine-id')), severity: 'error', subject: '/etc/machine-id', message: /expected an empty file, found none/ },
  { rule: 'hygiene-machine-id', name: 'none elsewhere', node: () => memoryNode({ ...without('/etc/machine-id'), '/etc/os-release': 'ID=debian\n' }), severity: 'info', subject: '/etc/machine-id', message: /found none/ },
  { rule: 'hygiene-machine-id', name: 'a link to nowhere', node: withFiles({ '/etc/machine-id': { target: '/nowhere' } }), severity: 'error', subject: '/etc/machine-id', message: /found none/ },
  baked('hygiene-dbus-machine-id', 'error', '/var/lib/dbus/machine-id'),
  baked('hygiene-host-keys', 'error', '/etc/ssh/ssh_host_ed25519_key'), baked('hygiene-host-keys', 'error', '/etc/ssh/ssh_host_rsa_key.pub'), baked('hygiene-host-keys', 'error', '/etc/ssh/ssh_host_rsa_key', /found a file of 0 bytes/, '/etc/ssh/ssh_host_rsa_key', ''),
  baked('hygiene-random-seed', 'error', '/var/lib/systemd/random-seed'), baked('hygiene-random-seed', 'error', '/boot/loader/random-seed'),
  baked('hygiene-credential-secret', 'error', '/var/lib/systemd/credential.secret'),
  baked('hygiene-network-state', 'warning', '/var/lib/NetworkManager/secret_key'), baked('hygiene-network-state', 'warning', '/var/lib/NetworkManager/internal-0-eth0.lease'), baked('hygiene-network-state', 'warning', '/var/lib/dhclient/dhclient.leases'),
  baked('hygiene-network-state', 'warning', '/var/lib/NetworkManager/timestamps'),
  baked('hygiene-clock-state', 'warning', '/var/lib/chrony/drift'),
  { rule: 'hygiene-clock-keys', name: 'a key', node: withFiles({ '/etc/chrony.keys': '# keys\n 1 SHA256 HEX:0011\n' }), severity: 'warning', subject: '/etc/chrony.keys', message: /found some/ },
  baked('hygiene-cloud-init', 'warning', '/var/lib/cloud/instances/i-123/user-data.txt', folder, '/var/lib/cloud/instances'),
  baked('hygiene-journal', 'warning', '/var/log/journal/0123456789abcdef0123456789abcdef/system.journal', folder, '/var/log/journal/0123456789abcdef0123456789abcdef'),
  baked('hygiene-histories', 'warning', '/root/.bash_history'), baked('hygiene-histories', 'warning', '/home/rocky/.viminfo'),
  baked('hygiene-known-hosts', 'info', '/home/rocky/.ssh/known_hosts'),
  baked('hygiene-kubernetes-state', 'error', '/etc/kubernetes/admin.conf'), baked('hygiene-kubernetes-state', 'error', '/etc/kubernetes/pki/ca.key'), baked('hygiene-kubernetes-state', 'error', '/etc/kubernetes/manifests/kube-apiserver.yaml'),
  baked('hygiene-kubernetes-state', 'error', '/var/lib/kubelet/pki/kubelet.key', folder, '/var/lib/kubelet/pki'), baked('hygiene-kubernetes-state', 'error', '/var/lib/etcd/member/snap/db', folder, '/var/lib/etcd/member'), baked('hygiene-kubernetes-state', 'error', '/var/lib/cni/networks/cbr0/10.42.0.2', folder, '/var/lib/cni/networks'),
  baked('hygiene-rancher-state', 'error', '/var/lib/rancher/k3s/server/token'), baked('hygiene-rancher-state', 'error', '/var/lib/rancher/rke2/server/tls/server-ca.key', folder, '/var/lib/rancher/rke2/server/tls'), baked('hygiene-rancher-state', 'error', '/var/lib/rancher/k3s/server/db/state.db', folder, '/var/lib/rancher/k3s/server/db'),
  baked('hygiene-rancher-state', 'error', '/etc/rancher/node/password'), baked('hygiene-rancher-state', 'error', '/var/lib/rancher/k3s/agent/client-kubelet.key'),
  { rule: 'hygiene-logs', name: 'logs of the build', node: withFiles({ '/var/log/messages': 'x', '/var/log/anaconda/a.log': 'x', '/var/log/dnf.log': 'x', '/var/log/lastlog': 'x' }), severity: 'info', subject: '/var/log', message: /^found logs of the image's making: anaconda\/a\.log, dnf\.log, lastlog and 1 more, 0\.0 MiB$/ },
  { rule: 'hygiene-package-cache', name: 'packages', node: withFiles({ '/var/cache/dnf/baseos/packages/a.rpm': 'x'.repeat(3 << 20) }), severity: 'info', subject: '/var/cache/dnf', message: /^found 3\.0 MiB that nodes/ },
  { rule: 'hygiene-hostname', name: 'a name', node: withFiles({ '/etc/hostname': 'node7\n' }), severity: 'info', subject: '/etc/hostname', message: /the name "node7"/ },
  { rule: 'hygiene-hostname', name: 'a description', node: withFiles({ '/etc/machine-info': 'PRETTY_HOSTNAME=Seven\n' }), severity: 'info', subject: '/etc/machine-info', message: /describes one machine/ },
  secret('hygiene-private-keys', 'PKCS #8', '/etc/pki/tls/private/node.key', PKCS8, /^found a private key \(PRIVATE KEY\)/),
  secret('hygiene-private-keys', 'PKCS #1 behind its certificate', '/home/rocky/both.pem', `-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n${KEY.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString()}`, /\(RSA PRIVATE KEY\)/),
  secret('hygiene-private-keys', 'EC', '/root/ec.pem', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'sec1', format: 'pem' }).toString(), /\(EC PRIVATE KEY\)/),
  secret('hygiene-private-keys', 'encrypted', '/root/enc.pem', KEY.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x' }).toString(), /\(ENCRYPTED PRIVATE KEY\)/),
  secret('hygiene-private-keys', 'with the headers of RFC 1421', '/root/old.pem', KEY.privateKey.export({ type: 'pkcs1', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x' }).toString(), /\(RSA PRIVATE KEY\)/),
  secret('hygiene-private-keys', 'with Windows line ends', '/root/dos.pem', PKCS8.replace(/\n/g, '\r\n'), /\(PRIVATE KEY\)/),
  secret('hygiene-private-keys', 'in a YAML text', '/etc/app.yaml', `key: |\n${PKCS8.replace(/^/gm, '    ')}`, /\(PRIVATE KEY\)/),
  secret('hygiene-private-keys', 'PGP', '/root/pgp.asc', '-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: x\n\nlQOYBF6AAAAABBBBBBBBCCCCCC\n', /\(PGP PRIVATE KEY BLOCK\)/),
  secret('hygiene-kubeconfig', 'with a key', '/root/.kube/config', kubeconfig('client-key-data: LS0tLS1CRUdJTiBSU0E='), /^found a kubeconfig with credentials/),
  secret('hygiene-kubeconfig', 'with a token', '/etc/rancher/k3s/k3s.yaml', kubeconfig(`token: ${TOKEN}`), /kubeconfig with credentials/),
  secret('hygiene-kubeconfig', 'as JSON', '/home/rocky/kube.json', `{"kind": "Config",\n"users": [{"user": {\n"password": "${TOKEN}"}}]}`, /kubeconfig with credentials/),
  secret('hygiene-join-token', 'in config.yaml', '/etc/rancher/k3s/config.yaml', `token: "${TOKEN}"\n`, /^found a token for joining the cluster: /, 'warning'),
  secret('hygiene-join-token', 'in a part of config.yaml', '/etc/rancher/rke2/config.yaml.d/10-token.yaml', `agent-token: ${TOKEN}\n`, /joining the cluster/, 'warning'),
  secret('hygiene-join-token', 'in an environment file', '/etc/systemd/system/k3s.service.env', `K3S_TOKEN='${TOKEN}'\n`, /environment of k3s/, 'warning'),
  secret('hygiene-join-token', 'on a command line', '/etc/systemd/system/k3s-agent.service', `[Service]\nExecStart=/usr/local/bin/k3s agent --token ${TOKEN}\n`, /on a command line/, 'warning'),
  secret('hygiene-join-token', 'a k3s token by its form', '/root/join.txt', `K10${'0'.repeat(64)}::server:${TOKEN}\n`, /a token of k3s/, 'warning'),
  secret('hygiene-join-token', 'a bootstrap token', '/etc/kubernetes/join.yaml', `discovery:\n  bootstrapToken:\n    token: ${BOOTSTRAP}\n`, /bootstrap token of kubeadm/, 'warning'),
  secret('hygiene-join-token', 'a bootstrap token in a script', '/root/join.sh', `kubeadm join k8s:6443 --token ${BOOTSTRAP} --discovery-token-ca-cert-hash sha256:00\n`, /bootstrap token/, 'warning'),
  secret('hygiene-credentials', 'Amazon', '/root/.aws/credentials', `[default]\naws_secret_access_key = ${TOKEN}\n`, /^found credentials/),
  secret('hygiene-credentials', 'a registry of Docker', '/home/rocky/.docker/config.json', `{"auths": {"r": {"auth": "${TOKEN}"}}}`, /^found credentials/),
  secret('hygiene-credentials', 'a registry of k3s', '/etc/rancher/k3s/registries.yaml', `configs:\n  r:\n    auth:\n      username: u\n      password: ${TOKEN}\n`, /^found credentials/),
  secret('hygiene-credentials', 'git', '/root/.git-credentials', `https://user:${TOKEN}@example.org\n`, /^found credentials/),
  secret('hygiene-credentials', 'netrc', '/home/rocky/.netrc', `machine x login u password ${TOKEN}\n`, /^found credentials/),
];

describe('rules', () => testRules(hygieneRules, healthy, DEFECTS));

test('no finding shows a secret', () => {
  for (const { rule, node } of DEFECTS) {
    const text = JSON.stringify(problemsOf(hygieneRules, rule, node()));
    for (const forbidden of [TOKEN, BOOTSTRAP, PKCS8.split('\n')[1]!, 'LS0tLS1CRUdJTiBSU0E=', '0'.repeat(64)]) expect(text).not.toContain(forbidden);
  }
});

describe('what is there on purpose', () => {
  const placed = (...paths: string[]): NodeParts => ({ placed: paths.map((path) => ({ path, removed: false })) });
  const state = ['/etc/ssh/ssh_host_rsa_key', '/var/lib/kubelet/config.yaml', '/etc/cni/net.d/10-x.conf', '/etc/hostname'];
  const files = Object.fromEntries(state.map((path) => [path, 'node7\n']));

  test('what a profile of the call places is none of another machine', () => {
    for (const id of ['hygiene-host-keys', 'hygiene-kubernetes-state', 'hygiene-hostname']) expect(problemsOf(hygieneRules, id, withFiles(files, placed(...state))())).toBeUndefined();
    for (const id of ['hygiene-host-keys', 'hygiene-kubernetes-state', 'hygiene-hostname']) expect(problemsOf(hygieneRules, id, withFiles(files, placed('/etc/hosts'))())).toHaveLength(1);
    expect(problemsOf(hygieneRules, 'hygiene-host-keys', withFiles(files, { placed: [{ path: state[0]!, removed: true }] })())).toHaveLength(1);
  });

  test('secrets that it places are warnings', () => {
    const key = '/etc/containerd/certs.d/r/client.key';
    expect(problemsOf(hygieneRules, 'hygiene-private-keys', withFiles({ [key]: PKCS8 }, placed(key))())).toMatchObject([{ severity: 'warning', subject: key }]);
    const registries = '/etc/rancher/k3s/registries.yaml';
    expect(problemsOf(hygieneRules, 'hygiene-credentials', withFiles({ [registries]: '  password: x\n' }, placed(registries))())).toMatchObject([{ severity: 'warning' }]);
  });

  test('a cluster\'s keys and host keys are told once', () => {
    const node = withFiles({ '/etc/ssh/ssh_host_rsa_key': PKCS8, '/etc/kubernetes/pki/ca.key': PKCS8, '/etc/kubernetes/admin.conf': kubeconfig('client-key-data: LS0tLS1CRUdJTiBSU0E=') })();
    for (const id of ['hygiene-private-keys', 'hygiene-kubeconfig']) expect(problemsOf(hygieneRules, id, node)).toBeUndefined();
    expect(problemsOf(hygieneRules, 'hygiene-kubernetes-state', node)).toHaveLength(2);
  });
});

needs('ssh-keygen')('keys that ssh-keygen makes, and not their public halves', () => {
  const directory = mkdtempSync(join(tmpdir(), 'rockberry-keys-'));
  try {
    for (const [type, format] of [['ed25519', 'RFC4716'], ['rsa', 'PEM'], ['ecdsa', 'PKCS8']] as const) {
      const file = join(directory, type);
      output('ssh-keygen', ['-q', '-t', type, '-m', format, '-N', '', '-f', file]);
      const node = memoryNode({ [`/home/rocky/.ssh/id_${type}`]: readFileSync(file, 'utf8'), [`/home/rocky/.ssh/id_${type}.pub`]: readFileSync(`${file}.pub`, 'utf8') });
      expect(problemsOf(hygieneRules, 'hygiene-private-keys', node)).toMatchObject([{ severity: 'error', subject: `/home/rocky/.ssh/id_${type}` }]);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});

describe('hostile files', () => {
  const timed = (work: () => void): number => {
    const started = performance.now();
    work();
    return performance.now() - started;
  };

  test('texts that make careless expressions hang', () => {
    const texts = ['\n'.repeat(1 << 17), ' '.repeat(1 << 17), '\t\n'.repeat(1 << 16), 'token'.repeat(1 << 15), `-----BEGIN RSA PRIVATE KEY-----\n${'A: b\n'.repeat(1 << 14)}`, '-----BEGIN '.repeat(1 << 13), 'token : '.repeat(1 << 14), '://a:'.repeat(1 << 15),
      'kind: Config\n'.repeat(1 << 13), `K10${'0'.repeat(1 << 17)}`, '"auth" '.repeat(1 << 14), '- '.repeat(1 << 16), `://${'a:'.repeat(1 << 16)}`, '1'.repeat(1 << 17), `password${' '.repeat(1 << 17)}`];
    const paths = ['/etc/x', '/etc/rancher/k3s/config.yaml', '/etc/systemd/system/k3s.service', '/etc/default/k3s', '/root/.git-credentials', '/root/.netrc', '/etc/chrony.keys', '/etc/rancher/k3s/registries.yaml', '/root/.docker/config.json', '/etc/hostname', '/etc/machine-id'];
    for (const text of texts) {
      const node = memoryNode(Object.fromEntries(paths.map((path) => [path, text])));
      expect(timed(() => hygieneRules.forEach(({ id }) => problemsOf(hygieneRules, id, node)))).toBeLessThan(3000);
    }
  });

  test('a large file is looked at no further than 128 KiB, one of more than 1 MiB not at all', () => {
    const at = (before: number): unknown => problemsOf(hygieneRules, 'hygiene-private-keys', memoryNode({ '/etc/x': `${'#\n'.repeat(before / 2)}${PKCS8}` }));
    expect(at(100_000)).toHaveLength(1);
    expect(at(200_000)).toBeUndefined();
    expect(problemsOf(hygieneRules, 'hygiene-private-keys', memoryNode({ '/etc/x': `${PKCS8}${'#\n'.repeat(1 << 19)}` }))).toBeUndefined();
  });

  test('more files than are looked at: told, and not silently left out', () => {
    const node = memoryNode({ '/etc/x': '' });
    const big = Buffer.alloc(1 << 17, 0x23);
    const many = Array.from({ length: 600 }, (_, at) => `f${String(at).padStart(4, '0')}`);
    const tree = { ...node.tree, resolve: (path: string) => path, stat: (path: string) => (path === '/etc' ? { ...node.tree.stat('/etc')! } : { ...node.tree.stat('/etc/x')!, size: big.length }),
      list: () => many.map((name) => ({ name, type: 'file' as const })), read: () => big } as Node['tree'];
    expect(problemsOf(hygieneRules, 'hygiene-private-keys', { ...node, tree })).toMatchObject([{ severity: 'info', message: 'only the first 512 files were looked at' }]);
  });

  test('a directory that is its own grandchild ends', () => {
    const node = memoryNode({ '/etc/x': '' });
    const directory = node.tree.stat('/etc')!;
    const tree = { ...node.tree, resolve: (path: string) => path, stat: () => directory, list: () => [{ name: 'again', type: 'directory' as const }, { name: 'and', type: 'directory' as const }] } as Node['tree'];
    expect(timed(() => expect(problemsOf(hygieneRules, 'hygiene-private-keys', { ...node, tree })).toMatchObject([{ severity: 'info' }]))).toBeLessThan(5000);
  });
});
