/**
 * What Docker's contrib/check-config.sh asks of a kernel: moby/moby at 00148c88, the part under "Generally Necessary", in the order of the source. containerd
 * has no list of its own; CRI and CNI plugins need the same.
 */
import { rows, type OptionRow } from './options.js';

export const MOBY_CHECK_CONFIG = 'https://github.com/moby/moby/blob/00148c88eaeb4c9fe2652002df19d1756b5983a5/contrib/check-config.sh';

export const MOBY_OPTIONS: readonly OptionRow[] = [
  ...rows(MOBY_CHECK_CONFIG, 'required', `NAMESPACES NET_NS PID_NS IPC_NS UTS_NS
    CGROUPS CGROUP_SCHED
    KEYS
    VETH BRIDGE BRIDGE_NETFILTER
    IP_NF_FILTER IP_NF_MANGLE IP_NF_TARGET_MASQUERADE
    IP6_NF_FILTER IP6_NF_MANGLE IP6_NF_TARGET_MASQUERADE
    NETFILTER_XT_MATCH_ADDRTYPE NETFILTER_XT_MATCH_CONNTRACK NETFILTER_XT_MATCH_IPVS NETFILTER_XT_MARK
    IP_NF_RAW IP_NF_NAT NF_NAT
    IP6_NF_RAW IP6_NF_NAT
    POSIX_MQUEUE`),
  ...rows(MOBY_CHECK_CONFIG, 'required-v1', 'CGROUP_FREEZER CGROUP_DEVICE CPUSETS CGROUP_CPUACCT MEMCG'),
  ...rows(MOBY_CHECK_CONFIG, 'required', 'DEVPTS_MULTIPLE_INSTANCES', { below: [4, 8] }),
  ...rows(MOBY_CHECK_CONFIG, 'required', 'NF_NAT_IPV4', { below: [5, 2] }),
  ...rows(MOBY_CHECK_CONFIG, 'required', 'NF_NAT_NEEDED', { below: [5, 3] }),
  ...rows(MOBY_CHECK_CONFIG, 'required', 'CGROUP_BPF', { from: [4, 15] }),
];
