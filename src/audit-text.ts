/** What an audit found, for people: which node, what differs, what was set aside. At most 80 columns where names allow it. */
import type { AuditResult, NodeVerdict, SetAside, Witness } from './flash/audit.js';
import type { Finding } from './report.js';
import { printable } from './terminal.js';

const WIDTH = 78; // columns

export interface AuditTextOptions {
  /** Also every path that was set aside. */
  readonly all: boolean;
}

export function auditText(result: AuditResult, { all }: AuditTextOptions = { all: false }): string {
  const { image, manifest, node, findings, setAside, recovered, notes } = result;
  return [
    ...wrap(`${printable(image)}, by ${printable(manifest.name)}`), '', ...wrap(nodeLine(node)), ...node.witnesses.flatMap((witness) => wrap(witnessLine(witness, node.name), 2)),
    ...recovered.flatMap(({ partition, transactions }) => wrap(`partition ${partition} was not unmounted: read with its journal (${count(transactions, 'transaction')}) replayed in memory`)),
    '', ...findings.flatMap(findingLines), ...(findings.length > 0 ? [''] : []), ...asideLines(setAside, all), ...notes.flatMap((note) => wrap(`note: ${printable(note)}`)), ...wrap(summary(result)),
  ].join('\n');
}

const CERTAINTY: Readonly<Record<NodeVerdict['certainty'], string>> = {
  certain: 'certainly: its keys or its machine-id say so', likely: 'likely', contradicted: 'but not everything on it is', assumed: 'taken for it: nothing on the card tells', unknown: 'unknown',
};

function nodeLine({ name, certainty }: NodeVerdict): string {
  return name === null ? 'this card: no node that the manifest knows for sure' : `this card: ${printable(name)} (${CERTAINTY[certainty]})`;
}

function witnessLine({ of, found, fits }: Witness, name: string | null): string {
  const whose = fits.length === 0 ? "no node's" : fits.length > 3 ? `${fits.length} nodes'` : `${printable(fits.join(', '))}'s`;
  return `${name !== null && fits.includes(name) ? 'yes' : 'NO '}  ${of}${found === null ? '' : ` ${printable(found)}`}: ${whose}`;
}

const MARK: Readonly<Record<Finding['severity'], string>> = { error: 'error', warning: 'warning', info: 'note' };

function findingLines({ severity, id, subject, message, hint }: Finding): string[] {
  return [...wrap(`${MARK[severity]}: ${printable(subject)}: ${printable(message)} [${id}]`), ...(hint === undefined ? [] : wrap(`→ ${printable(hint)}`, 4))];
}

/** By reason; the paths themselves only when they are asked for. */
function asideLines(setAside: readonly SetAside[], all: boolean): string[] {
  if (setAside.length === 0) return [];
  const reasons = [...new Set(setAside.map(({ reason }) => reason))].map((reason) => ({ reason, paths: setAside.filter((one) => one.reason === reason).map(({ path }) => path) }));
  const lines = reasons.flatMap(({ reason, paths }) => [...wrap(`${paths.length}  ${reason}`, 2), ...(all ? paths.map((path) => `     ${printable(path)}`) : [])]);
  return [`what a running system changes by itself${all ? '' : ' (--all names the paths)'}`, ...lines, ''];
}

function summary({ findings, setAside, placed, all }: AuditResult): string {
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  const looked = `${count(placed, 'path')} that profiles placed${all ? ', and all other files' : ''}`;
  const verdict = findings.length === 0 ? 'as it was flashed' : `${count(errors, 'error')}, ${count(findings.length - errors, 'warning')}`;
  return `${verdict}; looked at ${looked}; ${setAside.length} set aside`;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

/** Words in lines that begin with `indent` spaces, the further ones with two more. */
function wrap(text: string, indent = 0): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= WIDTH) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(' '.repeat(lines.length === 0 ? indent : indent + 2) + word);
  }
  return lines;
}
