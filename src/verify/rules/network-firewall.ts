/** firewalld: off, as all installers ask for, or open for what the target needs. */
import type { Node } from '../node.js';
import { verdict, type Problem, type Rule, type Target, type Verdict } from '../rule.js';
import { closedPorts, isFirewalldOn, trustedSources, zoneOfBoard } from '../formats/firewalld.js';

interface Ports {
  readonly source: string;
  /** Of every node. */
  readonly node: readonly string[];
  /** Of the network plugin that the target brings; one of the lists is enough, since plugins have several ways to carry packets. */
  readonly plugin: readonly (readonly string[])[];
  readonly controlPlane: readonly string[];
}

const KUBESPRAY = 'https://github.com/kubernetes-sigs/kubespray/blob/master/docs/operations/port-requirements.md';
const KUBERNETES: Ports = {
  source: 'https://kubernetes.io/docs/reference/networking/ports-and-protocols/',
  node: ['22/tcp', '10250/tcp', '30000-32767/tcp'], plugin: [], controlPlane: ['6443/tcp', '2379-2380/tcp', '10257/tcp', '10259/tcp'],
};
const PORTS: Readonly<Record<Target, Ports>> = {
  kubeadm: KUBERNETES,
  kubespray: { ...KUBERNETES, source: KUBESPRAY, plugin: [['4789/udp'], ['179/tcp'], ['8472/udp']] }, // Calico by VXLAN or BGP; Cilium, Flannel
  k3s: {
    source: 'https://docs.k3s.io/installation/requirements#inbound-rules-for-k3s-nodes',
    node: ['22/tcp', '10250/tcp'], plugin: [['8472/udp'], ['51820/udp']], controlPlane: ['6443/tcp'],
  },
  rke2: {
    source: 'https://docs.rke2.io/install/requirements#networking', node: ['22/tcp', '10250/tcp', '30000-32767/tcp'],
    plugin: [['8472/udp'], ['4789/udp'], ['179/tcp'], ['51820/udp']], controlPlane: ['6443/tcp', '9345/tcp', '2379-2381/tcp'],
  },
};
const CLUSTER_NETWORKS = ['10.42.0.0/16', '10.43.0.0/16']; // of k3s and RKE2: pods, services
const OFF = 'add "services: {disable: [firewalld]}" (the profile kubernetes-node does, unless firewall=open)';

export const firewallRules: readonly Rule[] = [
  { id: 'network-firewalld', group: 'network', title: 'firewalld is off, or open for what the node needs', source: KUBERNETES.source, check: checkFirewall },
  {
    id: 'network-firewalld-conflict', group: 'network', title: 'firewalld does not stand between pods', check: checkConflict, targets: ['k3s', 'rke2'],
    source: 'https://docs.rke2.io/known_issues#firewalld-conflicts-with-default-networking',
  },
];

/** Whether the node will be a control plane is not known: what only that needs is a note. */
function checkFirewall(node: Node): Verdict {
  if (!isFirewalldOn(node)) return { ok: 'it does not start at boot' };
  const zone = zoneOfBoard(node);
  const wanted = PORTS[node.target ?? 'kubeadm'];
  const closed = closedPorts(zone, wanted.node);
  const carried = wanted.plugin.length === 0 || wanted.plugin.some((ports) => closedPorts(zone, ports).length === 0);
  const missing = [...closed, ...(carried ? [] : [wanted.plugin.map((ports) => ports.join(' and ')).join(' or ')])];
  const controlPlane = closedPorts(zone, wanted.controlPlane);
  const subject = `zone ${zone.name}`;
  const problems: Problem[] = [];
  if (missing.length > 0) problems.push({
    severity: 'error', subject,
    message: `expected firewalld to be off or these ports to be open, found it enabled and closed for ${missing.join(', ')}`,
    hint: `${OFF}; the ports: ${wanted.source}`,
  });
  if (controlPlane.length > 0) problems.push({
    severity: 'info', subject, message: `expected these ports to be open on a control plane, found them closed: ${controlPlane.join(', ')}`,
    hint: `${OFF}; or set role=control-plane`,
  });
  return verdict(problems, `zone ${zone.name} lets in what the node needs`);
}

/** k3s wants the networks of pods and services trusted; RKE2 wants no firewalld beside Canal at all. */
function checkConflict(node: Node): Verdict {
  if (!isFirewalldOn(node)) return { ok: 'it does not start at boot' };
  const untrusted = zoneOfBoard(node).acceptsAll ? [] : CLUSTER_NETWORKS.filter((network) => !trustedSources(node).includes(network));
  if (untrusted.length > 0) {
    return verdict([{
      severity: 'error', subject: 'firewalld.service',
      message: `expected firewalld to be off or to trust the networks of pods and services, found ${untrusted.join(' and ')} in no zone that accepts all`,
      hint: OFF,
    }], '');
  }
  if (node.target === 'k3s') return { ok: 'the networks of pods and services are trusted' };
  return verdict([{
    severity: 'warning', subject: 'firewalld.service',
    message: 'expected firewalld to be off beside Canal, found it enabled: RKE2 asks for it to be off', hint: OFF,
  }], '');
}
