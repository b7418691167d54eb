/** What a path of an image is, and how two of them differ. */
import { RockberryError } from '../errors.js';
import type { FileType, StoredFileSystem, Time } from '../fs/filesystem.js';

const LABEL = 'security.selinux';

/** Everything that is compared, apart from contents. */
export interface FileState {
  readonly type: FileType;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes; null for all but files. */
  readonly size: number | null;
  /** Where a symbolic link leads. */
  readonly target: string | null;
  /** The SELinux label. */
  readonly label: string | null;
  /** The other extended attributes, in base64. */
  readonly attributes: Readonly<Record<string, string>>;
  /** Seconds since 1970 with nine decimals; only when times are compared. */
  readonly mtime?: string;
}

/** In what two states of a path can differ. */
export type Aspect = 'type' | 'content' | 'mode' | 'owner' | 'label' | 'target' | 'attributes' | 'time';

function timeText({ seconds, nanoseconds }: Time): string {
  return `${seconds}.${String(nanoseconds).padStart(9, '0')}`;
}

export function stateOf(filesystem: StoredFileSystem, path: string, times: boolean): FileState {
  const stat = filesystem.stat(path);
  if (!stat) throw new RockberryError('corrupt', `expected something at ${path}, which its directory lists, found nothing`);
  const { type, mode, uid, gid, size, mtime } = stat;
  const xattrs = filesystem.xattrs(path);
  const label = xattrs.get(LABEL);
  const others = [...xattrs].filter(([name]) => name !== LABEL).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    type, mode, uid, gid, size: type === 'file' ? size : null,
    target: type === 'symlink' ? filesystem.readLink(path) : null,
    label: label ? Buffer.from(label).toString('latin1').replace(/\0$/, '') : null,
    attributes: Object.fromEntries(others.map(([name, value]) => [name, Buffer.from(value).toString('base64')])),
    ...(times && { mtime: timeText(mtime) }),
  };
}

/** Everything but the contents of two files of one size. */
export function aspectsOf(a: FileState, b: FileState): Aspect[] {
  if (a.type !== b.type) return ['type'];
  const found: [Aspect, boolean][] = [
    ['content', a.size !== b.size],
    ['mode', a.mode !== b.mode],
    ['owner', a.uid !== b.uid || a.gid !== b.gid],
    ['label', a.label !== b.label],
    ['target', a.target !== b.target],
    ['attributes', JSON.stringify(a.attributes) !== JSON.stringify(b.attributes)],
    ['time', a.mtime !== b.mtime],
  ];
  return found.filter(([, differs]) => differs).map(([aspect]) => aspect);
}
