/** What "k3s check-config" asks of a kernel: k3s-io/k3s, contrib/util/check-config.sh at 06441e84, row by row, in the order of the source. */
import { rows, type OptionRow } from './options.js';

export const K3S_CHECK_CONFIG = 'https://github.com/k3s-io/k3s/blob/06441e848938f0da4020814829148de28cf77112/contrib/util/check-config.sh';

export const K3S_OPTIONS: readonly OptionRow[] = [
  ...rows(K3S_CHECK_CONFIG, 'required', `NAMESPACES NET_NS PID_NS IPC_NS UTS_NS
    CGROUPS CGROUP_PIDS CGROUP_CPUACCT CGROUP_DEVICE CGROUP_FREEZER CGROUP_SCHED CPUSETS MEMCG
    SECCOMP KEYS
    VETH BRIDGE BRIDGE_NETFILTER
    IP_NF_FILTER IP_NF_TARGET_MASQUERADE IP_NF_TARGET_REJECT
    NETFILTER_XT_MATCH_ADDRTYPE NETFILTER_XT_MATCH_CONNTRACK NETFILTER_XT_MATCH_IPVS NETFILTER_XT_MATCH_COMMENT NETFILTER_XT_MATCH_MULTIPORT NETFILTER_XT_MATCH_STATISTIC
    IP_NF_NAT NF_NAT
    POSIX_MQUEUE`),
  ...rows(K3S_CHECK_CONFIG, 'required', 'DEVPTS_MULTIPLE_INSTANCES', { below: [4, 8] }),
  ...rows(K3S_CHECK_CONFIG, 'optional', 'USER_NS'),
  ...rows(K3S_CHECK_CONFIG, 'optional', 'MEMCG_KMEM', { below: [4, 6] }),
  ...rows(K3S_CHECK_CONFIG, 'optional', 'RESOURCE_COUNTERS', { below: [3, 19] }),
  ...rows(K3S_CHECK_CONFIG, 'optional', 'BLK_CGROUP BLK_DEV_THROTTLING CGROUP_PERF CGROUP_HUGETLB NET_CLS_CGROUP'),
  ...rows(K3S_CHECK_CONFIG, 'optional', 'NETPRIO_CGROUP', { below: [3, 14] }),
  ...rows(K3S_CHECK_CONFIG, 'optional', 'CGROUP_NET_PRIO', { from: [3, 14] }),
  ...rows(K3S_CHECK_CONFIG, 'optional', `CFS_BANDWIDTH FAIR_GROUP_SCHED RT_GROUP_SCHED
    IP_NF_TARGET_REDIRECT IP_SET IP_VS IP_VS_NFCT IP_VS_PROTO_TCP IP_VS_PROTO_UDP IP_VS_RR
    EXT4_FS EXT4_FS_POSIX_ACL EXT4_FS_SECURITY
    VXLAN
    CRYPTO CRYPTO_AEAD CRYPTO_GCM CRYPTO_SEQIV CRYPTO_GHASH XFRM XFRM_USER XFRM_ALGO INET_ESP INET_XFRM_MODE_TRANSPORT
    OVERLAY_FS`),
];

/** Without one of these k3s does not start: pkg/cgroups/cgroups_linux.go. */
export const K3S_CONTROLLERS: readonly string[] = ['cpu', 'cpuset', 'memory'];

/** Options of the list that newer kernels do not have any more: the script says "missing" of every one of them, and nothing is. */
export const K3S_GONE: Readonly<Record<string, readonly [major: number, minor: number]>> = {
  INET_XFRM_MODE_TRANSPORT: [5, 2], // "xfrm: remove xfrm modules" of Linux 5.2; moby's script asks up to 5.3
};
