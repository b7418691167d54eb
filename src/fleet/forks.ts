/**
 * Nodes of a fleet differ in little: steps that are the same for all of them, up to the first that is not, are applied once, to one copy-on-write fork of the
 * base; where nodes part, each group goes on from there. What a node gets is what its own build would give it, byte for byte: no step changes its place.
 */
import { applySteps } from '../build.js';
import { forkImage, type Image } from '../image/image.js';
import type { BoundStep } from '../profile.js';
import type { Progress } from '../report.js';

export interface Forkable {
  readonly steps: readonly BoundStep[];
  /** One for each step: two nodes with the same keys up to here have the same image so far. */
  readonly keys: readonly string[];
}

/** Either the image with all steps applied and flushed, for the caller to close its overlay; or why there is none. */
export type Forked<N> = { readonly node: N; readonly image: Image } | { readonly node: N; readonly error: unknown };

/** Every node once. At most as many forks are open as there are places where nodes part. */
export async function* forks<N extends Forkable>(base: Image, nodes: readonly N[], progress: Progress, applied = 0): AsyncIterable<Forked<N>> {
  const [first] = nodes;
  if (!first) return;
  const shared = sharedLength(nodes, applied);
  let image: Image | undefined;
  try {
    image = await forkImage(base);
    await applySteps(image, first.steps.slice(applied, shared), progress);
  } catch (error) {
    image?.overlay.close();
    yield* nodes.map((node) => ({ node, error }));
    return;
  }
  const groups = groupsAt(nodes, shared);
  const last = groups.at(-1);
  for (const group of groups) {
    const isDone = group[0]!.keys.length === shared;
    if (isDone && group === last && group.length === 1) {
      yield { node: group[0]!, image };
      return;
    }
    if (isDone) for (const node of group) yield { node, image: await forkImage(image) };
    else yield* forks(image, group, progress, shared);
  }
  image.overlay.close();
}

function sharedLength(nodes: readonly Forkable[], from: number): number {
  const [first, ...others] = nodes;
  let at = from;
  while (at < first!.keys.length && others.every(({ keys }) => keys[at] === first!.keys[at])) at++;
  return at;
}

/** By the next key, in the order of the nodes. */
function groupsAt<N extends Forkable>(nodes: readonly N[], at: number): N[][] {
  const groups = new Map<string | undefined, N[]>();
  for (const node of nodes) {
    const group = groups.get(node.keys[at]);
    if (group) group.push(node);
    else groups.set(node.keys[at], [node]);
  }
  return [...groups.values()];
}
