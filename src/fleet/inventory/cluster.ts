/** How nodes of k3s and RKE2 find each other: the first server starts the cluster, every other node joins it by a URL. */
import { familyOf } from '../../steps/addresses.js';
import type { Declarations } from '../../profile/variables.js';
import { addressOf } from './addresses.js';
import { roleOf, SERVER_GROUPS } from './roles.js';
import { valueOf, type Scope } from './templates.js';

export interface ClusterNode extends Scope {
  readonly groups: readonly string[];
}

export interface Joining {
  readonly server: string | undefined;
  /** Whether this is the first of several k3s servers. */
  readonly starts: boolean;
}

/** k3s-ansible's names, the older ones and those of the RKE2 roles. */
const ENDPOINTS = ['api_endpoint', 'apiserver_endpoint', 'rke2_api_ip'];
const PORTS = { k3s: '6443', rke2: '9345' } as const;

export const CLUSTER_VARIABLES: readonly string[] = [...ENDPOINTS, 'api_port'];

/** `membersOf` gives the nodes of a group in the inventory's order. Nothing for a node whose profiles join nothing, or when there is nothing to join. */
export function joiningOf(node: ClusterNode, declared: Declarations, membersOf: (group: string) => readonly ClusterNode[]): Joining {
  const kind = declared.has('k3s_version') ? 'k3s' : declared.has('rke2_version') ? 'rke2' : undefined;
  const servers = kind === undefined ? [] : SERVER_GROUPS[kind].flatMap(membersOf);
  const isServer = roleOf(node.groups)?.role === 'control-plane';
  const isFirst = servers[0]?.name === node.name;
  if (kind === undefined || isFirst || (isServer && servers.length < 2)) return { server: undefined, starts: isFirst && servers.length > 1 };
  return { server: serverUrl(node, kind, servers[0]), starts: false };
}

function serverUrl(node: ClusterNode, kind: 'k3s' | 'rke2', first: ClusterNode | undefined): string | undefined {
  const given = ENDPOINTS.map((name) => valueOf(node, name)).find((one) => typeof one?.value === 'string');
  const endpoint = given ? String(given.value).trim() : first && (addressOf(first, ['ip', 'access_ip', 'ansible_host'], [])?.address ?? String(valueOf(first, 'ansible_host')?.value ?? first.name));
  if (endpoint === undefined || endpoint.startsWith('https://')) return endpoint;
  const port = kind === 'k3s' ? (valueOf(node, 'api_port')?.text ?? PORTS.k3s) : PORTS.rke2;
  return `https://${familyOf(endpoint) === 'ipv6' ? `[${endpoint}]` : endpoint}:${port}`;
}
