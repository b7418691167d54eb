/**
 * Directories of configuration files as systemd reads them (sysctl.d(5), modules-load.d(5), "CONFIGURATION DIRECTORIES AND PRECEDENCE"): a name counts once, in
 * the first directory that has it, and the files are read in the order of their names whatever their directory. A link to /dev/null masks.
 */
import type { Node } from '../node.js';

const ROOTS = ['/etc', '/run', '/usr/local/lib', '/usr/lib', '/lib'];

export interface DropIn {
  readonly path: string;
  /** One character per byte. */
  readonly text: string;
}

/** The files "*.conf" of a directory such as "sysctl.d" that are in force, in the order in which they are read. */
export function dropIns(node: Node, directory: string): DropIn[] {
  return inForce(node, ROOTS.map((root) => `${root}/${directory}`), '.conf');
}

/** As dropIns, of any directories, the one with precedence first. */
export function inForce(node: Node, directories: readonly string[], suffix: string): DropIn[] {
  const paths = new Map<string, string>();
  for (const directory of directories) {
    for (const name of node.names(directory)) if (name.endsWith(suffix) && !paths.has(name)) paths.set(name, `${directory}/${name}`);
  }
  const sorted = [...paths].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => path);
  return sorted.flatMap((path) => {
    const text = node.text(path);
    return text === undefined ? [] : [{ path, text }];
  });
}

/** Lines without white space around them, without comments ("#" and ";") and empty ones. */
export function usefulLines(text: string): string[] {
  return text.split('\n').map((line) => line.trim()).filter((line) => line !== '' && !/^[#;]/.test(line));
}
