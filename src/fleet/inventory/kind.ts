/** Which kind of inventory a file is, by its ending and its content. Ansible's own order: YAML for .yaml, .yml, .json and no ending, where it is YAML; else INI. */
import { extname, join } from 'node:path';
import { isAlias, isMap, isScalar, isSeq, type Node, type Pair } from 'yaml';
import { RockberryError } from '../../errors.js';
import type { YamlFile } from '../../profile/document.js';
import { looksLikeCsv } from './csv-inventory.js';
import { isFolder, namesIn } from './folders.js';
import { FLEET_KEYS } from './own-form.js';
import { problem, quoted } from './problem.js';
import type { Source } from './source.js';
import { parseYaml } from './yaml.js';

export type Kind = { readonly kind: 'rockberry' | 'csv' | 'ansible-ini' } | { readonly kind: 'ansible-yaml'; readonly file: YamlFile };

const YAML_ENDINGS = ['.yaml', '.yml', '.json'];
const NO_TABLES = [...YAML_ENDINGS, '.ini', '.cfg'];
const GROUP_KEYS = ['hosts', 'children', 'vars', '<<'];
const INVENTORY_NAMES = ['inventory.ini', 'hosts.ini', 'inventory.yaml', 'inventory.yml', 'hosts.yaml', 'hosts.yml', 'hosts', 'inventory', 'inventory.cfg', 'fleet.yaml'];

/** Errors: `unsupported` for a folder: which of its files Ansible would read depends on its configuration. */
export function refuseFolder(path: string): void {
  if (!isFolder(path)) return;
  const names = namesIn(path);
  const candidates = INVENTORY_NAMES.filter((name) => names.includes(name));
  const hint = candidates.length > 0 ? `give the file: ${candidates.map((name) => join(path, name)).join(' or ')}` : 'give the inventory\'s file';
  throw new RockberryError('unsupported', `expected the file of an inventory, found the folder ${path}`, { hint });
}

/** Errors: `unsupported` for inventories that are programs or plugins, `corrupt` for what is none. */
export function kindOf(source: Source): Kind {
  const { name, text, path } = source;
  const ending = extname(path).toLowerCase();
  if (text.trim() === '') throw problem('corrupt', `${name}:1:1`, 'expected an inventory, found an empty file');
  if (text.startsWith('#!')) throw dynamic(`${name}:1:1`, 'a program', path);
  if (ending === '.toml') throw problem('unsupported', `${name}:1:1`, 'expected an inventory in YAML, INI or CSV, found TOML', `ansible-inventory -i ${path} --list --yaml --export > hosts.yaml`);
  if (ending === '.csv' || (!NO_TABLES.includes(ending) && looksLikeCsv(text))) return { kind: 'csv' };
  if (ending !== '' && !YAML_ENDINGS.includes(ending)) return { kind: 'ansible-ini' };
  const { file, broken } = parseYaml(source, 'text');
  const root = file?.document.contents;
  if (file && isMap(root)) return yamlKind(source, file, root.items as Pair<Node, Node | null>[]);
  if (ending === '' || beginsWithSection(text)) return { kind: 'ansible-ini' };
  throw broken ?? problem('corrupt', `${name}:1:1`, `expected a mapping of groups or of nodes, found ${isSeq(root) ? 'a list, as a playbook is one' : 'something else'}`);
}

function beginsWithSection(text: string): boolean {
  const line = text.split('\n').find((one) => /^\s*[^#;\s]/.test(one)) ?? '';
  return /^\s*\[[^\][\s,]+\]\s*$/.test(line);
}

function yamlKind(source: Source, file: YamlFile, pairs: readonly Pair<Node, Node | null>[]): Kind {
  const entries = pairs.map(({ key, value }) => ({ name: isScalar(key) ? String(key.value) : '', at: key.range?.[0] ?? 0, node: isAlias(value) ? file.aliases.get(value) ?? null : value }));
  const plugin = entries.find((entry) => entry.name === 'plugin');
  if (plugin) throw dynamic(file.where(plugin.at), 'the settings of a plugin', source.path);
  const isOwn = entries.every(({ name, node }) => FLEET_KEYS.includes(name) && isNothing(node));
  const isAnsible = entries.some(({ name, node }) => ['all', 'ungrouped'].includes(name) && (isMap(node) || isNothing(node))) || (entries.length > 0 && entries.every(({ node }) => isGroup(node)));
  if (isAnsible && !isOwn) return { kind: 'ansible-yaml', file };
  if (entries.some(({ name }) => FLEET_KEYS.includes(name))) return { kind: 'rockberry' };
  const [first] = entries;
  throw problem('corrupt', file.where(first?.at ?? 0), `expected groups with hosts, children or vars (an Ansible inventory), or "nodes" (ours), found ${first ? `the key ${quoted(first.name)}` : 'an empty mapping'}`);
}

function isGroup(node: Node | null): boolean {
  return isNothing(node) || (isMap(node) && node.items.every(({ key }) => isScalar(key) && GROUP_KEYS.includes(String(key.value))));
}

function isNothing(node: Node | null): boolean {
  return node === null || (isScalar(node) && node.value === '');
}

function dynamic(where: string, found: string, path: string): Error {
  return problem('unsupported', where, `expected an inventory that is a list of nodes, found ${found}`, `let Ansible write it down: ansible-inventory -i ${path} --list --yaml --export > hosts.yaml`);
}
