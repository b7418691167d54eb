/**
 * What kubeadm's preflight check "SystemVerification" asks of a kernel: kubernetes/system-validators v1.12.1, validators/types_unix.go, kernel_validator.go
 * and cgroup_validator_linux.go. Row by row, in the order of the source; test/verify/tables.test.ts compares.
 */
import { rows, type OptionRow } from './options.js';

const REPOSITORY = 'https://github.com/kubernetes/system-validators/blob/v1.12.1/validators';
export const TYPES = `${REPOSITORY}/types_unix.go`;
export const KERNEL_VALIDATOR = `${REPOSITORY}/kernel_validator.go`;
export const CGROUP_VALIDATOR = `${REPOSITORY}/cgroup_validator_linux.go`;

/** A release that none of these matches is a warning. EL9's own 5.14 is one. */
export const KNOWN_RELEASES: readonly RegExp[] = [/^5\.4.*$/, /^5\.10.*$/, /^5\.15.*$/, /^([6-9]|[1-9][0-9]+)\.([0-9]+)\.([0-9]+).*$/];

/** "y" and "m" are as good as each other. Nothing is forbidden. */
export const VALIDATED_OPTIONS: readonly OptionRow[] = [
  ...rows(TYPES, 'required', `NAMESPACES NET_NS PID_NS IPC_NS UTS_NS CPUSETS MEMCG INET EXT4_FS PROC_FS NETFILTER_XT_TARGET_REDIRECT|IP_NF_TARGET_REDIRECT
    NETFILTER_XT_MATCH_COMMENT FAIR_GROUP_SCHED`),
  ...rows(TYPES, 'required-v1', 'CGROUPS CGROUP_CPUACCT CGROUP_DEVICE CGROUP_FREEZER CGROUP_PIDS CGROUP_SCHED'),
  ...rows(TYPES, 'required-v2', 'CGROUPS CGROUP_BPF CGROUP_PIDS CGROUP_SCHED'),
  ...rows(TYPES, 'optional', 'OVERLAY_FS|OVERLAYFS_FS', { purpose: 'overlayfs, in which containerd unpacks images' }),
  ...rows(TYPES, 'optional', 'AUFS_FS', { purpose: 'aufs' }),
  ...rows(TYPES, 'optional', 'BLK_DEV_DM', { purpose: 'the device mapper' }),
  ...rows(TYPES, 'optional', 'CFS_BANDWIDTH', { purpose: 'CPU limits of containers' }),
  ...rows(TYPES, 'optional', 'SECCOMP', { purpose: 'seccomp' }),
  ...rows(TYPES, 'optional', 'SECCOMP_FILTER', { purpose: 'seccomp profiles of containers' }),
];

/** Optional there, and nobody misses them: aufs never was in Linux, and no container runtime of today stores images with the device mapper. */
export const NOT_MISSED: readonly string[] = ['AUFS_FS', 'BLK_DEV_DM'];

export type Hierarchy = 'v1' | 'v2';

/** Controllers by cgroup version: without the required ones kubeadm stops, without the others it warns. */
export const CONTROLLERS: Readonly<Record<Hierarchy, { readonly required: readonly string[]; readonly optional: readonly string[] }>> = {
  v1: { required: ['cpu', 'cpuacct', 'cpuset', 'devices', 'freezer', 'memory', 'pids'], optional: ['hugetlb', 'blkio'] },
  v2: { required: ['cpu', 'cpuset', 'devices', 'freezer', 'memory', 'pids'], optional: ['hugetlb', 'io'] },
};

/** What v2 has without a controller of that name: devices through BPF, freezer in every group. */
export const BUILT_INTO_V2: readonly string[] = ['devices', 'freezer'];

/** Where the configuration of a running kernel is looked for, in this order; "R" is the release. Without any of them kubeadm loads the module "configs" and tries the first again. */
export const CONFIG_PATHS: readonly string[] = [
  '/proc/config.gz', '/boot/config-R', '/usr/src/linux-R/.config', '/usr/src/linux/.config', '/usr/lib/modules/R/config', '/usr/lib/ostree-boot/config-R',
  '/usr/lib/kernel/config-R', '/usr/src/linux-headers-R/.config', '/lib/modules/R/build/.config',
];
