/** `flash --fleet`: nodes of a fleet onto cards, several at once: which node goes onto which card is said, never guessed. */
import { realpathSync } from 'node:fs';
import { RockberryError } from '../errors.js';
import { silentProgress } from '../report.js';
import { openNodes, type FleetSourceOptions } from './fleet-source.js';
import { flashSources, type CardOptions, type FlashReport } from './flash.js';
import { openTarget, type Target } from './target.js';

export interface Slot {
  readonly node: string;
  readonly device: string;
}

/** "node1=/dev/disk/by-id/…". Errors: `usage`. */
export function parseSlot(text: string): Slot {
  const [, node, device] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (node === undefined || device === undefined) throw new RockberryError('usage', `expected --slot NODE=DEVICE, found "${text}"`);
  return { node, device };
}

/** Every card is looked at before the first one is touched. */
export async function flashSlots(slots: readonly Slot[], fleet: FleetSourceOptions, options: CardOptions): Promise<FlashReport> {
  const targets: Target[] = [];
  for (const { device } of slots) targets.push(await openTarget(device, { ...options, inputs: [fleet.inventory, ...(fleet.image === undefined ? [] : [fleet.image])] }));
  refuseTwice('card', targets.map(({ path }) => real(path)));
  refuseTwice('node', slots.map(({ node }) => node));
  const progress = options.progress ?? silentProgress;
  const sources = await openNodes(slots.map(({ node }) => node), fleet);
  try {
    return await flashSources(sources, targets, options);
  } finally {
    progress.finish();
    sources.close();
  }
}

function refuseTwice(what: string, names: readonly string[]): void {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new RockberryError('usage', `expected each ${what} once, found ${twice} twice`);
}

function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path; // a file that is yet to be made
  }
}
