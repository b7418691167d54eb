/**
 * The kernels of the Raspberry Pi images: what was built in, what is a module, and what a kernel file shows of itself. The options are those of
 * raspberrypi/linux's bcm2711_defconfig with what they select, as far as containers and Kubernetes ask for them; a real configuration has 9,000 lines.
 */

/** @typedef {{ release: string, pages?: 4 | 16 }} Kernel `release` is what uname -r says; pages in KiB. */

const YES = `ARM64 SWAP SYSVIPC POSIX_MQUEUE NO_HZ HIGH_RES_TIMERS BSD_PROCESS_ACCT TASKSTATS PSI PSI_DEFAULT_DISABLED IKCONFIG_PROC CGROUPS PAGE_COUNTER MEMCG BLK_CGROUP
  CGROUP_WRITEBACK CGROUP_SCHED FAIR_GROUP_SCHED CGROUP_PIDS CGROUP_FREEZER CPUSETS PROC_PID_CPUSET CGROUP_DEVICE CGROUP_CPUACCT CGROUP_BPF SOCK_CGROUP_DATA NAMESPACES UTS_NS TIME_NS IPC_NS
  USER_NS PID_NS NET_NS SCHED_AUTOGROUP BLK_DEV_INITRD BPF BPF_SYSCALL BPF_JIT HAVE_EBPF_JIT PERF_EVENTS KEYS SECCOMP SECCOMP_FILTER PROC_FS SYSFS TMPFS DEVTMPFS MODULES MODULE_UNLOAD
  BLK_DEV_THROTTLING BLK_DEV_LOOP BLK_DEV_SD NET PACKET UNIX XFRM XFRM_ALGO XFRM_USER INET IP_ADVANCED_ROUTER IP_MULTIPLE_TABLES IP_ROUTE_MULTIPATH FIB_RULES IP_PNP IP_PNP_DHCP NETFILTER
  NETFILTER_ADVANCED NETFILTER_INGRESS NF_CONNTRACK_ZONES NF_CONNTRACK_EVENTS NF_TABLES_INET NF_TABLES_NETDEV NF_TABLES_ARP IP_VS_IPV6 IP_VS_PROTO_TCP IP_VS_PROTO_UDP IP_VS_PROTO_SCTP NET_SCHED
  NET_CLS NET_CLS_ACT NET_EMATCH CGROUP_NET_CLASSID NET_L3_MASTER_DEV BCMGENET USB_NET_SMSC95XX MMC MMC_BCM2835 EXT4_FS EXT4_FS_POSIX_ACL EXT4_FS_SECURITY FANOTIFY INOTIFY_USER VFAT_FS CRYPTO
  CRYPTO_AEAD CRYPTO_SHA1 CRYPTO_SHA256 SECURITY SECURITY_SELINUX SECURITY_SELINUX_BOOTPARAM AUDIT`.split(/\s+/);

const MODULAR = `IKCONFIG OVERLAY_FS NET_KEY INET_ESP INET6_ESP IPV6 NET_IPIP NET_UDP_TUNNEL NET_IP_TUNNEL IPV6_TUNNEL NF_CONNTRACK NF_CT_NETLINK NF_NAT NF_TABLES NFT_NUMGEN NFT_CT NFT_CONNLIMIT NFT_LOG
  NFT_LIMIT NFT_MASQ NFT_REDIR NFT_NAT NFT_TUNNEL NFT_QUEUE NFT_QUOTA NFT_REJECT NFT_COMPAT NFT_HASH NFT_FIB NFT_FIB_INET NFT_FIB_IPV4 NFT_FIB_IPV6 NFT_SOCKET NFT_TPROXY NFT_FLOW_OFFLOAD NF_FLOW_TABLE
  NF_FLOW_TABLE_INET NETFILTER_XTABLES NETFILTER_XT_MARK NETFILTER_XT_CONNMARK NETFILTER_XT_SET NETFILTER_XT_NAT NETFILTER_XT_TARGET_CHECKSUM NETFILTER_XT_TARGET_CLASSIFY NETFILTER_XT_TARGET_CONNMARK
  NETFILTER_XT_TARGET_CT NETFILTER_XT_TARGET_DSCP NETFILTER_XT_TARGET_HL NETFILTER_XT_TARGET_LOG NETFILTER_XT_TARGET_MARK NETFILTER_XT_TARGET_MASQUERADE NETFILTER_XT_TARGET_NETMAP
  NETFILTER_XT_TARGET_NFLOG NETFILTER_XT_TARGET_NFQUEUE NETFILTER_XT_TARGET_NOTRACK NETFILTER_XT_TARGET_REDIRECT NETFILTER_XT_TARGET_TCPMSS NETFILTER_XT_TARGET_TPROXY NETFILTER_XT_TARGET_TRACE
  NETFILTER_XT_MATCH_ADDRTYPE NETFILTER_XT_MATCH_BPF NETFILTER_XT_MATCH_COMMENT NETFILTER_XT_MATCH_CONNBYTES NETFILTER_XT_MATCH_CONNLIMIT NETFILTER_XT_MATCH_CONNMARK NETFILTER_XT_MATCH_CONNTRACK
  NETFILTER_XT_MATCH_DSCP NETFILTER_XT_MATCH_ECN NETFILTER_XT_MATCH_HASHLIMIT NETFILTER_XT_MATCH_HL NETFILTER_XT_MATCH_IPRANGE NETFILTER_XT_MATCH_IPVS NETFILTER_XT_MATCH_LENGTH NETFILTER_XT_MATCH_LIMIT
  NETFILTER_XT_MATCH_MAC NETFILTER_XT_MATCH_MARK NETFILTER_XT_MATCH_MULTIPORT NETFILTER_XT_MATCH_OWNER NETFILTER_XT_MATCH_PHYSDEV NETFILTER_XT_MATCH_PKTTYPE NETFILTER_XT_MATCH_POLICY
  NETFILTER_XT_MATCH_RECENT NETFILTER_XT_MATCH_SOCKET NETFILTER_XT_MATCH_STATE NETFILTER_XT_MATCH_STATISTIC NETFILTER_XT_MATCH_STRING NETFILTER_XT_MATCH_TCPMSS NETFILTER_XT_MATCH_U32 IP_SET
  IP_SET_BITMAP_IP IP_SET_BITMAP_IPMAC IP_SET_BITMAP_PORT IP_SET_HASH_IP IP_SET_HASH_IPPORT IP_SET_HASH_IPPORTIP IP_SET_HASH_IPPORTNET IP_SET_HASH_NET IP_SET_HASH_NETIFACE IP_SET_HASH_NETPORT
  IP_SET_LIST_SET IP_VS IP_VS_RR IP_VS_WRR IP_VS_LC IP_VS_WLC IP_VS_LBLC IP_VS_LBLCR IP_VS_DH IP_VS_SH IP_VS_SED IP_VS_NQ IP_VS_FTP IP_NF_IPTABLES IP_NF_MATCH_RPFILTER IP_NF_FILTER IP_NF_TARGET_REJECT
  IP_NF_NAT IP_NF_TARGET_MASQUERADE IP_NF_TARGET_NETMAP IP_NF_TARGET_REDIRECT IP_NF_MANGLE IP_NF_RAW IP_NF_ARPTABLES IP6_NF_IPTABLES IP6_NF_MATCH_RPFILTER IP6_NF_FILTER IP6_NF_TARGET_REJECT
  IP6_NF_MANGLE IP6_NF_RAW IP6_NF_NAT IP6_NF_TARGET_MASQUERADE BRIDGE BRIDGE_NETFILTER VLAN_8021Q NET_SCH_HTB NET_SCH_FQ NET_SCH_FQ_CODEL NET_SCH_INGRESS NET_SCH_TBF NET_CLS_BASIC NET_CLS_FW NET_CLS_U32
  NET_CLS_CGROUP NET_ACT_MIRRED NET_ACT_POLICE DUMMY WIREGUARD IFB MACVLAN IPVLAN VXLAN GENEVE TUN VETH NET_VRF ZRAM BLK_DEV_NBD BLK_DEV_DM DM_CRYPT DM_THIN_PROVISIONING NFS_FS FUSE_FS CRYPTO_GCM
  CRYPTO_GHASH CRYPTO_SEQIV CRYPTO_USER_API_HASH`.split(/\s+/);

/** The older family's kernels. */
const isOlder = (release) => /^6\.[0-5]\./.test(release);

const UNSET = ['CGROUP_HUGETLB', 'CGROUP_PERF', 'CGROUP_NET_PRIO', 'RT_GROUP_SCHED', 'IP_VS_NFCT', 'AUFS_FS', 'MEMCG_V1'];

/** The file that the kernel's package installs as config-RELEASE. The 6.1 of the older image has no CFS bandwidth control; nobody's has hugetlb. */
export function kernelConfig({ release, pages = 4 }) {
  const [version] = /^[\d.]+/.exec(release);
  const old = isOlder(release);
  const yes = [...YES, `ARM64_${pages}K_PAGES`, ...(old ? ['MEMCG_KMEM'] : ['CFS_BANDWIDTH'])];
  const modular = [...MODULAR, ...(old ? [] : ['NET_CLS_BPF', 'NET_ACT_BPF'])];
  const unset = [...UNSET.filter((name) => !old || name !== 'MEMCG_V1'), ...(old ? ['CFS_BANDWIDTH', 'NET_CLS_BPF', 'NET_ACT_BPF'] : [])];
  const lines = [...yes.map((name) => `CONFIG_${name}=y`), ...modular.map((name) => `CONFIG_${name}=m`), ...unset.map((name) => `# CONFIG_${name} is not set`)];
  return `#\n# Automatically generated file; DO NOT EDIT.\n# Linux/arm64 ${version} Kernel Configuration (excerpt: a sample)\n#\nCONFIG_LOCALVERSION=""\nCONFIG_HZ=250\nCONFIG_NR_CPUS=4\n${lines.join('\n')}\n`;
}

/**
 * An arm64 Image: its header (Documentation/arm64/booting.rst: text offset, size, flags with the page size, "ARM\\x64" at 56) and, further in, the banner that
 * `uname` and `file` know it by. There is no code in it.
 */
export function kernelImage({ release, pages = 4 }) {
  const image = Buffer.alloc(8192);
  image.writeBigUInt64LE(0n, 8);
  image.writeBigUInt64LE(BigInt(image.length), 16);
  image.writeBigUInt64LE(BigInt(0b1000 | (pages === 4 ? 0b010 : 0b100)), 24);
  image.writeUInt32LE(0x644d5241, 56);
  image.write(`Linux version ${release} (mockbuild@sample) (gcc (GCC) 11.3.1, GNU ld version 2.35.2) #1 SMP PREEMPT Tue May 16 12:00:00 UTC 2023\n\0`, 4096, 'latin1');
  return image;
}

/** Directory -> modules; "name<a,b" needs a and b. */
const MODULES = {
  'kernel/fs/overlayfs': 'overlay',
  'kernel/fs/nfs': 'nfs<sunrpc',
  'kernel/fs/fuse': 'fuse',
  'kernel/kernel': 'configs',
  'kernel/lib': 'libcrc32c',
  'kernel/crypto': 'gcm<ghash-generic ghash-generic seqiv algif_hash',
  'kernel/net/802': 'stp<llc',
  'kernel/net/llc': 'llc',
  'kernel/net/8021q': '8021q',
  'kernel/net/sunrpc': 'sunrpc',
  'kernel/net/bridge': 'bridge<stp,llc br_netfilter<bridge',
  'kernel/drivers/net': 'dummy geneve<udp_tunnel,ip6_udp_tunnel ifb macvlan tun veth vrf',
  'kernel/drivers/net/ipvlan': 'ipvlan',
  'kernel/drivers/net/vxlan': 'vxlan<udp_tunnel,ip6_udp_tunnel',
  'kernel/drivers/net/wireguard': 'wireguard<udp_tunnel,ip6_udp_tunnel',
  'kernel/drivers/block': 'nbd',
  'kernel/drivers/block/zram': 'zram',
  'kernel/drivers/md': 'dm-mod dm-crypt<dm-mod dm-thin-pool<dm-mod',
  'kernel/net/ipv4': 'esp4 ip_tunnel ipip<ip_tunnel,tunnel4 tunnel4 udp_tunnel',
  'kernel/net/ipv4/netfilter': 'arp_tables<x_tables ip_tables<x_tables ipt_REJECT<x_tables,nf_reject_ipv4 ipt_rpfilter<x_tables iptable_filter<ip_tables iptable_mangle<ip_tables iptable_nat<ip_tables,nf_nat '
    + 'iptable_raw<ip_tables nf_defrag_ipv4 nf_reject_ipv4 nf_socket_ipv4 nf_tproxy_ipv4 nft_fib_ipv4<nft_fib nft_reject_ipv4<nf_tables,nf_reject_ipv4',
  'kernel/net/ipv6': 'esp6 ip6_tunnel<tunnel6 ip6_udp_tunnel<ipv6 ipv6 tunnel6',
  'kernel/net/ipv6/netfilter': 'ip6_tables<x_tables ip6t_REJECT<x_tables,nf_reject_ipv6 ip6t_rpfilter<x_tables ip6table_filter<ip6_tables ip6table_mangle<ip6_tables ip6table_nat<ip6_tables,nf_nat '
    + 'ip6table_raw<ip6_tables nf_defrag_ipv6 nf_reject_ipv6 nf_socket_ipv6 nf_tproxy_ipv6 nft_fib_ipv6<nft_fib nft_reject_ipv6<nf_tables,nf_reject_ipv6',
  'kernel/net/netfilter': 'nfnetlink x_tables nf_conntrack<nf_defrag_ipv4,nf_defrag_ipv6,libcrc32c nf_conntrack_netlink<nf_conntrack,nfnetlink nf_conncount<nf_conntrack nf_nat<nf_conntrack '
    + 'nf_log_syslog nf_flow_table<nf_conntrack nf_flow_table_inet<nf_flow_table nf_tables<nfnetlink,libcrc32c nft_chain_nat<nf_tables,nf_nat nft_compat<nf_tables,x_tables nft_connlimit<nf_tables,nf_conncount '
    + 'nft_ct<nf_tables,nf_conntrack nft_fib<nf_tables nft_fib_inet<nft_fib nft_flow_offload<nf_tables,nf_flow_table nft_hash<nf_tables nft_limit<nf_tables nft_log<nf_tables nft_masq<nf_tables,nf_nat '
    + 'nft_nat<nf_tables,nf_nat nft_numgen<nf_tables nft_queue<nf_tables nft_quota<nf_tables nft_redir<nf_tables,nf_nat nft_reject<nf_tables nft_reject_inet<nft_reject nft_socket<nf_tables '
    + 'nft_tproxy<nf_tables nft_tunnel<nf_tables xt_CHECKSUM xt_CLASSIFY xt_CT<nf_conntrack xt_DSCP xt_HL xt_LOG xt_MASQUERADE<nf_nat xt_NETMAP<nf_nat xt_NFLOG xt_NFQUEUE xt_REDIRECT<nf_nat xt_TCPMSS '
    + 'xt_TPROXY xt_TRACE xt_addrtype xt_bpf xt_comment xt_connbytes<nf_conntrack xt_connlimit<nf_conncount xt_connmark<nf_conntrack xt_conntrack<nf_conntrack xt_dscp xt_ecn xt_hashlimit xt_hl '
    + 'xt_iprange xt_ipvs<ip_vs xt_length xt_limit xt_mac xt_mark xt_multiport xt_nat<nf_nat xt_owner xt_physdev<br_netfilter xt_pkttype xt_policy xt_recent xt_set<ip_set xt_socket xt_state<nf_conntrack '
    + 'xt_statistic xt_string xt_tcpmss xt_u32',
  'kernel/net/netfilter/ipset': 'ip_set<nfnetlink ip_set_bitmap_ip<ip_set ip_set_bitmap_ipmac<ip_set ip_set_bitmap_port<ip_set ip_set_hash_ip<ip_set ip_set_hash_ipport<ip_set ip_set_hash_ipportip<ip_set '
    + 'ip_set_hash_ipportnet<ip_set ip_set_hash_net<ip_set ip_set_hash_netiface<ip_set ip_set_hash_netport<ip_set ip_set_list_set<ip_set',
  'kernel/net/netfilter/ipvs': 'ip_vs<nf_conntrack,libcrc32c ip_vs_dh<ip_vs ip_vs_ftp<ip_vs,nf_nat ip_vs_lblc<ip_vs ip_vs_lblcr<ip_vs ip_vs_lc<ip_vs ip_vs_nq<ip_vs ip_vs_rr<ip_vs ip_vs_sed<ip_vs ip_vs_sh<ip_vs '
    + 'ip_vs_wlc<ip_vs ip_vs_wrr<ip_vs',
  'kernel/net/sched': 'act_mirred act_police cls_basic cls_cgroup cls_fw cls_u32 sch_fq sch_fq_codel sch_htb sch_ingress sch_tbf',
};
const ALSO_NEW = { 'kernel/net/sched': ' act_bpf cls_bpf' };

const BUILT_IN = ['kernel/fs/ext4/ext4', 'kernel/fs/jbd2/jbd2', 'kernel/fs/fat/fat', 'kernel/fs/fat/vfat', 'kernel/fs/configfs/configfs', 'kernel/crypto/crypto', 'kernel/crypto/sha1_generic', 'kernel/crypto/aead',
  'kernel/net/xfrm/xfrm_user', 'kernel/net/unix/unix', 'kernel/net/packet/af_packet', 'kernel/drivers/block/loop', 'kernel/drivers/net/ethernet/broadcom/genet/genet', 'kernel/drivers/mmc/host/sdhci-iproc'];

/** /usr/lib/modules/RELEASE with depmod's text indexes; the modules themselves are placeholders. */
export function kernelModules(tree, { release }) {
  const found = Object.entries(MODULES).flatMap(([directory, text]) => `${text}${isOlder(release) ? '' : (ALSO_NEW[directory] ?? '')}`.split(/\s+/).map((word) => {
    const [name, needs = ''] = word.split('<');
    return { name, path: `${directory}/${name}.ko`, needs: needs.split(',').filter((need) => need !== '').concat(/^(xt|ipt|ip6t)_/.test(name) && !needs.includes('x_tables') ? ['x_tables'] : []) };
  }));
  const byName = new Map(found.map((module) => [module.name, module]));
  const closure = (names) => [...new Set(names.flatMap((name) => [name, ...closure(byName.get(name).needs)]))]; // depmod writes what the needed ones need, too
  const root = `/usr/lib/modules/${release}`;
  tree.file(`${root}/modules.order`, found.map(({ path }) => `${path}\n`).join(''));
  tree.file(`${root}/modules.dep`, found.map(({ path, needs }) => `${path}.xz:${closure(needs).map((need) => ` ${byName.get(need).path}.xz`).join('')}\n`).join(''));
  tree.file(`${root}/modules.builtin`, BUILT_IN.map((path) => `${path}.ko\n`).join(''));
  for (const { path } of found) tree.file(`${root}/${path}.xz`, 'placeholder\n');
}
