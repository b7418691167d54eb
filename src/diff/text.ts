/** Contents of two files: whether they are the same, piece by piece, and a unified diff of two texts. */
import { formatPatch, OMIT_HEADERS, structuredPatch } from 'diff';
import { equalBytes } from '../bytes/fields.js';
import { coalesce, rangeEnd } from '../bytes/ranges.js';
import type { StoredFileSystem } from '../fs/filesystem.js';

const PIECE = 1 << 20; // bytes
const TEXT_LIMIT = 1 << 20; // bytes
/** Lines added and removed, after which two texts are called too different: the work grows with its square. */
const MAX_EDITS = 4000;

export interface Located {
  readonly filesystem: StoredFileSystem;
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/** Whether two files of the same size have the same contents. Holes of both are not read: a sparse file may be larger than its disk. */
export function sameContents(a: Located, b: Located): boolean {
  const parts = coalesce([...a.filesystem.written(a.path), ...b.filesystem.written(b.path)]);
  for (const part of parts) {
    const end = Math.min(rangeEnd(part), a.size);
    for (let at = part.offset; at < end; at += PIECE) {
      const count = Math.min(PIECE, end - at);
      if (!equalBytes(a.filesystem.read(a.path, at, count), b.filesystem.read(b.path, at, count))) return false;
    }
  }
  return true;
}

function textOf({ filesystem, path, size }: Located): string | undefined {
  if (size > TEXT_LIMIT) return undefined;
  const bytes = filesystem.read(path);
  if (bytes.includes(0)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined; // binary, or a text in an old encoding: a diff that patch(1) could not apply byte for byte would be worse than none
  }
}

/** The name as it stands in a header: quoted as git and GNU patch read it where it has control characters, quotes or backslashes. */
function headerName(name: string): string {
  if (!/[\0-\x1f\x7f"\\]/.test(name)) return name;
  const quoted = name.replace(/[\0-\x1f\x7f"\\]/g, (character) => {
    return character === '"' || character === '\\' ? `\\${character}` : `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`;
  });
  return `"${quoted}"`;
}

export interface TextDiff {
  readonly diff: string;
  /** Lines. */
  readonly added: number;
  readonly removed: number;
}

/** A unified diff with three lines of context that patch(1) applies; undefined for binaries, for files over 1 MiB and for texts that have little in common. */
export function textDiff(name: string, a: Located, b: Located): TextDiff | undefined {
  const [before, after] = [textOf(a), textOf(b)];
  if (before === undefined || after === undefined) return undefined;
  const patch = structuredPatch('a', 'b', before, after, undefined, undefined, { context: 3, maxEditLength: MAX_EDITS });
  if (patch === undefined) return undefined;
  const lines = patch.hunks.flatMap((hunk) => hunk.lines);
  const count = (sign: string): number => lines.filter((line) => line.startsWith(sign)).length;
  const header = `--- ${headerName(`a${name}`)}\n+++ ${headerName(`b${name}`)}\n`;
  return { diff: header + formatPatch(patch, OMIT_HEADERS), added: count('+'), removed: count('-') };
}
