/**
 * What a node changes by itself, as data: nobody's finding, and counted. The table is about files that nobody placed; what a profile placed is its own again as
 * soon as somebody changes it, except where `placed` says that the change is the node's way with it.
 */
import { globFits } from '../../verify/formats/glob.js';

/** What was at the path in the image that was flashed. */
export type Before = 'nothing' | 'blank' | 'something';

interface Rule {
  /** Absolute; "*" and "?" stay inside a component, a last component "**" is a directory and everything below. "@boot" is where the firmware's partition is mounted. */
  readonly paths: readonly string[];
  readonly reason: string;
  /** What must have been there; left out: anything. */
  readonly before?: readonly Before[];
  /** Also for files that a profile placed or removed. */
  readonly placed?: true;
}

const RULES: readonly Rule[] = [
  { paths: ['/etc/machine-id'], before: ['nothing', 'blank'], placed: true, reason: 'systemd fills it at the first boot' },
  { paths: ['/var/lib/dbus/machine-id'], reason: 'follows /etc/machine-id' },
  { paths: ['/etc/ssh/ssh_host_*_key', '/etc/ssh/ssh_host_*_key.pub'], before: ['nothing', 'blank'], placed: true, reason: 'sshd-keygen makes host keys where there are none' },
  { paths: ['/var/lib/rockberry/**'], placed: true, reason: "markers of rockberry's own first-boot units" },
  { paths: ['/etc/rockberry/nodes/**'], placed: true, reason: 'a golden image removes the other nodes once it knows which one it is' },
  { paths: ['/.autorelabel'], placed: true, reason: 'SELinux removes it after it relabelled the files' },
  { paths: ['/etc/resolv.conf'], placed: true, reason: 'NetworkManager or resolved writes it at every start of the network' },
  { paths: ['/etc/adjtime'], placed: true, reason: 'hwclock and timedatectl keep the drift of the clock in it' },
  { paths: ['/etc/fake-hwclock.data'], reason: 'the time of the last shutdown' },
  { paths: ['/etc/.updated', '/var/.updated', '/etc/ld.so.cache', '/etc/udev/hwdb.bin', '/var/lib/systemd/catalog/database'], reason: 'systemd rebuilds caches when /usr is newer (ConditionNeedsUpdate)' },
  { paths: ['/etc/.pwd.lock', '/etc/group.lock', '/etc/passwd.lock'], reason: 'locks of the user database' },
  { paths: ['/etc/tuned/active_profile', '/etc/tuned/profile_mode', '/etc/tuned/post_loaded_profile'], reason: 'tuned notes the profile in use' },
  { paths: ['/var/log/**'], reason: 'logs' },
  { paths: ['/var/cache/**', '/var/lib/dnf/**', '/var/lib/apt/**'], reason: 'caches, also of package lists' },
  { paths: ['/var/tmp/**', '/tmp/**', '/run/**', '/var/run/**', '/var/lock/**', '/var/spool/**'], reason: 'temporary files, queues and run-time state' },
  { paths: ['/lost+found/**', '/*/lost+found/**'], reason: 'what fsck found without a name' },
  { paths: ['/var/lib/systemd/**', '/var/lib/private/**', '/var/lib/logrotate/**', '/var/lib/misc/**'], reason: 'state of system services: random seed, timers, rotated logs' },
  { paths: ['/var/lib/NetworkManager/**', '/var/lib/chrony/**', '/var/lib/dhclient/**', '/var/lib/dhcpcd/**'], reason: 'state of the network and of the clock' },
  { paths: ['/var/lib/sss/**', '/var/lib/gssproxy/**', '/var/lib/nfs/**', '/var/lib/rsyslog/**', '/var/lib/tuned/**', '/var/lib/plymouth/**', '/var/lib/cloud/**'], reason: 'state of system services' },
  { paths: ['/var/lib/rancher/**', '/etc/rancher/node/**', '/etc/rancher/k3s/k3s.yaml', '/etc/rancher/rke2/rke2.yaml'], reason: 'K3s and RKE2 keep their cluster state here' },
  { paths: ['/etc/kubernetes/**', '/var/lib/kubelet/**', '/var/lib/etcd/**', '/var/lib/kube-proxy/**'], reason: 'kubeadm and the kubelet keep certificates, manifests and pods here' },
  { paths: ['/var/lib/containerd/**', '/var/lib/containers/**', '/var/lib/docker/**', '/var/lib/nerdctl/**', '/etc/containerd/certs.d/**'], reason: 'images and containers' },
  { paths: ['/var/lib/cni/**', '/etc/cni/**', '/opt/cni/**', '/var/lib/calico/**', '/var/lib/cilium/**', '/run/flannel/**'], reason: 'the network plugin installs itself here' },
  { paths: ['/root/.ansible/**', '/home/*/.ansible/**', '/root/.bash_history', '/home/*/.bash_history', '/root/.kube/cache/**', '/home/*/.kube/cache/**'], reason: 'traces of a login' },
  { paths: ['/var/swap', '/swapfile'], before: ['nothing'], reason: 'a swap file that is made at the first boot' },
  { paths: ['@boot/FSCK*.REC', '@boot/loader/random-seed', '@boot/recovery.*', '@boot/pieeprom.*', '@boot/vl805.*'], reason: 'left by fsck.vfat, systemd-boot and the update of the boot EEPROM' },
];

const components = (path: string): string[] => path.split('/').filter((part) => part !== '');

function fits(path: readonly string[], pattern: readonly string[]): boolean {
  const whole = pattern.at(-1) === '**';
  const length = whole ? pattern.length - 1 : pattern.length;
  if (whole ? path.length < length : path.length !== length) return false;
  return pattern.slice(0, length).every((part, at) => globFits(path[at]!, part));
}

export interface Changed {
  readonly path: string;
  readonly before: Before;
  /** Whether a profile placed or removed it. */
  readonly placed: boolean;
}

/** Why a change is the node's own; undefined when it is none. `bootDirectory` as the tree has it. */
export function reasonFor({ path, before, placed }: Changed, bootDirectory: string): string | undefined {
  const parts = components(path);
  return RULES.find((rule) => {
    if ((placed && !rule.placed) || (rule.before && !rule.before.includes(before))) return false;
    return rule.paths.some((pattern) => fits(parts, components(pattern.replace('@boot', bootDirectory))));
  })?.reason;
}
