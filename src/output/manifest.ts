/**
 * The manifest beside an image: what it was made from, with what, and what became of it. The same build gives the same bytes anywhere and at any time, so it
 * holds no times and no paths of the host, and its keys are sorted.
 */
import type { Range } from '../bytes/ranges.js';
import type { FileActionKind, Finding } from '../report.js';

/** One path of the image at one time. */
export interface FileDigest {
  /** "file", "directory", "symlink" … */
  readonly type: string;
  /** Of a file's content, lower-case hexadecimal; null for everything else. */
  readonly sha256: string | null;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** SELinux context; null where there is none. */
  readonly label: string | null;
  /** Where a symbolic link points. */
  readonly target?: string;
}

export interface FileChange {
  readonly path: string;
  readonly action: FileActionKind;
  /** null when it was not there. */
  readonly old: FileDigest | null;
  /** null when it is gone. */
  readonly new: FileDigest | null;
}

export interface ManifestFile {
  /** A path is cut down to its last component. */
  readonly name: string;
  /** Of the file as it is (packed), lower-case hexadecimal. */
  readonly sha256: string;
  readonly bytes: number;
  readonly format: string;
}

export interface ManifestInput {
  readonly tool: { readonly name: string; readonly version: string };
  readonly base: ManifestFile;
  readonly output: ManifestFile;
  /** Of the raw image. */
  readonly imageBytes: number;
  /** In the order in which they were applied; the digest is that of the profile's text. */
  readonly profiles: readonly { readonly name: string; readonly sha256: string }[];
  /** With secrets hidden already (LoadedProfiles.variables). */
  readonly variables: ReadonlyMap<string, unknown>;
  /** Those that are 'unchanged' are left out. */
  readonly files: readonly FileChange[];
  /** Bytes of the raw image that differ from the base's. */
  readonly changed: readonly Range[];
  readonly findings: readonly Finding[];
  /** Programs of the image that were run, secrets hidden. With any of them the result is not reproducible. */
  readonly runs?: readonly RunEntry[];
}

export interface RunEntry {
  readonly command: string | readonly string[];
  readonly network: string;
  readonly status: number;
  readonly how: string;
  readonly emulated: boolean;
  readonly output: readonly string[];
}

/** The version of this document's form: a reader refuses one that it does not know. */
const FORM = 1;

/** JSON values only, keys in code unit order at every level; lists keep their order, files are sorted by path. Modes are octal text, "0644". */
export function manifestDocument(input: ManifestInput): object {
  return sorted({
    manifest: FORM,
    tool: { name: input.tool.name, version: input.tool.version },
    base: fileEntry(input.base),
    output: fileEntry(input.output),
    imageBytes: input.imageBytes,
    profiles: input.profiles.map(({ name, sha256 }) => ({ name: baseName(name), sha256 })),
    variables: Object.fromEntries(input.variables),
    files: input.files.filter(({ action }) => action !== 'unchanged').map(changeEntry).sort((a, b) => (a.path < b.path ? -1 : 1)),
    changed: input.changed.map(({ offset, length }) => ({ offset, length })),
    findings: input.findings,
    ...(input.runs && input.runs.length > 0 && { reproducible: false, runs: input.runs }),
  }) as object;
}

/** The document as the file's text. */
export function manifestText(input: ManifestInput): string {
  return `${JSON.stringify(manifestDocument(input), null, 2)}\n`;
}

/** Joins what happened to each path with its digests before and after; a path that is in neither stays, with null on both sides. */
export function fileChanges(
  actions: readonly { readonly path: string; readonly action: FileActionKind }[],
  before: ReadonlyMap<string, FileDigest>, after: ReadonlyMap<string, FileDigest>,
): FileChange[] {
  return actions.map(({ path, action }) => ({ path, action, old: before.get(path) ?? null, new: after.get(path) ?? null }));
}

function fileEntry({ name, sha256, bytes, format }: ManifestFile): object {
  return { name: baseName(name), sha256, bytes, format };
}

function changeEntry({ path, action, old, new: now }: FileChange): { path: string } & Record<string, unknown> {
  return { path, action, old: old && digestEntry(old), new: now && digestEntry(now) };
}

function digestEntry({ type, sha256, mode, uid, gid, label, target }: FileDigest): object {
  return { type, sha256, mode: mode.toString(8).padStart(4, '0'), uid, gid, label, ...(target !== undefined && { target }) };
}

function baseName(path: string): string {
  return path.split(/[/\\]/).filter((part) => part !== '').at(-1) ?? '';
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  const keys = Object.keys(value).sort();
  return Object.fromEntries(keys.map((key) => [key, sorted((value as Record<string, unknown>)[key])]));
}
