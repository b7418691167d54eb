/**
 * Ansible's YAML inventories, by the rules of its own plugin (plugins/inventory/yaml.py). In one thing this is stricter: what Ansible skips with a warning (a key
 * that is not "hosts", "children" or "vars", a group that is no mapping) is an error here.
 */
import { isScalar, type Node } from 'yaml';
import { withPlace } from '../../errors.js';
import { suggestion } from '../../profile/nearest.js';
import type { AnsibleYaml, Entry } from './ansible-yaml.js';
import { expandHostPattern } from './host-pattern.js';
import { addChild, addGroup, addHost, emptyInventory, setVariable, type Group, type HostsAndGroups } from './hosts-and-groups.js';
import { problem, quoted } from './problem.js';
import type { Source } from './source.js';

const SECTIONS = ['hosts', 'children', 'vars'];
const DEPTH_LIMIT = 64;
const VISIT_LIMIT = 1_000_000; // groups and hosts, with every alias counted as what it stands for

interface Reading {
  readonly yaml: AnsibleYaml;
  readonly source: Source;
  readonly data: HostsAndGroups;
  left: number;
}

/** Errors: `corrupt` with line and column for what is no inventory, `unsupported` for too much of it. */
export function readYamlInventory(source: Source, yaml: AnsibleYaml): HostsAndGroups {
  const reading: Reading = { yaml, source, data: emptyInventory(`${source.name}:1:1`), left: VISIT_LIMIT };
  for (const entry of yaml.entries(yaml.root) ?? []) readGroup(reading, entry, 0);
  return reading.data;
}

function readGroup(reading: Reading, { key, isText, where, node }: Entry, depth: number): Group {
  const { yaml, data } = reading;
  visit(reading, where);
  if (depth > DEPTH_LIMIT) throw problem('unsupported', where, `expected at most ${DEPTH_LIMIT} levels of groups, found more`);
  if (!isText) throw problem('corrupt', where, `expected the name of a group, found ${key}, which YAML reads as something else`, 'put it into quotes');
  const group = addGroup(data, key, where);
  const sections = yaml.entries(node);
  if (!sections && yaml.value(node) !== null) throw problem('corrupt', yaml.where(node), `expected a mapping with hosts, children or vars for the group ${quoted(key)}, found something else`);
  for (const section of sections ?? []) {
    if (!SECTIONS.includes(section.key)) {
      throw problem('corrupt', section.where, `expected hosts, children or vars in the group ${quoted(key)}, found ${quoted(section.key)}${suggestion(section.key, SECTIONS)}`, 'a group stands under "children:", a host under "hosts:"');
    }
    readSection(reading, group, section, depth);
  }
  return group;
}

function readSection(reading: Reading, group: Group, section: Entry, depth: number): void {
  const entries = sectionEntries(reading, group, section);
  for (const entry of entries) {
    if (section.key === 'vars') setVariable(reading.data, group.name, entry.key, reading.yaml.given(entry));
    else if (section.key === 'hosts') readHosts(reading, group, entry);
    else addChild(group, readGroup(reading, entry, depth + 1), entry.where);
  }
}

/** "hosts: node1" means "hosts: {node1: }". */
function sectionEntries({ yaml }: Reading, group: Group, { key, node }: Entry): readonly Entry[] {
  const entries = yaml.entries(node);
  if (entries) return entries;
  const value = yaml.value(node);
  if (value === null) return [];
  if (typeof value === 'string' && isScalar(node)) return [{ key: value, isText: true, where: yaml.where(node), node: null }];
  const hint = Array.isArray(value) && key !== 'vars' ? 'write each name as a key of its own, "node1:", not as an item of a list' : undefined;
  throw problem('corrupt', yaml.where(node), `expected a mapping for "${key}" of the group ${quoted(group.name)}, found ${Array.isArray(value) ? 'a list' : 'something else'}`, hint);
}

function readHosts(reading: Reading, group: Group, entry: Entry): void {
  const { yaml, data, source } = reading;
  if (!entry.isText) throw problem('corrupt', entry.where, `expected the name of a host, found ${entry.key}, which YAML reads as something else`, 'put it into quotes');
  const { names, port } = withPlace(entry.where, () => expandHostPattern(entry.key));
  const variables = hostVariables(yaml, entry.node, entry.key).map((variable) => [variable.key, yaml.given(variable)] as const);
  for (const name of names) {
    visit(reading, entry.where);
    addHost(data, name, group, { port, given: { where: entry.where, secret: source.encrypted } });
    for (const [key, given] of variables) setVariable(data, name, key, given);
  }
}

function hostVariables(yaml: AnsibleYaml, node: Node | null, name: string): readonly Entry[] {
  const entries = yaml.entries(node);
  const isNothing = !entries && [null, '', 0, false].includes(yaml.value(node) as null);
  if (entries || isNothing) return entries ?? [];
  throw problem('corrupt', yaml.where(node), `expected a mapping of variables for the host ${quoted(name)}, found something else`);
}

function visit(reading: Reading, where: string): void {
  if (--reading.left < 0) throw problem('unsupported', where, `expected at most ${VISIT_LIMIT} groups and hosts, found more (aliases count as what they stand for)`);
}
