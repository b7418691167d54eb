/** A file tree as data: what debugfs is told to create, in this order. Times are one fixed moment; see make-samples.mjs. */

/** @typedef {{ path: string, type: 'file'|'directory'|'symlink', mode: number, uid: number, gid: number, text?: string | Buffer, target?: string }} Node */

/** Collects nodes; parents are made on the way. The last word on a path counts. */
export class TreeBuilder {
  /** @type {Map<string, Node>} */
  nodes = new Map();

  directory(path, mode = 0o755, uid = 0, gid = 0) {
    this.#parents(path);
    this.nodes.set(path, { path, type: 'directory', mode, uid, gid });
  }

  file(path, text = '', mode = 0o644, uid = 0, gid = 0) {
    this.#parents(path);
    this.nodes.set(path, { path, type: 'file', mode, uid, gid, text });
  }

  link(path, target, uid = 0, gid = 0) {
    this.#parents(path);
    this.nodes.set(path, { path, type: 'symlink', mode: 0o777, uid, gid, target });
  }

  remove(path) {
    this.nodes.delete(path);
  }

  /** Parents before children. */
  sorted() {
    return [...this.nodes.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  #parents(path) {
    const parent = path.slice(0, path.lastIndexOf('/'));
    if (parent !== '' && !this.nodes.has(parent)) this.directory(parent);
  }
}
