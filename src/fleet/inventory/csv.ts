/** Comma-separated values by RFC 4180: quotes, doubled quotes inside them, CRLF or LF. No library: none of the project's reads CSV, and this needs places. */
import { problem } from './problem.js';

export interface Cell {
  readonly text: string;
  /** "nodes.csv:3:7" */
  readonly where: string;
}

const CELL_LIMIT = 1_000; // in a row
const PLAIN = /[^",\r\n]*/y;
const END = /,|\r?\n|$/y;

/** Rows of cells; lines without anything are left out. Errors: `corrupt` for quotes that are no quotes, `unsupported` for too many cells. */
export function* parseCsv(text: string, name: string): Generator<Cell[]> {
  let [at, line, lineStart] = [0, 1, 0];
  let row: Cell[] = [];
  const where = (): string => `${name}:${line}:${at - lineStart + 1}`;
  while (at < text.length) {
    const place = where();
    if (row.length >= CELL_LIMIT) throw problem('unsupported', place, `expected at most ${CELL_LIMIT} cells in a row, found more`);
    const quoted = text[at] === '"';
    const source = quoted ? quotedCell(text, at) : match(PLAIN, text, at)!;
    if (source === undefined) throw problem('corrupt', place, 'expected a closing quote, found none until the end of the file', 'a quote inside of quotes is written twice');
    row.push({ text: quoted ? source.slice(1, -1).replaceAll('""', '"') : source, where: place });
    const newLines = source.split('\n').length - 1;
    if (newLines > 0) [line, lineStart] = [line + newLines, at + source.lastIndexOf('\n') + 1];
    at += source.length;
    const end = match(END, text, at);
    if (end === undefined) throw problem('corrupt', where(), `expected a comma or the end of the line after a cell, found ${text[at] === '\r' ? 'a carriage return alone' : 'more'}`, 'a cell with a quote or a comma stands in quotes as a whole');
    at += end.length;
    if (end === ',' && at < text.length) continue;
    if (end === ',') row.push({ text: '', where: where() });
    if (row.length > 1 || row[0]!.text !== '' || quoted) yield row;
    row = [];
    [line, lineStart] = [line + 1, at];
  }
}

function match(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

/** With its quotes; undefined when the last one is missing. */
function quotedCell(text: string, start: number): string | undefined {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 2)) {
    if (text[end + 1] !== '"') return text.slice(start, end + 1);
  }
  return undefined;
}
