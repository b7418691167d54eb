/**
 * A program that runs once, at the first boot of the node: the program, a oneshot unit, and a marker that systemd makes only after the program has
 * succeeded. Not ConditionFirstBoot: with an empty machine-id, as Rocky ships it, no boot counts as the first (machine-id(5)).
 */
import type { Finding } from '../report.js';
import type { Tree } from '../fs/filesystem.js';
import { notAsAsked, readText } from './content.js';
import { checkOwner, checkPlaced, namesIn, place, removeFile, type Placed } from './placed.js';
import { checkEnabled, enableUnit } from './services.js';
import { UNITS } from './systemd.js';
import { parseUnitFile } from './unit-file.js';

const PROGRAMS = '/usr/libexec/rockberry'; // bin_t in EL's policy, so that systemd may run what is in it
const STATE = '/var/lib/rockberry';
const PREFIX = 'rockberry-';

export interface Once {
  /** Of the unit (rockberry-NAME.service), the program and the marker. */
  readonly name: string;
  readonly description: string;
  readonly script: string;
  readonly after: readonly string[];
  readonly wants: readonly string[];
  readonly before: readonly string[];
  /** Whether it runs after those of its kind that were placed before it. */
  readonly isOrdered: boolean;
}

export function placeOnce(tree: Tree, once: Once): void {
  removeFile(tree, markerOf(once)); // an image taken from a node that has booted
  place(tree, programOf(once));
  place(tree, unitOf(tree, once));
  enableUnit(tree, unitName(once));
}

export function checkOnce(tree: Tree, step: string, once: Once): Finding[] {
  const marker = markerOf(once);
  return [
    ...checkPlaced(tree, step, programOf(once)),
    ...checkPlaced(tree, step, unitOf(tree, once)),
    ...checkEnabled(tree, step, unitName(once)),
    ...checkOwner(tree, step, PROGRAMS, { mode: 0o755, uid: 0, gid: 0 }),
    ...(tree.stat(marker) ? [notAsAsked(step, marker, `expected no marker at ${marker}, found that ${once.name} counts as done`)] : []),
  ];
}

function unitName({ name }: Once): string {
  return `${PREFIX}${name}.service`;
}

function markerOf({ name }: Once): string {
  return `${STATE}/${name}.done`;
}

function programOf({ name, script }: Once): Placed {
  return { path: `${PROGRAMS}/${name}`, text: script, mode: 0o755 };
}

function unitOf(tree: Tree, once: Once): Placed {
  const after = ['local-fs.target', ...once.after, ...(once.isOrdered ? predecessors(tree, unitName(once)) : [])];
  const text = `[Unit]
Description=${once.description}
ConditionPathExists=!${markerOf(once)}
${[...new Set(after)].map((unit) => `After=${unit}\n`).join('')}${once.wants.map((unit) => `Wants=${unit}\n`).join('')}${once.before.map((unit) => `Before=${unit}\n`).join('')}
[Service]
Type=oneshot
RemainAfterExit=yes
StateDirectory=rockberry
StandardOutput=journal+console
ExecStart=${PROGRAMS}/${once.name}
ExecStartPost=/usr/bin/touch ${markerOf(once)}

[Install]
WantedBy=multi-user.target
`;
  return { path: `${UNITS}/${unitName(once)}`, text, mode: 0o644 };
}

/** Units of this kind that were there first: they run in the order of the profile. A unit that is there already keeps its place. */
function predecessors(tree: Tree, own: string): string[] {
  const isOnce = (name: string): boolean => name.startsWith(PREFIX) && name.endsWith('.service') && name !== own;
  const existing = readText(tree, `${UNITS}/${own}`);
  if (existing === undefined) return namesIn(tree, UNITS).filter(isOnce);
  return parseUnitFile(existing).assignments.filter(({ key }) => key === 'After').map(({ value }) => value).filter(isOnce);
}
