/** Nodes of a fleet as images in memory, each for a card of its own: the base is opened once, and steps that nodes share are applied once. */
import { RockberryError } from '../errors.js';
import { prepareFleet, refuseErrors, type FleetOptions, type Prepared } from '../fleet/fleet.js';
import { forks } from '../fleet/forks.js';
import { planNodes, type PlannedNode } from '../fleet/planned.js';
import { requireRoles, type Image } from '../image/image.js';
import { silentProgress, type Progress } from '../report.js';
import { judged, openAsItIs, type OpenSources, type Source } from './source.js';

export type FleetSourceOptions = Pick<FleetOptions, 'inventory' | 'image' | 'given' | 'keepGoing' | 'cache' | 'mint' | 'identities' | 'vaultPasswordFile' | 'progress'>;

/** In the order of `names`. Errors: `usage` for a name that the inventory does not have; those of a fleet's build, of any of the nodes. */
export async function openNodes(names: readonly string[], options: FleetSourceOptions): Promise<OpenSources> {
  const progress = options.progress ?? silentProgress;
  const prepared = await prepareFleet({ ...options, directory: '.', as: 'image' });
  refuseErrors(options, prepared);
  const planned = plannedNodes(names, prepared, options);
  const base = await openAsItIs(prepared.image, options.cache, progress);
  const images = new Map<string, Image>();
  const close = (): void => {
    images.forEach(({ overlay }) => { overlay.close(); });
    base.close();
  };
  try {
    requireRoles(base.image);
    for await (const forked of forks(base.image, planned, progress)) {
      if ('error' in forked) throw forked.error;
      images.set(forked.node.node.name, forked.image);
    }
    const sources: Source[] = [];
    for (const node of planned) sources.push(await sourceOf(node, images.get(node.node.name)!, progress));
    await base.confirm();
    return { base, sources, close };
  } catch (error) {
    close();
    throw error;
  }
}

async function sourceOf({ node: { name }, steps, profiles }: PlannedNode, image: Image, progress: Progress): Promise<Source> {
  return { node: name, image, findings: await judged(image, steps, profiles, progress) };
}

function plannedNodes(names: readonly string[], { inventory, identities }: Prepared, { given }: FleetSourceOptions): PlannedNode[] {
  const nodes = names.map((name) => inventory.nodes.find((node) => node.name === name) ?? unknownNode(name, inventory));
  return planNodes(inventory, nodes, { base: '', ending: '', encode: {}, given, identities }).map((one) => {
    if ('error' in one) throw one.error;
    return one;
  });
}

function unknownNode(name: string, { path, nodes }: Prepared['inventory']): never {
  throw new RockberryError('usage', `expected the name of a node of ${path}, found "${name}"`, { hint: `it has ${nodes.slice(0, 5).map((node) => node.name).join(', ')}${nodes.length > 5 ? ' …' : ''}` });
}
