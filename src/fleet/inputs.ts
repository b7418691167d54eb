/** What decides a node's output, as one digest: the same inputs give the same bytes, so that what is there already need not be made again. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { scanSource } from '../steps/source-tree.js';
import type { ProfileStep } from '../profile.js';

/** What all nodes of a fleet have in common: the version of the program, the base's sha256, the form of the output. */
export type Common = Readonly<Record<string, string>>;

export interface Inputs {
  /** sha256 of everything. */
  readonly digest: string;
  /** By what a person calls it ("step host name node1", "base"), its digest: to say what changed. */
  readonly parts: Readonly<Record<string, string>>;
}

/** Reads the files and folders that steps place; each once. */
export function inputsReader(common: Common): (steps: readonly ProfileStep[]) => Inputs {
  const contents = new Map<string, string>();
  const contentOf = (source: string): string => {
    const known = contents.get(source) ?? digestOfSource(source);
    contents.set(source, known);
    return known;
  };
  return (steps) => {
    const parts = { ...common, ...Object.fromEntries(steps.map((step, at) => [`step ${at + 1}, ${step.title}`, digestOf([step.fingerprint, ...step.sources.map(contentOf)])])) };
    return { digest: digestOf(parts), parts };
  };
}

function digestOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

function digestOfSource(source: string): string {
  const hash = createHash('sha256');
  for (const { relative, type, host, target, executable } of scanSource(source)) {
    hash.update(JSON.stringify([relative, type, target, executable]));
    if (type === 'file') hash.update(createHash('sha256').update(readFileSync(host)).digest());
  }
  return hash.digest('hex');
}

/** Why a node is built, in a few words; undefined when it need not be. `last` is what was built last, which may be gone. */
export function reasonToBuild(inputs: Inputs, last: Inputs | undefined, isThere: boolean): string | undefined {
  if (!last) return 'new';
  if (last.digest === inputs.digest) return isThere ? undefined : 'its file is gone, or was changed';
  const names = (of: Inputs): string[] => Object.keys(of.parts);
  const changed = names(inputs).filter((name) => last.parts[name] !== inputs.parts[name]);
  const [first, ...others] = changed.length > 0 ? changed : names(last).filter((name) => !(name in inputs.parts));
  return first === undefined ? 'changed' : `${first.replace(/^step \d+, /, '')} changed${others.length > 0 ? `, and ${others.length} more` : ''}`;
}
