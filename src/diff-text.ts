/** The result of a comparison for people: what differs in one line each, then the details. At most 80 columns where names and values allow it. */
import type { ImageDiff } from './diff.js';
import type { PartitionChange, PartitionState } from './diff/partitions.js';
import type { Aspect, FileState } from './diff/state.js';
import type { FileChange } from './diff/walk.js';
import { humanBytes, table } from './terminal.js';

const MARK = { added: 'A', removed: 'D', changed: 'M' } as const;

export function diffText(result: ImageDiff): string {
  if (result.equal) return [`${escaped(result.a)} and ${escaped(result.b)} are equal`, ...unseen(result)].join('\n');
  const { table: changes, partitions, raw, files } = result;
  return [
    `a: ${escaped(result.a)}`, `b: ${escaped(result.b)}`,
    ...section('image', table(changes.map(({ field, before, after }) => [FIELD[field] ?? field, `${escaped(String(before))} -> ${escaped(String(after))}`]))),
    ...section('partitions', partitions.flatMap(partitionLines)),
    ...section('outside filesystems', table(raw.map(({ place, offset, length }) => [place, `${humanBytes(length)} from byte ${offset}`]))),
    ...section('files', [...table(files.map((change) => [`${MARK[change.change]} ${escaped(change.path)}`, summary(change)])), '', totals(files)], files.length > 0),
    ...files.flatMap(details),
    ...(files.length === 0 ? unseen(result) : []),
  ].join('\n');
}

const FIELD: Readonly<Record<string, string>> = { diskId: 'disk id', sectorSize: 'sector size', mountedAt: 'mounted at', typeName: 'type name' };

function section(title: string, lines: readonly string[], wanted = lines.length > 0): string[] {
  return wanted ? ['', title, ...lines.map((line) => (line === '' ? '' : `  ${line}`))] : [];
}

/** Names and texts come from the image: control characters must not reach the terminal. A tab may. */
function escaped(text: string): string {
  return text.replace(/[\0-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]/gu, (character) => {
    const code = character.charCodeAt(0);
    return `\\x${(code >= 0xdc80 && code <= 0xdcff ? code - 0xdc00 : code).toString(16).padStart(2, '0')}`;
  });
}

function unseen({ identical, differingBytes }: ImageDiff): string[] {
  if (identical) return ['the raw images are the same, byte for byte'];
  return [`${humanBytes(differingBytes)} differ without a change of a file: times, journals, free space`];
}

function count(number: number, what: string): string {
  return `${number} file${number === 1 ? '' : 's'} ${what}`;
}

function totals(files: readonly FileChange[]): string {
  const kinds = (['changed', 'added', 'removed'] as const).map((kind) => [files.filter(({ change }) => change === kind).length, kind] as const);
  return kinds.filter(([number]) => number > 0).map(([number, kind]) => count(number, kind)).join(', ');
}

function partitionLines({ number, change, fields, before, after }: PartitionChange): string[] {
  const whole = (state: PartitionState): string => `${state.filesystem} ${humanBytes(state.size)} ${escaped(state.label)}`.trimEnd();
  if (!before || !after) return [`p${number} ${change}: ${whole((before ?? after)!)}`];
  return table(fields.map((field) => [`p${number} ${FIELD[field] ?? field}`, `${value(before[field])} -> ${value(after[field])}`]));
}

function value(given: string | number | boolean | null): string {
  return given === null || given === '' ? '(none)' : escaped(String(given));
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}

function typeAndSize({ type, size }: FileState): string {
  return size === null ? type : `${type} ${humanBytes(size)}`;
}

function summary({ before, after, aspects, lines }: FileChange): string {
  if (!before || !after) return typeAndSize((before ?? after)!);
  return aspects.map((aspect) => (aspect === 'content' && lines ? `content +${lines.added} -${lines.removed}` : aspect)).join(', ');
}

function attributesText({ attributes }: FileState): string {
  return Object.entries(attributes).map(([name, base64]) => `${escaped(name)}=${base64}`).join(' ') || '(none)';
}

/** How each aspect of a state is shown; the contents of two files of one size have nothing to show here. */
const SHOWN: Readonly<Record<Aspect, (state: FileState) => string>> = {
  type: typeAndSize,
  content: ({ size }) => humanBytes(size ?? 0),
  mode: ({ mode }) => octal(mode),
  owner: ({ uid, gid }) => `${uid}:${gid}`,
  label: ({ label }) => value(label),
  target: ({ target }) => value(target),
  attributes: attributesText,
  time: ({ mtime }) => mtime ?? '(none)',
};

function aspectLines(before: FileState, after: FileState, aspects: readonly Aspect[], hasDiff: boolean): string[] {
  return aspects.filter((aspect) => aspect !== 'content' || !hasDiff).flatMap((aspect) => {
    const [old, now] = [SHOWN[aspect](before), SHOWN[aspect](after)];
    if (aspect === 'content') return [old === now ? `  content differs (${old})` : `  content ${old} -> ${now}`];
    return old.length + now.length + aspect.length > 70 ? [`  ${aspect} ${old}`, `  ${' '.repeat(aspect.length - 2)}-> ${now}`] : [`  ${aspect} ${old} -> ${now}`];
  });
}

/** What was changed, in full; of what was added or removed its mode, owner and label. */
function details({ path, change, before, after, aspects, diff }: FileChange): string[] {
  const head = ['', `${change} ${escaped(path)}`];
  if (before && after) return [...head, ...aspectLines(before, after, aspects, diff !== undefined), ...(diff === undefined ? [] : diff.trimEnd().split('\n').map(escaped))];
  const { mode, uid, gid, label, target } = (before ?? after)!;
  const link = target === null ? [] : [`  target ${escaped(target)}`];
  return [...head, `  mode ${octal(mode)}, owner ${uid}:${gid}${label === null ? '' : `, label ${escaped(label)}`}`, ...link];
}
