/**
 * Modes and owners of the files that make a node, and what goes wrong otherwise. The modes are those of the packages of EL9 (`rpm -qlv setup systemd
 * openssh-server chrony`) and of the projects' own documentation; sudoers, keyfiles and authorized_keys, which their readers check themselves, are in the
 * access and network rules. Everything here is root's.
 */
export interface FileMode {
  /** Paths; "*" stands for any characters of one component. */
  readonly path: string;
  readonly type: 'file' | 'directory';
  /** What a profile gives it. */
  readonly mode: number;
  /** Bits that must not be set, and bits that must be. */
  readonly forbidden: number;
  readonly required: number;
  readonly why: string;
}

const CHANGED = 'others than root could change what the node does';
const UNREAD = 'programs that do not run as root could not read it';
const SEEN = 'others than root could read the secrets in it';

/** Read by root alone: it may be closed, but nobody else may write. */
const config = (path: string, mode = 0o644): FileMode => ({ path, type: 'file', mode, forbidden: 0o022, required: 0, why: CHANGED });
/** Read by everybody. */
const shared = (path: string, mode = 0o644): FileMode => ({ path, type: 'file', mode, forbidden: 0o022, required: 0o444, why: `${CHANGED}, or ${UNREAD}` });
const secret = (path: string, mode: number, forbidden: number): FileMode => ({ path, type: 'file', mode, forbidden, required: 0, why: SEEN });
const directory = (path: string, mode = 0o755): FileMode => ({ path, type: 'directory', mode, forbidden: 0o022, required: 0, why: CHANGED });

export const FILE_MODES: readonly FileMode[] = [
  shared('/etc/hostname'), shared('/etc/hosts'), shared('/etc/resolv.conf'), shared('/etc/nsswitch.conf'), shared('/etc/machine-id', 0o444), shared('/etc/os-release'),
  shared('/etc/passwd'), shared('/etc/group'),
  secret('/etc/shadow', 0, 0o037), secret('/etc/gshadow', 0, 0o037), // Debian has 0640 root:shadow
  config('/etc/fstab'), config('/etc/selinux/config'), config('/etc/chrony.conf'), config('/etc/sysctl.conf'),
  config('/etc/modules-load.d/*.conf'), config('/etc/sysctl.d/*.conf'), config('/etc/modprobe.d/*.conf'), config('/etc/udev/rules.d/*.rules'), config('/etc/tmpfiles.d/*.conf'),
  config('/etc/NetworkManager/NetworkManager.conf'), config('/etc/NetworkManager/conf.d/*.conf'),
  config('/etc/ssh/sshd_config', 0o600), config('/etc/ssh/sshd_config.d/*.conf', 0o600),
  ...['service', 'socket', 'timer', 'target', 'mount', 'path'].flatMap((type) => [config(`/etc/systemd/system/*.${type}`), config(`/etc/systemd/system/*.${type}.d/*.conf`)]),
  config('/etc/systemd/system-preset/*.preset'), config('/etc/firewalld/*.conf'), config('/etc/firewalld/zones/*.xml'),
  config('/etc/containerd/config.toml'), config('/etc/crictl.yaml'), config('/etc/sysconfig/kubelet'), config('/etc/cni/net.d/*.conflist'),
  secret('/etc/rancher/*/config.yaml', 0o600, 0o077), secret('/etc/rancher/*/config.yaml.d/*.yaml', 0o600, 0o077), // docs.k3s.io, installation/configuration
  config('/etc/rancher/*/registries.yaml', 0o600),
  config('/var/lib/rancher/*/agent/images/*'), config('/var/lib/rancher/*/server/manifests/*'),
  config('/usr/local/bin/*', 0o755), config('/usr/local/sbin/*', 0o755), config('/usr/local/libexec/*', 0o755), config('/usr/libexec/rockberry/*', 0o755),
  directory('/etc'), directory('/etc/ssh/sshd_config.d', 0o700), directory('/etc/systemd/system'), directory('/etc/rancher'), directory('/usr/local/bin'), directory('/usr/local/sbin'), directory('/usr/libexec/rockberry'),
  directory('/var/lib/rockberry'),
];
