/** Who manages interfaces: NetworkManager takes over those of pods unless it is told not to, and ignores connections that others than root can read. */
import type { Node } from '../node.js';
import { verdict, type Problem, type Rule, type Target, type Verdict } from '../rule.js';
import { startingUnit, wantedUnits } from '../formats/boot-units.js';
import { isUnmanaged, networkManagerSettings } from '../formats/network-manager.js';

interface Cni {
  readonly name: string;
  /** Names that its interfaces have. */
  readonly devices: readonly string[];
}

const CALICO: Cni = { name: 'Calico', devices: ['cali0123456789a', 'tunl0', 'vxlan.calico', 'vxlan-v6.calico'] };
const FLANNEL: Cni = { name: 'Flannel', devices: ['flannel.1', 'flannel-v6.1'] };
const CANAL: Cni = { name: 'Canal', devices: ['cali0123456789a', 'flannel.1'] };
const CILIUM: Cni = { name: 'Cilium', devices: ['cilium_net', 'cilium_host', 'lxc0123456789ab'] };
/** The network plugin that a target installs when it is not told otherwise; kubeadm installs none. */
const OF_TARGET: Readonly<Record<Target, readonly Cni[]>> = { kubespray: [CALICO], k3s: [FLANNEL], rke2: [CANAL], kubeadm: [CALICO, FLANNEL, CILIUM] };
const CONNECTIONS = '/etc/NetworkManager/system-connections';
const CLOUD_UNITS = ['nm-cloud-setup.service', 'nm-cloud-setup.timer'];

export const managerRules: readonly Rule[] = [
  {
    id: 'network-unmanaged', group: 'network', title: 'NetworkManager leaves the interfaces of pods alone', check: checkInterfaces,
    source: 'https://docs.tigera.io/calico/latest/operations/troubleshoot/troubleshooting#configure-networkmanager',
  },
  {
    id: 'network-keyfiles', group: 'network', title: 'NetworkManager will read every connection',
    source: 'https://networkmanager.dev/docs/api/latest/nm-settings-keyfile.html', check: checkKeyfiles,
  },
  {
    id: 'network-cloud-setup', group: 'network', title: 'nm-cloud-setup is off',
    source: 'https://docs.rke2.io/known_issues#networkmanager', targets: ['k3s', 'rke2'], check: checkCloudSetup,
  },
];

function isManaged(node: Node): boolean {
  return startingUnit(node, 'NetworkManager.service') !== undefined;
}

/** One plugin is enough where nobody knows which it will be. Kubespray writes calico.conf and k8s.conf itself, so there it is no more than a note. */
function checkInterfaces(node: Node): Verdict {
  if (!isManaged(node)) return { ok: 'NetworkManager does not start' };
  const settings = networkManagerSettings(node);
  const plugins = OF_TARGET[node.target ?? 'kubeadm'];
  const missing = plugins.map(({ name, devices }) => ({ name, devices: devices.filter((device) => !isUnmanaged(settings, device)) }));
  const covered = missing.find(({ devices }) => devices.length === 0);
  if (covered) return { ok: `those of ${covered.name}` };
  const severity = node.target === 'kubespray' || node.target === 'k3s' ? 'info' : 'warning';
  const { name, devices } = missing[0]!;
  return verdict([{
    severity, subject: '/etc/NetworkManager/conf.d',
    hint: 'the profile kubernetes-node places the file; of a key that one file has twice, NetworkManager reads the last only',
    message: `expected NetworkManager to leave the interfaces of ${name} alone, found no unmanaged-devices for ${devices.join(', ')}`,
  }], '');
}

/** Secrets may be in them: "it will ignore files that are readable or writable by any user other than root" (nm-settings-keyfile(5)). */
function checkKeyfiles(node: Node): Verdict {
  if (!isManaged(node)) return { ok: 'NetworkManager does not start' };
  const names = node.names(CONNECTIONS).filter((name) => !/^\.|~$/.test(name));
  const problems = names.flatMap((name): Problem[] => {
    const path = `${CONNECTIONS}/${name}`;
    const stat = node.stat(path);
    if (stat?.type !== 'file' || (stat.uid === 0 && (stat.mode & 0o077) === 0)) return [];
    const found = stat.uid === 0 ? `mode 0${stat.mode.toString(8)}` : `uid ${stat.uid}`;
    return [{
      severity: 'error', subject: path, message: `expected mode 0600 and root as the owner, found ${found}: NetworkManager ignores the connection`,
      hint: 'use a network step, or give the file mode "0600"',
    }];
  });
  return verdict(problems, `${names.length} in ${CONNECTIONS}`);
}

/** It adds routing tables that break the CNI's; RKE2 asks for it to be off, k3s on releases before 8.4. */
function checkCloudSetup(node: Node): Verdict {
  const wanted = wantedUnits(node);
  const found = CLOUD_UNITS.filter((name) => startingUnit(node, name) !== undefined);
  return verdict(found.map((name): Problem => ({
    severity: node.target === 'rke2' ? 'error' : 'warning', subject: wanted.get(name)!,
    message: `expected ${name} not to start at boot, found it enabled: its routes break those of pods`, hint: `add "services: {disable: [${name}]}"`,
  })), 'it does not start at boot');
}
