/** What newer kernels give Kubernetes, and what its releases take away. */

type Version = readonly [major: number, minor: number];

export interface Feature {
  readonly name: string;
  /** The first kernel that has it. */
  readonly kernel: Version;
  /** The first Kubernetes that uses it without being asked to. */
  readonly kubernetes: Version;
  readonly source: string;
}

export const FEATURES: readonly Feature[] = [
  { name: 'cgroup v2 as it is recommended', kernel: [5, 10], kubernetes: [1, 25], source: 'https://github.com/kubernetes/system-validators/blob/v1.12.1/validators/types_unix.go' },
  { name: 'kube-proxy\'s mode nftables', kernel: [5, 13], kubernetes: [1, 33], source: 'https://kubernetes.io/docs/reference/networking/virtual-ips/' },
  { name: 'swap that does not take secrets with it (tmpfs noswap)', kernel: [6, 3], kubernetes: [1, 34], source: 'https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/2400-node-swap' },
  { name: 'user namespaces of pods', kernel: [6, 5], kubernetes: [1, 33], source: 'https://kubernetes.io/docs/concepts/workloads/pods/user-namespaces/' },
];

export const IPVS_SOURCE = 'https://github.com/kubernetes/enhancements/tree/master/keps/sig-network/5495-deprecate-ipvs';

/** What becomes of kube-proxy's mode ipvs, the newest that counts last. */
export const IPVS: readonly { readonly kubernetes: Version; readonly severity: 'info' | 'warning' | 'error'; readonly state: string }[] = [
  { kubernetes: [1, 35], severity: 'info', state: 'is deprecated since 1.35' },
  { kubernetes: [1, 37], severity: 'warning', state: 'is deprecated and says so at every start since 1.37' },
  { kubernetes: [1, 40], severity: 'warning', state: 'is off by default since 1.40' },
  { kubernetes: [1, 43], severity: 'error', state: 'is gone since 1.43' },
];

/** kubelet's failCgroupV1 is true from this release on; before it cgroup v1 is in maintenance mode. */
export const NO_CGROUP_V1: Version = [1, 35];
export const CGROUP_V1_SOURCE = 'https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/5573-remove-cgroup-v1';

/** KubeletPSI is generally available from this release on; it needs CONFIG_PSI and, where CONFIG_PSI_DEFAULT_DISABLED is set, psi=1. */
export const PSI: Version = [1, 36];
export const PSI_SOURCE = 'https://kubernetes.io/docs/reference/instrumentation/understand-psi-metrics/';

export function isFrom(version: { readonly major: number; readonly minor: number }, [major, minor]: Version): boolean {
  return version.major > major || (version.major === major && version.minor >= minor);
}
