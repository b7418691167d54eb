/**
 * group_vars/ and host_vars/ beside an inventory, as Ansible's host_group_vars plugin and its loader find them: NAME (a file or a folder of files), else NAME.yml,
 * NAME.yaml or NAME.json; in a folder every such file in the order of its name, folders without a dot too (plugins/vars/host_group_vars.py,
 * parsing/dataloader.py). After these NAME.sops.yml, .yaml and .json, which community.sops reads.
 */
import { extname, join } from 'node:path';
import { readAnsibleYaml } from './ansible-yaml.js';
import { isFolder, namesIn } from './folders.js';
import type { Given, Vars } from './hosts-and-groups.js';
import { inParallel } from './pool.js';
import { problem } from './problem.js';
import type { Sources } from './source.js';

export interface VarsFiles {
  group(name: string): Vars;
  host(name: string): Vars;
}

export const NO_VARS_FILES: VarsFiles = { group: () => NOTHING, host: () => NOTHING };

const NOTHING: Vars = new Map();
const ENDINGS = ['', '.yml', '.yaml', '.json'];
const SOPS_ENDINGS = ['.sops.yml', '.sops.yaml', '.sops.json'];
const DEPTH_LIMIT = 16; // folders inside each other
const FILE_LIMIT = 1_000; // files for one name

/** Reads all that there is for these names. Errors: those of reading, with the file's place; `corrupt` for a file that is no mapping. */
export async function readVarsFiles(sources: Sources, directory: string, names: { groups: Iterable<string>; hosts: Iterable<string> }): Promise<VarsFiles> {
  const groups = await readAll(sources, join(directory, 'group_vars'), names.groups);
  const hosts = await readAll(sources, join(directory, 'host_vars'), names.hosts);
  return { group: (name) => groups.get(name) ?? NOTHING, host: (name) => hosts.get(name) ?? NOTHING };
}

async function readAll(sources: Sources, folder: string, names: Iterable<string>): Promise<Map<string, Vars>> {
  const present = new Set(namesIn(folder));
  const found = [...names].map((name) => [name, filesFor(folder, name, present)] as const).filter(([, files]) => files.length > 0);
  return new Map(await inParallel(found, async ([name, files]) => [name, await readFiles(sources, files)] as const));
}

async function readFiles(sources: Sources, files: readonly string[]): Promise<Vars> {
  const vars = new Map<string, Given>();
  for (const path of files) {
    const source = await sources.read(path);
    const yaml = await readAnsibleYaml(sources, source);
    const entries = yaml.entries(yaml.root);
    if (!entries && yaml.value(yaml.root)) throw problem('corrupt', yaml.where(yaml.root), 'expected a mapping of variables, found something else');
    for (const entry of entries ?? []) vars.set(entry.key, yaml.given(entry));
  }
  return vars;
}

/** Whether there are variables for a group, be it in the inventory or not. */
export function hasGroupVars(directory: string, group: string): boolean {
  const folder = join(directory, 'group_vars');
  return filesFor(folder, group, new Set(namesIn(folder))).length > 0;
}

/** A name that is a path ("../x") finds nothing: Ansible would follow it. */
function filesFor(folder: string, name: string, present: ReadonlySet<string>): string[] {
  if (name.includes('/') || name === '.' || name === '..') return [];
  const ending = ENDINGS.find((one) => present.has(name + one));
  const path = join(folder, name + (ending ?? ''));
  const plain = ending === undefined ? [] : isFolder(path) ? filesIn(path, 0) : [path];
  const sops = SOPS_ENDINGS.find((one) => present.has(name + one));
  return sops === undefined ? plain : [...plain, join(folder, name + sops)];
}

/** Names with a dot in front and a tilde behind are nobody's. */
function filesIn(folder: string, depth: number): string[] {
  if (depth > DEPTH_LIMIT) throw problem('unsupported', folder, `expected at most ${DEPTH_LIMIT} folders inside each other, found more`);
  const files = namesIn(folder).filter((name) => !name.startsWith('.') && !name.endsWith('~')).flatMap((name) => {
    const path = join(folder, name);
    const ending = extname(name);
    if (isFolder(path)) return ending === '' ? filesIn(path, depth + 1) : [];
    return ENDINGS.includes(ending) ? [path] : [];
  });
  if (files.length > FILE_LIMIT) throw problem('unsupported', folder, `expected at most ${FILE_LIMIT} files, found ${files.length}`);
  return files;
}
