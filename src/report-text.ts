/** The commands' results as text for people, at most 80 columns where the values allow it. */
import type { BuildResult } from './build.js';
import type { Listed } from './browse.js';
import type { ImageReport } from './inspect.js';
import { findingLines, humanBytes, printable, table } from './terminal.js';

export function buildText(result: BuildResult, dryRun: boolean): string {
  const bytes = result.changed.reduce((sum, { length }) => sum + length, 0);
  const effective = result.files.filter(({ action }) => action !== 'unchanged');
  const same = result.files.length - effective.length;
  const lines = [
    `${result.image}, ${result.profiles.join(' + ')}`, '',
    dryRun ? 'would change' : 'changed', ...(effective.length === 0 ? ['  nothing: the image is already as asked'] : []),
    ...table(effective.map(({ action, path }) => [`  ${action}`, printable(path)])),
    ...(same > 0 && effective.length > 0 ? [`  (${same} more already as asked)`] : []),
    ...result.skipped.map((step) => `  skipped  ${step}`),
    ...result.notes.map((note) => `  note     ${note}`),
    `  ${humanBytes(bytes)} of ${humanBytes(result.imageBytes)}, in ${result.changed.length} range${result.changed.length === 1 ? '' : 's'}`,
  ];
  if (dryRun) return [...lines, '', 'nothing was written (--dry-run)'].join('\n');
  if (result.runs.length > 0) lines.push(`  ran      ${result.runs.length} command${result.runs.length === 1 ? '' : 's'} in the image${result.runs.some(({ emulated }) => emulated) ? ', emulated by qemu' : ''}: the result is not reproducible`);
  lines.push('', 'checked', ...result.checks.map(({ name, findings, errors }) => `  ${findings === 0 ? 'ok' : errors > 0 ? 'FAILED' : 'ok, with warnings'}  ${name}`), ...findingLines(result.findings), '');
  if (result.output === null) lines.push('not written: the result did not pass its checks');
  else lines.push(...readinessLines(result), `${result.output}: ready to flash, ${humanBytes(result.bytes ?? 0)}`, `sha256 ${result.sha256}`);
  return lines.join('\n');
}

/** A profile that names no installer is not judged by one; what Kubernetes would still miss is told in one line. */
function readinessLines({ readiness, output }: BuildResult): string[] {
  if (!readiness || readiness.target !== null || readiness.errors + readiness.warnings === 0) return [];
  return [`for Kubernetes: ${readiness.errors} errors, ${readiness.warnings} warnings; see: rockberry verify ${output}`, ''];
}

export function inspectText(report: ImageReport): string {
  const partitions = report.partitions.map(({ number, typeName, start, size, filesystem, label, free, mountedAt, role }) => [
    `  ${number}`, humanBytes(start), humanBytes(size), filesystem, label || '-', free === null ? '-' : humanBytes(free), mountedAt ?? '-', role ?? '-', typeName,
  ]);
  return [
    `${report.image}: ${report.format}, ${humanBytes(report.bytes)}; raw ${humanBytes(report.imageBytes)}`,
    `${report.scheme === 'mbr' ? 'MBR' : 'GPT'}, disk id ${report.diskId}`, '',
    ...table([['  #', 'start', 'size', 'holds', 'label', 'free', 'mounted', 'role', 'type'], ...partitions]), '',
    ...table(report.partitions.filter(({ uuid }) => uuid !== '').map(({ number, uuid, partuuid }) => [`  ${number}`, `UUID ${uuid}`, `PARTUUID ${partuuid}`])), '',
    ...section('system', report.os ? [`${report.os.name}`] : []),
    ...report.commandLines.flatMap(({ path, line }) => section(path, [line])),
    ...(report.configTxt ? section(report.configTxt.path, report.configTxt.text.trimEnd().split('\n')) : section('config.txt', ['(none)'])),
    ...section('kernels', report.kernels),
    ...section('users with a login', report.users.map(({ name, uid, shell, password }) => `${name} (${uid}) ${shell}, password ${password}`)),
    ...section('enabled units', wrap(report.enabledUnits, 76)),
    ...section('SELinux', report.selinux ? [`${report.selinux.mode}, policy ${report.selinux.policy}`] : ['(no policy)']),
    ...(report.problems.length > 0 ? section('problems', report.problems) : []),
  ].join('\n').trimEnd();
}

/** Name and description of each profile, the descriptions wrapped beside the names. */
export function profileListText(profiles: readonly { readonly name: string; readonly description: string }[]): string {
  const width = Math.max(...profiles.map(({ name }) => name.length)) + 2;
  return profiles.flatMap(({ name, description }) => wrap(description.split(' '), WIDTH - width).map((line, at) => (at === 0 ? name : '').padEnd(width) + line)).join('\n');
}

export function listText(entries: readonly Listed[]): string {
  return table(entries.map(({ type, mode, uid, gid, size, mtime, name, target, label }) => [
    modeText(type, mode), `${uid}:${gid}`, String(size), new Date(mtime * 1000).toISOString().slice(0, 16).replace('T', ' '),
    `${label?.split(':')[2] ?? '-'}`, printable(name) + (target === null ? '' : ` -> ${printable(target)}`),
  ])).join('\n');
}

const WIDTH = 78; // columns

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [title, ...lines.map((line) => `  ${printable(line)}`), ''];
}

function wrap(words: readonly string[], width: number): string[] {
  return words.reduce<string[]>((lines, word) => {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
    return lines;
  }, []);
}

const TYPE_LETTER: Record<string, string> = { file: '-', directory: 'd', symlink: 'l', character: 'c', block: 'b', fifo: 'p', socket: 's' };

/** As ls -l shows it, with set-uid, set-gid and sticky. */
function modeText(type: string, mode: number): string {
  const bits = [...'rwxrwxrwx'].map((letter, at) => (mode & (0o400 >> at) ? letter : '-'));
  const special = (at: number, bit: number, letter: string): void => {
    if (mode & bit) bits[at] = bits[at] === 'x' ? letter : letter.toUpperCase();
  };
  special(2, 0o4000, 's');
  special(5, 0o2000, 's');
  special(8, 0o1000, 't');
  return (TYPE_LETTER[type] ?? '?') + bits.join('');
}
