/** What `rockberry devices` says, as text for people. Names and labels come from devices that anybody made: nothing of them reaches the terminal as it is. */
import type { Disk } from './flash/disks.js';
import { humanBytes, printable, table } from './terminal.js';

const WIDTH = 80;
const INDENT = '    ';

/** Words on lines of at most 80 columns; a word that is longer has its own. */
function wrapped(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && INDENT.length + last.length + 1 + word.length <= WIDTH) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.map((line, at) => `${INDENT}${at === 0 ? '' : '  '}${line}`);
}

const shortened = (text: string, width: number): string => (text.length > width ? `${text.slice(0, width - 1)}…` : text);

function details(disk: Disk): string[] {
  const id = disk.ids[0];
  return [...(id === undefined ? [] : [`${INDENT}${printable(id)}`]), ...verdict(disk).flatMap((line) => wrapped(printable(line)))];
}

/** Whatever is mounted is refused, so the reasons say where, too. */
function verdict({ path, ids, refusals }: Disk): string[] {
  if (refusals.length === 0) return [`may be written: rockberry flash IMAGE ${ids[0] ?? `${path} --yes`}`];
  const isOnlyFixed = refusals.length === 1 && refusals[0]!.id === 'fixed';
  return refusals.flatMap(({ id, message, hint }) => [
    `${isOnlyFixed ? 'only with --allow-fixed' : 'refused'}: ${message} [${id}]`, ...(hint === undefined || id === 'fixed' ? [] : [`  hint: ${hint}`]),
  ]);
}

/** Disk by disk: what it is, its stable id, where it is mounted, and whether it may be written. */
export function devicesText(disks: readonly Disk[]): string {
  if (disks.length === 0) return 'no disks: put a card into a reader, and look again';
  const rows = table(disks.map(({ path, size, bus, model }) => [printable(path), size === 0 ? '-' : humanBytes(size), bus || '-', shortened(printable(model), 40)]));
  return disks.flatMap((disk, at) => [rows[at]!, ...details(disk), '']).slice(0, -1).join('\n');
}
