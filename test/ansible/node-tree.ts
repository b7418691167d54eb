/** Trees that stand for running nodes: what rockberry-preflight and the module read of /proc, /sys, /boot and /etc, each healthy unless told otherwise. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export const VENDOR_LINE = 'console=ttyAMA0,115200 console=tty1 root=PARTUUID=6c586e13-03 rootfstype=ext4 elevator=deadline rootwait';
const KERNEL = '6.12.34-v8';
const CONFIG = `NAMESPACES NET_NS PID_NS IPC_NS UTS_NS CGROUPS CGROUP_BPF CGROUP_PIDS CGROUP_SCHED CPUSETS MEMCG INET EXT4_FS PROC_FS NETFILTER_XT_TARGET_REDIRECT
  NETFILTER_XT_MATCH_COMMENT FAIR_GROUP_SCHED OVERLAY_FS BLK_DEV_DM CFS_BANDWIDTH SECCOMP SECCOMP_FILTER`.split(/\s+/);
const MODULES = 'overlay br_netfilter nf_conntrack vxlan dummy ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh ip_vs_wlc ip_vs_lc'.split(' ');

export interface Node {
  /** Whether the memory controller is on. */
  readonly memory?: boolean;
  /** Where the boot FAT is mounted; none on a node that boots through GRUB. */
  readonly boot?: '/boot' | '/boot/efi';
  /** More files, or others. */
  readonly files?: Readonly<Record<string, string>>;
}

export function nodeTree(root: string, { memory = false, boot, files = {} }: Node): string {
  const all: Record<string, string> = {
    '/proc/mounts': `/dev/mmcblk0p3 / ext4 rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n${boot ? `/dev/mmcblk0p1 ${boot} vfat rw 0 0\n` : ''}`,
    '/proc/cmdline': `${VENDOR_LINE}\n`, '/proc/swaps': 'Filename Type Size Used Priority\n', '/proc/net/tcp': '  sl  local_address\n', '/proc/modules': MODULES.map((name) => `${name} 1 0 - Live 0x0\n`).join(''),
    '/proc/meminfo': 'MemTotal:        3884800 kB\n', '/proc/cpuinfo': 'processor\t: 0\nprocessor\t: 1\n',
    '/proc/sys/kernel/osrelease': `${KERNEL}\n`, '/proc/sys/kernel/hostname': 'node\n', '/proc/sys/net/ipv4/ip_forward': '1\n',
    '/sys/fs/cgroup/cgroup.controllers': `cpuset cpu io ${memory ? 'memory ' : ''}pids\n`, '/sys/fs/cgroup/cgroup.subtree_control': 'cpu pids\n', '/sys/fs/cgroup/init.scope/cgroup.freeze': '0\n',
    [`/boot/config-${KERNEL}`]: CONFIG.map((name) => `CONFIG_${name}=y\n`).join(''), [`/usr/lib/modules/${KERNEL}/modules.dep`]: '',
    '/etc/machine-id': '0123456789abcdef0123456789abcdef\n', '/etc/resolv.conf': 'nameserver 192.0.2.1\n', '/etc/fstab': '',
    '/run/rockberry/answers/date': '2026\n', '/run/rockberry/answers/df': 'Filesystem 1024-blocks Used Available Capacity Mounted\n/dev/root 30000000 3000000 27000000 10% /\n', '/boots': '0\n',
    ...(boot && { [`${boot}/cmdline.txt`]: `${VENDOR_LINE}\n` }), ...files,
  };
  for (const [name, text] of Object.entries(all)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text, 'latin1');
  }
  return root;
}

export function readTree(root: string, name: string): string {
  return readFileSync(join(root, name), 'latin1');
}
