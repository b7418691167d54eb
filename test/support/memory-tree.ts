/**
 * The real tree over filesystems kept in memory, for the tests of steps: fast, and everything can be looked at. Not a mock: the steps' results on real
 * ext4 and FAT are judged by debugfs and mtools in test/build.
 */
import { RockberryError } from '../../src/errors.js';
import type { Attributes, Content, Entry, FileSystem, FileType, Stat, Time, Tree } from '../../src/fs/filesystem.js';
import { createTree } from '../../src/fs/tree.js';

interface Node {
  inode: number; type: FileType; mode: number; uid: number; gid: number; mtime: Time; data: Uint8Array; target: string; xattrs: Map<string, Uint8Array>;
}

export interface Seed { content?: string | Uint8Array; target?: string; directory?: boolean; mode?: number; uid?: number; gid?: number }
export const testTime: Time = { seconds: 1_684_000_000, nanoseconds: 0 };

/** A tree from path → text, or path → { content | target | directory, mode, uid, gid }. Parents are made. The boot FAT is mounted at bootDirectory. */
export function memoryTree(files: Readonly<Record<string, string | Seed>>, options: { bootDirectory?: string; label?: (path: string, type: FileType) => string | undefined } = {}): Tree {
  const bootDirectory = options.bootDirectory ?? '/boot';
  const root = memoryFileSystem('ext4');
  const boot = memoryFileSystem('vfat');
  for (const [path, value] of Object.entries(files)) {
    const seed = typeof value === 'string' ? { content: value } : value;
    const onBoot = path === bootDirectory || path.startsWith(`${bootDirectory}/`);
    plant(onBoot ? boot : root, onBoot ? path.slice(bootDirectory.length) || '/' : path, seed);
  }
  plant(root, bootDirectory, { directory: true });
  const tree = createTree([{ path: '/', filesystem: root }, { path: bootDirectory, filesystem: boot }], { time: testTime, bootDirectory, ...(options.label && { label: options.label }) });
  return tree;
}

/** The file's text; undefined when it is not there. */
export function textOf(tree: Tree, path: string): string | undefined {
  const stat = tree.stat(tree.resolve(path));
  return stat ? Buffer.from(tree.read(path)).toString('utf8') : undefined;
}

/** Paths that were created, changed or removed so far. */
export function touched(tree: Tree): string[] {
  return tree.actions().filter(({ action }) => action !== 'unchanged').map(({ path, action }) => `${action} ${path}`);
}

function plant(filesystem: FileSystem, path: string, seed: Seed): void {
  const parents = path.split('/').slice(1, -1);
  parents.forEach((_, index) => filesystem.makeDirectory(`/${parents.slice(0, index + 1).join('/')}`));
  const attributes = { mode: seed.mode, uid: seed.uid, gid: seed.gid };
  if (seed.directory) filesystem.makeDirectory(path, attributes);
  else if (seed.target !== undefined) filesystem.makeLink(path, seed.target, attributes);
  else filesystem.write(path, typeof seed.content === 'string' ? Buffer.from(seed.content) : (seed.content ?? new Uint8Array()), attributes);
}

export function memoryFileSystem(type: 'ext4' | 'vfat'): FileSystem {
  const nodes = new Map<string, Node>();
  let inodes = 1;
  const fresh = (kind: FileType): Node => ({
    inode: ++inodes, type: kind, mode: kind === 'directory' ? 0o755 : kind === 'symlink' ? 0o777 : 0o644, uid: 0, gid: 0, mtime: testTime, data: new Uint8Array(), target: '', xattrs: new Map(),
  });
  nodes.set('/', fresh('directory'));
  const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/';
  function get(path: string): Node {
    const node = nodes.get(path);
    if (!node) throw new RockberryError('path', `expected something at ${path}, found nothing`);
    return node;
  }
  function put(path: string, kind: FileType): Node {
    const old = nodes.get(path);
    if (old && old.type !== kind) throw new RockberryError('path', `expected a ${kind} at ${path}, found a ${old.type}`);
    if (nodes.get(parentOf(path))?.type !== 'directory') throw new RockberryError('path', `expected a directory at ${parentOf(path)}`);
    const node = old ?? fresh(kind);
    nodes.set(path, node);
    return node;
  }
  function apply(node: Node, { mode, uid, gid, mtime, xattrs }: Attributes): void {
    if (type === 'vfat') return;
    Object.assign(node, { mode: mode ?? node.mode, uid: uid ?? node.uid, gid: gid ?? node.gid, mtime: mtime ?? node.mtime });
    for (const [name, value] of xattrs ?? []) if (value) node.xattrs.set(name, value); else node.xattrs.delete(name);
  }
  const bytes = (content: Content): Uint8Array => (content instanceof Uint8Array ? content.slice() : content.read(0, content.size));
  const children = (path: string): string[] => [...nodes.keys()].filter((key) => key !== '/' && parentOf(key) === path);
  return {
    type,
    info: () => ({ type, variant: type, label: '', uuid: '', blockSize: 4096, size: 1 << 30, free: 1 << 29 }),
    stat(path): Stat | undefined {
      const node = nodes.get(path);
      return node && { type: node.type, mode: node.mode, uid: node.uid, gid: node.gid, size: node.data.length, mtime: node.mtime, inode: node.inode, links: [...nodes.values()].filter((other) => other === node).length };
    },
    list(path): Entry[] {
      if (get(path).type !== 'directory') throw new RockberryError('path', `expected a directory at ${path}, found a ${get(path).type}`);
      return children(path).sort().map((child) => ({ name: child.slice(child.lastIndexOf('/') + 1), type: get(child).type }));
    },
    read: (path, offset = 0, length = Infinity) => get(path).data.slice(offset, offset + length),
    readLink: (path) => get(path).target,
    xattrs: (path) => get(path).xattrs,
    write(path, content, attributes = {}) {
      const node = put(path, 'file');
      node.data = bytes(content);
      apply(node, attributes);
    },
    append(path, content) {
      get(path).data = Buffer.concat([get(path).data, bytes(content)]);
    },
    truncate(path, size) {
      const data = new Uint8Array(size);
      data.set(get(path).data.subarray(0, size));
      get(path).data = data;
    },
    makeDirectory: (path, attributes = {}) => apply(path === '/' ? get('/') : put(path, 'directory'), attributes),
    makeLink(path, target, attributes = {}) {
      if (type === 'vfat') throw new RockberryError('unsupported', 'FAT has no links');
      const node = put(path, 'symlink');
      node.target = target;
      apply(node, attributes);
    },
    makeHardLink(path, existing) {
      if (nodes.has(path)) throw new RockberryError('path', `expected nothing at ${path}`);
      nodes.set(path, get(existing));
    },
    rename(from, to) {
      const node = get(from);
      for (const [key, value] of [...nodes]) {
        if (!key.startsWith(`${from}/`)) continue;
        nodes.delete(key);
        nodes.set(to + key.slice(from.length), value);
      }
      nodes.delete(from);
      nodes.set(to, node);
    },
    change: (path, attributes) => apply(get(path), attributes),
    remove(path) {
      if (children(path).length > 0) throw new RockberryError('path', `expected an empty directory at ${path}`);
      get(path);
      nodes.delete(path);
    },
    flush: () => undefined,
    check: () => [],
  };
}
