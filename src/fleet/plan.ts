/** What a fleet build would do: nothing of an image is read but its digest. */
import { basename } from 'node:path';
import { hashFile } from '../output/hashes.js';
import { prepareFleet, startRun, type FleetOptions } from './fleet.js';
import type { FleetReport } from './model.js';

export type FleetPlan = Pick<FleetReport, 'as' | 'inventory' | 'nodes' | 'findings'>;

export async function planFleet(options: FleetOptions): Promise<FleetPlan> {
  const prepared = await prepareFleet(options, false);
  const { reports } = startRun(options, prepared, await hashFile(prepared.image));
  return { as: options.as, inventory: basename(prepared.inventory.path), nodes: prepared.inventory.nodes.map(({ name }) => reports.get(name)!), findings: prepared.findings };
}
