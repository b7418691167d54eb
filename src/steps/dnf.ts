/**
 * What dnf leaves alone: "exclude" in [main] of dnf.conf(5), which is also called "excludepkgs". A node whose boot files another package layout would move must
 * not get that package by an ordinary "dnf update".
 */
import { z } from 'zod';
import { RockberryError } from '../errors.js';
import type { Finding } from '../report.js';
import type { Tree } from '../fs/filesystem.js';
import { notAsAsked, readText, writeText } from './content.js';
import type { Step } from './step.js';

const FILE = '/etc/dnf/dnf.conf';
const ASSIGNMENT = /^(\s*(?:exclude|excludepkgs)\s*[=:])\s*(.*)$/;

const schema = z.strictObject({
  exclude: z.array(z.string().max(256).regex(/^[\w*?[][\w.+*?[\]!:~^-]*$/, 'expected the name of a package, with "*" and "?" where needed').describe('Package name or pattern, as "kernel-rpi*".')).min(1)
    .describe('Packages that dnf neither installs nor updates; added to those that are there.'),
});
export type DnfOptions = z.infer<typeof schema>;

export const dnfStep: Step<DnfOptions> = {
  key: 'dnf',
  summary: 'Keeps packages from being installed or updated, in /etc/dnf/dnf.conf.',
  schema,
  describe: ({ exclude }) => `dnf leaves alone ${exclude.join(', ')}`,
  apply(tree, { exclude }) {
    const text = readText(tree, FILE);
    if (text === undefined) throw new RockberryError('unsupported', `expected ${FILE} in the image, found none`, { hint: 'the image has no dnf; leave this step out with when_path' });
    writeText(tree, FILE, withExcluded(text, exclude));
  },
  verify: (tree, { exclude }) => check(tree, exclude),
};

/** The text with one assignment in [main] that has all the patterns. What is there keeps its place, also over several lines. */
export function withExcluded(text: string, patterns: readonly string[]): string {
  const missing = patterns.filter((pattern) => !excluded(text).includes(pattern));
  if (missing.length === 0) return text;
  const lines = text.split('\n');
  const { start, end } = mainSection(lines);
  const at = lines.slice(start, end).findLastIndex((line) => ASSIGNMENT.test(line));
  if (at >= 0) return lines.with(start + at, lines[start + at]!.replace(ASSIGNMENT, (_line, name: string, value: string) => `${name}${missing.join(' ')}${value === '' ? '' : ` ${value}`}`)).join('\n');
  const section = start === 0 ? ['[main]'] : [];
  const last = lines.slice(0, end).findLastIndex((line) => line.trim() !== '') + 1; // empty lines at the end stay behind it
  return lines.toSpliced(last, 0, ...section, `exclude=${missing.join(' ')}`).join('\n') + (last === lines.length ? '\n' : '');
}

/** What [main] excludes: words of the last assignment, with the indented lines that go on after it. */
export function excluded(text: string): string[] {
  const lines = text.split('\n');
  const { start, end } = mainSection(lines);
  const own = lines.slice(start, end);
  const at = own.findLastIndex((line) => ASSIGNMENT.test(line));
  if (at < 0) return [];
  const after = own.slice(at + 1);
  const next = after.findIndex((line) => !/^\s+\S/.test(line));
  const value = [ASSIGNMENT.exec(own[at]!)![2]!, ...after.slice(0, next < 0 ? after.length : next)].join(' ');
  return value.split(/[\s,]+/).filter((word) => word !== '');
}

/** Lines after [main] up to the next section; none, at the start of the file, where there is no [main]. */
function mainSection(lines: readonly string[]): { start: number; end: number } {
  const start = lines.findIndex((line) => /^\[main\]\s*$/.test(line)) + 1;
  if (start === 0) return { start, end: 0 };
  const next = lines.slice(start).findIndex((line) => line.startsWith('['));
  return { start, end: next < 0 ? lines.length : start + next };
}

function check(tree: Tree, wanted: readonly string[]): Finding[] {
  const found = excluded(readText(tree, FILE) ?? '');
  const missing = wanted.filter((pattern) => !found.includes(pattern));
  return missing.length === 0 ? [] : [notAsAsked('dnf', FILE, `expected dnf to leave ${missing.join(', ')} alone, found no such word in "exclude" of [main]`)];
}
