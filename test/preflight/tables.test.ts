/** The tables of others, row by row: take one row away and the check must name it. */
import { expect } from 'vitest';
import { needs } from '../support/oracle.js';
import { AVAILABLE, CONFIG, HEALTHY, KERNEL, MODULES, configuration, dependencies, listening, preflight, type Node } from './node.js';

const given = needs('dash', 'mawk');

const words = (text: string): string[] => text.trim().split(/\s+/);
/** kubernetes/system-validators v1.12.1, validators/types_unix.go, for cgroup v2. */
const KUBEADM = words(`NAMESPACES NET_NS PID_NS IPC_NS UTS_NS CPUSETS MEMCG INET EXT4_FS PROC_FS NETFILTER_XT_TARGET_REDIRECT NETFILTER_XT_MATCH_COMMENT FAIR_GROUP_SCHED
  CGROUPS CGROUP_BPF CGROUP_PIDS CGROUP_SCHED`);
const KUBEADM_V1 = words('CGROUPS CGROUP_CPUACCT CGROUP_DEVICE CGROUP_FREEZER CGROUP_PIDS CGROUP_SCHED');
const KUBEADM_OPTIONAL = words('OVERLAY_FS BLK_DEV_DM CFS_BANDWIDTH SECCOMP SECCOMP_FILTER');
/** k3s, contrib/util/check-config.sh, "Generally Necessary". */
const K3S = words(`NAMESPACES NET_NS PID_NS IPC_NS UTS_NS CGROUPS CGROUP_PIDS CGROUP_CPUACCT CGROUP_DEVICE CGROUP_FREEZER CGROUP_SCHED CPUSETS MEMCG SECCOMP KEYS VETH BRIDGE BRIDGE_NETFILTER
  IP_NF_FILTER IP_NF_TARGET_MASQUERADE IP_NF_TARGET_REJECT NETFILTER_XT_MATCH_ADDRTYPE NETFILTER_XT_MATCH_CONNTRACK NETFILTER_XT_MATCH_IPVS NETFILTER_XT_MATCH_COMMENT
  NETFILTER_XT_MATCH_MULTIPORT NETFILTER_XT_MATCH_STATISTIC IP_NF_NAT NF_NAT POSIX_MQUEUE`);

function says(id: string, node: Node, args: readonly string[]): string {
  const { status, message } = preflight({ ...HEALTHY, ...node }, args).result.checks.find((check) => check.id === id)!;
  return `${status}: ${message}`;
}

const lacking = (name: string): Node => ({ [`/boot/config-${KERNEL}`]: configuration(CONFIG.filter((one) => one !== name)) });
const only = (names: readonly string[]): Node => ({ [`/boot/config-${KERNEL}`]: configuration(names) });

given.each(KUBEADM)('kubeadm requires %s', (name) => expect(says('kernel-config', lacking(name), [])).toBe(`fail: /boot/config-${KERNEL} lacks ${name}`));
given.each(KUBEADM_OPTIONAL)('kubeadm would like %s', (name) => expect(says('kernel-optional', lacking(name), ['--for', 'kubeadm'])).toBe(`warn: /boot/config-${KERNEL} lacks ${name}`));
given.each(K3S)('k3s requires %s', (name) => expect(says('kernel-config', lacking(name), ['--for', 'k3s'])).toBe(`fail: /boot/config-${KERNEL} lacks ${name}`));

given('and nothing else', () => {
  const v1 = { '/proc/mounts': 'tmpfs /sys/fs/cgroup tmpfs ro 0 0\n' };
  expect(says('kernel-config', only(KUBEADM), [])).toMatch(/^ok/);
  expect(says('kernel-config', only(K3S), ['--for', 'rke2'])).toMatch(/^ok/);
  expect(says('kernel-config', { ...only([...KUBEADM.filter((name) => name !== 'CGROUP_BPF'), ...KUBEADM_V1]), ...v1 }, [])).toMatch(/^ok/);
  for (const name of KUBEADM_V1) expect(says('kernel-config', { ...only([...KUBEADM, ...KUBEADM_V1].filter((one) => one !== name)), ...v1 }, [])).toMatch(new RegExp(`^fail.* lacks ${name}$`));
});

given.each(words('cpu cpuset pids memory'))('cgroup v2 without %s', (name) => {
  const node = { '/sys/fs/cgroup/cgroup.controllers': words('cpuset cpu io memory hugetlb pids').filter((one) => one !== name).join(' ') };
  expect(says(name === 'memory' ? 'cgroup-memory' : 'cgroup-controllers', node, [])).toMatch(name === 'memory' ? /^fail/ : new RegExp(`^fail.* ${name}$`));
});

/** kubespray, roles/kubernetes/node/tasks/main.yml (kube_proxy_mode: ipvs) and enable_nodelocaldns; overlay is built in here. */
given.each(words('br_netfilter nf_conntrack vxlan dummy ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh ip_vs_wlc ip_vs_lc'))('Kubespray loads %s', (name) => {
  expect(says('modules', { [`${MODULES}/modules.dep`]: dependencies(AVAILABLE.filter((one) => one !== name)), '/proc/modules': '', '/sys/module/br_netfilter': null }, [])).toBe(`fail: the kernel ${KERNEL} has no module ${name}`);
});

/** projectcalico/calico, felix checksystem.go. */
given.each(words('ip_set ip_tables nf_conntrack_netlink ipt_REJECT ipt_rpfilter xt_addrtype xt_conntrack xt_mark xt_multiport xt_set'))('Calico needs %s', (name) => {
  expect(says('modules-network', { [`${MODULES}/modules.dep`]: dependencies(AVAILABLE.filter((one) => one.replaceAll('-', '_') !== name)) }, [])).toBe(`warn: the kernel ${KERNEL} has no module ${name}`);
});

const PORTS = { 'kubeadm control-plane': '6443 2379 2380 10250 10257 10259', 'kubeadm worker': '10250', 'k3s control-plane': '6443 6444 10250 2379 2380', 'k3s worker': '6444 10250', 'rke2 control-plane': '6443 9345 10250 2379 2380 2381', 'rke2 worker': '10250' };
given.each(Object.entries(PORTS))('ports of %s', (whose, ports) => {
  const [tool, role] = whose.split(' ') as [string, string];
  expect(says('ports', { '/proc/net/tcp': listening(...words(ports).map(Number), 22, 10249) }, ['--for', tool, '--role', role])).toBe(`fail: in use already: ${ports}`);
});
