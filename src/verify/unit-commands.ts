/** What systemd would run at boot for units that are not the vendor's: the programs of ExecStart= and ExecStartPre= (systemd.service(5), "COMMAND LINES"). */
import { parseUnitFile, type Assignment } from '../steps/unit-file.js';
import type { Node } from './node.js';
import { matching } from './paths.js';

export interface UnitCommand {
  /** The unit file or drop-in that says it. */
  readonly unit: string;
  /** "ExecStart" */
  readonly key: string;
  /** An absolute path, or a name that systemd looks up. */
  readonly program: string;
  readonly isEnabled: boolean;
  /** Paths without which the unit is passed over in silence. */
  readonly conditions: readonly string[];
}

const UNITS = '/etc/systemd/system';
const MAX_SIZE = 1 << 20; // bytes

/** Service files and drop-ins in /etc: those that a profile places, or, without profiles, all of them. */
export function unitPaths(node: Node): string[] {
  const all = [...matching(node, `${UNITS}/*.service`), ...matching(node, `${UNITS}/*.service.d/*.conf`)];
  const placed = new Set(node.placed.filter(({ removed }) => !removed).map(({ path }) => path));
  return all.filter((path) => (placed.size === 0 || placed.has(path)) && isOwnFile(node, path));
}

/** A link is an alias, a mask or a vendor's unit that is enabled. */
function isOwnFile(node: Node, path: string): boolean {
  const stat = node.tree.stat(path);
  return stat?.type === 'file' && stat.size > 0 && stat.size <= MAX_SIZE;
}

/** Programs named with specifiers, variables or escapes are known on the node only and left out, and so are those whose failure counts for nothing ("-"). */
export function commandsOf(node: Node, path: string): UnitCommand[] {
  const { assignments } = parseUnitFile(node.text(path) ?? '');
  const name = unitName(path).replace('@.', '@*.');
  const isEnabled = [...matching(node, `${UNITS}/*.wants/${name}`), ...matching(node, `${UNITS}/*.requires/${name}`)].length > 0;
  const conditions = assignments.filter(({ section, key }) => section === 'Unit' && /^Condition(PathExists|FileIsExecutable|FileNotEmpty)$/.test(key)).map(({ value }) => value);
  return inForce(assignments).flatMap(({ key, value }) => {
    const [, prefixes, double, single, plain] = /^([@\-:+!|]*)(?:"([^"]+)"|'([^']+)'|([^\s"']+))/.exec(value) ?? [];
    const program = double ?? single ?? plain;
    if (program === undefined || prefixes!.includes('-') || /[%$\\]/.test(program)) return [];
    return [{ unit: path, key, program, isEnabled, conditions }];
  });
}

/** An empty assignment takes back what was said before it. */
function inForce(assignments: readonly Assignment[]): Assignment[] {
  const commands = assignments.filter(({ section, key }) => section === 'Service' && /^ExecStart(Pre)?$/.test(key));
  return commands.filter(({ key, value }, index) => value !== '' && !commands.slice(index + 1).some((later) => later.key === key && later.value === ''));
}

/** "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf" → "kubelet.service" */
function unitName(path: string): string {
  const [unit] = path.slice(UNITS.length + 1).split('/');
  return unit!.replace(/\.d$/, '');
}
