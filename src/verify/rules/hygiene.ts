/** Hygiene: an image is for many nodes, so nothing that is one machine's, and nothing secret, may be in it. No finding shows a secret. */
import type { Node } from '../node.js';
import { atMost, isAtOrBelow, isPlaced, lstat, matching, walk } from '../paths.js';
import { verdict, type Problem, type Rule } from '../rule.js';
import { secretsOf, type Secret, type SecretKind } from '../secrets.js';
import { BAKED, CREDENTIALS, type Baked } from '../tables/baked.js';

const BUILDING_IMAGES = 'https://systemd.io/BUILDING_IMAGES/';
const OWNER = '/etc/rockberry/node';
const MIB = 2 ** 20;

/** A rule for each row of the table. */
function bakedRule({ id, title, source, severity, paths, except, onlyFull, mayBeOwn, why, hint }: Baked): Rule {
  return {
    id, group: 'hygiene', title, source,
    check(node) {
      if (mayBeOwn && isOneNodes(node)) return { ok: `of ${ownerOf(node)}, the node that this image is for` };
      const present = [...new Set(paths.flatMap((path) => matching(node, path)))];
      const found = present.filter((path) => !except?.test(path.slice(path.lastIndexOf('/') + 1)) && !isPlaced(node, path) && (!onlyFull || isFull(node, path)));
      return verdict(atMost(found.map((subject): Problem => ({ severity, subject, message: `expected nothing here, found ${kindOf(node, subject)}: ${why}`, hint }))), '');
    },
  };
}

/** The name that a fleet with minted identities writes into the image of one node; "" in all others. */
function ownerOf(node: Node): string {
  return (node.text(OWNER) ?? '').trim().slice(0, 253);
}

/** An image that says whose it is, and has that host name, may hold what is that node's alone. */
function isOneNodes(node: Node): boolean {
  return ownerOf(node) !== '' && ownerOf(node) === (node.text('/etc/hostname') ?? '').trim();
}

/** A file with content, or a directory with such a file in it; a link is none (to /etc/machine-id it is as it should be). */
function isFull(node: Node, path: string): boolean {
  const stat = lstat(node, path);
  if (stat?.type === 'directory') return walk(node, path).found.some((one) => one.stat.type !== 'directory' && one.stat.size > 0);
  return stat?.type === 'file' && stat.size > 0;
}

function kindOf(node: Node, path: string): string {
  const stat = lstat(node, path)!;
  return stat.type === 'directory' ? `a directory with ${megabytes(sizeBelow(node, path))}` : `a ${stat.type} of ${stat.size} bytes`;
}

function sizeBelow(node: Node, path: string): number {
  return walk(node, path).found.reduce((sum, { stat }) => sum + (stat.type === 'file' ? stat.size : 0), 0);
}

function megabytes(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}

/** machine-id(5), "First Boot Semantics": a missing file cannot be made while root is read-only, an empty one gets an id and is no first boot. */
const machineId: Rule = {
  id: 'hygiene-machine-id', group: 'hygiene', title: 'nodes make their own machine id', source: 'https://www.freedesktop.org/software/systemd/man/latest/machine-id.html',
  check(node) {
    const subject = '/etc/machine-id';
    const text = node.text(subject);
    const hint = 'use the step identity: reset, which leaves an empty file';
    if (text === undefined) {
      const isEnterpriseLinux = /^ID(_LIKE)?=.*(rhel|fedora|centos|rocky|almalinux)/m.test(node.text('/etc/os-release') ?? ''); // others ship images without it
      return { problems: [{ severity: isEnterpriseLinux ? 'error' : 'info', subject, message: 'expected an empty file, found none: systemd could not keep the id that it makes while root is read-only', hint }] };
    }
    const id = text.trim();
    if (id === '') return { ok: 'empty' };
    if (isPlaced(node, subject) || isOneNodes(node)) return { ok: 'of the node that this image is for' };
    if (id === 'uninitialized') return { ok: 'uninitialized: the first boot applies unit presets' };
    return { problems: [{ severity: 'error', subject, message: 'expected an empty file, found an id: every node would have it, and with it the same addresses and names', hint }] };
  },
};

/** "1 SHA256 HEX:…": chrony.conf(5), keyfile. */
const clockKeys: Rule = {
  id: 'hygiene-clock-keys', group: 'hygiene', title: 'no keys for time servers', source: 'https://chrony-project.org/doc/4.6/chrony.conf.html#keyfile',
  check(node) {
    const paths = ['/etc/chrony.keys', '/etc/chrony/chrony.keys'].filter((path) => /^[ \t]*\d+[ \t]+\S/m.test(node.text(path) ?? ''));
    return verdict(paths.map((subject): Problem => ({
      severity: isPlaced(node, subject) ? 'info' : 'warning', subject, message: 'expected no keys, found some: every node would have them', hint: 'make the file empty, where no time server asks for a key (files step)',
    })), '');
  },
};

const logs: Rule = {
  id: 'hygiene-logs', group: 'hygiene', title: 'no logs of another machine', source: 'https://man7.org/linux/man-pages/man7/hier.7.html',
  check(node) {
    const full = walk(node, '/var/log').found.filter(({ path, stat }) => stat.type === 'file' && stat.size > 0 && !isAtOrBelow(path, '/var/log/journal') && !isPlaced(node, path));
    const size = full.reduce((sum, { stat }) => sum + stat.size, 0);
    const named = full.slice(0, 3).map(({ path }) => path.slice('/var/log/'.length)).join(', ');
    return verdict(full.length === 0 ? [] : [{
      severity: 'info', subject: '/var/log', message: `found logs of the image's making: ${named}${full.length > 3 ? ` and ${full.length - 3} more` : ''}, ${megabytes(size)}`, hint: 'remove them (files step: absent)',
    }], '');
  },
};

const packageCache: Rule = {
  id: 'hygiene-package-cache', group: 'hygiene', title: 'no cache of the package manager', source: 'https://dnf.readthedocs.io/en/latest/command_ref.html#clean-command',
  check(node) {
    const caches = ['/var/cache/dnf', '/var/cache/yum', '/var/cache/PackageKit', '/var/cache/apt/archives'].map((subject) => ({ subject, size: sizeBelow(node, subject) }));
    return verdict(caches.filter(({ size }) => size > 0).map(({ subject, size }): Problem => ({
      severity: 'info', subject, message: `found ${megabytes(size)} that nodes download again anyway`, hint: 'run "dnf clean all" where the base image is made',
    })), '');
  },
};

const hostname: Rule = {
  id: 'hygiene-hostname', group: 'hygiene', title: 'no name of one node', source: BUILDING_IMAGES,
  check(node) {
    const name = (node.text('/etc/hostname') ?? '').trim();
    const hint = 'an image for several nodes has none; an image for one node is made with the hostname step';
    const own: Problem[] = name === '' || /^localhost(\.|$)/.test(name) ? [] : [{ severity: 'info', subject: '/etc/hostname', message: `found the name "${name.slice(0, 64)}": the image is for one node`, hint }];
    const information: Problem[] = isFull(node, '/etc/machine-info') ? [{ severity: 'info', subject: '/etc/machine-info', message: 'found what describes one machine', hint: 'remove it (files step: absent)' }] : [];
    return verdict([...own.filter(({ subject }) => !isPlaced(node, subject)), ...information.filter(({ subject }) => !isPlaced(node, subject))], name.slice(0, 64));
  },
};

const credentials: Rule = {
  id: 'hygiene-credentials', group: 'hygiene', title: 'no passwords for services elsewhere', source: 'https://docs.k3s.io/installation/private-registry',
  check(node) {
    const found = CREDENTIALS.flatMap(([pattern, holds]) => matching(node, pattern).filter((path) => holds.test(node.text(path) ?? '')));
    return verdict(atMost(found.map((subject): Problem => ({
      severity: isPlaced(node, subject) ? 'warning' : 'error', subject, message: 'found credentials: whoever has the image has them, too', hint: 'give nodes their credentials when they run; treat this image as a secret',
    }))), '');
  },
};

/** A rule for each kind of secret that is known by its form. On purpose or not, it is in the image; what a profile places is a warning. */
function secretRule(id: string, kind: SecretKind, title: string, source: string, problem: (secret: Secret, isOnPurpose: boolean) => Problem, isOthers: (path: string) => boolean = () => false): Rule {
  return {
    id, group: 'hygiene', title, source,
    check(node) {
      const { found, files, isWhole } = secretsOf(node);
      const own = found.filter((secret) => secret.kind === kind && !isOthers(secret.path));
      const unseen: Problem[] = isWhole ? [] : [{ severity: 'info', subject: '/etc', message: `only the first ${files} files were looked at` }];
      return verdict([...atMost(own.map((secret) => problem(secret, isPlaced(node, secret.path)))), ...unseen], `${files} files looked at`);
    },
  };
}

const privateKeys = secretRule('hygiene-private-keys', 'private key', 'no private keys in /etc, /root and /home', 'https://www.rfc-editor.org/rfc/rfc7468', ({ path, what }, isOnPurpose) => ({
  severity: isOnPurpose ? 'warning' : 'error', subject: path, message: `found a private key (${what}): whoever has the image has it, too`,
  hint: 'let the node make its keys, or bring them when it runs; treat this image as a secret',
}), (path) => /^\/etc\/(ssh\/ssh_host_[^/]*_key$|kubernetes\/(pki|ssl)\/)/.test(path)); // host keys and a cluster's keys have rules of their own

const kubeconfigs = secretRule('hygiene-kubeconfig', 'kubeconfig', 'no kubeconfig with credentials', 'https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/', ({ path, what }, isOnPurpose) => ({
  severity: isOnPurpose ? 'warning' : 'error', subject: path, message: `found ${what}: whoever has the image may do in the cluster what it allows`, hint: 'remove it (files step: absent), and take the credentials back in the cluster',
}), (path) => /^\/etc\/kubernetes\/[^/]*\.conf$/.test(path));

const joinTokens = secretRule('hygiene-join-token', 'join token', 'no token for joining a cluster', 'https://docs.k3s.io/cli/token', ({ path, what }) => ({
  severity: 'warning', subject: path, message: `found ${what}: whoever has the image can join the cluster`,
  hint: 'right for nodes that join by themselves: keep the image as secret as the token, and rotate the token when they have joined',
}));

export const hygieneRules: readonly Rule[] = [machineId, ...BAKED.map(bakedRule), clockKeys, logs, packageCache, hostname, privateKeys, kubeconfigs, joinTokens, credentials];
