/** Fleets as a build reports them: one control plane for every ten nodes and the rest workers, on Rocky's image; and the same with other texts. */
import { createHash } from 'node:crypto';
import type { FileAction, Finding } from '../../../src/report.js';
import type { FleetReport, NodeReport, PartitionReport } from '../../../src/fleet/model.js';

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

const MIB = 1 << 20;
export const PARTITIONS: readonly PartitionReport[] = [
  { number: 1, start: 4 * MIB, length: 286 * MIB, holds: 'vfat', label: 'BOOT', mountedAt: '/boot' },
  { number: 2, start: 290 * MIB, length: 488 * MIB, holds: 'swap', label: '_swap', mountedAt: 'swap' },
  { number: 3, start: 778 * MIB, length: 2670 * MIB, holds: 'ext4', label: '_/', mountedAt: '/' },
];

const SHARED_FILES: readonly FileAction[] = [
  ...['/boot/cmdline.txt', '/etc/fstab', '/etc/selinux/config'].map((path) => ({ path, action: 'changed' as const })),
  ...Array.from({ length: 24 }, (_, at) => ({ path: `/etc/rockberry/parts/${String(at).padStart(2, '0')}-settings.conf`, action: 'created' as const })),
  { path: '/etc/systemd/system/default.target', action: 'unchanged' },
];
const WARNING: Finding = {
  severity: 'warning', id: 'time-sources', subject: '/etc/chrony.conf', message: 'expected a source of time inside of the network, found only pool servers of the internet',
  hint: 'name your own server with the variable ntp',
};
const NOTE: Finding = { severity: 'info', id: 'storage-grow', subject: 'partition 3', message: 'the root filesystem grows to the size of the card at the first boot' };
export const FAILED_CHECK: Finding = {
  severity: 'error', id: 'cgroup-memory', subject: '/boot/cmdline.txt', message: 'expected cgroup_enable=memory on the kernel command line, found cgroup_disable=memory after it, which wins',
  hint: 'take cgroup_disable=memory out of the variable kernel_arguments of node3',
};

export function node(number: number, changes: Partial<NodeReport> = {}): NodeReport {
  const name = `node${number}`;
  const isControl = number % 10 === 1;
  return {
    name, status: number % 5 === 4 ? 'current' : 'built', why: number % 5 === 4 ? 'up to date' : 'new',
    groups: isControl ? ['etcd', 'k8s_cluster', 'kube_control_plane'] : ['k8s_cluster', 'kube_node'], profiles: ['kubespray-node'],
    address: `192.0.2.${10 + (number % 240)}`, mac: `d8:3a:dd:00:${(number >> 8).toString(16).padStart(2, '0')}:${(number & 255).toString(16).padStart(2, '0')}`,
    serial: `10000000${number.toString(16).padStart(8, '0')}`, board: isControl ? 'pi5-8gb' : 'pi4-4gb', output: `${name}.img.xz`, sha256: sha256(name), bytes: 1288490188 + number, imageBytes: 3787456512,
    changedBytes: 1400832 + 4096 * number,
    files: [...SHARED_FILES, { path: '/etc/hostname', action: 'changed' }, { path: `/etc/NetworkManager/system-connections/${name}.nmconnection`, action: 'created' }],
    findings: [WARNING, NOTE], readiness: { target: 'kubespray', errors: 0, warnings: 1 }, ...changes,
  };
}

/** As many nodes; node3, where there is one, failed a check. */
export function fleet(count: number, changes: Partial<FleetReport> = {}): FleetReport {
  const nodes = Array.from({ length: count }, (_, at) => node(at + 1));
  if (count >= 3) nodes[2] = failed(3);
  return {
    tool: { name: 'rockberry', version: '0.1.0' }, as: 'image', inventory: 'inventory/edge/inventory.ini', partitions: PARTITIONS, shard: null, nodes,
    base: { name: 'RockyLinuxRpi_9-latest.img.xz', sha256: sha256('base'), bytes: 1288488896, imageBytes: 3787456512, format: 'xz' },
    findings: count >= 3 ? [{ severity: 'warning', id: 'fleet-gateway-missing', subject: 'node node2', message: 'expected a gateway beside the fixed address 192.0.2.12/24, found none', hint: 'set gateway for node2' }] : [],
    ...changes,
  };
}

function failed(number: number): NodeReport {
  return node(number, {
    status: 'failed', why: 'the image did not pass its checks, and was not written', output: null, sha256: null, bytes: null, findings: [FAILED_CHECK, WARNING, NOTE],
    readiness: { target: 'kubespray', errors: 1, warnings: 1 },
  });
}

/** The same report with every text changed; what tells kinds apart (status, severity, action) stays, and so does what is null. */
export function withTexts(report: FleetReport, change: (text: string, where: string) => string): FleetReport {
  const kinds = ['status', 'severity', 'action', 'as'];
  const walk = (value: unknown, key: string): unknown => {
    if (typeof value === 'string') return kinds.includes(key) ? value : change(value, key);
    if (Array.isArray(value)) return value.map((item) => walk(item, key));
    return value !== null && typeof value === 'object' ? Object.fromEntries(Object.entries(value).map(([name, item]) => [name, walk(item, name)])) : value;
  };
  return walk(report, '') as FleetReport;
}
