/** A node that is ready: the older Rocky image as the profile kubespray-node leaves it, as far as the rules of storage, network, access, time and services look. */
import type { Node } from '../../src/verify/node.js';
import type { Problem } from '../../src/verify/rule.js';
import type { Defect } from './cases.js';
import { memoryNode, type Files, type NodeParts } from './node.js';

const lib = '/usr/lib/systemd/system';
export const wants = '/etc/systemd/system/multi-user.target.wants';
const service = '[Unit]\nDescription=x\n\n[Service]\nExecStart=/bin/true\n\n[Install]\nWantedBy=multi-user.target\n';
/** ssh-keygen -t ed25519, thrown away. */
export const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKvG1CJ4PTnHxBgcVjIXV3kFiqeUZ+3vvDUyZ1o2LK0p test';

/** A unit that starts at boot, or one that is only installed. */
export function unit(name: string, text = service): Files {
  return { [`${lib}/${name}`]: text, [`${wants}/${name}`]: { target: `${lib}/${name}` } };
}
export function installed(name: string): Files {
  return { [`${lib}/${name}`]: service };
}

export const COMMAND_LINE = 'console=ttyAMA0,115200 console=tty1 root=PARTUUID=5f2d8c41-03 rootfstype=ext4 elevator=deadline rootwait cgroup_enable=cpuset cgroup_memory=1 cgroup_enable=memory\n';
export const SYSCTL = `net.bridge.bridge-nf-call-iptables = 1
net.bridge.bridge-nf-call-ip6tables = 1
net.ipv4.ip_forward = 1
fs.inotify.max_user_instances = 8192
vm.overcommit_memory = 1
vm.panic_on_oom = 0
kernel.panic = 10
kernel.panic_on_oops = 1
kernel.keys.root_maxkeys = 1000000
kernel.keys.root_maxbytes = 25000000
`;

export const READY: Files = {
  '/boot/cmdline.txt': COMMAND_LINE, '/boot/kernel8.img': 'x', '/boot/bootcode.bin': 'x', '/usr/lib/modules/6.1.31-v8.1.el9.altarch/modules.builtin': 'kernel/fs/ext4/ext4.ko\n',
  '/etc/fstab': 'UUID=00000003-0000-4000-8000-000000000000  / ext4    defaults,noatime 0 0\nUUID=00000001-0000-4000-8000-000000000000  /boot vfat    defaults,noatime 0 0\n#UUID=00000002-0000-4000-8000-000000000000  swap swap    defaults,noatime 0 0\n',
  [`${lib}/swap.target`]: '[Unit]\n', '/etc/systemd/system/swap.target': { target: '/dev/null' }, '/lib': { target: 'usr/lib' },
  [`${lib}/multi-user.target`]: '[Unit]\n', [`${lib}/default.target`]: { target: 'graphical.target' }, '/etc/systemd/system/default.target': { target: `${lib}/multi-user.target` },
  ...unit('rockberry-grow-root.service'), ...unit('sshd.service'), ...unit('NetworkManager.service'), ...unit('chronyd.service'), ...unit('chrony-wait.service'), ...installed('firewalld.service'),
  ...unit('rockberry-preflight.service', '[Unit]\nBefore=containerd.service kubelet.service\nBefore=k3s.service k3s-agent.service rke2-server.service rke2-agent.service crio.service\n\n[Service]\nExecStart=/bin/true\n'),
  '/etc/sysctl.d/99-kubernetes-cri.conf': SYSCTL, '/etc/sysctl.d/99-sysctl.conf': { target: '../sysctl.conf' }, '/etc/sysctl.conf': SYSCTL, '/usr/lib/sysctl.d/50-default.conf': 'net.ipv4.conf.*.rp_filter = 2\n-net.ipv4.conf.all.rp_filter\n',
  '/etc/modules-load.d/k8s.conf': 'overlay\nbr_netfilter\n', '/etc/modprobe.d/tuned.conf': '# nothing\n',
  '/etc/NetworkManager/NetworkManager.conf': '[main]\n#plugins=keyfile,ifcfg-rh\n', '/etc/NetworkManager/conf.d/rockberry-cni.conf': '[keyfile]\nunmanaged-devices+=interface-name:cali*;interface-name:tunl*;interface-name:vxlan.calico;interface-name:vxlan-v6.calico;interface-name:flannel*\n',
  '/etc/NetworkManager/system-connections/rockberry.nmconnection': { content: '[connection]\nid=rockberry\ntype=ethernet\n', mode: 0o600 },
  '/etc/hostname': 'node1\n', '/etc/hosts': '127.0.0.1   localhost localhost.localdomain\n::1         localhost\n127.0.1.1 node1\n', '/etc/resolv.conf': '',
  '/etc/passwd': 'root:x:0:0:root:/root:/bin/bash\nbin:x:1:1:bin:/bin:/sbin/nologin\nrocky:x:1000:1000:Rocky:/home/rocky:/bin/bash\n', '/etc/group': 'root:x:0:\nwheel:x:10:rocky\nrocky:x:1000:\n',
  '/etc/shadow': { content: 'root:!locked::0:99999:7:::\nbin:*:19347:0:99999:7:::\nrocky:!$6$rockberrysample$5611P/1lb31pV5u.9iFmCIJl2CjFwxvoB1g.sC36gPbRP.al5nnEIJ9/4BUcOCDIdMFrnEzIRZYstssYD2wGG/:19493:0:99999:7:::\n', mode: 0 },
  '/home/rocky': { directory: true, mode: 0o700, uid: 1000, gid: 1000 }, '/home/rocky/.ssh': { directory: true, mode: 0o700, uid: 1000, gid: 1000 }, '/home/rocky/.ssh/authorized_keys': { content: `# mine\n${KEY}\n`, mode: 0o600, uid: 1000, gid: 1000 },
  '/etc/ssh/sshd_config': { content: 'Include /etc/ssh/sshd_config.d/*.conf\nAuthorizedKeysFile\t.ssh/authorized_keys\n', mode: 0o600 }, '/etc/ssh/sshd_config.d/50-redhat.conf': { content: 'UsePAM yes\n', mode: 0o600 },
  '/etc/sudoers': { content: 'Defaults   !visiblepw\nDefaults    env_keep =  "COLORS DISPLAY"\nroot\tALL=(ALL) \tALL\n%wheel\tALL=(ALL)\tALL\n#includedir /etc/sudoers.d\n', mode: 0o440 },
  '/etc/sudoers.d/90-rockberry-rocky': { content: 'rocky ALL=(ALL) NOPASSWD: ALL\n', mode: 0o440 }, '/etc/sudoers.d/91-rockberry-requiretty': { content: 'Defaults:rocky !requiretty\n', mode: 0o440 },
  '/usr/bin/sudo': { content: 'x', mode: 0o4111 }, '/usr/bin/python3': { target: 'python3.9' }, '/usr/bin/python3.9': { content: 'x', mode: 0o755 }, '/usr/lib64/python3.9/site-packages/selinux/__init__.py': 'x',
  '/etc/redhat-release': 'Rocky Linux release 9.2\n', '/etc/selinux/config': 'SELINUX=enforcing\n',
  '/etc/chrony.conf': 'pool 2.rocky.pool.ntp.org iburst\nsourcedir /run/chrony-dhcp\nmakestep 1.0 3\nrtcsync\n', '/etc/localtime': { target: '../usr/share/zoneinfo/UTC' }, '/usr/share/zoneinfo/UTC': 'TZif2',
  '/etc/dnf/dnf.conf': '[main]\ngpgcheck=1\nexclude=kernel-rpi* raspberrypi2*\n',
};

/** undefined takes a path away. */
export type Changes = Readonly<Record<string, Files[string] | undefined>>;

export function readyNode(changes: Changes = {}, parts: NodeParts = {}): Node {
  const files = Object.entries({ ...READY, ...changes }).filter((entry): entry is [string, Files[string]] => entry[1] !== undefined);
  return memoryNode(Object.fromEntries(files), { target: 'kubespray', ...parts });
}

/** A defect as changes to the ready node. */
export function defect(rule: string, name: string, changes: Changes, severity: Problem['severity'], subject: string, message: RegExp, parts: NodeParts = {}): Defect {
  return { rule, name, node: () => readyNode(changes, parts), severity, subject, message };
}
