/** The golden image: what every node's steps make is looked at on forks of the base, and one image is written that holds the common part and all entries. */
import { applySteps } from '../build.js';
import { forkImage, type Image } from '../image/image.js';
import { HIDDEN } from '../profile/masking.js';
import type { Finding, Progress } from '../report.js';
import { forks } from './forks.js';
import { goldenSteps } from './golden.js';
import { collectNodes, sharedStep, type NodeOfImage } from './golden/collect.js';
import { makeImage, type FleetBase, type Made } from './node-outputs.js';
import type { PlannedNode } from './planned.js';

/** The name of the image, before its ending. */
export const GOLDEN = 'golden';

export interface GoldenBuildOptions {
  /** The inventory, for messages. */
  readonly where: string;
  readonly allowSecrets: readonly string[];
}

/** Throws for the first node that cannot be made: an image without it would be for some other fleet. */
export async function makeGolden(fleet: FleetBase, planned: readonly PlannedNode[], options: GoldenBuildOptions, progress: Progress): Promise<{ readonly made: Made; readonly findings: readonly Finding[] }> {
  const collector = collectNodes();
  let example: Image | undefined;
  for await (const forked of forks(fleet.base.image, planned, progress)) {
    if ('error' in forked) throw forked.error;
    const tree = forked.image.tree();
    collector.add(nodeOf(forked.node), tree, tree.actions().map(({ path }) => path));
    if (example) forked.image.overlay.close();
    else example = forked.image;
  }
  const image = await forkImage(fleet.base.image);
  try {
    const { entries, shared } = collector.difference(image.tree());
    const golden = goldenSteps(entries, options);
    const steps = [sharedStep(shared, example!.tree(), options.where), ...golden.steps];
    await applySteps(image, steps, progress);
    // What the image is ready for is each node's own, once it has found itself: no one installer judges the image.
    const profiles = { ...planned[0]!.profiles, readiness: undefined };
    const made = await makeImage(fleet, { ...planned[0]!, profiles, steps, output: `${GOLDEN}${fleet.ending}` }, image);
    return { made, findings: golden.findings };
  } finally {
    image.overlay.close();
    example?.overlay.close();
  }
}

function nodeOf({ node, profiles }: PlannedNode): NodeOfImage {
  const secrets = [...profiles.variables].filter(([, value]) => value === HIDDEN).map(([name]) => name);
  return { name: node.name, match: { serial: node.serial, mac: node.mac }, secrets, where: node.where };
}
