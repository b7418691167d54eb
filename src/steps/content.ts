/** What nearly every step does with the tree: read and write text, make the folders on the way, and say what is not as it should be. */
import { RockberryError } from '../errors.js';
import type { Finding } from '../report.js';
import type { Attributes, Tree } from '../fs/filesystem.js';

const TEXT_LIMIT = 16 << 20; // bytes; a configuration file beyond it is hostile or a mistake

/** The file's text, or undefined when there is no file of that name (links followed). */
export function readText(tree: Tree, path: string): string | undefined {
  const target = tree.resolve(path);
  const stat = tree.stat(target);
  if (!stat) return undefined;
  if (stat.type !== 'file') throw new RockberryError('path', `expected a file at ${path}, found a ${stat.type}`);
  if (stat.size > TEXT_LIMIT) throw new RockberryError('unsupported', `expected at most ${TEXT_LIMIT} bytes of text in ${path}, found ${stat.size}`);
  return Buffer.from(tree.read(target)).toString('latin1'); // byte for byte: a file in another encoding survives an edit
}

/** Text as readText gives it (one character is one byte), so that what was not edited is written back unchanged. */
export function encodeText(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

/** Turns a value from a profile (Unicode) into the one-character-per-byte form that readText and writeText use. */
export function utf8(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** Writes text (one character is one byte; see utf8) and makes the directories on the way. */
export function writeText(tree: Tree, path: string, text: string, attributes: Attributes = {}): void {
  makeParents(tree, path);
  tree.write(path, encodeText(text), attributes);
}

/** Makes the directories above `path` that are missing, 0755 root:root. */
export function makeParents(tree: Tree, path: string): void {
  const parent = path.slice(0, path.lastIndexOf('/'));
  if (parent === '' || tree.stat(tree.resolve(parent))) return;
  makeParents(tree, parent);
  tree.makeDirectory(parent);
}

/** A finding of severity error about one path: the step's `verify` did not see what its `apply` should have made. */
export function notAsAsked(step: string, path: string, message: string): Finding {
  return { severity: 'error', id: `step-${step}`, subject: path, message };
}
