/** A fleet as its inventory tells it: nodes with their variables as Ansible would merge them, and what rockberry makes of them. */
import type { FileAction, Finding } from '../report.js';

/** Where something stands: "inventory.ini:12" or "host_vars/node1.yml:3". */
export type Where = string;

/** A value of an inventory: what YAML has. */
export type Value = string | number | boolean | null | readonly Value[] | { readonly [key: string]: Value };

/** One node, mapped: inventory variables (Ansible's names) and profile variables (ours). */
export interface FleetNode {
  /** As the inventory names it. */
  readonly name: string;
  /** All groups it is in, also through children, in the order Ansible merges them (by depth, then name); without "all" and "ungrouped". */
  readonly groups: readonly string[];
  /** Profiles to build with, in order: shipped names or paths relative to nothing (absolute, or a shipped name). */
  readonly profiles: readonly string[];
  /** Values for variables of the profiles, after mapping; what `--set` would give. Secrets too. */
  readonly variables: Readonly<Record<string, Value>>;
  /** Everything the inventory says of the node, merged as Ansible merges it. */
  readonly hostVars: Readonly<Record<string, Value>>;
  /** Addresses without prefix, as far as they are known; from ip, access_ip, ansible_host, or the profile variable address. */
  readonly address: string | undefined;
  /** Ethernet MAC, lower case with colons; from mac / mac_address. */
  readonly mac: string | undefined;
  /** Board serial, 16 hexadecimal digits, lower case; from serial / board_serial. */
  readonly serial: string | undefined;
  /** "pi4", "pi5-8gb" … as the inventory says it; free text, used by lint for the size of the board. */
  readonly board: string | undefined;
  readonly where: Where;
}

export interface Inventory {
  /** As it was given. */
  readonly path: string;
  readonly kind: 'rockberry' | 'csv' | 'ansible-ini' | 'ansible-yaml';
  /** The base image, absolute; undefined when the inventory names none (then --image does). */
  readonly image: string | undefined;
  /** In the inventory's order. */
  readonly nodes: readonly FleetNode[];
  /** Group → names of its nodes (also through children), in the inventory's order. */
  readonly groups: ReadonlyMap<string, readonly string[]>;
  /** Networks of the cluster as CIDRs, as far as they are known: from pods/services/nodes of our YAML, kube_pods_subnet, kube_service_addresses of Kubespray, cluster-cidr/service-cidr. */
  readonly networks: { readonly nodes: readonly string[]; readonly pods: readonly string[]; readonly services: readonly string[] };
  /** Virtual addresses (kube_vip_address, loadbalancer_apiserver.address, our "vip"). */
  readonly vips: readonly string[];
  /** Names of variables that came out of something encrypted. */
  readonly secretNames?: ReadonlySet<string>;
  /** Every file that was read, absolute, sorted; `encrypted` when it was decrypted by ansible-vault or sops, or holds vault values. */
  readonly files: readonly { readonly path: string; readonly encrypted: boolean }[];
}

/** What became of one node. Sizes are in bytes; null where nothing was made. */
export interface NodeReport {
  readonly name: string;
  /** built: made in this run; current: its inputs did not change; failed: `why` says it; planned: a plan makes nothing; left: not of this shard, or not asked for. */
  readonly status: 'built' | 'current' | 'failed' | 'planned' | 'left';
  /** One sentence or less: "new", "variable hostname changed", "up to date", or the error's sentence. */
  readonly why: string;
  readonly groups: readonly string[];
  readonly profiles: readonly string[];
  readonly address: string | null;
  readonly mac: string | null;
  readonly serial: string | null;
  readonly board: string | null;
  /** Name of the file in the fleet's folder. */
  readonly output: string | null;
  /** Of the output file. */
  readonly sha256: string | null;
  readonly bytes: number | null;
  /** Of the raw image. */
  readonly imageBytes: number | null;
  /** Bytes of the raw image that differ from the base's. */
  readonly changedBytes: number | null;
  readonly files: readonly FileAction[];
  /** What verify says of the result. */
  readonly findings: readonly Finding[];
  readonly readiness: { readonly target: string | null; readonly errors: number; readonly warnings: number } | null;
}

/** A partition of the base, for the drawing; start and length in bytes. */
export interface PartitionReport {
  readonly number: number;
  readonly start: number;
  readonly length: number;
  readonly holds: string;
  readonly label: string;
  /** Where the image's fstab mounts it; null when nowhere. */
  readonly mountedAt: string | null;
}

/** fleet.json in the fleet's folder: the whole run, the same for the same inputs. */
export interface FleetReport {
  readonly tool: { readonly name: string; readonly version: string };
  readonly as: 'image' | 'patch' | 'golden';
  /** As it was given. */
  readonly inventory: string;
  readonly base: { readonly name: string; readonly sha256: string; readonly bytes: number; readonly imageBytes: number; readonly format: string };
  readonly partitions: readonly PartitionReport[];
  /** Which part of the fleet this run was for: index from 0; null for the whole. */
  readonly shard: { readonly index: number; readonly count: number } | null;
  readonly nodes: readonly NodeReport[];
  /** What fleet lint says; the subject of a finding is "node NAME", "group NAME" or "fleet". */
  readonly findings: readonly Finding[];
}
