/** Our own YAML inventory: its form is in own-form.ts. It becomes the same hosts, groups and variables as an Ansible inventory does. */
import { isMap, isScalar, visit, type Document } from 'yaml';
import { withPlace } from '../../errors.js';
import { locate, placeOf, type Located, type Path, type YamlFile } from '../../profile/document.js';
import { suggestion } from '../../profile/nearest.js';
import { checkValue } from '../../profile/problems.js';
import type { Value } from '../model.js';
import { expandHostPattern } from './host-pattern.js';
import { addChild, addGroup, addHost, emptyInventory, type Given, type Group, type Host, type HostsAndGroups } from './hosts-and-groups.js';
import { fleetForm, type FleetForm } from './own-form.js';
import { problem, quoted } from './problem.js';
import { ROLE_GROUPS } from './roles.js';
import type { Source, Sources } from './source.js';
import { decryptValues } from './vault-values.js';
import { parseYaml } from './yaml.js';

export interface OwnInventory {
  readonly data: HostsAndGroups;
  readonly form: FleetForm;
  /** "fleet.yaml:3:1" for a path of the form. */
  where(path: Path): string;
}

interface Reading {
  readonly source: Source;
  readonly file: YamlFile;
  readonly located: Located;
  readonly decrypted: ReadonlyMap<string, string>;
  readonly form: FleetForm;
  readonly data: HostsAndGroups;
}

/** A number of these is a text all the same: 10000000e1234567 is a serial number and no float, 1.30 is not 1.3. */
const TEXT_KEYS = ['mac', 'mac_address', 'serial', 'board_serial', 'kubernetes_version'];

/** Errors: `corrupt` for what is no YAML, `profile` with line, column and nearest name for what is not the form. */
export async function readOwnInventory(sources: Sources, source: Source): Promise<OwnInventory> {
  const { file, broken } = parseYaml(source, 'core');
  if (!file) throw broken;
  keepTexts(file.document);
  refuseTags(file);
  const decrypted = await decryptValues(sources, source, file);
  const located = locate(file, file.document.contents, (text) => decrypted.get(text) ?? text);
  const form = checked(file, located, source.encrypted || decrypted.size > 0);
  const reading: Reading = { source, file, located, decrypted, form, data: emptyInventory(`${source.name}:1:1`) };
  addGroups(reading);
  addNodes(reading);
  addMembers(reading);
  return { data: reading.data, form, where: (path) => whereOf(reading, path) };
}

function keepTexts(document: Document): void {
  visit(document, { Pair: (_key, { key, value }) => {
    if (isScalar(key) && TEXT_KEYS.includes(String(key.value)) && isScalar(value) && typeof value.value === 'number' && value.source !== undefined) value.value = value.source;
  } });
}

/** The only tag that there is. */
function refuseTags(file: YamlFile): void {
  const [unknown] = file.document.warnings;
  if (unknown) throw problem('profile', file.where(unknown.pos[0]), `expected a value without a tag, or with !vault, found ${unknown.code.toLowerCase().replaceAll('_', ' ')}`);
}

/** The first problem as the error. With decrypted values in the file nothing of what was found is shown. */
function checked(file: YamlFile, located: Located, secret: boolean): FleetForm {
  if (!isMap(file.document.contents)) throw problem('corrupt', `${file.name}:1:1`, 'expected a mapping with "nodes", found something else');
  const { parsed, problems } = checkValue(file, located, [], fleetForm);
  const [first] = problems;
  if (!first) return parsed!;
  const more = problems.length > 1 ? `there are ${problems.length - 1} more problems` : undefined;
  const message = secret ? first.message.replace(/, found the \w+ .*$/s, ', found another value (not shown: the file has secrets)') : first.message;
  throw problem('profile', first.where, message, [first.hint, more].filter((text) => text !== undefined).join('; ') || undefined);
}

function whereOf({ file, located }: Reading, path: Path): string {
  return file.where(placeOf(located.places, path)?.key ?? 0);
}

function addGroups(reading: Reading): void {
  const { form, data } = reading;
  setVariables(reading, data.groups.get('all')!, []);
  const groups = Object.entries(form.groups ?? {});
  for (const [name] of groups) addGroup(data, name, whereOf(reading, ['groups', name]));
  for (const [name, group] of groups) {
    setVariables(reading, data.groups.get(name)!, ['groups', name]);
    group?.children?.forEach((child, index) => {
      const path = ['groups', name, 'children', index];
      addChild(data.groups.get(name)!, groupNamed(reading, child, path), valueWhere(reading, path));
    });
  }
}

/** One of the file's own groups, or one whose role is known: those need no entry. */
function groupNamed(reading: Reading, name: string, path: Path): Group {
  const { data } = reading;
  const known = data.groups.get(name);
  if (known) return known;
  if (ROLE_GROUPS.includes(name)) return addGroup(data, name, valueWhere(reading, path));
  const names = [...data.groups.keys(), ...ROLE_GROUPS];
  throw problem('profile', valueWhere(reading, path), `expected the name of a group, found ${quoted(name)}${suggestion(name, names)}`, 'write the group under "groups:", even an empty one');
}

function addNodes(reading: Reading): void {
  const { form, data, source } = reading;
  for (const [pattern, node] of Object.entries(form.nodes)) {
    const path = ['nodes', pattern];
    const where = whereOf(reading, path);
    const { names, port } = withPlace(where, () => expandHostPattern(pattern));
    if (port !== undefined) throw problem('profile', where, `expected the name of a node, found ${quoted(pattern)} with a port`);
    const groups = (node?.groups ?? []).map((group, index) => groupNamed(reading, group, [...path, 'groups', index]));
    for (const name of names) {
      const before = data.hosts.get(name);
      if (before) throw problem('profile', where, `expected each node once, found ${quoted(name)} again (first in ${before.where})`);
      for (const group of [data.groups.get('all')!, ...groups]) addHost(data, name, group, { given: { where, secret: source.encrypted } });
      setVariables(reading, data.hosts.get(name)!, path);
    }
  }
}

function addMembers(reading: Reading): void {
  const { form, data, source } = reading;
  for (const [name, group] of Object.entries(form.groups ?? {})) {
    group?.nodes?.forEach((pattern, index) => {
      const where = valueWhere(reading, ['groups', name, 'nodes', index]);
      for (const node of withPlace(where, () => expandHostPattern(pattern)).names) {
        if (!data.hosts.has(node)) throw problem('profile', where, `expected the name of a node, found ${quoted(node)}${suggestion(node, data.hosts.keys())}`, 'write the node under "nodes:"');
        addHost(data, node, data.groups.get(name)!, { given: { where, secret: source.encrypted } });
      }
    });
  }
}

function valueWhere({ file, located }: Reading, path: Path): string {
  return file.where(placeOf(located.places, path)?.value ?? 0);
}

/** The variables of an entry; its profiles, MAC, serial number and board are variables too. */
function setVariables(reading: Reading, { vars }: Group | Host, path: Path): void {
  const entry = path.reduce<unknown>((inner, part) => (inner as Record<string, unknown> | null | undefined)?.[part], reading.form) as Record<string, unknown> | null;
  for (const [key, name] of [['profiles', 'rockberry_profiles'], ['mac', 'mac'], ['serial', 'serial'], ['board', 'board']] as const) {
    if (entry?.[key] !== undefined) vars.set(name, givenAt(reading, [...path, key], entry[key] as Value));
  }
  for (const [name, value] of Object.entries((entry?.variables ?? {}) as Record<string, Value>)) vars.set(name, givenAt(reading, [...path, 'variables', name], value));
}

function givenAt(reading: Reading, path: Path, value: Value): Given {
  const places = [value].flat().map((_item, index) => placeOf(reading.located.places, Array.isArray(value) ? [...path, index] : path)?.text);
  const secret = reading.source.encrypted || places.some((text) => text !== undefined && reading.decrypted.has(text));
  return { value, text: typeof value === 'object' ? undefined : String(value), where: whereOf(reading, path), secret };
}
