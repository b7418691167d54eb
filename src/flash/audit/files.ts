/** Which files of a card are not what was flashed: those that the profiles made, by their digests, and all others by the base. Contents are never shown. */
import type { Aspect, FileState } from '../../diff/state.js';
import type { FileChange } from '../../diff/walk.js';
import type { Tree } from '../../fs/filesystem.js';
import type { FileDigest } from '../../output/manifest.js';
import type { Finding } from '../../report.js';
import type { Candidate } from './manifests.js';
import { digestsOn, isBlank } from './digests.js';
import { reasonFor, type Before } from './set-aside.js';

/** A difference that a running system makes by itself. */
export interface SetAside {
  readonly path: string;
  readonly reason: string;
}

export interface Compared {
  readonly findings: readonly Finding[];
  readonly setAside: readonly SetAside[];
  /** Paths that were looked at. */
  readonly paths: number;
}

type Kind = 'missing' | 'present' | 'added' | 'changed' | 'mode' | 'owner' | 'label' | 'target' | 'attributes';

function finding(kind: Kind, path: string, message: string): Finding {
  return { severity: kind === 'added' ? 'warning' : 'error', id: `audit-${kind}`, subject: path, message };
}

const octal = (mode: number): string => mode.toString(8).padStart(4, '0');
const shortened = (digest: string | null): string => `${(digest ?? '').slice(0, 12)}…`;
const A: Readonly<Record<string, string>> = { file: 'a file', directory: 'a directory', symlink: 'a symbolic link' };
const aType = (type: string): string => A[type] ?? `a ${type}`;

/** What the profiles made and removed, against the card. */
export function compareListed(tree: Tree, { files, placed }: Candidate): Compared {
  const found = digestsOn(tree, [...files.keys(), ...placed.keys()]);
  const results = [
    ...[...files].map(([path, expected]) => ({ path, before: beforeOf(expected), findings: differences(path, expected, found.get(path) ?? null) })),
    ...[...placed].map(([path, there]) => ({ path, before: there ? 'something' as const : 'nothing' as const, findings: presence(path, there, found.get(path) ?? null) })),
  ];
  return { ...sorted(results.map((result) => ({ ...result, placed: true })), tree.bootDirectory), paths: results.length };
}

function beforeOf(expected: FileDigest | null): Before {
  if (expected === null) return 'nothing';
  return expected.sha256 !== null && isBlank(expected.sha256) ? 'blank' : 'something';
}

function presence(path: string, there: boolean, found: FileDigest | null): Finding[] {
  if (there === (found !== null)) return [];
  return [there ? finding('missing', path, 'expected what its profiles placed there, found nothing') : finding('present', path, `expected nothing, because a profile removed it, found ${aType(found!.type)}`)];
}

function differences(path: string, expected: FileDigest | null, found: FileDigest | null): Finding[] {
  if (expected === null || found === null) return expected === found ? [] : presence(path, expected !== null, found);
  if (expected.type !== found.type) return [finding('changed', path, `expected ${aType(expected.type)}, found ${aType(found.type)}`)];
  const kinds: readonly (readonly [differs: boolean, kind: Kind, message: () => string])[] = [
    [expected.sha256 !== found.sha256, 'changed', () => `expected the content that was flashed (sha256 ${shortened(expected.sha256)}), found another (${shortened(found.sha256)})`],
    [expected.mode !== found.mode, 'mode', () => `expected mode ${octal(expected.mode)}, found ${octal(found.mode)}`],
    [expected.uid !== found.uid || expected.gid !== found.gid, 'owner', () => `expected owner ${expected.uid}:${expected.gid}, found ${found.uid}:${found.gid}`],
    [expected.label !== found.label, 'label', () => `expected SELinux label ${expected.label ?? 'none'}, found ${found.label ?? 'none'}`],
    [expected.target !== found.target, 'target', () => `expected a link to ${expected.target ?? 'nothing'}, found one to ${found.target ?? 'nothing'}`],
  ];
  return kinds.flatMap(([differs, kind, message]) => (differs ? [finding(kind, path, message())] : []));
}

/** Everything else, as a walk over the reference and the card found it. Of a directory that came or went the paths below are not told one by one. */
export function compareOthers(changes: readonly FileChange[], { files, placed }: Candidate, bootDirectory: string): Omit<Compared, 'paths'> {
  const whole: string[] = [];
  const results = changes.filter(({ path }) => !files.has(path) && !placed.has(path)).flatMap((change) => {
    const { path, before, after } = change;
    const inside = whole.some((directory) => path.startsWith(`${directory}/`));
    if (inside || (change.change === 'added' && leadsToPlaced(path, files))) return [];
    const labelled = change.aspects.length === 1 && change.aspects[0] === 'label' && before!.label === null;
    const result = { path, ...(labelled && { reason: LABELLED }), before: before === null ? 'nothing' as const : isBlankState(before) ? 'blank' as const : 'something' as const, findings: findingsOf(change), placed: false };
    if (change.change !== 'changed' && (before ?? after)!.type === 'directory' && reasonFor(result, bootDirectory) === undefined) whole.push(path);
    return [result];
  });
  return sorted(results, bootDirectory);
}

const LABELLED = 'SELinux gave a label to what had none';

/** A directory that a profile made on the way to its files is no stranger. */
function leadsToPlaced(path: string, files: Candidate['files']): boolean {
  return [...files].some(([placed, digest]) => digest !== null && placed.startsWith(`${path}/`));
}

/** Shorter than a machine-id (33 bytes): empty, or systemd's "uninitialized". Contents of the base are not hashed for it. */
function isBlankState({ type, size }: FileState): boolean {
  return type === 'file' && size !== null && size <= 'uninitialized\n'.length;
}

const KIND_OF: Readonly<Record<Aspect, Kind | undefined>> = {
  type: 'changed', content: 'changed', mode: 'mode', owner: 'owner', label: 'label', target: 'target', attributes: 'attributes', time: undefined,
};

function findingsOf({ path, change, aspects, before, after }: FileChange): Finding[] {
  if (change === 'added') return [finding('added', path, `expected nothing, as in the image, found ${aType(after!.type)}`)];
  if (change === 'removed') return [finding('missing', path, `expected ${aType(before!.type)}, as in the image, found nothing`)];
  return aspects.flatMap((aspect) => {
    const kind = KIND_OF[aspect];
    return kind ? [finding(kind, path, sentence(aspect, before!, after!))] : [];
  });
}

function sentence(aspect: Aspect, before: FileState, after: FileState): string {
  switch (aspect) {
    case 'type': return `expected ${aType(before.type)}, found ${aType(after.type)}`;
    case 'content': return before.size === after.size ? 'expected the content of the image, found another of the same size' : `expected the content of the image (${before.size} bytes), found another (${after.size} bytes)`;
    case 'mode': return `expected mode ${octal(before.mode)}, found ${octal(after.mode)}`;
    case 'owner': return `expected owner ${before.uid}:${before.gid}, found ${after.uid}:${after.gid}`;
    case 'label': return `expected SELinux label ${before.label ?? 'none'}, found ${after.label ?? 'none'}`;
    case 'target': return `expected a link to ${before.target}, found one to ${after.target}`;
    default: return `expected the extended attributes ${namesOf(before)}, found others: ${namesOf(after)}`;
  }
}

const namesOf = ({ attributes }: FileState): string => Object.keys(attributes).join(', ') || 'none';

interface Judged {
  readonly path: string;
  readonly before: Before;
  readonly placed: boolean;
  readonly findings: readonly Finding[];
  /** Where the table does not have to be asked. */
  readonly reason?: string;
}

/** Parts the node's own changes from the findings; both by path. */
function sorted(results: readonly Judged[], bootDirectory: string): Omit<Compared, 'paths'> {
  const judged = results.filter(({ findings }) => findings.length > 0).sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
    .map((result) => ({ ...result, reason: result.reason ?? reasonFor(result, bootDirectory) }));
  return {
    findings: judged.flatMap(({ findings, reason }) => (reason === undefined ? findings : [])),
    setAside: judged.flatMap(({ path, reason }) => (reason === undefined ? [] : [{ path, reason }])),
  };
}
