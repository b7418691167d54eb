/** Kernel modules that the parts of a node load: whether a kernel of the image can, is asked of depmod's lists. */
import type { Target } from '../rule.js';

export interface NodeModule {
  readonly module: string;
  /** The option that makes it, without "CONFIG_": "y" counts where modules.builtin does not name it. */
  readonly option: string;
  /** Who loads it, for the message. */
  readonly purpose: string;
  readonly source: string;
  /** Left out: every node. */
  readonly targets?: readonly Target[];
}

const RUNTIMES = 'https://kubernetes.io/docs/setup/production-environment/container-runtimes/';
const KUBESPRAY = 'https://github.com/kubernetes-sigs/kubespray/blob/46dbdd39/roles/kubernetes/node/tasks/main.yml';
const KUBESPRAY_SYSTEM = 'https://github.com/kubernetes-sigs/kubespray/blob/46dbdd39/roles/kubernetes/preinstall/tasks/0080-system-configurations.yml';
const KUBESPRAY_CALICO = 'https://github.com/kubernetes-sigs/kubespray/blob/46dbdd39/roles/network_plugin/calico_defaults/defaults/main.yml';
const FLANNEL = 'https://docs.k3s.io/networking/basic-network-options';
const CANAL = 'https://docs.rke2.io/networking/basic_network_options';
const PROXY = 'https://kubernetes.io/docs/reference/networking/virtual-ips/';

const IPVS = ['ip_vs', 'ip_vs_rr', 'ip_vs_wrr', 'ip_vs_sh', 'ip_vs_wlc', 'ip_vs_lc'] as const;

export const NODE_MODULES: readonly NodeModule[] = [
  { module: 'overlay', option: 'OVERLAY_FS', purpose: 'the container runtime, which unpacks images with overlayfs', source: RUNTIMES },
  { module: 'br_netfilter', option: 'BRIDGE_NETFILTER', purpose: 'net.bridge.bridge-nf-call-iptables, by which rules for services see the traffic between pods', source: RUNTIMES },
  { module: 'nf_conntrack', option: 'NF_CONNTRACK', purpose: 'kube-proxy', source: PROXY },
  { module: 'veth', option: 'VETH', purpose: 'the network of every pod', source: 'https://www.cni.dev/plugins/current/main/ptp/' },
  ...IPVS.map((module): NodeModule => ({ module, option: module.toUpperCase(), purpose: 'kube-proxy in its mode ipvs, Kubespray\'s default', source: KUBESPRAY, targets: ['kubespray'] })),
  { module: 'ip_set', option: 'IP_SET', purpose: 'kube-proxy in its mode ipvs, Kubespray\'s default', source: KUBESPRAY, targets: ['kubespray'] },
  { module: 'dummy', option: 'DUMMY', purpose: 'NodeLocal DNSCache, which Kubespray installs', source: KUBESPRAY_SYSTEM, targets: ['kubespray'] },
  { module: 'vxlan', option: 'VXLAN', purpose: 'Calico\'s network between nodes as Kubespray sets it up', source: KUBESPRAY_CALICO, targets: ['kubespray'] },
  { module: 'vxlan', option: 'VXLAN', purpose: 'Flannel\'s network between nodes', source: FLANNEL, targets: ['k3s'] },
  { module: 'bridge', option: 'BRIDGE', purpose: 'Flannel\'s network of the node\'s pods', source: FLANNEL, targets: ['k3s'] },
  { module: 'vxlan', option: 'VXLAN', purpose: 'Canal\'s network between nodes', source: CANAL, targets: ['rke2'] },
];
