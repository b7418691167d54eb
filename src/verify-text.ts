/** What verify found: as a table for people, as Markdown, and as JUnit's XML for CI systems. */
import { printable } from './terminal.js';
import { worstOf, type Finding } from './report.js';
import type { RuleStatus, VerifyResult, VerifyRow } from './verify.js';

const WIDTH = 78; // columns
const MARKS: Readonly<Record<RuleStatus, string>> = { ok: 'ok', skipped: '-', error: 'ERROR', warning: 'warning', info: 'note' };
const COLORS: Readonly<Record<RuleStatus, number>> = { ok: 32, skipped: 90, error: 31, warning: 33, info: 36 };

export interface VerifyTextOptions {
  readonly color: boolean;
  /** Also the rules that were not judged, what notes say, and long details. */
  readonly verbose: boolean;
}

/** Grouped; a line per rule, and below it what is wrong and what to do. At most 80 columns where the words allow it. */
export function verifyText(result: VerifyResult, { color, verbose }: VerifyTextOptions): string {
  const paint = (text: string, code: number): string => (color ? `\x1b[${code}m${text}\x1b[0m` : text);
  const shown = rowsOf(result).filter(({ status }) => verbose || status !== 'skipped');
  const groups = [...new Set(shown.map(({ group }) => group))];
  const lines = groups.flatMap((group) => [
    paint(group, 1), ...shown.filter((row) => row.group === group).flatMap((row) => [
      `  ${paint(MARKS[row.status].padEnd(7), COLORS[row.status])}  ${headline(row, verbose)}`,
      ...row.findings.filter(({ severity }) => verbose || severity !== 'info').flatMap(findingText), ...sourceLine(row),
    ]), '',
  ]);
  const more = verbose ? [] : ['(--all shows what the notes say, and what was not judged)'];
  return [...wrap(heading(result), WIDTH), '', ...lines, summaryLine(result), ...more].join('\n');
}

/** A GitHub-flavoured table, the findings first. */
export function verifyMarkdown(result: VerifyResult): string {
  const rows = rowsOf(result).filter(({ findings }) => findings.length > 0).flatMap((row) => row.findings.map((finding) => [
    finding.severity, row.source === null ? row.id : `[${row.id}](${row.source})`, cell(finding.subject), cell(finding.message) + (finding.hint === undefined ? '' : ` _${cell(finding.hint.trim())}_`),
  ]));
  const table = rows.length === 0 ? [] : ['| severity | rule | where | what |', '|---|---|---|---|', ...rows.map((row) => `| ${row.join(' | ')} |`), ''];
  return [`## ${cell(heading(result))}`, '', ...table, summaryLine(result), ''].join('\n');
}

/** One test case per rule; errors are failures, warnings and notes go to system-out. Source: the Ant JUnit schema that CI systems read. */
export function verifyJunit(result: VerifyResult): string {
  const rows = rowsOf(result);
  const failed = rows.filter(({ status }) => status === 'error').length;
  const skipped = rows.filter(({ status }) => status === 'skipped').length;
  const cases = rows.map((row) => {
    const errors = row.findings.filter(({ severity }) => severity === 'error');
    const others = row.findings.filter(({ severity }) => severity !== 'error');
    const inside = [
      ...(errors.length > 0 ? [`<failure message="${xml(errors[0]!.message)}">${xml(errors.map(plain).join('\n'))}</failure>`] : []),
      ...(row.status === 'skipped' ? [`<skipped message="${xml(row.detail ?? '')}"/>`] : []),
      ...(others.length > 0 ? [`<system-out>${xml(others.map(plain).join('\n'))}</system-out>`] : []),
    ];
    return `    <testcase classname="${xml(row.group)}" name="${xml(`${row.id}: ${row.title}`)}"${inside.length === 0 ? '/>' : `>${inside.join('')}</testcase>`}`;
  });
  const totals = `tests="${rows.length}" failures="${failed}" skipped="${skipped}" errors="0"`;
  return ['<?xml version="1.0" encoding="UTF-8"?>', `<testsuites ${totals}>`, `  <testsuite name="${xml(heading(result))}" ${totals}>`, ...cases, '  </testsuite>', '</testsuites>', ''].join('\n');
}

function rowsOf({ rules, checks }: VerifyResult): VerifyRow[] {
  const others = checks.map(({ name, findings }, at): VerifyRow => ({
    id: `image-${at + 1}`, group: 'image and profiles', title: name, source: null, detail: null, findings,
    status: worstOf(findings) ?? 'ok',
  }));
  return [...rules, ...others];
}

function heading({ image, target, kubernetes }: VerifyResult): string {
  return `${printable(image)}: ready for Kubernetes ${kubernetes}${target === null ? '' : ` by ${target}`}?`;
}

function summaryLine({ counts: { ok, errors, warnings, notes, skipped } }: VerifyResult): string {
  const parts = [`${errors} error${errors === 1 ? '' : 's'}`, `${warnings} warning${warnings === 1 ? '' : 's'}`, `${notes} note${notes === 1 ? '' : 's'}`, `${ok} ok`, `${skipped} not judged`];
  return `${errors === 0 ? 'ready' : 'not ready'}: ${parts.join(', ')}`;
}

/** The title, with what was seen where all is well: in the short form only when both fit into the line. */
function headline({ status, title, detail }: VerifyRow, verbose: boolean): string {
  const text = (status === 'ok' || status === 'skipped') && detail ? printable(`${title}: ${detail}`) : printable(title);
  return wrap(verbose || text.length <= WIDTH - 11 ? text : printable(title), WIDTH - 11).join(`\n${' '.repeat(11)}`);
}

function sourceLine({ status, source }: VerifyRow): string[] {
  return source !== null && (status === 'error' || status === 'warning') ? [`           see ${source}`] : [];
}

function findingText({ id, subject, message, hint }: Finding): string[] {
  const body = wrap(`${printable(subject)}: ${printable(message)} [${id}]`, WIDTH - 11);
  const help = hint === undefined ? [] : wrap(`→ ${printable(hint)}`, WIDTH - 11);
  return [...body, ...help].map((line) => `           ${line}`);
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

function plain({ subject, message, hint }: Finding): string {
  return `${subject}: ${message}${hint === undefined ? '' : ` (${hint})`}`;
}

/** Every punctuation mark that GitHub's Markdown gives a meaning; "@" is parted from the name behind it, which a backslash would not do. */
function cell(text: string): string {
  return printable(text).replace(/[\\|<>`*_[\]()~&$#!:]|(?<=www)\./gi, '\\$&').replaceAll('@', '@\u200b');
}

/** XML 1.0 (section 2.2) has no place for most control characters, nor for lone surrogates; they are shown escaped. */
function xml(text: string): string {
  const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.split('\n').map(printable).join('\n').replace(/[\ud800-\udfff\ufffe\uffff]/gu, '\ufffd').replace(/[&<>"]/g, (character) => entities[character]!);
}
