/** A node as files: what rockberry-preflight reads from /proc, /sys, /etc and /boot of a healthy Raspberry Pi 4 with Rocky Linux 9, and the runs on it. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execaSync } from 'execa';
import { oracleEnvironment, run } from '../support/oracle.js';

export const SCRIPT = new URL('../../profiles/files/rockberry-preflight', import.meta.url).pathname;
export const KERNEL = '6.12.34-v8.1.el9';
export const MODULES = `/usr/lib/modules/${KERNEL}`;

/** A file's content, a link, an empty directory, or null for nothing. */
export type Entry = string | Uint8Array | { readonly link: string } | { readonly directory: true } | null;
export type Node = Readonly<Record<string, Entry>>;

export const CONFIG = ['NAMESPACES', 'NET_NS', 'PID_NS', 'IPC_NS', 'UTS_NS', 'CPUSETS', 'MEMCG', 'INET', 'EXT4_FS', 'PROC_FS', 'NETFILTER_XT_TARGET_REDIRECT', 'NETFILTER_XT_MATCH_COMMENT',
  'FAIR_GROUP_SCHED', 'CGROUPS', 'CGROUP_BPF', 'CGROUP_CPUACCT', 'CGROUP_DEVICE', 'CGROUP_FREEZER', 'CGROUP_PIDS', 'CGROUP_SCHED', 'OVERLAY_FS', 'CFS_BANDWIDTH', 'SECCOMP',
  'SECCOMP_FILTER', 'KEYS', 'VETH', 'BRIDGE', 'BRIDGE_NETFILTER', 'IP_NF_FILTER', 'IP_NF_TARGET_MASQUERADE', 'IP_NF_TARGET_REJECT', 'NETFILTER_XT_MATCH_ADDRTYPE', 'NETFILTER_XT_MATCH_CONNTRACK',
  'NETFILTER_XT_MATCH_IPVS', 'NETFILTER_XT_MATCH_MULTIPORT', 'NETFILTER_XT_MATCH_STATISTIC', 'IP_NF_NAT', 'NF_NAT', 'POSIX_MQUEUE', 'IP_SET', 'VXLAN'] as const;
export const FIRMWARE = 'coherent_pool=1M snd_bcm2835.enable_hdmi=1 cgroup_disable=memory smsc95xx.macaddr=DC:A6:32:00:00:01 vc_mem.mem_size=0x40000000';
export const OWN = 'console=ttyAMA0,115200 console=tty1 root=PARTUUID=6c586e13-03 rootfstype=ext4 rootwait';
export const TRIO = 'cgroup_enable=cpuset cgroup_memory=1 cgroup_enable=memory';

export const configuration = (names: readonly string[]): string => `#\n# Linux/arm64 ${KERNEL} Kernel Configuration\n#\n${names.map((name, index) => `CONFIG_${name}=${index % 2 ? 'm' : 'y'}\n`).join('')}CONFIG_LOCALVERSION="-v8"\n# CONFIG_AUFS_FS is not set\nCONFIG_USELIB=n\n`;
export const dependencies = (names: readonly string[]): string => names.map((name) => `kernel/net/${name}.ko.xz:${name === 'vxlan' ? ' kernel/net/udp_tunnel.ko.xz' : ''}\n`).join('');
/** Names as their files have them: modules.dep of real kernels mixes "-" and "_". */
export const AVAILABLE = ['veth', 'bridge', 'br_netfilter', 'nf_conntrack', 'vxlan', 'dummy', 'ip_vs', 'ip_vs_rr', 'ip_vs_wrr', 'ip_vs_sh', 'ip_vs_wlc', 'ip_vs_lc', 'ip_set', 'ip_tables', 'nf_conntrack_netlink', 'ipt_REJECT',
  'ipt_rpfilter', 'xt_addrtype', 'xt_comment', 'xt-conntrack', 'xt_mark', 'xt_multiport', 'xt_set'] as const;

const sockets = (...lines: string[]): string => `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n${lines.map((line, index) => `   ${index}: ${line} 00000000:00000000 00:00000000 00000000     0        0 20000 1 0 100 0 0 10 0\n`).join('')}`;
/** /proc/net/tcp with sockets that listen on these ports, and one connection from each of them, which is not in the way. */
export const listening = (...ports: number[]): string => sockets(...ports.map((port) => `00000000:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A`), '0100007F:192B 0100007F:1F90 01');
export const listening6 = (...ports: number[]): string => sockets(...ports.map((port) => `00000000000000000000000000000000:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000000000000000000000000000:0000 0A`));
export const mounts = (...lines: string[]): string => ['/dev/mmcblk0p3 / ext4 rw,seclabel,noatime 0 0', 'proc /proc proc rw 0 0', ...lines].map((line) => `${line}\n`).join('');
export const CGROUP2 = 'cgroup2 /sys/fs/cgroup cgroup2 rw,seclabel,nosuid,nodev,noexec,relatime,nsdelegate,memory_recursiveprot 0 0';
export const BOOT = '/dev/mmcblk0p1 /boot vfat rw,noatime 0 0';
export const disk = (total: number, free: number): string => `Filesystem     1024-blocks    Used Available Capacity Mounted on\n/dev/mmcblk0p3 ${total} ${total - free} ${free} ${Math.round((100 * (total - free)) / total)}% /\n`;

/** Every check says "ok" of it, whatever the tool and the role. */
export const HEALTHY: Node = {
  '/proc/sys/kernel/osrelease': `${KERNEL}\n`,
  '/proc/sys/kernel/hostname': 'node1\n',
  '/proc/device-tree/model': 'Raspberry Pi 4 Model B Rev 1.4\0',
  '/proc/cmdline': `${FIRMWARE} ${OWN} ${TRIO}\n`,
  '/boot/cmdline.txt': `${OWN} ${TRIO}\n`,
  '/proc/mounts': mounts(CGROUP2, BOOT),
  '/proc/cgroups': '#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t0\t1\t1\ncpu\t0\t1\t1\nblkio\t0\t1\t1\npids\t0\t1\t1\n', // no memory, as without CONFIG_MEMCG_V1
  '/sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io memory hugetlb pids rdma\n',
  '/sys/fs/cgroup/cgroup.subtree_control': 'cpuset cpu io memory pids\n',
  '/sys/fs/cgroup/init.scope/cgroup.freeze': '0\n',
  '/sys/fs/cgroup/system.slice/sshd.service': { directory: true },
  [`/boot/config-${KERNEL}`]: configuration(CONFIG),
  [`${MODULES}/modules.builtin`]: 'kernel/fs/overlayfs/overlay.ko\nkernel/net/ipv4/ip_tunnel.ko\n',
  [`${MODULES}/modules.dep`]: dependencies(AVAILABLE),
  '/proc/modules': 'br_netfilter 32768 0 - Live 0x0000000000000000\nbridge 262144 1 br_netfilter, Live 0x0000000000000000\n',
  '/sys/module/br_netfilter': { directory: true },
  '/proc/self/smaps': '55d0c0000-55d0c1000 r--p 00000000 b3:03 1234 /usr/bin/bash\nSize:                  4 kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n',
  '/proc/pressure/memory': 'some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n',
  '/proc/swaps': 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n',
  '/etc/fstab': 'UUID=5f3c  / ext4    defaults,noatime 0 0\nUUID=0A1B-2C3D  /boot vfat    defaults,noatime 0 0\n#UUID=77aa  swap swap    defaults,noatime 0 0\n',
  '/proc/sys/net/ipv4/ip_forward': '1\n',
  '/proc/sys/net/bridge/bridge-nf-call-iptables': '1\n',
  '/proc/sys/net/bridge/bridge-nf-call-ip6tables': '1\n',
  '/proc/sys/fs/inotify/max_user_instances': '8192\n',
  '/proc/sys/kernel/keys/root_maxkeys': '1000000\n',
  '/proc/sys/kernel/keys/root_maxbytes': '25000000\n',
  '/proc/sys/kernel/panic': '10\n',
  '/proc/sys/kernel/panic_on_oops': '1\n',
  '/proc/sys/vm/overcommit_memory': '1\n',
  '/proc/sys/vm/panic_on_oom': '0\n',
  '/proc/meminfo': 'MemTotal:        3884296 kB\nMemFree:         3001220 kB\n',
  '/proc/cpuinfo': Array.from({ length: 4 }, (_, cpu) => `processor\t: ${cpu}\nBogoMIPS\t: 108.00\n\n`).join(''),
  '/run/rockberry/answers/df': disk(30_000_000, 24_000_000),
  '/run/rockberry/answers/date': '2026\n',
  '/run/rockberry/answers/timedatectl': 'yes\n',
  '/run/rockberry/answers/dmesg': `[    0.000000] Kernel command line: ${FIRMWARE} ${OWN} ${TRIO}\n[    0.000000] cgroup: Enabling memory control group subsystem\n[    0.000000] Unknown kernel command line parameters "cgroup_memory=1", will be passed to user space.\n`,
  '/etc/machine-id': '0123456789abcdef0123456789abcdef\n',
  '/etc/resolv.conf': '# Generated by NetworkManager\nsearch example.org\nnameserver 192.0.2.1\n',
  '/proc/net/tcp': listening(22),
  '/proc/net/tcp6': listening6(22),
  '/usr/bin/python3': '',
  '/usr/lib64/python3.9/site-packages/selinux': { directory: true },
  '/etc/selinux/config': 'SELINUX=enforcing\nSELINUXTYPE=targeted\n',
  '/usr/bin/sudo': '',
  '/etc/sudoers': 'Defaults   !visiblepw\nroot ALL=(ALL) ALL\n# %wheel ALL=(ALL) NOPASSWD: ALL\n#includedir /etc/sudoers.d\n',
  '/etc/sudoers.d/90-ansible': 'ansible ALL=(ALL) NOPASSWD: ALL\n',
  '/dev/console': '',
};

/** Writes the node below a new directory, hands it over and removes it. */
export function onDisk<T>(node: Node, work: (root: string) => T): T {
  const root = mkdtempSync(join(tmpdir(), 'rockberry-preflight-'));
  try {
    for (const [path, entry] of Object.entries(node)) plant(join(root, path), entry);
    return work(root);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function plant(path: string, entry: Entry): void {
  if (entry === null) return;
  mkdirSync(dirname(path), { recursive: true });
  if (typeof entry === 'string' || entry instanceof Uint8Array) writeFileSync(path, entry);
  else if ('link' in entry) symlinkSync(entry.link, path);
  else mkdirSync(path, { recursive: true });
}

/** A shell and an awk to read the script with. */
export interface Shell { readonly name: string; readonly programs: readonly string[]; readonly command: readonly [string, ...string[]]; readonly path: () => string }

/** Programs under other names, in a directory that stands in front of PATH, or is all of it. */
function directoryOf(links: Record<string, string>, isAll = false): string {
  const directory = mkdtempSync(join(tmpdir(), 'rockberry-path-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  for (const [name, program] of Object.entries(links)) symlinkSync(which(program), join(directory, name));
  return isAll ? directory : `${directory}:${oracleEnvironment.PATH}`;
}

function which(program: string): string {
  return run('sh', ['-c', 'command -v "$1"', 'sh', program]).output;
}

function once(make: () => string): () => string {
  let made: string | undefined;
  return () => (made ??= make());
}

/** Rocky Linux has bash and gawk; Debian dash and mawk; busybox has all its own, and nothing else is on its PATH. */
export const SHELLS: readonly Shell[] = [
  { name: 'dash, mawk', programs: ['dash', 'mawk'], command: ['dash'], path: once(() => directoryOf({ awk: 'mawk' })) },
  { name: 'bash, gawk', programs: ['bash', 'gawk'], command: ['bash', '--posix'], path: once(() => directoryOf({ awk: 'gawk' })) },
  { name: 'busybox', programs: ['busybox'], command: ['busybox', 'ash'], path: once(() => directoryOf(Object.fromEntries(['busybox', ...run('busybox', ['--list']).output.split('\n').filter((name) => name !== 'busybox')].map((name) => [name, 'busybox'])), true)) },
];

export interface Check { readonly id: string; readonly status: string; readonly message: string; readonly hint: string; readonly reason: string }
export interface Result {
  readonly tool: string; readonly version: number; readonly result: string; readonly host: string; readonly kernel: string; readonly model: string; readonly for: string; readonly role: string;
  readonly kubernetes: string; readonly cmdline_file: string; readonly summary: Readonly<Record<string, number>>; readonly checks: readonly Check[];
}
export interface Ran { readonly status: number; readonly stdout: string; readonly stderr: string }

export function preflightIn(root: string, args: readonly string[], shell: Shell = SHELLS[0]!, environment: Record<string, string> = {}): Ran {
  const [program, ...rest] = shell.command;
  const { exitCode, stdout, stderr, message } = execaSync(which(program), [...rest, SCRIPT, ...args], {
    env: { PATH: shell.path(), ROCKBERRY_ROOT: root, ...environment }, extendEnv: false, reject: false, stripFinalNewline: false, timeout: 60_000, encoding: 'latin1', maxBuffer: 1 << 28,
  });
  if (exitCode === undefined) throw new Error(`${program} did not end: ${message}`);
  return { status: exitCode, stdout, stderr };
}

/** The script's word on a node. Fails for whatever is no JSON document, and for anything on stderr. */
export function preflight(node: Node, args: readonly string[] = [], shell?: Shell): { status: number; result: Result } {
  const { status, stdout, stderr } = onDisk(node, (root) => preflightIn(root, ['--json', ...args], shell));
  if (stderr !== '') throw new Error(`expected nothing on stderr, found ${stderr}`);
  return { status, result: JSON.parse(stdout) as Result };
}

/** Programs that answer with a text and leave their arguments in a file, in a directory for PATH. */
export function answering(directory: string, programs: Record<string, string>): void {
  mkdirSync(directory, { recursive: true });
  for (const [name, body] of Object.entries(programs)) {
    writeFileSync(join(directory, name), `#!/bin/sh\necho "$*" > ${directory}/${name}.called\n${body}\n`);
    chmodSync(join(directory, name), 0o755);
  }
}
