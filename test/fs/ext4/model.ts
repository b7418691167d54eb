/** A filesystem as plain objects: what the driver's contents are compared with. */
import type { Attributes, FileType, Time } from '../../../src/fs/filesystem.js';

export interface Node {
  readonly type: FileType;
  data: Uint8Array;
  target: string;
  readonly children: Map<string, Node>;
  mode: number;
  uid: number;
  gid: number;
  mtime: Time;
  readonly xattrs: Map<string, Uint8Array>;
}

const MODES: Partial<Record<FileType, number>> = { directory: 0o755, file: 0o644, symlink: 0o777 };

/** Why an operation must be refused, or undefined. */
export type Verdict = 'path' | undefined;

export class Model {
  readonly root: Node;
  private listed: [string, Node][] | undefined;

  constructor(private readonly time: Time) {
    this.root = this.make('directory', {});
  }

  private make(type: FileType, attributes: Attributes): Node {
    const node: Node = { type, data: new Uint8Array(0), target: '', children: new Map(), mode: MODES[type]!, uid: 0, gid: 0, mtime: this.time, xattrs: new Map() };
    this.apply(node, attributes);
    return node;
  }

  private apply(node: Node, attributes: Attributes): void {
    node.mode = attributes.mode ?? node.mode;
    node.uid = attributes.uid ?? node.uid;
    node.gid = attributes.gid ?? node.gid;
    node.mtime = attributes.mtime ?? node.mtime;
    for (const [name, value] of attributes.xattrs ?? []) {
      if (value === null) node.xattrs.delete(name);
      else node.xattrs.set(name, value);
    }
  }

  find(path: string): Node | undefined {
    let node: Node | undefined = this.root;
    for (const part of path.split('/').filter(Boolean)) node = node?.children.get(part);
    return node;
  }

  private place(path: string): { parent: Node; name: string } {
    const at = path.lastIndexOf('/');
    return { parent: this.find(path.slice(0, at))!, name: path.slice(at + 1) };
  }

  /** All paths but the root, with what is there, in a fixed order. */
  all(): readonly [string, Node][] {
    this.listed ??= this.walk();
    return this.listed;
  }

  private walk(): [string, Node][] {
    const found: [string, Node][] = [];
    const walk = (path: string, node: Node): void => {
      for (const [name, child] of [...node.children].sort(([a], [b]) => (a < b ? -1 : 1))) {
        found.push([`${path}/${name}`, child]);
        walk(`${path}/${name}`, child);
      }
    };
    walk('', this.root);
    return found;
  }

  links(node: Node): number {
    if (node.type === 'directory') return 2 + [...node.children.values()].filter((child) => child.type === 'directory').length;
    return this.all().filter(([, each]) => each === node).length;
  }

  private put(path: string, type: FileType, attributes: Attributes): Node {
    const { parent, name } = this.place(path);
    const node = this.make(type, attributes);
    parent.children.set(name, node);
    this.listed = undefined;
    parent.mtime = this.time;
    return node;
  }

  write(path: string, data: Uint8Array, attributes: Attributes): Verdict {
    const found = this.find(path);
    if (found && found.type !== 'file') return 'path';
    const node = found ?? this.put(path, 'file', attributes);
    this.content(node, data);
    this.apply(node, attributes);
    return undefined;
  }

  private content(node: Node, data: Uint8Array): void {
    if (Buffer.compare(node.data, data) === 0) return;
    node.data = data;
    node.mtime = this.time;
  }

  append(path: string, data: Uint8Array): Verdict {
    const node = this.find(path)!;
    this.content(node, Buffer.concat([node.data, data]));
    return undefined;
  }

  truncate(path: string, size: number): Verdict {
    const node = this.find(path)!;
    const data = new Uint8Array(size);
    data.set(node.data.subarray(0, size));
    this.content(node, data);
    return undefined;
  }

  makeDirectory(path: string, attributes: Attributes): Verdict {
    const found = this.find(path);
    if (found && found.type !== 'directory') return 'path';
    this.apply(found ?? this.put(path, 'directory', attributes), attributes);
    return undefined;
  }

  makeLink(path: string, target: string, attributes: Attributes): Verdict {
    const found = this.find(path);
    if (found && found.type !== 'symlink') return 'path';
    const node = found ?? this.put(path, 'symlink', attributes);
    if (node.target !== target) node.mtime = this.time;
    node.target = target;
    this.apply(node, attributes);
    return undefined;
  }

  makeHardLink(path: string, existing: string): Verdict {
    const node = this.find(existing)!;
    const { parent, name } = this.place(path);
    const found = parent.children.get(name);
    if (node.type === 'directory' || (found && found !== node)) return 'path';
    if (found === node) return undefined;
    parent.children.set(name, node);
    this.listed = undefined;
    parent.mtime = this.time;
    return undefined;
  }

  rename(from: string, to: string): Verdict {
    const [source, goal] = [this.place(from), this.place(to)];
    const node = source.parent.children.get(source.name)!;
    const found = goal.parent.children.get(goal.name);
    if (found === node) return undefined;
    if (node.type === 'directory' && to.startsWith(`${from}/`)) return 'path';
    if (found && ((found.type === 'directory') !== (node.type === 'directory') || found.children.size > 0)) return 'path';
    source.parent.children.delete(source.name);
    this.listed = undefined;
    goal.parent.children.set(goal.name, node);
    source.parent.mtime = this.time;
    goal.parent.mtime = this.time;
    return undefined;
  }

  change(path: string, attributes: Attributes): Verdict {
    this.apply(this.find(path)!, attributes);
    return undefined;
  }

  remove(path: string): Verdict {
    const { parent, name } = this.place(path);
    if (parent.children.get(name)!.children.size > 0) return 'path';
    parent.children.delete(name);
    this.listed = undefined;
    parent.mtime = this.time;
    return undefined;
  }
}
