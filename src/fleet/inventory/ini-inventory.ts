/** Ansible's INI inventories, by the rules of its own plugin (plugins/inventory/ini.py): sections, ranges, key=value with Python's literals. */
import { withPlace } from '../../errors.js';
import { expandHostPattern } from './host-pattern.js';
import { addChild, addGroup, addHost, emptyInventory, setVariable, type Given, type Group, type HostsAndGroups } from './hosts-and-groups.js';
import { problem, quoted } from './problem.js';
import { pythonLiteral } from './python-literal.js';
import { shellWords } from './shell-words.js';
import type { Source } from './source.js';

const LINE_END = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/; // Python's splitlines
const BLANK = /[\s\x1c-\x1f\x85]/;
const SECTION = /^\[([^:\]\s]+)(?::([\p{L}\p{N}_]+))?\]\s*(?:#.*)?$/u;
const GROUP_NAME = /^([^:\]\s]+)\s*(?:#.*)?$/;
const KINDS = ['hosts', 'children', 'vars'];

/** A line that is neither blank nor a comment. */
interface Line {
  readonly text: string;
  readonly source: Source;
  /** "inventory.ini:12:5" for a column of the line, from 0. */
  where(column?: number): string;
}

/** What is said of a group that is not there (yet). */
interface Reading {
  readonly data: HostsAndGroups;
  readonly declared: Set<string>;
  readonly awaited: Map<string, { readonly where: string; readonly parent: string | undefined }>;
}

/** Errors: `corrupt` with line and column for what Ansible does not read either; values are never shown. */
export function readIniInventory(source: Source): HostsAndGroups {
  const reading: Reading = { data: emptyInventory(`${source.name}:1:1`), declared: new Set(['all', 'ungrouped']), awaited: new Map() };
  let [group, kind] = [reading.data.groups.get('ungrouped')!, 'hosts'];
  for (const line of linesOf(source)) {
    if (line.text.startsWith('[') && (SECTION.test(line.text) || line.text.endsWith(']'))) [group, kind] = readSection(reading, line);
    else if (kind === 'hosts') readHosts(reading, line, group);
    else if (kind === 'vars') readVariable(reading, line, group);
    else readChild(reading, line, group);
  }
  for (const [name, { where, parent }] of reading.awaited) {
    if (reading.declared.has(name)) continue;
    const what = parent === undefined ? `expected variables of a group that is defined, found [${name}:vars] without a section [${name}]` : `expected a group that is defined as a child of "${parent}", found ${quoted(name)}`;
    throw problem('corrupt', where, what, `write a section [${name}], even an empty one`);
  }
  return reading.data;
}

function* linesOf(source: Source): Generator<Line> {
  let number = 0;
  for (const raw of source.text.split(LINE_END)) {
    number++;
    const text = strip(raw);
    if (text === '' || text.startsWith('#') || text.startsWith(';')) continue;
    const [row, indent] = [number, raw.indexOf(text)];
    yield { text, source, where: (column = 0) => `${source.name}:${row}:${indent + Math.max(column, 0) + 1}` };
  }
}

/** Python's strip. No regular expression for the end: it would be slow on long blanks inside. */
function strip(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && BLANK.test(text[start]!)) start++;
  while (end > start && BLANK.test(text[end - 1]!)) end--;
  return text.slice(start, end);
}

function readSection({ data, declared, awaited }: Reading, line: Line): [Group, string] {
  const [, name, kind = 'hosts'] = SECTION.exec(line.text) ?? [];
  if (name === undefined) throw problem('corrupt', line.where(), `expected a section such as [kube_node], found ${quoted(line.text)}`, 'a section has no spaces');
  if (!KINDS.includes(kind)) throw problem('corrupt', line.where(), `expected a section [${name}], [${name}:children] or [${name}:vars], found ${quoted(line.text)}`);
  if (kind !== 'vars') declared.add(name);
  else if (!awaited.has(name)) awaited.set(name, { where: line.where(), parent: undefined });
  return [addGroup(data, name, line.where()), kind];
}

function readChild({ data, awaited }: Reading, line: Line, group: Group): void {
  const name = GROUP_NAME.exec(line.text)?.[1];
  if (name === undefined) throw problem('corrupt', line.where(), `expected the name of a group in [${group.name}:children], found ${quoted(line.text)}`);
  if (!awaited.has(name)) awaited.set(name, { where: line.where(), parent: group.name });
  addChild(group, addGroup(data, name, line.where()), line.where());
}

function readVariable({ data }: Reading, line: Line, group: Group): void {
  const equals = line.text.indexOf('=');
  if (equals < 0) throw problem('corrupt', line.where(), `expected key=value in [${group.name}:vars], found a line without "="`);
  const text = strip(line.text.slice(equals + 1));
  setVariable(data, group.name, strip(line.text.slice(0, equals)), given(line, text, 0));
}

function readHosts({ data }: Reading, line: Line, group: Group): void {
  const words = shellWords(line.text);
  if (!words) throw problem('corrupt', line.where(), 'expected closed quotes, found a quote or a backslash that is left open');
  const [pattern = '', ...settings] = words;
  const { names, port } = withPlace(line.where(), () => expandHostPattern(pattern));
  if (port === undefined && pattern.trim().endsWith(':')) throw problem('corrupt', line.where(), `expected a port after ":", found ${quoted(pattern)}`, 'in YAML, name the file .yaml');
  if (names.some((name) => name.trim() === '---')) throw problem('corrupt', line.where(), 'expected an INI inventory, found "---", which begins YAML', 'name the file .yaml');
  const variables = settings.map((setting): [string, Given] => {
    const equals = setting.indexOf('=');
    const name = setting.slice(0, equals);
    if (equals < 0) throw problem('corrupt', line.where(line.text.lastIndexOf(setting)), 'expected key=value after the name of a host, found a word without "="', 'a value with spaces stands in quotes');
    return [name, given(line, setting.slice(equals + 1), line.text.indexOf(`${name}=`))];
  });
  for (const name of names) {
    addHost(data, name, group, { port, given: given(line, '', 0) });
    for (const [key, value] of variables) setVariable(data, name, key, value);
  }
}

function given(line: Line, text: string, column: number): Given {
  return { value: pythonLiteral(text), text, where: line.where(column), secret: line.source.encrypted };
}
