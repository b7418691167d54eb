/**
 * Reads file_contexts and its substitution files as libselinux does (libselinux 3.6: src/label_file.c, src/label_file.h, src/label_support.c).
 * Texts are strings of bytes, one character per byte.
 */
import { RockberryError } from '../../errors.js';
import type { FileType } from '../filesystem.js';

const MAX_FILE = 32 * 2 ** 20;
const MAX_LINE = 4096;
/** EL9's targeted policy has 6,600. */
const MAX_LINES = 100_000;
const MAX_PROBLEMS = 100;

/** One line of file_contexts. */
export interface Specification {
  readonly pattern: string;
  /** undefined: any type. */
  readonly type: FileType | undefined;
  readonly context: string;
  /** The fixed first component ("/etc"), which the path's must equal as text before the expression is tried; '' when there is none. */
  readonly stem: string;
  /** No metacharacter: stronger than any expression. */
  readonly literal: boolean;
  /** "file_contexts line 12" */
  readonly place: string;
}

export interface Substitution {
  readonly from: string;
  readonly to: string;
}

/** What was left out and why; the first hundred. */
export class Problems {
  readonly list: string[] = [];
  add(place: string, text: string): void {
    if (this.list.length < MAX_PROBLEMS) this.list.push(`${place}: ${text}`);
  }
}

const TYPES: Record<string, FileType> = {
  '--': 'file', '-d': 'directory', '-l': 'symlink', '-b': 'block', '-c': 'character', '-p': 'fifo', '-s': 'socket',
};

interface Line {
  readonly fields: readonly string[];
  readonly place: string;
}

/** Fields of each line that is neither empty nor a comment. C strings: a line ends at its first NUL. */
function* lines(data: Uint8Array, name: string, problems: Problems): Generator<Line> {
  if (data.length > MAX_FILE) throw new RockberryError('unsupported', `expected ${name} of the SELinux policy to have at most ${MAX_FILE} bytes, found ${data.length}`);
  const text = Buffer.from(data.buffer, data.byteOffset, data.length).toString('latin1');
  for (let start = 0, number = 1, meant = 0; start < text.length; number++) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    const place = `${name} line ${number}`;
    if (end - start > MAX_LINE) problems.add(place, `longer than ${MAX_LINE} bytes, left out`);
    else {
      const fields = text.slice(start, end).split('\0', 1)[0]!.split(/[ \t\v\f\r]+/).filter((field) => field !== '');
      if (fields.length > 0 && !fields[0]!.startsWith('#')) {
        if (++meant > MAX_LINES) throw new RockberryError('unsupported', `expected ${name} of the SELinux policy to have at most ${MAX_LINES} entries, found more`);
        yield { fields, place };
      }
    }
    start = end + 1;
  }
}

/** label_file.h, get_stem_from_spec: the first component, if no character of it is special in an expression. */
function stemOf(pattern: string): string {
  const slash = pattern.indexOf('/', 1);
  const stem = slash < 0 ? '' : pattern.slice(0, slash);
  return /[.^$?*+|[({]/.test(stem) ? '' : stem;
}

/** label_file.h, spec_hasMetaChars. */
function isLiteral(pattern: string): boolean {
  return !/[.^$?*+|[({]/.test(pattern.replace(/\\[^]/g, ''));
}

/** The specifications of one file, in its order. A line that libselinux would refuse the whole file for is left out and told in `problems`. */
export function readSpecifications(data: Uint8Array, name: string, problems: Problems): Specification[] {
  const found: Specification[] = [];
  for (const { fields, place } of lines(data, name, problems)) {
    const [pattern, second, third] = fields;
    if (second === undefined) {
      problems.add(place, 'expected an expression and a context, found one field');
      continue;
    }
    const type = third === undefined ? undefined : TYPES[second];
    const context = third ?? second;
    if (third !== undefined && type === undefined) problems.add(place, `expected a file type such as --, found ${JSON.stringify(second)}`);
    else if (/[^\x21-\x7e]/.test(pattern! + context)) problems.add(place, 'expected ASCII');
    else found.push({ pattern: pattern!, type, context, stem: stemOf(pattern!), literal: isLiteral(pattern!), place });
  }
  return found;
}

/** label_file.c, selabel_subs_init: each line is put in front, so the last one is tried first. */
export function readSubstitutions(data: Uint8Array, name: string, problems: Problems): Substitution[] {
  const found: Substitution[] = [];
  for (const { fields: [from, to] } of lines(data, name, problems)) {
    if (from !== undefined && to !== undefined) found.push({ from, to });
  }
  return found.reverse();
}

/** label_file.c, selabel_sub: the first whose `from` is the path or a parent of it; undefined when none is. */
export function substitute(substitutions: readonly Substitution[], path: string): string | undefined {
  for (const { from, to } of substitutions) {
    const after = path[from.length];
    if (!path.startsWith(from) || (after !== undefined && after !== '/')) continue;
    return to + path.slice(from.length + (after === '/' && to === '/' ? 1 : 0));
  }
  return undefined;
}
