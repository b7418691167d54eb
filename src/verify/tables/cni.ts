/** What the usual container networks ask of a kernel, and which of them each installer brings. */
import type { Target } from '../rule.js';
import { rows, type OptionRow } from './options.js';

/** "calicoctl node checksystem" is content with a module file, a built-in module or a kernel option. */
export const CALICO = 'https://github.com/projectcalico/calico/blob/master/calicoctl/calicoctl/commands/node/checksystem.go';
/** Kernel 5.10 or newer. */
export const CALICO_DOCS = 'https://docs.tigera.io/calico/latest/getting-started/kubernetes/requirements';
export const CILIUM = 'https://github.com/cilium/cilium/blob/00c88111b78be84b2bb583ad20634819e94abd09/Documentation/operations/system_requirements.rst';

export const OLDEST_KERNEL: readonly [major: number, minor: number] = [5, 10];

/** The network that an installer brings unless it is told otherwise; kubeadm brings none. */
export const DEFAULT_NETWORK: Readonly<Record<Target, 'calico' | 'canal' | 'flannel' | undefined>> = { kubespray: 'calico', k3s: 'flannel', rke2: 'canal', kubeadm: undefined };

export interface ModuleRow {
  /** Any of them will do. */
  readonly modules: readonly string[];
  /** Any of these kernel options will do as well, without "CONFIG_". */
  readonly options: readonly string[];
  readonly class: 'required' | 'optional';
  readonly source: string;
  /** Wanted where kube-proxy runs in this mode only. */
  readonly mode?: 'ipvs';
}

const calico = (kind: ModuleRow['class'], modules: string, options: string, mode?: 'ipvs'): ModuleRow => ({
  modules: modules.split('|'), options: options.split('|'), class: kind, source: CALICO, ...(mode && { mode }),
});

/** xt_icmp and xt_icmp6, which the program asks for too, are part of the table code itself; vfio-pci is for its VPP data plane. */
export const CALICO_MODULES: readonly ModuleRow[] = [
  calico('required', 'ip_set', 'IP_SET'),
  calico('required', 'ip_tables', 'IP_NF_IPTABLES'),
  calico('required', 'ipt_ipvs|xt_ipvs', 'NETFILTER_XT_MATCH_IPVS', 'ipvs'),
  calico('required', 'ipt_REJECT|xt_REJECT', 'IP_NF_TARGET_REJECT|NFT_REJECT|NETFILTER_XT_TARGET_REJECT'),
  calico('required', 'ipt_rpfilter|xt_rpfilter', 'IP_NF_MATCH_RPFILTER|IP6_NF_MATCH_RPFILTER|NETFILTER_XT_MATCH_RPFILTER'),
  calico('required', 'nf_conntrack_netlink', 'NF_CT_NETLINK'),
  calico('required', 'xt_addrtype', 'NETFILTER_XT_MATCH_ADDRTYPE'),
  calico('required', 'xt_conntrack', 'NETFILTER_XT_MATCH_CONNTRACK'),
  calico('required', 'xt_mark', 'NETFILTER_XT_MARK|IP_NF_TARGET_MARK|NETFILTER_XT_TARGET_MARK'),
  calico('required', 'xt_multiport', 'NETFILTER_XT_MATCH_MULTIPORT|IP_NF_MATCH_MULTIPORT'),
  calico('required', 'xt_set|ipt_set', 'NETFILTER_XT_SET'),
  calico('optional', 'ip6_tables', 'IP6_NF_IPTABLES'),
  calico('optional', 'xt_bpf', 'NETFILTER_XT_MATCH_BPF|BPF'),
  calico('optional', 'xt_u32', 'NETFILTER_XT_MATCH_U32'),
  calico('optional', 'vfio-pci', 'VFIO_PCI|VFIO'),
];

export const CILIUM_OPTIONS: readonly OptionRow[] = [
  ...rows(CILIUM, 'base', 'BPF BPF_SYSCALL NET_CLS_BPF BPF_JIT NET_CLS_ACT NET_SCH_INGRESS CRYPTO_SHA1 CRYPTO_USER_API_HASH CGROUPS CGROUP_BPF PERF_EVENTS SCHEDSTATS'),
  ...rows(CILIUM, 'masquerading', 'NETFILTER_XT_SET IP_SET IP_SET_HASH_IP NETFILTER_XT_MATCH_COMMENT'),
  ...rows(CILIUM, 'tunnels', 'VXLAN GENEVE FIB_RULES'),
  ...rows(CILIUM, 'layer 7 policies', 'NETFILTER_XT_TARGET_TPROXY NETFILTER_XT_TARGET_MARK NETFILTER_XT_TARGET_CT NETFILTER_XT_MATCH_MARK NETFILTER_XT_MATCH_SOCKET'),
  ...rows(CILIUM, 'bandwidth manager', 'NET_SCH_FQ'),
  ...rows(CILIUM, 'netkit devices', 'NETKIT'),
];
