import type { Node } from './node.js';

/** What several rules ask of a node, worked out once for each node and forgotten with it. */
export function remembered<T>(work: (node: Node) => T): (node: Node) => T {
  const known = new WeakMap<Node, { readonly value: T }>();
  return (node) => {
    const found = known.get(node) ?? { value: work(node) };
    known.set(node, found);
    return found.value;
  };
}
