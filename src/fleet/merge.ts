/** The reports of a fleet's shards as one: what every machine built, and that together they built all of it. */
import { z } from 'zod';
import { RockberryError } from '../errors.js';
import type { FleetReport, NodeReport } from './model.js';
import { byteCount, fileName, parseDocument, readWhole, sha256Text } from './patch/document.js';

const REPORT_LIMIT = 256 * 2 ** 20; // bytes; 400 nodes take about 8 MiB

const texts = z.array(z.string());
const severity = z.enum(['error', 'warning', 'info']);
const finding = z.strictObject({ severity, id: z.string(), subject: z.string(), message: z.string(), hint: z.string().optional() });
const file = z.strictObject({ path: z.string(), action: z.enum(['created', 'changed', 'removed', 'unchanged']) });
const node = z.strictObject({
  name: z.string().min(1).max(255),
  status: z.enum(['built', 'current', 'failed', 'planned', 'left']),
  why: z.string(),
  groups: texts, profiles: texts,
  address: z.string().nullable(), mac: z.string().nullable(), serial: z.string().nullable(), board: z.string().nullable(),
  output: fileName.nullable(), sha256: sha256Text.nullable(), bytes: byteCount.nullable(), imageBytes: byteCount.nullable(), changedBytes: byteCount.nullable(),
  files: z.array(file),
  findings: z.array(finding),
  readiness: z.strictObject({ target: z.string().nullable(), errors: byteCount, warnings: byteCount }).nullable(),
});
const partition = z.strictObject({ number: byteCount, start: byteCount, length: byteCount, holds: z.string(), label: z.string(), mountedAt: z.string().nullable() });
const shard = z.strictObject({ index: byteCount, count: byteCount }).refine(({ index, count }) => index < count, { error: 'expected an index below the count' });

const reportSchema: z.ZodType<FleetReport> = z.strictObject({
  tool: z.strictObject({ name: z.string(), version: z.string() }),
  as: z.enum(['image', 'patch', 'golden']),
  inventory: z.string(),
  base: z.strictObject({ name: z.string(), sha256: sha256Text, bytes: byteCount, imageBytes: byteCount, format: z.string() }),
  partitions: z.array(partition),
  shard: shard.nullable(),
  nodes: z.array(node).refine((nodes) => new Set(nodes.map(({ name }) => name)).size === nodes.length, { error: 'expected every node once' }),
  findings: z.array(finding),
});

/** A fleet.json. Errors: `io` when it cannot be read, `corrupt` when it is not one. The names of its outputs are those of files in its own folder, never paths. */
export function readReport(path: string): FleetReport {
  return parseDocument(readWhole(path, REPORT_LIMIT).toString(), reportSchema, path);
}

/**
 * One report of all shards; the same whatever order they come in. Reports of one shard twice are fine: a node that was built in any of them is built.
 * Errors: `usage` for none, `refused` when they are not of one run (tool, --as, base, inventory, number of shards), when a shard is missing, or when a node was
 * built twice with different results.
 */
export function mergeReports(reports: readonly FleetReport[]): FleetReport {
  const sorted = reports.map((report) => ({ report, key: JSON.stringify(report) })).sort(inOrder).map(({ report }) => report);
  const first = sorted[0];
  if (!first) throw new RockberryError('usage', 'expected at least one report to merge, found none');
  sorted.forEach((other) => checkSameRun(first, other));
  checkComplete(sorted);
  const findings = new Map(sorted.flatMap((report) => report.findings).map((each) => [JSON.stringify(each), each]));
  return { ...first, shard: null, nodes: first.nodes.map((_, at) => mergeNode(sorted, at)), findings: [...findings.values()] };
}

interface Keyed { readonly report: FleetReport; readonly key: string }

function inOrder(a: Keyed, b: Keyed): number {
  return (a.report.shard?.index ?? -1) - (b.report.shard?.index ?? -1) || (a.key < b.key ? -1 : 1);
}

const refused = (message: string, hint: string): RockberryError => new RockberryError('refused', message, { hint });

/** How messages name a report. */
function nameOf({ shard: part }: FleetReport): string {
  return part ? `shard ${part.index + 1}/${part.count}` : 'the report of the whole fleet';
}

/** What all reports of a run have in common, in the words of a message. */
const COMMON: readonly (readonly [what: string, of: (report: FleetReport) => string])[] = [
  ['tool', ({ tool }) => `${tool.name} ${tool.version}`],
  ['kind of output', ({ as }) => as],
  ['base', ({ base }) => `${base.name} (sha256 ${base.sha256.slice(0, 12)}…)`],
  ['inventory', ({ inventory }) => inventory],
  ['number of shards', ({ shard: part }) => String(part?.count ?? 'the whole fleet')],
  ['number of nodes', ({ nodes }) => String(nodes.length)],
];

function checkSameRun(first: FleetReport, other: FleetReport): void {
  for (const [what, of] of COMMON) {
    if (of(first) !== of(other)) throw refused(`expected reports of one run, with the same ${what}, found ${of(first)} in ${nameOf(first)} and ${of(other)} in ${nameOf(other)}`, 'build all shards with one version of everything');
  }
  first.nodes.forEach((each, at) => {
    const differing = differenceOf(each, other.nodes[at]!);
    if (differing !== undefined) throw refused(`expected reports of one inventory, found another ${differing} of node ${each.name} in ${nameOf(other)} than in ${nameOf(first)}`, 'build all shards from the same inventory');
  });
}

const FACTS = ['name', 'groups', 'profiles', 'address', 'mac', 'serial', 'board'] as const satisfies readonly (keyof NodeReport)[];

/** The first fact, told by the inventory, in which two reports of a node differ. */
function differenceOf(a: NodeReport, b: NodeReport): string | undefined {
  return FACTS.find((fact) => JSON.stringify(a[fact]) !== JSON.stringify(b[fact]));
}

function checkComplete(reports: readonly FleetReport[]): void {
  const count = reports[0]!.shard?.count ?? 0;
  const there = new Set(reports.map(({ shard: part }) => part?.index));
  const missing = Array.from({ length: count }, (_, index) => index).filter((index) => !there.has(index));
  if (missing.length === 0) return;
  const shown = missing.slice(0, 20).map((index) => `${index + 1}/${count}`).join(', ');
  throw refused(`expected all ${count} shards, found no report of ${shown}${missing.length > 20 ? ` and ${missing.length - 20} more` : ''}`, 'build them, then merge again');
}

/** The more was made of a node, the earlier. */
const STATUSES: readonly NodeReport['status'][] = ['built', 'current', 'failed', 'planned', 'left'];

function mergeNode(reports: readonly FleetReport[], at: number): NodeReport {
  const entries = reports.map((report) => ({ report, entry: report.nodes[at]! }));
  const made = entries.filter(({ entry }) => entry.status === 'built' || entry.status === 'current');
  const other = made.find(({ entry }) => entry.sha256 !== made[0]!.entry.sha256 || entry.output !== made[0]!.entry.output);
  if (other) throw refused(`expected one result of node ${other.entry.name}, found different ones in ${nameOf(made[0]!.report)} and ${nameOf(other.report)}`, 'remove one of them');
  return entries.map(({ entry }) => entry).sort((a, b) => STATUSES.indexOf(a.status) - STATUSES.indexOf(b.status))[0]!; // of equals the first stays first
}
