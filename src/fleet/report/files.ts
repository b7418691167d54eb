/** The files of a fleet that are there and complete. */
import type { FleetReport, NodeReport } from '../model.js';

export interface FleetFile {
  /** In the fleet's folder. */
  readonly name: string;
  readonly sha256: string;
  readonly bytes: number;
  /** Of the raw image that it holds or makes; null when nothing says so. */
  readonly imageBytes: number | null;
  /** One; all that share it, where the fleet has one image for all. */
  readonly nodes: readonly NodeReport[];
}

/** In the order of the report, each once. Of nodes that failed or were left out there is nothing that anybody should use. */
export function filesOf({ nodes }: FleetReport): FleetFile[] {
  const files = new Map<string, FleetFile>();
  for (const node of nodes) {
    const { status, output, sha256, bytes, imageBytes } = node;
    if ((status !== 'built' && status !== 'current') || output === null || sha256 === null || bytes === null) continue;
    files.set(output, { name: output, sha256, bytes, imageBytes, nodes: [...(files.get(output)?.nodes ?? []), node] });
  }
  return [...files.values()];
}
