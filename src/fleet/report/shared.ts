/** What all nodes have in common, so that a page for 400 nodes tells it once: changed files, warnings and notes. */
import type { FileAction, Finding } from '../../report.js';
import type { FleetReport, NodeReport } from '../model.js';

export interface Shared {
  readonly files: readonly FileAction[];
  readonly findings: readonly Finding[];
  /** Whether the node is told without what is shared. A failed node is told in full: it is the one that is looked at. */
  covers(node: NodeReport): boolean;
}

const keyOf = (item: FileAction | Finding): string => JSON.stringify(item);

export function sharedOf({ nodes }: FleetReport): Shared {
  const told = nodes.filter((node) => node.status !== 'failed' && node.files.length + node.findings.length > 0);
  const covered = new Set(told.length > 1 ? told : []);
  return {
    files: common([...covered].map(({ files }) => files)), covers: (node) => covered.has(node),
    findings: common([...covered].map(({ findings }) => findings.filter(({ severity }) => severity !== 'error'))),
  };
}

/** The items of `all` that are not shared. */
export function own<T extends FileAction | Finding>(all: readonly T[], shared: readonly T[]): T[] {
  const known = new Set(shared.map(keyOf));
  return all.filter((item) => !known.has(keyOf(item)));
}

function common<T extends FileAction | Finding>(lists: readonly (readonly T[])[]): T[] {
  const [first = [], ...others] = lists;
  const sets = others.map((list) => new Set(list.map(keyOf)));
  return first.filter((item) => sets.every((set) => set.has(keyOf(item))));
}
