/** The words of the page: what a status, a size and a group mean to somebody who has never seen this program. */
import type { Finding } from '../../report.js';
import { roleOf } from '../inventory/roles.js';
import type { FleetReport, NodeReport } from '../model.js';

/** How something is told without colour: a mark and a word; `tone` is the class that also colours it. */
export interface Sign { readonly mark: string; readonly word: string; readonly tone: 'bad' | 'warn' | 'good' | 'calm' }

const STATUS: Readonly<Record<NodeReport['status'], Sign>> = {
  built: { mark: '✓', word: 'built', tone: 'good' },
  current: { mark: '✓', word: 'up to date', tone: 'good' },
  failed: { mark: '✗', word: 'FAILED', tone: 'bad' },
  planned: { mark: '…', word: 'planned', tone: 'calm' },
  left: { mark: '–', word: 'left out', tone: 'calm' },
};

const SEVERITY: Readonly<Record<Finding['severity'], Sign>> = {
  error: { mark: '✗', word: 'Error', tone: 'bad' },
  warning: { mark: '!', word: 'Warning', tone: 'warn' },
  info: { mark: 'i', word: 'Note', tone: 'calm' },
};

export const statusSign = ({ status }: NodeReport): Sign => STATUS[status];
export const severitySign = (severity: Finding['severity']): Sign => SEVERITY[severity];

const MADE: Readonly<Record<FleetReport['as'], string>> = {
  image: 'as one image for each node',
  patch: 'as one patch for each node, to be applied to the base image',
  golden: 'as one image for all nodes, in which each board finds its own settings at the first boot',
};
const READY: Readonly<Record<FleetReport['as'], string>> = { image: 'ready to flash', patch: 'ready to be applied', golden: 'in the image' };

export const madeHow = ({ as }: FleetReport): string => MADE[as];
export const readyFor = ({ as }: FleetReport): string => READY[as];

/** 1 node, 2 nodes, 12,000 nodes. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${grouped(count)}\u00a0${count === 1 ? one : many}`;
}

/** 1234567 → "1,234,567", whatever the locale. */
export function grouped(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** "a", "a and b", "a, b and c". */
export function listed(items: readonly string[]): string {
  return items.length < 2 ? (items[0] ?? '') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)!}`;
}

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB'] as const;

/** 3787456512 → "3.5 GiB", in one piece. */
export function sizeText(bytes: number): string {
  if (bytes < 1024) return counted(bytes, 'byte');
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length);
  const value = bytes / 1024 ** power;
  return `${value < 100 ? value.toFixed(1) : Math.round(value)}\u00a0${UNITS[power - 1]!}`;
}

const WORKER_GROUPS = ['kube_node', 'kube-node'];

/** What a node does in its cluster, by the groups that installers know: "control plane, worker, etcd". Empty for a node of other groups. */
export function rolesOf({ groups }: NodeReport): string[] {
  const role = roleOf(groups);
  if (!role) return [];
  const isKubespray = role.profile === 'kubespray-node';
  const works = isKubespray ? groups.some((name) => WORKER_GROUPS.includes(name)) : role.role === 'worker';
  return [
    ...(role.role === 'control-plane' ? ['control plane'] : []), ...(works ? ['worker'] : []),
    ...(isKubespray && groups.includes('etcd') ? ['etcd'] : []),
  ];
}

const KINDS: readonly (readonly [role: string, many: string])[] = [['control plane', 'control planes'], ['worker', 'workers'], ['etcd', 'etcd'], ['other', 'others']];

/** "3 control planes and 2 workers": each node once, under the first of its roles. Empty when no node has a role. */
export function roleCounts(nodes: readonly NodeReport[]): string {
  const roles = nodes.map((node) => rolesOf(node)[0] ?? 'other');
  const kinds = KINDS.map(([role, many]) => ({ role, many, count: roles.filter((one) => one === role).length })).filter(({ count }) => count > 0);
  return kinds.every(({ role }) => role === 'other') ? '' : listed(kinds.map(({ role, many, count }) => counted(count, role, many)));
}
