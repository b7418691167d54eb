/** Random inventories against real Ansible: groups inside each other, variables everywhere, priorities, files and folders beside; as INI and as YAML. */
import { join } from 'node:path';
import fc from 'fast-check';
import { expect } from 'vitest';
import { stringify } from 'yaml';
import { readInventory } from '../../../src/fleet/inventory.js';
import { SEED } from '../../ansible/support.js';
import { needs } from '../../support/oracle.js';
import { ansibleList, folderOf, ours, type Files } from './oracle.js';

const RUNS = 72;
const VARIABLES = ['a', 'b', 'c', 'd', 'nested'];
const GROUPS = ['alpha', 'beta', 'gamma', 'delta', 'kube-node', 'zeta', 'web'];
const HOSTS = ['n1', 'n2', 'n3.example.com', 'x-4', 'n5'];

type Scalar = string | number | boolean | null;
type Variables = Readonly<Record<string, Scalar | Scalar[]>>;
interface Place { readonly vars: Variables; readonly files: Readonly<Record<string, Variables>> }
interface Group extends Place { readonly name: string; readonly hosts: readonly string[]; readonly children: readonly string[]; readonly priority: number | undefined }
interface Case { readonly form: 'ini' | 'yaml'; readonly groups: readonly Group[]; readonly hosts: readonly (Place & { readonly name: string })[]; readonly all: Place; readonly order: readonly number[] }

const scalar: fc.Arbitrary<Scalar> = fc.oneof(fc.integer({ min: -99, max: 9999 }), fc.boolean(), fc.constant(null), fc.constantFrom('text', 'two words', 'yes', '0644', '1e5', '{{ a }}', '', '#', 'a=b', 'it\'s', '"', '1, 2', 'x: y', '~'));
const variables: fc.Arbitrary<Variables> = fc.dictionary(fc.constantFrom(...VARIABLES), fc.oneof({ weight: 4, arbitrary: scalar }, { weight: 1, arbitrary: fc.array(scalar, { maxLength: 2 }) }), { maxKeys: 3, noNullPrototype: true });
/** Endings of NAME: of several files beside each other only one counts; a folder has any number. */
const files = fc.dictionary(fc.constantFrom('', '.yml', '.yaml', '.json', '/one.yml', '/two', '/sub/three.json', '/0.yaml'), variables, { maxKeys: 2, noNullPrototype: true })
  .map((found) => Object.fromEntries(Object.entries(found).filter(([ending]) => !(ending === '' && Object.keys(found).some((one) => one.startsWith('/'))))));
const place = fc.record({ vars: variables, files: fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: files }) });

const inventory: fc.Arbitrary<Case> = fc.record({
  form: fc.constantFrom('ini' as const, 'yaml' as const),
  groups: fc.tuple(...GROUPS.map((name, index) => fc.record({
    name: fc.constant(name), place, hosts: fc.subarray(HOSTS), children: fc.subarray(GROUPS.slice(index + 1)), priority: fc.option(fc.integer({ min: -2, max: 12 }), { nil: undefined, freq: 3 }),
  }).map(({ place: { vars, files: found }, ...group }) => ({ ...group, vars, files: found })))),
  hosts: fc.tuple(...HOSTS.map((name) => place.map((one) => ({ name, ...one })))),
  all: place,
  order: fc.array(fc.nat(), { minLength: GROUPS.length, maxLength: GROUPS.length }),
});

function inOrder({ groups, order }: Case): Group[] {
  return groups.map((group, index) => [order[index]!, group] as const).sort(([a], [b]) => a - b).map(([, group]) => group);
}

function groupVars({ vars, priority }: Group): Variables {
  return priority === undefined ? vars : { ...vars, ansible_group_priority: priority };
}

/** As Python writes it; a text in a line of variables is given as it is, so that Ansible has to guess. */
function literal(value: Scalar | Scalar[], bare: boolean): string {
  if (Array.isArray(value)) return `[${value.map((one) => literal(one, false)).join(', ')}]`;
  if (typeof value === 'string') return bare ? value : JSON.stringify(value);
  return value === null ? 'None' : value === true ? 'True' : value === false ? 'False' : String(value);
}

/** A word for shlex. */
function word(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

function asIni(one: Case): string {
  const lines = one.hosts.map(({ name, vars }) => [name, ...Object.entries(vars).map(([key, value]) => `${key}=${word(literal(value, true))}`)].join(' '));
  const settings = (name: string, vars: Variables): string[] => [`[${name}:vars]`, ...Object.entries(vars).map(([key, value]) => `${key} = ${literal(value, true)}`)];
  for (const group of inOrder(one)) lines.push(`[${group.name}]`, ...group.hosts, `[${group.name}:children]`, ...group.children, ...settings(group.name, groupVars(group)));
  return [...lines, ...settings('all', one.all.vars), ''].join('\n');
}

function asYaml(one: Case): string {
  const named = <T>(names: readonly string[], value: T): Record<string, T> => Object.fromEntries(names.map((name) => [name, value]));
  const groups = inOrder(one).map((group) => [group.name, { hosts: named(group.hosts, null), children: named(group.children, null), vars: groupVars(group) }]);
  const hosts = Object.fromEntries(one.hosts.map(({ name, vars }) => [name, vars]));
  return stringify({ all: { vars: one.all.vars, hosts }, ...Object.fromEntries(groups) as object }, { version: '1.1' });
}

function render(one: Case): Files {
  const beside = (folder: string, name: string, { files: found }: Place): [string, string][] => Object.entries(found).map(([ending, vars]) => [`${folder}/${name}${ending}`, ending.endsWith('json') ? JSON.stringify(vars) : stringify(vars, { version: '1.1' })]);
  return Object.fromEntries([
    one.form === 'ini' ? ['inventory.ini', asIni(one)] : ['hosts.yaml', asYaml(one)],
    ...beside('group_vars', 'all', one.all), ...one.groups.flatMap((group) => beside('group_vars', group.name, group)), ...one.hosts.flatMap((host) => beside('host_vars', host.name, host)),
  ] as [string, string][]);
}

needs('ansible-inventory')(`${RUNS} random inventories are what Ansible makes of them (seed ${SEED})`, async () => {
  const cases = fc.sample(inventory, { seed: SEED, numRuns: RUNS }).map(render);
  const paths = cases.map((files) => join(folderOf(files), Object.keys(files)[0]!));
  const answers = ansibleList(paths.map((path) => [path]));
  const read = answers.filter((answer) => answer !== undefined);
  expect(read.length).toBeGreaterThanOrEqual(60);
  for (const [index, answer] of answers.entries()) {
    const message = `seed ${SEED}, inventory ${index}: ${JSON.stringify(cases[index], null, 1)}`;
    if (answer) expect(ours(await readInventory(paths[index]!)), message).toEqual(answer);
    else await expect(readInventory(paths[index]!), message).rejects.toThrow();
  }
});
