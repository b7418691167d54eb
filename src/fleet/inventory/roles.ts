/** What the groups of an inventory say of a node: which profile it is built with, and what it does. */

export interface Role {
  readonly profile: string;
  readonly role: 'control-plane' | 'worker';
}

/** Groups as Kubespray, k3s-ansible and the RKE2 roles have them, the new names and the old. The first row that names one of a node's groups counts. */
const ROLES: readonly (Role & { readonly groups: readonly string[] })[] = [
  { groups: ['kube_control_plane', 'kube-master'], profile: 'kubespray-node', role: 'control-plane' },
  { groups: ['kube_node', 'kube-node', 'etcd', 'calico_rr', 'calico-rr'], profile: 'kubespray-node', role: 'worker' },
  { groups: ['server'], profile: 'k3s-server', role: 'control-plane' },
  { groups: ['agent'], profile: 'k3s-agent', role: 'worker' },
  { groups: ['rke2_servers', 'masters'], profile: 'rke2-server', role: 'control-plane' },
  { groups: ['rke2_agents', 'workers'], profile: 'rke2-agent', role: 'worker' },
];

export const ROLE_GROUPS: readonly string[] = ROLES.flatMap(({ groups }) => groups);
/** Without a group that is known. */
export const DEFAULT_PROFILE = 'node';

export function roleOf(groups: readonly string[]): Role | undefined {
  return ROLES.find((row) => row.groups.some((name) => groups.includes(name)));
}

/** The groups of the servers that a profile's nodes join; the variables that only such profiles have tell which they are. */
export const SERVER_GROUPS: Readonly<Record<'k3s' | 'rke2', readonly string[]>> = { k3s: ['server'], rke2: ['rke2_servers', 'masters'] };
