/** One defect (and more) for every check of rockberry-preflight: what is changed in the healthy node, and what the check must say then. */
import { BOOT, CGROUP2, CONFIG, FIRMWARE, KERNEL, MODULES, AVAILABLE, OWN, TRIO, configuration, dependencies, disk, listening, listening6, mounts, type Node } from './node.js';

export interface Defect {
  readonly id: string;
  readonly name: string;
  readonly node: Node;
  readonly args?: readonly string[];
  readonly status: 'fail' | 'warn' | 'info' | 'skip' | 'ok';
  readonly says: RegExp;
  readonly hint?: RegExp;
  readonly reason?: string;
}

const CONTROL_PLANE = ['--role', 'control-plane'];
const V1 = '#subsys_name\thierarchy\tnum_cgroups\tenabled\n';
const v1 = (...names: string[]): Node => ({
  '/proc/mounts': mounts('tmpfs /sys/fs/cgroup tmpfs ro 0 0', 'cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0', BOOT), '/proc/cgroups': V1 + names.map((name) => `${name}\t1\t1\t1\n`).join(''),
});
const V1_NAMES = ['cpuset', 'cpu', 'cpuacct', 'blkio', 'memory', 'devices', 'freezer', 'pids', 'hugetlb'];
const noMemory: Node = { '/sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io pids\n', '/sys/fs/cgroup/cgroup.subtree_control': 'cpuset cpu io pids\n' };
const log = (unknown: string): Node => ({ '/run/rockberry/answers/dmesg': `[    0.000000] Unknown kernel command line parameters "${unknown}", will be passed to user space.\n` });
const kernel = (release: string): Node => ({ '/proc/sys/kernel/osrelease': `${release}\n` });
const zone = (rules: string): Node => ({
  '/sys/fs/cgroup/system.slice/firewalld.service': { directory: true }, '/etc/firewalld/firewalld.conf': '# comment\nDefaultZone=nodes\n',
  '/etc/firewalld/zones/nodes.xml': `<?xml version="1.0" encoding="utf-8"?>\n<zone>\n  <short>Nodes</short>\n  <service name="ssh"/>\n${rules}</zone>\n`,
});
const without = (names: readonly string[], ...gone: string[]): string[] => names.filter((name) => !gone.includes(name));

const cgroups: Defect[] = [
  { id: 'cgroup-version', name: 'v1', node: v1(...V1_NAMES), status: 'fail', says: /cgroup v1 .*1\.35/, hint: /unified_cgroup_hierarchy=1/ },
  { id: 'cgroup-version', name: 'v1, which 1.34 still takes', node: v1(...V1_NAMES), args: ['--kubernetes', 'v1.34.3'], status: 'warn', says: /cgroup v1/ },
  { id: 'cgroup-version', name: 'v1 by the command line', node: { ...v1(...V1_NAMES), '/proc/cmdline': `${OWN} systemd.unified-cgroup-hierarchy=1 systemd.unified_cgroup_hierarchy=0\n` }, status: 'fail', says: /v1/, hint: /take systemd.unified_cgroup_hierarchy=0 out of \/boot\/cmdline\.txt/ },
  { id: 'cgroup-version', name: 'hybrid', node: { ...v1(...V1_NAMES), '/proc/mounts': mounts('tmpfs /sys/fs/cgroup tmpfs ro 0 0', 'cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0') }, status: 'fail', says: /hybrid/ },
  { id: 'cgroup-version', name: 'none', node: { '/proc/mounts': mounts(BOOT) }, status: 'fail', says: /no cgroup filesystem/ },
  { id: 'cgroup-version', name: 'mounted over', node: { '/proc/mounts': mounts('tmpfs /sys/fs/cgroup tmpfs ro 0 0', CGROUP2, BOOT) }, status: 'ok', says: /v2/ },
  { id: 'cgroup-controllers', name: 'no pids', node: { '/sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io memory hugetlb\n' }, status: 'fail', says: /controllers pids$/, hint: /cgroup_disable=/ },
  { id: 'cgroup-controllers', name: 'cpu is not cpuset', node: { '/sys/fs/cgroup/cgroup.controllers': 'cpuset io memory pids\n' }, status: 'fail', says: /controllers cpu$/ },
  { id: 'cgroup-controllers', name: 'nothing to read', node: { '/sys/fs/cgroup/cgroup.controllers': null }, status: 'fail', says: /controllers cpu cpuset pids$/ },
  { id: 'cgroup-controllers', name: 'v1 with one turned off', node: { ...v1(...V1_NAMES), '/proc/cgroups': `${V1}${without(V1_NAMES, 'freezer').map((name) => `${name}\t1\t1\t1\n`).join('')}freezer\t0\t1\t0\n` }, status: 'fail', says: /controllers freezer$/ },
  { id: 'cgroup-controllers', name: 'v1 with all', node: v1(...V1_NAMES), status: 'ok', says: /cpuacct/ },
  { id: 'cgroup-io', name: 'no io', node: { '/sys/fs/cgroup/cgroup.controllers': 'cpuset cpu memory hugetlb pids\n' }, status: 'warn', says: /io controller is off/ },
  { id: 'cgroup-io', name: 'v1 without blkio', node: v1(...without(V1_NAMES, 'blkio')), status: 'warn', says: /blkio controller is off/ },
  { id: 'cgroup-hugetlb', name: 'as on a Raspberry Pi', node: { '/sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io memory pids\n' }, status: 'info', says: /hugetlb controller is off/ },
  { id: 'cgroup-delegation', name: 'not handed on', node: { '/sys/fs/cgroup/cgroup.subtree_control': 'cpuset cpu io pids\n' }, status: 'info', says: /not handed on/ },
  { id: 'cgroup-delegation', name: 'v1 has none', node: v1(...V1_NAMES), status: 'skip', says: /v1 has no delegation/ },
  { id: 'cgroup-freezer', name: 'an old kernel', node: { '/sys/fs/cgroup/init.scope/cgroup.freeze': null, '/sys/fs/cgroup/init.scope/cgroup.procs': '1\n' }, status: 'fail', says: /cannot be frozen/ },
  { id: 'cgroup-freezer', name: 'nothing below the root', node: { '/sys/fs/cgroup/init.scope/cgroup.freeze': null, '/sys/fs/cgroup/system.slice/sshd.service': null }, status: 'skip', says: /no cgroup below/ },
];

const memory: Defect[] = ([
  ['absent', 'not on the command line', { '/proc/cmdline': `${FIRMWARE} ${OWN}\n`, '/boot/cmdline.txt': `${OWN}\n` }, /is not on the kernel command line/, /end of the one line of \/boot\/cmdline\.txt and reboot/],
  ['absent', 'cpuset is not memory', { '/proc/cmdline': `${FIRMWARE} ${OWN} cgroup_enable=cpuset cgroup_memory=1\n`, '/boot/cmdline.txt': `${OWN} cgroup_enable=cpuset cgroup_memory=1\n` }, /is not on/, /cgroup_enable=memory/],
  ['absent', 'inside quotes it is no parameter', { '/proc/cmdline': `${OWN} dyndbg="file a cgroup_enable=memory +p"\n`, '/boot/cmdline.txt': `${OWN}\n` }, /is not on/, /add/],
  ['absent', 'after -- it is for init', { '/proc/cmdline': `${OWN} -- cgroup_enable=memory\n`, '/boot/cmdline.txt': `${OWN}\n` }, /is not on/, /add/],
  ['absent', 'the current Rocky image has its FAT at /boot/efi', { '/proc/mounts': mounts(CGROUP2, '/dev/mmcblk0p1 /boot/efi vfat rw 0 0'), '/boot/efi/cmdline.txt': `${OWN}\n`, '/boot/cmdline.txt': null, '/proc/cmdline': `${OWN}\n` }, /is not on/, /\/boot\/efi\/cmdline\.txt/],
  ['absent', 'Raspberry Pi OS has a note at /boot', { '/proc/mounts': mounts(CGROUP2, '/dev/mmcblk0p1 /boot/firmware vfat rw 0 0'), '/boot/firmware/cmdline.txt': `${OWN}\n`, '/boot/cmdline.txt': 'DO NOT EDIT THIS FILE\n\nThe file you are looking for has moved to /boot/firmware/cmdline.txt\n', '/proc/cmdline': `${OWN}\n` }, /is not on/, /\/boot\/firmware\/cmdline\.txt/],
  ['absent', 'a note on the FAT itself', { '/proc/mounts': mounts(CGROUP2, '/dev/mmcblk0p1 /boot/firmware vfat rw 0 0', BOOT), '/boot/firmware/cmdline.txt': 'DO NOT EDIT THIS FILE\n', '/boot/cmdline.txt': `${OWN}\n`, '/proc/cmdline': `${OWN}\n` }, /is not on/, / \/boot\/cmdline\.txt/],
  ['absent', 'an automounted FAT', { '/proc/mounts': mounts(CGROUP2, 'systemd-1 /boot autofs rw 0 0'), '/boot/cmdline.txt': `${OWN}\n`, '/proc/cmdline': `${OWN}\n` }, /is not on/, /\/boot\/cmdline\.txt/],
  ['absent', 'Ubuntu keeps it under os_prefix', { '/proc/mounts': mounts(CGROUP2, '/dev/mmcblk0p1 /boot/firmware vfat rw 0 0'), '/boot/firmware/config.txt': '[all]\r\nos_prefix=current/\r\n', '/boot/firmware/current/cmdline.txt': `${OWN}\n`, '/boot/cmdline.txt': null, '/proc/cmdline': `${OWN}\n` }, /is not on/, /\/boot\/firmware\/current\/cmdline\.txt/],
  ['absent', 'config.txt names another file', { '/boot/config.txt': 'cmdline=k8s.txt\n', '/boot/k8s.txt': `${OWN}\n`, '/proc/cmdline': `${OWN}\n` }, /is not on/, /\/boot\/k8s\.txt/],
  ['absent', 'the boot partition is not mounted', { '/proc/mounts': mounts(CGROUP2), '/boot/cmdline.txt': null, '/proc/cmdline': `${OWN}\n` }, /is not on/, /boot partition, which is not mounted/],
  ['not-in-force', 'edited, not rebooted', { '/proc/cmdline': `${FIRMWARE} ${OWN}\n` }, /started without it/, /^reboot; .*os_prefix/],
  ['second-line', 'on the second line', { '/proc/cmdline': `${FIRMWARE} ${OWN}\n`, '/boot/cmdline.txt': `${OWN}\n${TRIO}\n` }, /below the first line of \/boot\/cmdline\.txt/, /everything on the first line/],
  ['overruled', 'by cmdline.txt itself', { '/proc/cmdline': `${OWN} cgroup_enable=memory cgroup_disable=memory\n`, '/boot/cmdline.txt': `${OWN} cgroup_enable=memory cgroup_disable=memory\n` }, /stands after .* later one counts/, /take cgroup_disable=memory out of \/boot\/cmdline\.txt/],
  ['overruled', 'by the boot loader (home-assistant/operating-system#3772)', { '/proc/cmdline': `${OWN} ${TRIO} cgroup-disable=blkio,memory\n` }, /stands after/, /boot loader/],
  ['unknown-parameter', 'the kernel says so (6.12 of November 2024)', { ...kernel('6.12.1-v8+'), ...log('cgroup_memory=1 cgroup_enable=memory') }, /6\.12\.1-v8\+ does not know cgroup_enable=memory/, /from the device tree: update/],
  ['unknown-parameter', 'the kernel says so, and the file has the opposite', { ...log('cgroup_enable=cpuset,memory'), '/boot/cmdline.txt': `cgroup_disable=memory ${OWN} ${TRIO}\n` }, /does not know/, /take cgroup_disable=memory out of \/boot\/cmdline\.txt/],
  ['unknown-parameter', 'up to 6.6 the order does not matter, so it is not that', { ...kernel('6.6.77-v8.1.el9.altarch'), '/proc/cmdline': `${OWN} ${TRIO} cgroup_disable=memory\n`, '/run/rockberry/answers/dmesg': null }, /does not act on it/, /2025 or later/],
  ['unknown-parameter', 'nothing turns it off', { '/proc/cmdline': `${OWN} ${TRIO}\n`, '/run/rockberry/answers/dmesg': null }, /does not act on it/, /Raspberry Pi kernel of 2025/],
  ['unknown-parameter', 'a later disable on a kernel that knows only that one', { ...kernel('6.12.48+deb13-arm64'), '/proc/cmdline': `${OWN} ${TRIO} cgroup_disable=memory\n`, '/run/rockberry/answers/dmesg': null }, /does not act/, /device tree/],
  ['disabled', 'a kernel of the gap', { ...kernel('6.12.3-v8+'), '/proc/cmdline': `${FIRMWARE} ${OWN}\n`, '/boot/cmdline.txt': `${OWN}\n` }, /6\.12\.3-v8\+ knows no cgroup_enable=/, /update to a Raspberry Pi kernel of 2025/],
  ['disabled', 'a stock kernel with the firmware\'s device tree', { ...kernel('5.14.0-570.12.1.el9_6.aarch64'), '/proc/cmdline': `${FIRMWARE} ${OWN}\n`, '/boot/cmdline.txt': `${OWN}\n` }, /5\.14\.0-570\S+ knows no cgroup_enable=/, /device tree/],
  ['not-built', 'a kernel without it', { [`/boot/config-${KERNEL}`]: configuration(without(CONFIG, 'MEMCG')) }, /built without it \(CONFIG_MEMCG\)/, /CONFIG_MEMCG=y; see \/boot\/config-/],
  ['unexplained', 'no Raspberry Pi, no parameter', { '/proc/device-tree/model': null, '/boot/cmdline.txt': null, '/proc/cmdline': 'BOOT_IMAGE=/vmlinuz root=/dev/sda2\n' }, /nothing on the kernel command line/, /dmesg/],
] as const).map(([reason, name, node, says, hint]) => ({ id: 'cgroup-memory', name: `${reason}: ${name}`, node: { ...noMemory, ...node }, status: 'fail', says, hint, reason }));

const commandLine: Defect[] = [
  { id: 'cgroup-memory', name: 'v1 without memory', node: { ...v1(...without(V1_NAMES, 'memory')), '/proc/cmdline': `${OWN}\n`, '/boot/cmdline.txt': `${OWN}\n` }, status: 'fail', says: /memory controller is off/, reason: 'absent' },
  { id: 'cgroup-delegation', name: 'memory is off', node: noMemory, status: 'skip', says: /memory controller is off/ },
  { id: 'cmdline-file', name: 'two lines', node: { '/boot/cmdline.txt': `${OWN} ${TRIO}\nquiet\n` }, status: 'warn', says: /more than one line/ },
  { id: 'cmdline-file', name: 'from Windows', node: { '/boot/cmdline.txt': `${OWN} ${TRIO}\r\n` }, status: 'warn', says: /carriage return/ },
  { id: 'cmdline-file', name: 'a byte order mark', node: { '/boot/cmdline.txt': `\ufeff${OWN} ${TRIO}\n` }, status: 'warn', says: /byte order mark/ },
  { id: 'cmdline-file', name: 'the parameter was taken out', node: { '/boot/cmdline.txt': `${OWN}\n` }, status: 'warn', says: /the next boot turns memory off/, hint: /\/boot\/cmdline\.txt/ },
  { id: 'cmdline-file', name: 'the opposite was put in', node: { '/boot/cmdline.txt': `${OWN} ${TRIO} cgroup_disable=memory\n` }, status: 'warn', says: /says cgroup_disable=memory/ },
  { id: 'cmdline-file', name: 'another way to boot', node: { '/boot/cmdline.txt': null }, status: 'skip', says: /no cmdline\.txt on a FAT partition/ },
  { id: 'cmdline-file', name: 'a name that leaves the partition', node: { '/boot/config.txt': 'cmdline=../etc/fstab\n', '/boot/cmdline.txt': null }, status: 'skip', says: /no cmdline\.txt/ },
];

const kernels: Defect[] = [
  { id: 'kernel-version', name: 'EL9\'s own', node: kernel('5.14.0-570.12.1.el9_6.aarch64'), status: 'warn', says: /5\.14\.0-570/ },
  { id: 'kernel-version', name: 'k3s does not ask', node: kernel('5.14.0-570.12.1.el9_6.aarch64'), args: ['--for', 'k3s'], status: 'ok', says: /5\.14/ },
  { id: 'kernel-version', name: 'none', node: { '/proc/sys/kernel/osrelease': null }, status: 'warn', says: /unknown/ },
  { id: 'kernel-config', name: 'without CGROUP_BPF, and one as a comment', node: { [`/boot/config-${KERNEL}`]: `${configuration(without(CONFIG, 'CGROUP_BPF', 'EXT4_FS'))}# CONFIG_EXT4_FS is not set\nXCONFIG_CGROUP_BPF=y\n` }, status: 'fail', says: /lacks EXT4_FS CGROUP_BPF$/ },
  { id: 'kernel-config', name: 'v1 asks for other ones', node: { ...v1(...V1_NAMES), [`/boot/config-${KERNEL}`]: configuration(without(CONFIG, 'CGROUP_FREEZER', 'CGROUP_BPF')) }, status: 'fail', says: /lacks CGROUP_FREEZER$/ },
  { id: 'kernel-config', name: 'an alias will do', node: { [`/boot/config-${KERNEL}`]: configuration([...without(CONFIG, 'NETFILTER_XT_TARGET_REDIRECT', 'OVERLAY_FS'), 'IP_NF_TARGET_REDIRECT', 'OVERLAYFS_FS']) }, status: 'ok', says: /requires/ },
  { id: 'kernel-config', name: '=n is missing', node: { [`/boot/config-${KERNEL}`]: `${configuration(without(CONFIG, 'INET'))}CONFIG_INET=n\n` }, status: 'fail', says: /lacks INET$/ },
  { id: 'kernel-config', name: 'k3s asks for more', node: { [`/boot/config-${KERNEL}`]: configuration(without(CONFIG, 'VETH')) }, args: ['--for', 'k3s'], status: 'fail', says: /lacks VETH$/ },
  { id: 'kernel-config', name: 'k3s\' own are nothing to kubeadm', node: { [`/boot/config-${KERNEL}`]: configuration(without(CONFIG, 'VETH')) }, args: ['--for', 'kubeadm'], status: 'ok', says: /kubeadm requires/ },
  { id: 'kernel-config', name: 'no configuration', node: { [`/boot/config-${KERNEL}`]: null }, status: 'fail', says: /kubeadm stops without one/ },
  { id: 'kernel-config', name: 'no configuration, which k3s does not need', node: { [`/boot/config-${KERNEL}`]: null }, args: ['--for', 'rke2'], status: 'info', says: /no configuration/ },
  { id: 'kernel-config', name: 'in a module', node: { [`/boot/config-${KERNEL}`]: null, [`${MODULES}/modules.dep`]: dependencies([...AVAILABLE, 'configs']) }, status: 'skip', says: /in the module configs/ },
  { id: 'kernel-config', name: '/proc/config.gz comes first, and is broken', node: { '/proc/config.gz': 'no gzip' }, status: 'fail', says: /\/proc\/config\.gz is no kernel configuration/ },
  { id: 'kernel-config', name: 'the modules\' directory has it', node: { [`/boot/config-${KERNEL}`]: null, [`${MODULES}/config`]: configuration(CONFIG) }, status: 'ok', says: new RegExp(`${MODULES}/config has`) },
  { id: 'kernel-optional', name: 'without CFS_BANDWIDTH', node: { [`/boot/config-${KERNEL}`]: configuration(without(CONFIG, 'CFS_BANDWIDTH')) }, status: 'warn', says: /lacks CFS_BANDWIDTH$/ },
  { id: 'kernel-optional', name: 'k3s\' list is another', node: { [`/boot/config-${KERNEL}`]: configuration(without(CONFIG, 'VXLAN', 'SECCOMP_FILTER')) }, args: ['--for', 'k3s'], status: 'warn', says: /lacks VXLAN$/ },
  { id: 'kernel-optional', name: 'nothing to read', node: { [`/boot/config-${KERNEL}`]: null }, status: 'skip', says: /no kernel configuration/ },
  { id: 'modules', name: 'no IPVS', node: { [`${MODULES}/modules.dep`]: dependencies(without(AVAILABLE, 'ip_vs_wlc', 'ip_vs')) }, status: 'fail', says: /no module ip_vs ip_vs_wlc$/ },
  { id: 'modules', name: 'kubeadm needs no IPVS', node: { [`${MODULES}/modules.dep`]: dependencies(without(AVAILABLE, 'ip_vs_wlc', 'ip_vs', 'vxlan')) }, args: ['--for', 'kubeadm'], status: 'ok', says: /kubeadm's kernel modules/ },
  { id: 'modules', name: 'k3s needs VXLAN', node: { [`${MODULES}/modules.dep`]: dependencies(without(AVAILABLE, 'ip_vs', 'vxlan')) }, args: ['--for', 'k3s'], status: 'fail', says: /no module vxlan$/ },
  { id: 'modules', name: 'not for the running kernel', node: kernel('6.12.40-v8.1.el9'), status: 'fail', says: /no modules for the running kernel 6\.12\.40/, hint: /reboot/ },
  { id: 'modules', name: 'only at /lib/modules', node: { [`${MODULES}/modules.dep`]: null, [`${MODULES}/modules.builtin`]: null, [`/lib/modules/${KERNEL}/modules.dep`]: dependencies([...AVAILABLE, 'overlay']) }, status: 'ok', says: /are there/ },
  { id: 'modules', name: 'built in, and told only by /sys/module', node: { [`${MODULES}/modules.builtin`]: '', '/sys/module/overlay': { directory: true } }, status: 'ok', says: /are there/ },
  { id: 'modules-network', name: 'no xt_set', node: { [`${MODULES}/modules.dep`]: dependencies(without(AVAILABLE, 'xt_set', 'ip_set')) }, status: 'warn', says: /no module ip_set xt_set$/ },
  { id: 'modules-network', name: 'nf_tables instead', node: { [`${MODULES}/modules.dep`]: dependencies([...without(AVAILABLE, 'ip_tables', 'ipt_REJECT', 'ipt_rpfilter', 'xt_comment'), 'nf_tables', 'nft_reject', 'nft_fib', 'nft_compat']) }, status: 'ok', says: /are there/ },
  { id: 'modules-loaded', name: 'br_netfilter is not', node: { '/proc/modules': 'bridge 262144 0 - Live 0x0\n', '/sys/module/br_netfilter': null }, status: 'warn', says: /not loaded: br_netfilter$/, hint: /modprobe -a br_netfilter/ },
  { id: 'page-size', name: 'Raspberry Pi 5', node: { '/proc/self/smaps': 'KernelPageSize:       16 kB\n' }, status: 'warn', says: /16K/, hint: /kernel8\.img/ },
  { id: 'page-size', name: 'not told', node: { '/proc/self/smaps': null }, status: 'skip', says: /not told/ },
  { id: 'pressure', name: 'off', node: { '/proc/pressure/memory': null }, status: 'info', says: /PSI/, hint: /psi=1 to the line in \/boot\/cmdline\.txt/ },
];

const SWAPS = 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/mmcblk0p2                          partition\t499712\t\t0\t\t-2\n';
const parameters: Defect[] = [
  { id: 'swap', name: 'a partition', node: { '/proc/swaps': SWAPS }, status: 'fail', says: /active on \/dev\/mmcblk0p2/, hint: /swapoff/ },
  { id: 'swap', name: 'k3s starts all the same', node: { '/proc/swaps': SWAPS }, args: ['--for', 'k3s'], status: 'warn', says: /mmcblk0p2/ },
  { id: 'swap', name: 'kubelet was told', node: { '/proc/swaps': SWAPS, '/var/lib/kubelet/config.yaml': 'kind: KubeletConfiguration\nfailSwapOn: false\n' }, status: 'info', says: /told to accept/ },
  { id: 'swap-boot', name: 'fstab', node: { '/etc/fstab': 'UUID=77aa  swap swap    defaults,noatime 0 0\n' }, status: 'warn', says: /turns UUID=77aa on/ },
  { id: 'swap-boot', name: 'fstab, but masked', node: { '/etc/fstab': 'UUID=77aa  swap swap    defaults,noatime 0 0\n', '/etc/systemd/system/swap.target': { link: '/dev/null' } }, status: 'info', says: /masked/ },
  { id: 'sysctl-forward', name: 'off', node: { '/proc/sys/net/ipv4/ip_forward': '0\n' }, status: 'warn', says: /not 1/ },
  { id: 'sysctl-forward', name: 'off, which kubeadm refuses', node: { '/proc/sys/net/ipv4/ip_forward': '0\n' }, args: ['--for', 'kubeadm'], status: 'fail', says: /not 1/ },
  { id: 'sysctl-bridge', name: 'off for IPv6', node: { '/proc/sys/net/bridge/bridge-nf-call-ip6tables': '0\n' }, status: 'warn', says: /-ip6tables is not 1/ },
  { id: 'sysctl-bridge', name: 'not loaded', node: { '/proc/sys/net/bridge/bridge-nf-call-ip6tables': null, '/proc/sys/net/bridge/bridge-nf-call-iptables': null }, status: 'warn', says: /br_netfilter is not loaded/ },
  { id: 'sysctl-limits', name: 'few inotify instances', node: { '/proc/sys/fs/inotify/max_user_instances': '128\n' }, status: 'warn', says: /is 128/ },
  { id: 'sysctl-limits', name: 'few keys', node: { '/proc/sys/kernel/keys/root_maxkeys': '10000\n' }, status: 'warn', says: /root_maxkeys is 10000/ },
  { id: 'sysctl-kubelet', name: 'as the kernel has them', node: { '/proc/sys/vm/overcommit_memory': '0\n', '/proc/sys/kernel/panic': '0\n', '/proc/sys/kernel/panic_on_oops': null }, status: 'info', says: /change: vm\.overcommit_memory=1 kernel\.panic=10 kernel\.panic_on_oops=1$/ },
];

const RAM = (kib: number): Node => ({ '/proc/meminfo': `MemTotal:        ${kib} kB\n` });
const machine: Defect[] = [
  { id: 'memory', name: 'a control plane on 1 GB', node: RAM(900_000), args: CONTROL_PLANE, status: 'fail', says: /878 MiB of memory; kubespray wants 1700 for a control-plane/ },
  { id: 'memory', name: 'just too little for kubeadm', node: RAM(1700 * 1024 - 1), args: [...CONTROL_PLANE, '--for', 'kubeadm'], status: 'fail', says: /1699 MiB/ },
  { id: 'memory', name: 'just enough for kubeadm', node: RAM(1700 * 1024), args: [...CONTROL_PLANE, '--for', 'kubeadm'], status: 'ok', says: /1700 MiB/ },
  { id: 'memory', name: 'Kubespray asserts 1024 for a worker', node: RAM(1024 * 1024 - 1), status: 'fail', says: /1023 MiB/ },
  { id: 'memory', name: 'kubeadm does not, for a worker', node: RAM(900_000), args: ['--for', 'kubeadm'], status: 'warn', says: /878 MiB/ },
  { id: 'memory', name: 'k3s agents are small', node: RAM(900_000), args: ['--for', 'k3s'], status: 'ok', says: /878 MiB/ },
  { id: 'memory', name: 'k3s servers are not', node: RAM(900_000), args: ['--for', 'k3s', ...CONTROL_PLANE], status: 'warn', says: /878 MiB/ },
  { id: 'memory', name: 'RKE2 is large', node: RAM(1_900_000), args: ['--for', 'rke2'], status: 'warn', says: /wants 3500/ },
  { id: 'memory', name: 'not told', node: { '/proc/meminfo': 'MemFree: 1 kB\n' }, status: 'skip', says: /not told/ },
  { id: 'cpus', name: 'one', node: { '/proc/cpuinfo': 'processor\t: 0\n' }, args: CONTROL_PLANE, status: 'fail', says: /1 CPU; kubespray wants 2/, hint: /maxcpus=/ },
  { id: 'cpus', name: 'one will do for a worker', node: { '/proc/cpuinfo': 'processor\t: 0\n' }, status: 'ok', says: /1 CPU/ },
  { id: 'cpus', name: 'RKE2 only says so', node: { '/proc/cpuinfo': 'processor\t: 0\n' }, args: ['--for', 'rke2'], status: 'warn', says: /rke2 wants 2/ },
  { id: 'cpus', name: 'not told', node: { '/proc/cpuinfo': null }, status: 'skip', says: /not told/ },
  { id: 'disk', name: 'the root was not grown', node: { '/run/rockberry/answers/df': disk(2_600_000, 554_000) }, status: 'fail', says: /541 MiB free/, hint: /rootfs-expand/ },
  { id: 'disk', name: 'kubelet would delete images', node: { '/run/rockberry/answers/df': disk(120_000_000, 12_000_000) }, status: 'warn', says: /10 % free/ },
  { id: 'disk', name: 'not told', node: { '/run/rockberry/answers/df': null }, status: 'skip', says: /not told/ },
  { id: 'machine-id', name: 'empty, as in an image', node: { '/etc/machine-id': '' }, status: 'fail', says: /no id/ },
  { id: 'machine-id', name: 'uninitialized', node: { '/etc/machine-id': 'uninitialized\n' }, status: 'fail', says: /no id/ },
];

const network: Defect[] = [
  { id: 'hostname', name: 'capital letters', node: { '/proc/sys/kernel/hostname': 'Node1\n' }, status: 'fail', says: /"Node1"/ },
  { id: 'hostname', name: 'an underscore', node: { '/proc/sys/kernel/hostname': 'node_1\n' }, status: 'fail', says: /"node_1"/ },
  { id: 'hostname', name: 'a dash at the end of a label', node: { '/proc/sys/kernel/hostname': 'node-.example.org\n' }, status: 'fail', says: /node-\.example/ },
  { id: 'hostname', name: 'a label of 64', node: { '/proc/sys/kernel/hostname': `${'a'.repeat(64)}\n` }, status: 'fail', says: /aaaa/ },
  { id: 'hostname', name: 'a label of 63 in a domain', node: { '/proc/sys/kernel/hostname': `${'a'.repeat(63)}.b\n` }, status: 'ok', says: /aaaa/ },
  { id: 'hostname', name: 'none', node: { '/proc/sys/kernel/hostname': null }, status: 'fail', says: /""/ },
  { id: 'hostname', name: 'two lines', node: { '/proc/sys/kernel/hostname': 'node1\nnode2\n' }, status: 'fail', says: /"node1 node2"/ },
  { id: 'hostname', name: 'localhost, which Kubespray changes', node: { '/proc/sys/kernel/hostname': 'localhost.localdomain\n' }, status: 'warn', says: /localhost/ },
  { id: 'hostname', name: 'localhost', node: { '/proc/sys/kernel/hostname': 'localhost\n' }, args: ['--for', 'k3s'], status: 'fail', says: /localhost/ },
  { id: 'dns', name: 'no name server', node: { '/etc/resolv.conf': '# nameserver 192.0.2.1\nsearch x\n' }, status: 'fail', says: /no nameserver/ },
  { id: 'dns', name: 'no name server, which only Kubespray asserts', node: { '/etc/resolv.conf': null }, args: ['--for', 'k3s'], status: 'warn', says: /no nameserver/ },
  { id: 'dns', name: 'itself', node: { '/etc/resolv.conf': 'nameserver 127.0.0.53\nnameserver ::1\n' }, status: 'warn', says: /only this machine/ },
  { id: 'dns', name: 'itself, with systemd-resolved', node: { '/etc/resolv.conf': 'nameserver 127.0.0.53\n', '/run/systemd/resolve/resolv.conf': 'nameserver 192.0.2.1\n' }, status: 'ok', says: /127/ },
  { id: 'ports', name: 'kubelet\'s', node: { '/proc/net/tcp': listening(22, 10250) }, status: 'fail', says: /in use already: 10250$/ },
  { id: 'ports', name: 'on IPv6, for a control plane', node: { '/proc/net/tcp6': listening6(2379, 6443) }, args: CONTROL_PLANE, status: 'fail', says: /: 6443 2379$/ },
  { id: 'ports', name: 'not a worker\'s', node: { '/proc/net/tcp6': listening6(2379, 6443) }, status: 'ok', says: /free: 10250$/ },
  { id: 'ports', name: 'RKE2\'s', node: { '/proc/net/tcp': listening(9345) }, args: [...CONTROL_PLANE, '--for', 'rke2'], status: 'fail', says: /: 9345$/ },
  { id: 'ports', name: 'k3s\'', node: { '/proc/net/tcp': listening(6444) }, args: ['--for', 'k3s'], status: 'fail', says: /: 6444$/ },
  { id: 'ports', name: 'a node of a cluster', node: { '/proc/net/tcp': listening(10250), '/etc/kubernetes/kubelet.conf': 'kind: Config\n' }, status: 'ok', says: /has joined/ },
  { id: 'ports', name: 'not told', node: { '/proc/net/tcp': null }, status: 'skip', says: /not told/ },
  { id: 'clock', name: 'a board without a clock', node: { '/run/rockberry/answers/date': '1970\n' }, status: 'fail', says: /1970/ },
  { id: 'clock', name: 'the time of the image', node: { '/run/rockberry/answers/date': '2024\n' }, status: 'fail', says: /2024/ },
  { id: 'clock', name: 'not told', node: { '/run/rockberry/answers/date': '20 26\n' }, status: 'skip', says: /not told/ },
  { id: 'time-sync', name: 'not yet', node: { '/run/rockberry/answers/timedatectl': 'no\n' }, status: 'warn', says: /not synchronized/, hint: /chrony-wait/ },
  { id: 'time-sync', name: 'chrony: not yet', node: { '/run/rockberry/answers/timedatectl': null, '/run/rockberry/answers/chronyc': 'Reference ID    : 00000000 ()\nLeap status     : Not synchronised\n' }, status: 'warn', says: /not synchronized/ },
  { id: 'time-sync', name: 'chrony: yes', node: { '/run/rockberry/answers/timedatectl': null, '/run/rockberry/answers/chronyc': 'Leap status     : Normal\n' }, status: 'ok', says: /is synchronized/ },
  { id: 'time-sync', name: 'not told', node: { '/run/rockberry/answers/timedatectl': null }, status: 'skip', says: /neither/ },
  { id: 'firewalld', name: 'on, as in the image', node: zone(''), status: 'warn', says: /zone nodes is not open/, hint: /disable --now firewalld/ },
  { id: 'firewalld', name: 'enabled, not started yet', node: { '/etc/systemd/system/multi-user.target.wants/firewalld.service': { link: '/usr/lib/systemd/system/firewalld.service' } }, status: 'warn', says: /zone public/ },
  { id: 'firewalld', name: 'open for a worker', node: zone('  <service name="kube-worker"/>\n'), status: 'ok', says: /open for a worker/ },
  { id: 'firewalld', name: 'which is not enough for a control plane', node: zone('  <service name="kube-worker"/>\n'), args: CONTROL_PLANE, status: 'warn', says: /not open/ },
  { id: 'firewalld', name: 'open for a control plane', node: zone('  <service name="kube-control-plane-secure"/>\n'), args: CONTROL_PLANE, status: 'ok', says: /open for a control-plane/ },
  { id: 'firewalld', name: 'open by ports', node: zone('  <port protocol="tcp" port="6443"/>\n  <port port="10250" protocol="tcp"/>\n'), args: CONTROL_PLANE, status: 'ok', says: /open/ },
  { id: 'python', name: 'without the selinux module', node: { '/usr/lib64/python3.9/site-packages/selinux': null }, status: 'info', says: /no selinux module/, hint: /python3-libselinux/ },
  { id: 'python', name: 'none', node: { '/usr/lib64/python3.9/site-packages/selinux': null, '/usr/bin/python3': null }, status: 'info', says: /no \/usr\/bin\/python3/ },
  { id: 'python', name: 'a system without SELinux', node: { '/usr/lib64/python3.9/site-packages/selinux': null, '/etc/selinux/config': null }, status: 'ok', says: /python3 is there/ },
  { id: 'sudo', name: 'asks for a password', node: { '/etc/sudoers.d/90-ansible': '# ansible ALL=(ALL) NOPASSWD: ALL\n' }, status: 'info', says: /asks everyone for a password/ },
  { id: 'sudo', name: 'wants a terminal', node: { '/etc/sudoers': 'Defaults    requiretty\n' }, status: 'info', says: /requires a terminal/ },
  { id: 'sudo', name: 'none', node: { '/usr/bin/sudo': null }, status: 'info', says: /no sudo/ },
  { id: 'sudo', name: 'not to be read', node: { '/etc/sudoers': null }, status: 'skip', says: /only be read by root/ },
];

export const DEFECTS: readonly Defect[] = [...cgroups, ...memory, ...commandLine, ...kernels, ...parameters, ...machine, ...network];
