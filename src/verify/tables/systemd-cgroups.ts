/** Which cgroup hierarchy systemd mounts: by its version, and what the kernel command line may say against it (src/shared/cgroup-setup.c: cg_is_unified_wanted). */
import type { Hierarchy } from './system-validators.js';

export interface SystemdDefault {
  /** Included. */
  readonly from: number;
  readonly hierarchy: Hierarchy;
  /** Whether the command line may ask for the other one. */
  readonly isChoice: boolean;
  readonly source: string;
}

/** The newest that counts last. */
export const SYSTEMD_DEFAULTS: readonly SystemdDefault[] = [
  { from: 0, hierarchy: 'v1', isChoice: true, source: 'https://github.com/systemd/systemd/blob/v239/NEWS' }, // EL8
  { from: 243, hierarchy: 'v2', isChoice: true, source: 'https://github.com/systemd/systemd/blob/v243/NEWS' }, // EL9 has 252
  { from: 258, hierarchy: 'v2', isChoice: false, source: 'https://github.com/systemd/systemd/blob/v258/NEWS' }, // cgroup v1 is gone
];

/** true puts systemd on v2, false on v1; the last one counts. "cgroup_no_v1=all" alone asks for v2 as well. */
export const UNIFIED = 'systemd.unified_cgroup_hierarchy';
/** Decides between two kinds of v1 once it is v1. */
export const LEGACY = 'systemd.legacy_systemd_cgroup_controller';
export const NO_V1 = 'cgroup_no_v1';

/** parse_boolean of src/basic/parse-util.c; a name without a value is true. */
export const TRUE = ['', '1', 'yes', 'y', 'true', 't', 'on'];
export const FALSE = ['0', 'no', 'n', 'false', 'f', 'off'];
