/** Real ansible-inventory as the judge: what it lists for an inventory, in the terms of ours. */
import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execaSync } from 'execa';
import type { Inventory, Value } from '../../../src/fleet/model.js';
import { ansibleEnvironment, type Environment } from '../../ansible/support.js';
import { run } from '../../support/oracle.js';
import { scratch } from '../../support/cli.js';

const PROGRAM = join(import.meta.dirname, 'ansible-inventory.py');

/** Path → text. */
export type Files = Readonly<Record<string, string>>;

/** What both sides have to agree on. Groups without a node are left out: ansible-inventory does not list them. */
export interface Listed {
  readonly hosts: readonly string[];
  readonly groups: Readonly<Record<string, readonly string[]>>;
  readonly vars: Readonly<Record<string, Readonly<Record<string, Value>>>>;
}

interface ListedGroup { readonly hosts?: readonly string[]; readonly children?: readonly string[] }

/** What the program prints: "_meta" beside the groups. */
export interface Answer {
  readonly _meta?: { readonly hostvars: Listed['vars'] };
  readonly failed?: string;
  readonly [group: string]: unknown;
}

/** Writes the files into a folder of their own. */
export function folderOf(files: Files): string {
  const folder = scratch();
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

/** Ansible with nothing of the user's, and strict: an inventory that it cannot read is a failure. */
export function inventoryEnvironment(extra: Environment = {}): Environment {
  const home = scratch();
  return { ...ansibleEnvironment(home, home), ANSIBLE_INVENTORY_UNPARSED_FAILED: 'true', ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED: 'true', ...extra };
}

/** The interpreter that Ansible is installed for. */
function python(): string {
  const path = run('sh', ['-c', 'command -v ansible-inventory']).output;
  return /^#!\s*(\S+)/.exec(readFileSync(realpathSync(path), 'utf8').slice(0, 200))![1]!;
}

/** What Ansible's Python says to a program of ours; it reads the cases as JSON on its standard input and prints its answers as JSON. */
export function askAnsiblesPython<T>(program: string, cases: unknown): T {
  return JSON.parse(execaSync(python(), ['-W', 'ignore', '-c', program], { input: JSON.stringify(cases), env: inventoryEnvironment(), extendEnv: false, maxBuffer: 1 << 28 }).stdout) as T;
}

/** One answer for each list of sources, from one run of Python. `undefined` for what Ansible refuses. */
export function ansibleList(cases: readonly (readonly string[])[], environment: Environment = inventoryEnvironment()): (Listed | undefined)[] {
  const outputs = scratch();
  const asked = cases.map((sources, index) => ({ sources, output: join(outputs, `${index}.json`) }));
  execaSync(python(), [PROGRAM], { input: JSON.stringify(asked), env: environment, extendEnv: false });
  return asked.map(({ output }) => (existsSync(output) ? listed(JSON.parse(readFileSync(output, 'utf8')) as Answer) : undefined));
}

/** What `ansible-inventory --list` printed. */
export function listed(answer: Answer): Listed | undefined {
  if (answer.failed !== undefined) return undefined;
  const { _meta: meta, ...rest } = answer;
  const groups = rest as Readonly<Record<string, ListedGroup>>;
  const members = (name: string): string[] => [...(groups[name]?.hosts ?? []), ...(groups[name]?.children ?? []).flatMap(members)];
  const hosts = [...new Set(members('all'))].sort();
  const names = [...new Set(Object.values(groups).flatMap((group) => group.children ?? []))].filter((name) => name !== 'ungrouped');
  return {
    hosts, groups: nonEmpty(names.map((name) => [name, members(name)])),
    vars: Object.fromEntries(hosts.map((host) => [host, plain(meta?.hostvars[host] ?? {}) as Readonly<Record<string, Value>>])),
  };
}

/** ansible-inventory marks what !unsafe stood before. */
function plain(value: Value): Value {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  const unsafe = (value as Record<string, Value>).__ansible_unsafe;
  return unsafe ?? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner as Value)]));
}

export function ours({ nodes, groups }: Inventory): Listed {
  return { hosts: nodes.map(({ name }) => name).sort(), groups: nonEmpty([...groups]), vars: Object.fromEntries(nodes.map(({ name, hostVars }) => [name, hostVars])) };
}

function nonEmpty(groups: readonly (readonly [string, readonly string[]])[]): Listed['groups'] {
  return Object.fromEntries(groups.map(([name, hosts]) => [name, [...new Set(hosts)].sort()] as const).filter(([, hosts]) => hosts.length > 0));
}
