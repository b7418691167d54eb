/**
 * What belongs to one machine, by path: the list of systemd's docs/BUILDING_IMAGES.md and what EL, its network and Kubernetes add. In a path "*" stands for any
 * characters of one component. What a profile of the call places is there on purpose and is not named.
 */
import type { Finding } from '../../report.js';

export interface Baked {
  readonly id: string;
  /** What holds when none of it is there. */
  readonly title: string;
  readonly source: string;
  readonly severity: Finding['severity'];
  readonly paths: readonly string[];
  /** Last components that do not count. */
  readonly except?: RegExp;
  /** Empty files and directories do not count. */
  readonly onlyFull?: boolean;
  /** An image for one node may have it. */
  readonly mayBeOwn?: boolean;
  /** Why it must not be there, after "found …: ". */
  readonly why: string;
  readonly hint: string;
}

const BUILDING_IMAGES = 'https://systemd.io/BUILDING_IMAGES/';
const RESET = 'remove it with the step identity: reset, or in the base image';
const CLEAR = 'build from an image that has not run Kubernetes, or remove it (files step: absent)';
const homes = (name: string): string[] => [`/root/${name}`, `/home/*/${name}`];
const historyNames = ['bash', 'zsh', 'sh', 'ash', 'python', 'mysql', 'psql', 'sqlite', 'node_repl'].map((shell) => `.${shell}_history`);

export const BAKED: readonly Baked[] = [
  {
    id: 'hygiene-dbus-machine-id', title: 'D-Bus has no machine id of its own', source: 'https://dbus.freedesktop.org/doc/dbus-uuidgen.1.html', severity: 'error', paths: ['/var/lib/dbus/machine-id'], onlyFull: true,
    why: 'every node would have this machine id', hint: RESET,
  }, {
    id: 'hygiene-host-keys', title: 'no SSH host keys', source: 'https://man.openbsd.org/sshd.8#FILES', severity: 'error', paths: ['/etc/ssh/ssh_host_*_key', '/etc/ssh/ssh_host_*_key.pub'], mayBeOwn: true,
    why: 'every node would have this key, and whoever has the image could pass for any of them', hint: RESET,
  }, {
    id: 'hygiene-random-seed', title: 'no saved random seed', source: BUILDING_IMAGES, severity: 'error',
    paths: ['/var/lib/systemd/random-seed', '/var/lib/misc/random-seed', '/boot/loader/random-seed', '/boot/efi/loader/random-seed', '/boot/firmware/loader/random-seed', '/efi/loader/random-seed'],
    why: 'every node would begin with the same random numbers', hint: RESET,
  }, {
    id: 'hygiene-credential-secret', title: 'no secret of systemd\'s credentials', source: BUILDING_IMAGES, severity: 'error', paths: ['/var/lib/systemd/credential.secret'],
    why: 'whoever has the image could read the credentials that nodes encrypt', hint: RESET,
  }, {
    id: 'hygiene-network-state', title: 'no addresses, leases and keys of another machine\'s network', source: 'https://networkmanager.dev/docs/api/latest/NetworkManager.html', severity: 'warning', onlyFull: true,
    paths: [...['secret_key', 'timestamps', 'seen-bssids', '*.lease'].map((name) => `/var/lib/NetworkManager/${name}`), '/var/lib/dhclient/*', '/var/lib/dhcp/*.leases*', '/var/lib/dhcpcd/*', '/var/lib/systemd/network/*.lease'],
    why: 'nodes would ask for the same address, or derive the same one', hint: RESET,
  }, {
    id: 'hygiene-clock-state', title: 'no clock drift of another board', source: 'https://chrony-project.org/doc/4.6/chrony.conf.html#driftfile', severity: 'warning', paths: ['/var/lib/chrony/drift', '/var/lib/ntp/drift'],
    why: 'nodes would correct their clocks by another board\'s error', hint: RESET,
  }, {
    id: 'hygiene-cloud-init', title: 'no state of cloud-init', source: 'https://docs.cloud-init.io/en/latest/reference/cli.html#clean', severity: 'warning', paths: ['/var/lib/cloud/*'], except: /^(seed|scripts)$/, onlyFull: true,
    why: 'cloud-init would take the node for one that it has set up', hint: RESET,
  }, {
    id: 'hygiene-journal', title: 'no journal of another machine', source: 'https://www.freedesktop.org/software/systemd/man/latest/systemd-journald.service.html', severity: 'warning', paths: ['/var/log/journal/*'], onlyFull: true,
    why: 'it holds another machine\'s messages and takes room', hint: RESET,
  }, {
    id: 'hygiene-histories', title: 'no histories of shells', source: BUILDING_IMAGES, severity: 'warning', paths: [...historyNames, '.lesshst', '.viminfo'].flatMap(homes), onlyFull: true,
    why: 'commands that were typed once may hold passwords and tokens', hint: RESET,
  }, {
    id: 'hygiene-known-hosts', title: 'no hosts that somebody trusted once', source: 'https://man.openbsd.org/ssh.1#FILES', severity: 'info', paths: ['.ssh/known_hosts', '.ssh/known_hosts.old'].flatMap(homes), onlyFull: true,
    why: 'it tells where somebody logged in', hint: 'remove it (files step: absent)',
  }, {
    id: 'hygiene-kubernetes-state', title: 'no state of a cluster', source: 'https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/troubleshooting-kubeadm/', severity: 'error', onlyFull: true,
    paths: ['/etc/kubernetes/*.conf', '/etc/kubernetes/pki/*', '/etc/kubernetes/ssl/*', ...['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'etcd'].map((name) => `/etc/kubernetes/manifests/${name}.yaml`), '/etc/ssl/etcd/*', '/var/lib/kubelet/*', '/var/lib/etcd/*', '/var/lib/cni/*',
      '/var/lib/containerd/io.containerd.grpc.v1.cri/containers/*', '/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/*', '/etc/cni/net.d/*-kubeconfig'],
    why: 'a node that begins with another\'s keys or state does not join, or joins as the other', hint: CLEAR,
  }, {
    id: 'hygiene-rancher-state', title: 'no state of k3s or RKE2', source: 'https://docs.k3s.io/cli/token', severity: 'error', onlyFull: true,
    paths: [...['token', 'agent-token', 'node-token', 'tls', 'db', 'cred'].map((name) => `/var/lib/rancher/*/server/${name}`), '/var/lib/rancher/*/agent/*.key', '/var/lib/rancher/*/agent/*.kubeconfig', '/etc/rancher/node/password'],
    why: 'a node that begins with another\'s keys or state does not join, or joins as the other', hint: CLEAR,
  },
];

/** Files that keep passwords for services elsewhere, where they hold one. */
export const CREDENTIALS: readonly (readonly [path: string, holds: RegExp])[] = [
  ...homes('.aws/credentials').map((path) => [path, /aws_secret_access_key/i] as const),
  ...[...homes('.docker/config.json'), ...homes('.config/containers/auth.json'), '/etc/containers/auth.json'].map((path) => [path, /"(auth|identitytoken|password)"\s*:\s*"[^"]/] as const),
  ...homes('.config/gcloud/*.json').map((path) => [path, /"(refresh_token|private_key)"/] as const),
  ...homes('.azure/*.json').map((path) => [path, /token|secret/i] as const),
  ...homes('.netrc').map((path) => [path, /\bpassword\s+\S/] as const),
  ...homes('.git-credentials').map((path) => [path, /:\/\/[^\s/:@]+:[^\s/@]+@/] as const),
  ['/etc/rancher/*/registries.yaml', /^[ \t]*(password|auth|identity_token)[ \t]*:[ \t]*\S/m],
];
