/** What is wrong with a fleet, the most urgent first: what several nodes have in common is told once. */
import type { Finding } from '../../report.js';
import type { FleetReport, NodeReport } from '../model.js';

export interface Problem {
  readonly kind: 'failed' | 'error' | 'warning';
  /** One sentence. */
  readonly message: string;
  /** A path, a partition, "group NAME"; undefined where the nodes say it all. */
  readonly subject: string | undefined;
  readonly id: string | undefined;
  readonly hint: string | undefined;
  /** Errors that made the nodes fail. */
  readonly causes: readonly Finding[];
  /** Places in the report's list of nodes, ascending; empty for what concerns the fleet. */
  readonly nodes: readonly number[];
}

const ORDER: readonly Problem['kind'][] = ['failed', 'error', 'warning'];

/** Failed nodes with their errors, then the errors of others, then warnings; each in the order of the nodes, after what concerns the whole fleet. Notes are left out. */
export function problemsOf(report: FleetReport): Problem[] {
  const all = [...report.findings.flatMap((finding) => ofFleet(finding, report)), ...report.nodes.flatMap(ofNode)];
  const merged = new Map<string, Problem>();
  for (const problem of all) {
    const { nodes, ...rest } = problem;
    const key = JSON.stringify([nodes.length > 0, rest]);
    merged.set(key, { ...problem, nodes: [...new Set([...(merged.get(key)?.nodes ?? []), ...nodes])].sort((a, b) => a - b) });
  }
  return ORDER.flatMap((kind) => [...merged.values()].filter((problem) => problem.kind === kind));
}

function ofFleet({ severity, id, subject, message, hint }: Finding, { nodes }: FleetReport): Problem[] {
  if (severity === 'info') return [];
  const places = nodes.flatMap(({ name }, at) => (subject === `node ${name}` ? [at] : []));
  return [{ kind: severity, message, id, hint, causes: [], nodes: places, subject: places.length > 0 || subject === 'fleet' ? undefined : subject }];
}

function ofNode(node: NodeReport, at: number): Problem[] {
  const failed = node.status === 'failed';
  const causes = node.findings.filter(({ severity }) => severity === 'error');
  const others = node.findings.filter(({ severity }) => severity === 'warning' || (severity === 'error' && !failed));
  return [
    ...(failed ? [{ kind: 'failed' as const, message: node.why, subject: undefined, id: undefined, hint: undefined, causes, nodes: [at] }] : []),
    ...others.map(({ severity, message, subject, id, hint }) => ({ kind: severity as 'error' | 'warning', message, subject, id, hint, causes: [], nodes: [at] })),
  ];
}
