/** Kubernetes on the node: what runs it is there, or comes on first boot; nothing else is in its way. */
import { findUnit } from '../../steps/systemd.js';
import { parseUnitFile } from '../../steps/unit-file.js';
import type { Node } from '../node.js';
import { verdict, type Problem, type Rule, type Target, type Verdict } from '../rule.js';
import { startingUnit } from '../formats/boot-units.js';

const PROGRAMS = '/usr/libexec/rockberry'; // of first_boot steps
const PREFLIGHT = 'rockberry-preflight.service';
const OWN: Readonly<Record<Exclude<Target, 'kubespray'>, { readonly units: readonly string[]; readonly word: RegExp; readonly what: string }>> = {
  kubeadm: { units: ['kubelet.service'], word: /\bkubeadm\b|\bkubelet\b/, what: 'kubelet' },
  k3s: { units: ['k3s.service', 'k3s-agent.service'], word: /\bk3s\b/, what: 'k3s' },
  rke2: { units: ['rke2-server.service', 'rke2-agent.service'], word: /\brke2\b/, what: 'RKE2' },
};
const STARTED = ['containerd.service', 'kubelet.service', 'k3s.service', 'k3s-agent.service', 'rke2-server.service', 'rke2-agent.service', 'crio.service'];
/** What makes the sockets that kubeadm looks for (cmd/kubeadm/app/constants: /run/containerd/containerd.sock, /run/crio/crio.sock, /run/cri-dockerd.sock). */
const RUNTIMES = ['containerd.service', 'crio.service', 'cri-docker.service'];

export const kubernetesRules: readonly Rule[] = [
  {
    id: 'services-kubernetes', group: 'services', title: 'Kubernetes starts at boot, or is installed on first boot',
    source: 'https://kubernetes.io/docs/setup/production-environment/', targets: ['kubeadm', 'k3s', 'rke2'], check: checkInstalled,
  },
  {
    id: 'services-runtime', group: 'services', title: 'one container runtime, not two',
    source: 'https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/install-kubeadm/#installing-runtime', check: checkRuntimes,
  },
  {
    id: 'services-fapolicyd', group: 'services', title: 'fapolicyd does not forbid what no package installed',
    source: 'https://github.com/rancher/rke2/pull/3416', check: checkPolicy,
  },
  {
    id: 'services-preflight', group: 'services', title: 'the node checks itself before Kubernetes starts',
    source: 'https://www.freedesktop.org/software/systemd/man/252/systemd.unit.html#Before=', check: checkPreflight,
  },
];

function checkInstalled(node: Node): Verdict {
  const { units, word, what } = OWN[node.target as Exclude<Target, 'kubespray'>];
  const started = startingUnit(node, ...units);
  if (started !== undefined) return { ok: started };
  const script = node.names(PROGRAMS).find((name) => word.test(node.text(`${PROGRAMS}/${name}`) ?? '') && startingUnit(node, `rockberry-${name}.service`));
  if (script !== undefined) return { ok: `rockberry-${script}.service installs it on first boot` };
  const installed = units.find((name) => findUnit(node.tree, name)?.isMasked === false);
  const found = installed === undefined ? 'no unit of it and no first-boot script that installs it' : `${installed}, which is not enabled`;
  return verdict([{
    severity: 'info', subject: units[0]!,
    message: `expected ${what} to start at boot or to be installed on first boot, found ${found}: it has to be set up by hand`,
    hint: `the profiles ${node.target}-… install it`,
  }], '');
}

/** kubeadm refuses to choose; k3s and RKE2 bring their own and do not mind; Kubespray puts its containerd in the place of another. */
function checkRuntimes(node: Node): Verdict {
  const found = RUNTIMES.filter((name) => startingUnit(node, name) !== undefined);
  if (found.length > 1 && (node.target === undefined || node.target === 'kubeadm')) {
    return verdict([{
      severity: 'error', subject: found[0]!,
      message: `expected one container runtime, found ${found.join(' and ')}: kubeadm stops at "Found multiple CRI endpoints on the host"`,
      hint: 'disable all but one, or name criSocket in the kubeadm configuration',
    }], '');
  }
  const docker = startingUnit(node, 'docker.service');
  const isExtra = node.target !== undefined && node.target !== 'kubeadm' && (docker !== undefined || found.length > 0);
  if (!isExtra) return { ok: found[0] ?? 'none yet' };
  const names = [...found, ...(docker === undefined ? [] : [docker])];
  return verdict([{
    severity: 'warning', subject: names[0]!,
    message: `expected no other container runtime beside the one that ${node.target} brings, found ${names.join(' and ')} enabled: memory, and iptables rules of its own`,
    hint: `add "services: {disable: [${names.join(', ')}]}"`,
  }], '');
}

/** It lets programs run that an rpm installed. k3s and CNI plugins are none. Kubespray stops it before it begins, RKE2's installer writes rules for it. */
function checkPolicy(node: Node): Verdict {
  if (!startingUnit(node, 'fapolicyd.service')) return { ok: 'it does not start at boot' };
  return verdict([{
    severity: node.target === 'kubespray' || node.target === 'rke2' ? 'info' : 'error', subject: 'fapolicyd.service',
    hint: 'add "services: {disable: [fapolicyd]}", or write rules for the programs',
    message: 'expected fapolicyd not to start at boot, found it enabled: programs that no package installed, as CNI plugins and k3s, do not run',
  }], '');
}

function checkPreflight(node: Node): Verdict {
  const unit = findUnit(node.tree, PREFLIGHT);
  const hint = 'the profile kubernetes-node places it';
  if (!unit || unit.isMasked || !startingUnit(node, PREFLIGHT)) return verdict([{
    severity: 'info', subject: PREFLIGHT, message: `expected ${PREFLIGHT} to run at boot, found ${unit ? 'it is not enabled' : 'none'}`, hint,
  }], '');
  const { assignments } = parseUnitFile(node.text(unit.path) ?? '');
  const before = assignments.filter(({ section, key }) => section === 'Unit' && key === 'Before').flatMap(({ value }) => value.split(/\s+/));
  const late = STARTED.filter((name) => startingUnit(node, name) !== undefined && !before.includes(name));
  return verdict(late.map((name): Problem => ({
    severity: 'info', subject: unit.path, message: `expected ${PREFLIGHT} to be ordered before ${name}, found no such word in Before=`, hint,
  })), `${PREFLIGHT} is enabled`);
}
