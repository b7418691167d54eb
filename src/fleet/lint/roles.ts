/** What a node is in its cluster: who installs Kubernetes on it, and whether it is of the control plane. From its profiles, else from groups that installers know. */
import type { Readiness } from '../../profile/schema.js';
import type { FleetNode } from '../model.js';
import type { ProfileSet } from './profiles.js';
import { textOf } from './words.js';

/** 'kubernetes': made ready for it, and nothing says by whom it comes. */
export type Installer = Readiness | 'kubernetes';
export type Role = 'control-plane' | 'worker';

interface GroupRole { readonly installer: Installer; readonly role: Role | undefined }

/** Kubespray (inventory/sample; older names too), and the RKE2 role of rancherfederal. */
const GROUPS: Readonly<Record<string, GroupRole>> = {
  kube_control_plane: { installer: 'kubespray', role: 'control-plane' },
  kube_master: { installer: 'kubespray', role: 'control-plane' },
  'kube-master': { installer: 'kubespray', role: 'control-plane' },
  kube_node: { installer: 'kubespray', role: 'worker' },
  'kube-node': { installer: 'kubespray', role: 'worker' },
  etcd: { installer: 'kubespray', role: undefined },
  calico_rr: { installer: 'kubespray', role: undefined },
  rke2_servers: { installer: 'rke2', role: 'control-plane' },
  rke2_agents: { installer: 'rke2', role: 'worker' },
};

/** k3s-ansible's groups have names that others use as well: they count below its own group of all nodes. */
const K3S_CLUSTER = 'k3s_cluster';
const K3S_GROUPS: Readonly<Record<string, Role>> = { server: 'control-plane', master: 'control-plane', agent: 'worker', node: 'worker' };

export interface Membership {
  /** undefined: no node of a cluster. */
  readonly installer: Installer | undefined;
  /** undefined: of no cluster, or neither (a member of etcd, a route reflector). */
  readonly role: Role | undefined;
}

/** `values` are those of the profiles' variables. */
export function membershipOf({ groups }: FleetNode, set: ProfileSet | undefined, values: ReadonlyMap<string, unknown>): Membership {
  const named = groups.flatMap((group) => groupRole(group, groups));
  const installer = set?.readiness ?? named[0]?.installer ?? (set?.names.has('kubernetes-node') ? 'kubernetes' : undefined);
  if (installer === undefined) return { installer, role: undefined };
  if (named.length > 0) return { installer, role: (['control-plane', 'worker'] as const).find((role) => named.some((one) => one.role === role)) };
  const role = textOf(values.get('role') ?? set?.defaults.get('role'));
  return { installer, role: role === 'control-plane' ? role : 'worker' };
}

function groupRole(group: string, all: readonly string[]): GroupRole[] {
  if (Object.hasOwn(GROUPS, group)) return [GROUPS[group]!];
  return Object.hasOwn(K3S_GROUPS, group) && all.includes(K3S_CLUSTER) ? [{ installer: 'k3s', role: K3S_GROUPS[group] }] : [];
}
