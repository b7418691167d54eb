/** Which units start at boot: those that a link in some .wants or .requires directory asks for (systemd.unit(5)), and that are neither missing nor masked. */
import type { Node } from '../node.js';
import { remembered } from '../remembered.js';
import { findUnit, UNITS } from '../../steps/systemd.js';

const DIRECTORIES = [UNITS, '/usr/local/lib/systemd/system', '/usr/lib/systemd/system', '/lib/systemd/system'];

/** Name of a unit → a link that wants it. Dangling links count: systemd goes by their name. */
export const wantedUnits: (node: Node) => ReadonlyMap<string, string> = remembered((node) => {
  const wanted = new Map<string, string>();
  for (const directory of DIRECTORIES) {
    for (const folder of node.names(directory)) {
      if (!/\.(wants|requires)$/.test(folder)) continue;
      for (const name of node.names(`${directory}/${folder}`)) if (!wanted.has(name)) wanted.set(name, `${directory}/${folder}/${name}`);
    }
  }
  return wanted;
});

/** The first of the units that starts at boot. */
export function startingUnit(node: Node, ...units: readonly string[]): string | undefined {
  const wanted = wantedUnits(node);
  return units.find((name) => {
    if (!wanted.has(name)) return false;
    const unit = findUnit(node.tree, name);
    return unit !== undefined && !unit.isMasked;
  });
}
