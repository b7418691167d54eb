/** The node's name and how it finds others'. */
import { familyOf } from '../../steps/addresses.js';
import type { Node } from '../node.js';
import { lstat } from '../paths.js';
import { verdict, type Problem, type Rule, type Verdict } from '../rule.js';
import { startingUnit } from '../formats/boot-units.js';
import { networkManagerSettings } from '../formats/network-manager.js';

/** Of kubelet's node names and Kubespray's inventory_hostname: RFC 1123 in lower case. */
const NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LONGEST = 63; // HOST_NAME_MAX is 64, a label value in Kubernetes 63
const PLACEHOLDERS = /^(localhost(\.localdomain|[46])?|localhost[46]\.localdomain[46]|raspberrypi|ubuntu|debian|rocky|almalinux)$/;
const WRITERS: readonly (readonly [target: RegExp, unit: string])[] = [
  [/\/run\/systemd\/resolve\/|\/lib\/systemd\/resolv\.conf$/, 'systemd-resolved.service'], [/\/run\/NetworkManager\//, 'NetworkManager.service'],
];
const MOST_SERVERS = 3; // MAXNS of resolv.conf(5); kubelet warns beyond it

export const nameRules: readonly Rule[] = [
  {
    id: 'network-hostname', group: 'network', title: 'the host name is one that Kubernetes takes',
    source: 'https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names', check: checkName,
  },
  {
    id: 'network-hosts', group: 'network', title: '/etc/hosts knows localhost and gives the node no other\'s name',
    source: 'https://man7.org/linux/man-pages/man5/hosts.5.html', check: checkHosts,
  },
  {
    id: 'network-resolver', group: 'network', title: 'there will be a name server',
    source: 'https://github.com/kubernetes-sigs/kubespray/blob/master/roles/kubernetes/preinstall/tasks/0040-verify-settings.yml',
    check: checkResolver,
  },
];

/** hostname(5): the first line that is no comment. */
function nameOf(node: Node): string {
  return (node.text('/etc/hostname') ?? '').split('\n').map((line) => line.trim()).find((line) => line !== '' && !line.startsWith('#')) ?? '';
}

/** Kubespray gives the node the name of the inventory (override_system_hostname); everybody else takes the one that it has. */
function checkName(node: Node): Verdict {
  const name = nameOf(node);
  const hint = 'set it per node: "hostname: node1", or --set hostname=node1 with the profile kubernetes-node';
  const about = (severity: Problem['severity'], message: string): Verdict => verdict([{ severity, subject: '/etc/hostname', message, hint }], '');
  if (name === '' || PLACEHOLDERS.test(name)) {
    const severity = node.target === 'kubespray' ? 'info' : 'warning';
    const found = name === '' ? 'none' : `"${name}"`;
    return about(severity, `expected a host name of its own, found ${found}: nodes of one name push each other out of the cluster, unless DHCP gives them names`);
  }
  if (name.length <= LONGEST && NAME.test(name)) return { ok: name };
  const lower = name.toLowerCase();
  if (lower.length <= LONGEST && NAME.test(lower)) return about('warning', `expected a host name in lower case, found "${name}": kubelet registers the node as "${lower}"`);
  const wanted = `lower-case letters, digits, "-" and ".", at most ${LONGEST} characters`;
  return about(node.target === 'kubespray' ? 'warning' : 'error', `expected a host name of ${wanted}, found "${name.slice(0, 80)}"`);
}

function checkHosts(node: Node): Verdict {
  const lines = (node.text('/etc/hosts') ?? '').split('\n').map((line) => line.replace(/#.*/, '').trim().split(/\s+/)).filter(([address]) => address !== '');
  const bad = lines.filter(([address, ...names]) => familyOf(address!) === undefined || names.length === 0);
  const problems = bad.slice(0, 3).map((words): Problem => ({
    severity: 'warning', subject: '/etc/hosts', message: `expected an address and names on each line, found "${words.join(' ').slice(0, 60)}"`,
    hint: 'correct the line, or remove it',
  }));
  if (!lines.some(([address, ...names]) => address === '127.0.0.1' && names.includes('localhost'))) {
    problems.push({
      severity: 'warning', subject: '/etc/hosts',
      message: 'expected 127.0.0.1 to be localhost, found no such line: etcd and kubelet\'s health checks ask for it',
      hint: 'a hostname step writes the usual file',
    });
  }
  const own = nameOf(node).split('.')[0]!;
  const shared = lines.find(([address, ...names]) => address === '127.0.0.1' && own !== '' && own !== 'localhost' && names.some((name) => name.split('.')[0] === own));
  if (shared) problems.push({
    severity: 'info', subject: '/etc/hosts', message: `expected ${own} on a line of its own, found it on that of 127.0.0.1`,
    hint: `a hostname step writes "127.0.1.1 ${own}"`,
  });
  return verdict(problems, `${lines.length} lines`);
}

/** At boot the file is what some program writes; what the image has only counts where none does. */
function checkResolver(node: Node): Verdict {
  const stat = lstat(node, '/etc/resolv.conf');
  const target = stat?.type === 'symlink' ? node.tree.readLink('/etc/resolv.conf') : undefined;
  if (target !== undefined && node.stat('/etc/resolv.conf') === undefined) return checkLink(node, target);
  const servers = (node.text('/etc/resolv.conf') ?? '').split('\n').flatMap((line) => /^nameserver\s+(\S+)/.exec(line)?.[1] ?? []);
  if (servers.length > MOST_SERVERS) {
    return verdict([{
      severity: 'info', subject: '/etc/resolv.conf',
      message: `expected at most ${MOST_SERVERS} name servers, found ${servers.length}: the others are never asked, and kubelet warns`,
      hint: 'keep three',
    }], '');
  }
  if (servers.length > 0) return { ok: `${servers.length} in /etc/resolv.conf` };
  if (writesResolver(node)) return { ok: 'NetworkManager writes /etc/resolv.conf' };
  if (startingUnit(node, 'dhcpcd.service', 'networking.service', 'network.service', 'resolvconf.service')) return { ok: 'the DHCP client writes /etc/resolv.conf' };
  return verdict([{
    severity: 'error', subject: '/etc/resolv.conf', message: 'expected a name server, found none and no program that would write one',
    hint: 'enable NetworkManager, or place a resolv.conf with a files step',
  }], '');
}

/** resolv.conf in /run: there once its writer has started. */
function checkLink(node: Node, target: string): Verdict {
  const writer = WRITERS.find(([pattern]) => pattern.test(target))?.[1];
  if (writer !== undefined && startingUnit(node, writer)) return { ok: `${writer} writes ${target}` };
  const found = writer === undefined ? 'which nothing is known to write' : `which ${writer} would write, and it does not start at boot`;
  return verdict([{
    severity: 'error', subject: '/etc/resolv.conf', message: `expected a name server, found a link to ${target}, ${found}`,
    hint: 'enable the service, or replace the link',
  }], '');
}

function writesResolver(node: Node): boolean {
  if (!startingUnit(node, 'NetworkManager.service')) return false;
  const main = networkManagerSettings(node).get('main');
  return main?.get('dns') !== 'none' && main?.get('rc-manager') !== 'unmanaged';
}
