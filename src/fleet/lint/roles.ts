/** What a node is in its cluster: who installs Kubernetes on it, and whether it is of the control plane. From its profiles, else from groups that installers know. */
import type { Readiness } from '../../profile/schema.js';
import { roleOf } from '../inventory/roles.js';
import type { FleetNode } from '../model.js';
import type { ProfileSet } from './profiles.js';
import { textOf } from './words.js';

/** 'kubernetes': made ready for it, and nothing says by whom it comes. */
export type Installer = Readiness | 'kubernetes';
export type Role = 'control-plane' | 'worker';

/** By the profile that a group stands for. */
const INSTALLERS: Readonly<Record<string, Installer>> = { 'kubespray-node': 'kubespray', 'k3s-server': 'k3s', 'k3s-agent': 'k3s', 'rke2-server': 'rke2', 'rke2-agent': 'rke2' };
const NODE_GROUPS = ['kube_node', 'kube-node'];
/** Kubespray's groups of machines that need not be nodes: members of etcd, route reflectors. */
const OTHER_GROUPS = ['etcd', 'calico_rr', 'calico-rr'];

export interface Membership {
  /** undefined: no node of a cluster. */
  readonly installer: Installer | undefined;
  /** undefined: of no cluster, or neither. */
  readonly role: Role | undefined;
}

/** `values` are those of the profiles' variables. Names of groups that many use ("server") say who installs only where no profile does. */
export function membershipOf({ groups }: FleetNode, set: ProfileSet | undefined, values: ReadonlyMap<string, unknown>): Membership {
  const named = roleOf(groups);
  const byGroup = named && INSTALLERS[named.profile];
  const installer = set?.readiness ?? (!set || byGroup === 'kubespray' ? byGroup : undefined) ?? (set?.names.has('kubernetes-node') ? 'kubernetes' : undefined);
  if (installer === undefined) return { installer, role: undefined };
  if (!named) return { installer, role: textOf(values.get('role') ?? set?.defaults.get('role')) === 'control-plane' ? 'control-plane' : 'worker' };
  const isOther = named.role === 'worker' && groups.some((group) => OTHER_GROUPS.includes(group)) && !groups.some((group) => NODE_GROUPS.includes(group));
  return { installer, role: isOther ? undefined : named.role };
}
