/** Kernel modules at boot: what systemd-modules-load loads (modules-load.d(5)), and what modprobe.d(5) keeps from being loaded. */
import type { Node } from '../node.js';
import { dropIns, usefulLines } from './drop-ins.js';

export interface ModuleLists {
  /** Loaded at boot by modules-load.d or the kernel command line, "-" written as "_". */
  readonly loaded: ReadonlyMap<string, string>;
  /** "blacklist": systemd-modules-load passes over them, modprobe by name does not. Name → file. */
  readonly blacklisted: ReadonlyMap<string, string>;
  /** "install NAME /bin/true": nobody loads them. Name → file. */
  readonly disabled: ReadonlyMap<string, string>;
}

export function moduleLists(node: Node): ModuleLists {
  const loaded = new Map<string, string>();
  for (const { path, text } of dropIns(node, 'modules-load.d')) for (const line of usefulLines(text)) loaded.set(moduleName(line), path);
  for (const { path, line } of node.commandLines()) {
    for (const [, names] of line.matchAll(/(?:^|\s)modules[_-]load=(\S*)/g)) for (const name of names!.split(',')) loaded.set(moduleName(name), path);
  }
  const rules = dropIns(node, 'modprobe.d').flatMap(({ path, text }) => usefulLines(text).map((line) => ({ path, words: line.split(/\s+/) })));
  const named = (isWanted: (words: readonly string[]) => boolean): Map<string, string> => {
    return new Map(rules.filter(({ words }) => isWanted(words)).map(({ path, words }) => [moduleName(words[1] ?? ''), path]));
  };
  return {
    loaded,
    blacklisted: named(([verb]) => verb === 'blacklist'),
    disabled: named(([verb, , command = '']) => verb === 'install' && /^(\/usr)?\/bin\/(true|false)$/.test(command)),
  };
}

/** "-" and "_" are the same in module names (modprobe(8)). */
export function moduleName(written: string): string {
  return written.replaceAll('-', '_');
}
