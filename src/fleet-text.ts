/** What the fleet verbs say, as text for people. */
import type { ApplyResult } from './fleet/apply.js';
import type { FleetReport, NodeReport } from './fleet/model.js';
import { findingLines, humanBytes, printable, table } from './terminal.js';

const count = (nodes: readonly NodeReport[], status: NodeReport['status']): number => nodes.filter((node) => node.status === status).length;

/** One node, as it is settled. */
export function nodeLine({ name, status, why, output, bytes, changedBytes }: NodeReport): string {
  const size = bytes === null ? '' : `, ${humanBytes(bytes)}`;
  const changed = changedBytes === null ? '' : `, ${humanBytes(changedBytes)} changed`;
  if (status === 'built') return printable(`${name}: built ${output}${size}${changed}`);
  return printable(`${name}: ${status === 'failed' ? 'FAILED' : status}: ${why}`);
}

/** Node by node, what a build would do, and why. */
export function planText(report: Pick<FleetReport, 'inventory' | 'nodes' | 'as'>): string {
  const nodes = report.nodes.filter(({ status }) => status !== 'left');
  const rows = nodes.map(({ name, status, why, profiles, address }) => [`  ${printable(name)}`, status === 'planned' ? 'build' : status === 'failed' ? 'CANNOT' : 'keep', profiles.join(' '), address ?? 'DHCP', printable(why)]);
  const left = report.nodes.length - nodes.length;
  return [
    `${report.inventory}: ${report.nodes.length} nodes, as ${report.as === 'patch' ? 'patches' : 'images'}`, '',
    ...table([['  node', '', 'profiles', 'address', 'why'], ...rows]), '',
    `${count(nodes, 'planned')} to build, ${count(nodes, 'current')} up to date${count(nodes, 'failed') > 0 ? `, ${count(nodes, 'failed')} that cannot be built` : ''}${left > 0 ? `, ${left} not of this run` : ''}`,
  ].join('\n');
}

export function fleetText(report: FleetReport, directory: string, files: readonly string[]): string {
  const { nodes } = report;
  const [built, current, failed] = [count(nodes, 'built'), count(nodes, 'current'), count(nodes, 'failed')];
  const bytes = nodes.reduce((sum, node) => sum + (node.bytes ?? 0), 0);
  const notes = report.findings.filter(({ severity }) => severity !== 'info');
  return [
    `${report.inventory} on ${report.base.name}: ${built} built, ${current} up to date${failed > 0 ? `, ${failed} FAILED` : ''}, ${humanBytes(bytes)} in ${directory}`,
    ...nodes.filter(({ status }) => status === 'failed').map((node) => `  ${nodeLine(node)}`),
    ...(notes.length > 0 ? ['', ...findingLines(notes)] : []), '',
    `beside them: ${files.join(', ')}`,
  ].join('\n');
}

export function applyText({ node, output, bytes, sha256, findings }: ApplyResult): string {
  if (output === null) return [`${printable(node)}: not written: the result did not pass its checks`, ...findingLines(findings)].join('\n');
  return [`${output}: ${printable(node)}, ready to flash, ${humanBytes(bytes ?? 0)}`, `sha256 ${sha256}`, ...findingLines(findings)].join('\n');
}
