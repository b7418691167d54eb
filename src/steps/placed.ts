/** Files that are wholly ours: placed with one content and one mode, looked at afterwards, and taken away without complaint when they are not there. */
import type { Finding } from '../report.js';
import type { Tree } from '../fs/filesystem.js';
import { makeParents, notAsAsked, readText, utf8, writeText } from './content.js';

export interface Placed {
  readonly path: string;
  /** Unicode. */
  readonly text: string;
  readonly mode: number;
}

/** Writes the file, root:root. A symbolic link of that name (a mask to /dev/null, say) gives way to the file: nobody else's file is written through it. */
export function place(tree: Tree, { path, text, mode }: Placed): void {
  if (tree.stat(path)?.type === 'symlink') tree.remove(path);
  writeText(tree, path, utf8(text), { mode, uid: 0, gid: 0 });
}

export function checkPlaced(tree: Tree, step: string, { path, text, mode }: Placed): Finding[] {
  const stat = tree.stat(path);
  if (stat?.type !== 'file') return [notAsAsked(step, path, `expected a file at ${path}, found ${stat ? `a ${stat.type}` : 'nothing'}`)];
  const findings: Finding[] = [];
  if (readText(tree, path) !== utf8(text)) findings.push(notAsAsked(step, path, `expected ${path} as this step writes it, found another content`));
  return [...findings, ...checkOwner(tree, step, path, { mode, uid: 0, gid: 0 })];
}

/** Compares mode and owner; a path that is not there is a finding too. */
export function checkOwner(tree: Tree, step: string, path: string, wanted: { mode: number; uid: number; gid: number }): Finding[] {
  const stat = tree.stat(path);
  if (!stat) return [notAsAsked(step, path, `expected ${path}, found nothing`)];
  if (stat.mode === wanted.mode && stat.uid === wanted.uid && stat.gid === wanted.gid) return [];
  const show = ({ mode, uid, gid }: { mode: number; uid: number; gid: number }): string => `${mode.toString(8).padStart(4, '0')} ${uid}:${gid}`;
  return [notAsAsked(step, path, `expected ${path} with mode and owner ${show(wanted)}, found ${show(stat)}`)];
}

/** Makes the symbolic link and the directories above it; a link to elsewhere is replaced, anything else of that name is an error of the tree. */
export function placeLink(tree: Tree, path: string, target: string): void {
  makeParents(tree, path);
  tree.makeLink(path, target);
}

/** Removes a file or a link, if it is there. */
export function removeFile(tree: Tree, path: string): void {
  const stat = tree.stat(path);
  if (stat && stat.type !== 'directory') tree.remove(path);
}

/** Names in a directory, sorted; none when it is not there or is no directory. */
export function namesIn(tree: Tree, directory: string): string[] {
  const target = tree.resolve(directory);
  if (tree.stat(target)?.type !== 'directory') return [];
  return tree.list(target).map(({ name }) => name);
}
