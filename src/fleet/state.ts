/**
 * What was built into a fleet's folder, so that a node whose inputs did not change is not built again: `.rockberry-fleet.json`, of mode 0600, because the inputs'
 * digests are made of secrets, too. An entry counts as long as its output is the file that it was.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readPrivateFile, replacePrivateFile } from './identity/private-file.js';
import type { NodeReport } from './model.js';

export const STATE = '.rockberry-fleet.json';

export interface Built {
  /** sha256 of everything that decides the output. */
  readonly inputs: string;
  /** What each variable and step was, by digest: to say what changed. */
  readonly parts: Readonly<Record<string, string>>;
  readonly report: NodeReport;
}

export interface FleetState {
  /** The entry of a node whose output still stands; undefined when there is none or the file is another. */
  get(name: string): Built | undefined;
  /** As get(), whether or not the output still stands. */
  last(name: string): Built | undefined;
  put(name: string, built: Built): void;
}

const entrySchema = z.object({ inputs: z.string(), parts: z.record(z.string(), z.string()), report: z.custom<NodeReport>((value) => typeof value === 'object' && value !== null), file: z.string() });
const stateSchema = z.object({ format: z.literal(1), nodes: z.record(z.string(), entrySchema) });

type Entry = z.output<typeof entrySchema>;

export function openState(directory: string): FleetState {
  const path = join(directory, STATE);
  const nodes = new Map<string, Entry>(Object.entries(read(path)));
  const save = (): void => replacePrivateFile(path, Buffer.from(`${JSON.stringify({ format: 1, nodes: Object.fromEntries([...nodes].sort(([a], [b]) => (a < b ? -1 : 1))) })}\n`));
  return {
    get(name) {
      const entry = nodes.get(name);
      return entry && entry.file !== '' && entry.file === fileOf(directory, entry.report) ? entry : undefined;
    },
    last: (name) => nodes.get(name),
    put(name, built) {
      nodes.set(name, { ...built, file: fileOf(directory, built.report) });
      save();
    },
  };
}

/** A state that cannot be read is none: everything is built again. */
function read(path: string): Record<string, Entry> {
  const data = readPrivateFile(path, false);
  try {
    return data ? stateSchema.parse(JSON.parse(Buffer.from(data).toString())).nodes : {};
  } catch {
    return {};
  }
}

/** The output as the host knows it: the time of the last change of its inode cannot be set back. '' when it is not there. */
function fileOf(directory: string, { output }: NodeReport): string {
  const stat = output === null ? undefined : statSync(join(directory, output), { bigint: true, throwIfNoEntry: false });
  return stat ? [stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(':') : '';
}
