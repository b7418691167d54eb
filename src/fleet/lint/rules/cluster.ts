/** The cluster as a whole: its control plane, the members of etcd, versions and time zones. */
import type { Finding } from '../../../report.js';
import { grouped, type Fleet, type Member } from '../fleet.js';
import type { Installer } from '../roles.js';
import type { FleetProblem, FleetRule } from '../rule.js';
import { own, quoted, some, textOf } from '../words.js';

const VALIDATE = 'https://github.com/kubernetes-sigs/kubespray/blob/master/roles/validate_inventory/tasks/main.yml';

export const clusterRules: readonly FleetRule[] = [
  { id: 'fleet-etcd-even', severity: 'error', title: 'etcd has an odd number of members', source: 'https://etcd.io/docs/v3.5/faq/#why-an-odd-number-of-cluster-members', check: checkEtcd },
  { id: 'fleet-control-plane-missing', severity: 'error', title: 'there is a control plane', source: VALIDATE, check: checkMissing },
  {
    id: 'fleet-control-plane-single', severity: 'info', title: 'there is more than one control plane', check: checkSingle,
    source: 'https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/ha-topology/',
  },
  { id: 'fleet-version-skew', severity: 'warning', title: 'versions of Kubernetes differ by one minor at most', source: 'https://kubernetes.io/releases/version-skew-policy/', check: checkVersions },
  { id: 'fleet-timezone-mixed', severity: 'warning', title: 'all nodes have one time zone', source: 'https://man7.org/linux/man-pages/man5/localtime.5.html', check: checkZones },
];

const INSTALLERS: readonly Installer[] = ['kubespray', 'kubeadm', 'k3s', 'rke2', 'kubernetes'];

/** Those whose agents may join a server elsewhere are fleet-server-missing's. */
const NEEDS_CONTROL_PLANE: Partial<Record<Installer, Finding['severity']>> = { kubespray: 'error', kubeadm: 'warning', kubernetes: 'warning' };

function nodesOf({ members }: Fleet, installer: Installer): Member[] {
  return members.filter((member) => member.installer === installer && member.role !== undefined);
}

function controlPlanes(fleet: Fleet, installer: Installer): Member[] {
  return nodesOf(fleet, installer).filter(({ role }) => role === 'control-plane');
}

/** Kubespray counts the group etcd, and the control planes where there is none; elsewhere etcd runs on the control planes. */
function checkEtcd(fleet: Fleet): FleetProblem[] {
  const group = fleet.members.filter(({ node }) => node.groups.includes('etcd')).length;
  const counts = group > 0 ? [{ installer: 'kubespray' as const, count: group, subject: 'group etcd' }]
    : INSTALLERS.map((installer) => ({ installer, count: controlPlanes(fleet, installer).length, subject: 'fleet' }));
  return counts.filter(({ count }) => count > 0 && count % 2 === 0).map(({ installer, count, subject }) => ({
    subject, message: `expected an odd number of members of etcd, found ${count}: as many may fail as of ${count - 1}, and one more can`,
    hint: `make it ${count - 1} or ${count + 1}${installer === 'kubespray' ? '; Kubespray stops' : ''}`, ...(installer !== 'kubespray' && { severity: 'warning' as const }),
  }));
}

function checkMissing(fleet: Fleet): FleetProblem[] {
  return INSTALLERS.flatMap((installer): FleetProblem[] => {
    const severity = NEEDS_CONTROL_PLANE[installer];
    const count = nodesOf(fleet, installer).length;
    if (severity === undefined || count === 0 || controlPlanes(fleet, installer).length > 0) return [];
    const how = installer === 'kubespray' ? 'put a node into the group kube_control_plane' : 'set role to control-plane for a node; a cluster that is there already has its own';
    return [{ subject: 'fleet', message: `expected a control plane for ${count} node${count === 1 ? '' : 's'}, found none`, hint: how, severity }];
  });
}

function checkSingle(fleet: Fleet): FleetProblem[] {
  return INSTALLERS.filter((installer) => controlPlanes(fleet, installer).length === 1 && nodesOf(fleet, installer).length > 1).map((installer) => ({
    subject: 'fleet', message: `expected three control planes so that one may fail, found only ${controlPlanes(fleet, installer)[0]!.label}`, hint: 'fine for a lab; else make it three',
  }));
}

/** In the order in which they count: what the installer installs goes over what the profile is for. Kubespray's is kube_version. */
const VERSION_VARIABLES = ['k3s_version', 'rke2_version', 'kubernetes_version', 'kube_version'];

/** The first of the variables that has a value, of the profiles or of the inventory. */
function firstOf({ values, node }: Member, names: readonly string[]): string[] {
  return names.flatMap((name) => textOf(values.get(name) ?? own(node.hostVars, name)) ?? []).slice(0, 1);
}

function minorOf(member: Member): string[] {
  return firstOf(member, VERSION_VARIABLES).flatMap((text) => /^v?1\.(\d{1,3})(?!\d)/.exec(text)?.[1] ?? []);
}

function checkVersions({ members }: Fleet): FleetProblem[] {
  const byMinor = [...grouped(members, minorOf)].sort(([a], [b]) => Number(a) - Number(b));
  const ends = [byMinor[0], byMinor.at(-1)].flatMap((end) => (end ? [end] : []));
  if (ends.length === 0 || Number(ends[1]![0]) - Number(ends[0]![0]) <= 1) return [];
  const told = ends.map(([minor, group]) => `1.${minor} at ${namesOf(group)}`);
  return [{ subject: 'fleet', message: `expected versions of Kubernetes that differ by one minor at most, found ${told.join(' and ')}`, hint: 'give all nodes one version; upgrade a cluster one minor at a time' }];
}

function checkZones({ members }: Fleet): FleetProblem[] {
  const byZone = grouped(members, (member) => firstOf(member, ['timezone', 'time_zone', 'ntp_timezone']));
  if (byZone.size < 2) return [];
  const told = [...byZone].map(([zone, group]) => `${quoted(zone)} at ${namesOf(group)}`);
  return [{ subject: 'fleet', message: `expected one time zone, found ${some(told)}`, hint: 'give all nodes one, UTC is a good choice: logs of several nodes are then read side by side' }];
}

function namesOf(group: readonly Member[]): string {
  return some(group.slice(0, 3).map(({ label }) => label), group.length);
}
