/** What every step's test does: apply, apply again (nothing may change), verify. */
import { expect } from 'vitest';
import { toJSONSchema } from 'zod';
import type { Tree } from '../../src/fs/filesystem.js';
import type { Finding } from '../../src/report.js';
import type { Step } from '../../src/steps/step.js';

/** The findings of verify after two applications, the second of which must leave every byte, mode, owner and time alone. */
export async function applyTwice<O>(step: Step<O>, tree: Tree, options: unknown, directory = '/'): Promise<Finding[]> {
  const parsed = step.schema.parse(options);
  toJSONSchema(step.schema); // every schema must have a JSON Schema
  expect(step.describe(parsed)).toMatch(/^\S[^\n]*$/);
  await step.apply(tree, parsed, { directory });
  const once = snapshot(tree);
  await step.apply(tree, parsed, { directory });
  expect(snapshot(tree)).toEqual(once);
  return step.verify(tree, parsed, { directory });
}

/** Path → everything that can be seen of it. */
export function snapshot(tree: Tree, directory = '/'): Map<string, string> {
  const found = new Map<string, string>();
  for (const { name, type } of tree.list(directory)) {
    const path = `${directory === '/' ? '' : directory}/${name}`;
    const { mode, uid, gid, mtime } = tree.stat(path)!;
    const content = type === 'file' ? Buffer.from(tree.read(path)).toString('latin1') : type === 'symlink' ? tree.readLink(path) : '';
    found.set(path, JSON.stringify([type, mode, uid, gid, mtime, content]));
    if (type === 'directory') snapshot(tree, path).forEach((value, key) => found.set(key, value));
  }
  return found;
}
