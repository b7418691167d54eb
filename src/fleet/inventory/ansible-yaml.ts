/**
 * Values of a YAML file as Ansible reads them: plain scalars by PyYAML's rules, merge keys ("<<"), the last of equal keys, !vault decrypted, !unsafe as it is. In a
 * file that is JSON, numbers are JSON's.
 */
import { isAlias, isMap, isScalar, isSeq, Scalar, type Node, type Pair, type YAMLMap } from 'yaml';
import type { YamlFile } from '../../profile/document.js';
import type { Value } from '../model.js';
import type { Given } from './hosts-and-groups.js';
import { problem, quoted } from './problem.js';
import { pythonScalar } from './python-scalar.js';
import type { Source, Sources } from './source.js';
import { decryptValues, isVaultValue } from './vault-values.js';
import { DEPTH_LIMIT, parseYaml } from './yaml.js';

export interface Entry {
  readonly key: string;
  /** Whether the key is a text: a group or a host must not be called 12 or "yes" without quotes. */
  readonly isText: boolean;
  readonly where: string;
  readonly node: Node | null;
}

export interface AnsibleYaml {
  readonly root: Node | null;
  where(node: Node | null): string;
  /** The entries of a mapping; undefined for anything else. */
  entries(node: Node | null): readonly Entry[] | undefined;
  value(node: Node | null): Value;
  given(entry: Entry): Given;
}

const VALUE_LIMIT = 1_000_000; // with every alias counted as what it stands for
const TAG = /^tag:yaml\.org,2002:(str|int|float|bool|null)$/;

/** Reads a file that must be YAML or JSON. Errors: those of parseYaml, and of decrypting its values. */
export async function readAnsibleYaml(sources: Sources, source: Source): Promise<AnsibleYaml> {
  const { file, broken } = parseYaml(source, 'text');
  if (!file) throw broken;
  return openAnsibleYaml(sources, source, file);
}

/** Decrypts what the file has encrypted, so that its values can be had without waiting. */
export async function openAnsibleYaml(sources: Sources, source: Source, file: YamlFile): Promise<AnsibleYaml> {
  return readValues(source, file, await decryptValues(sources, source, file));
}

/** What goes on while a file's values are read. */
interface Reading {
  readonly source: Source;
  readonly file: YamlFile;
  readonly plain: ReadonlyMap<string, string>;
  readonly scalar: (text: string) => Value;
  readonly entries: Map<YAMLMap, Entry[] | 'open'>;
  left: number;
  sawSecret: boolean;
}

function readValues(source: Source, file: YamlFile, plain: ReadonlyMap<string, string>): AnsibleYaml {
  const scalar = isJson(source.text) ? (text: string): Value => JSON.parse(text) as Value : pythonScalar;
  const reading: Reading = { source, file, plain, scalar, entries: new Map(), left: VALUE_LIMIT, sawSecret: false };
  return {
    root: file.document.contents,
    where: (node) => place(reading, node),
    entries: (node) => { const map = target(reading, node); return isMap(map) ? entriesOf(reading, map, 0) : undefined; },
    value: (node) => convert(reading, node, 0),
    given: (entry) => givenOf(reading, entry),
  };
}

function place({ file }: Reading, node: Node | null | undefined): string {
  return file.where(node?.range?.[0] ?? 0);
}

function spend(reading: Reading, node: Node | null, amount: number): void {
  reading.left -= amount;
  if (reading.left < 0) throw problem('unsupported', place(reading, node), `expected at most ${VALUE_LIMIT} values, found more (aliases count as what they stand for)`);
}

function target(reading: Reading, node: Node | null): Node | null {
  if (!isAlias(node)) return node;
  const named = reading.file.aliases.get(node);
  if (!named) throw problem('corrupt', place(reading, node), 'expected an alias of an anchor before it, found none of that name');
  return named;
}

function scalarValue(reading: Reading, node: Scalar): Value {
  const text = textOf(node);
  if (isVaultValue(node)) {
    reading.sawSecret = true;
    return reading.plain.get(text)!;
  }
  if (node.tag === '!unsafe' || node.tag === '!') return text;
  const type = node.tag === undefined ? undefined : TAG.exec(node.tag)?.[1];
  if (node.tag !== undefined && type === undefined) throw problem('unsupported', place(reading, node), `expected a value without a tag, or with !vault or !unsafe, found ${quoted(node.tag)}`);
  return type === 'str' || (type === undefined && node.type !== Scalar.PLAIN) ? text : reading.scalar(text);
}

/** Merged entries first, then its own; of equal keys the last one counts, at the place of the first. */
function entriesOf(reading: Reading, map: YAMLMap, depth: number): Entry[] {
  const before = reading.entries.get(map);
  if (before === 'open' || depth > DEPTH_LIMIT) throw problem('corrupt', place(reading, map), 'expected a mapping that does not merge itself, found one that does');
  if (before) return before;
  reading.entries.set(map, 'open');
  const pairs = map.items as Pair<Node, Node | null>[];
  const merged = pairs.filter(isMerge).flatMap(({ value }) => mergedEntries(reading, target(reading, value), depth));
  const own = pairs.filter((pair) => !isMerge(pair)).map((pair) => entryOf(reading, pair));
  spend(reading, map, merged.length + own.length);
  const entries = [...new Map([...merged, ...own].map((entry) => [entry.key, entry])).values()];
  reading.entries.set(map, entries);
  return entries;
}

/** Of a list of mappings the first one wins. */
function mergedEntries(reading: Reading, node: Node | null, depth: number): Entry[] {
  if (isMap(node)) return entriesOf(reading, node, depth + 1);
  if (!isSeq(node)) throw problem('corrupt', place(reading, node), 'expected a mapping or a list of mappings for "<<", found something else');
  return (node.items as Node[]).toReversed().flatMap((item) => {
    const one = target(reading, item);
    if (!isMap(one)) throw problem('corrupt', place(reading, item), 'expected a mapping in the list for "<<", found something else');
    return entriesOf(reading, one, depth + 1);
  });
}

function entryOf(reading: Reading, { key, value }: Pair<Node, Node | null>): Entry {
  const node = target(reading, key);
  if (!isScalar(node)) throw problem('corrupt', place(reading, key), 'expected a text as a key, found a mapping or a list');
  const name = scalarValue(reading, node);
  return { key: String(name), isText: typeof name === 'string', where: place(reading, key), node: value };
}

function convert(reading: Reading, given: Node | null, depth: number): Value {
  const node = target(reading, given);
  spend(reading, node, 1);
  if (depth > DEPTH_LIMIT) throw problem('unsupported', place(reading, node), `expected at most ${DEPTH_LIMIT} levels, found more`);
  if (isMap(node)) return Object.fromEntries(entriesOf(reading, node, 0).map((entry) => [entry.key, convert(reading, entry.node, depth + 1)]));
  if (isSeq(node)) return (node.items as Node[]).map((item) => convert(reading, item, depth + 1));
  return isScalar(node) ? scalarValue(reading, node) : null;
}

function givenOf(reading: Reading, { node, where }: Entry): Given {
  reading.sawSecret = false;
  const value = convert(reading, node, 0);
  const scalar = target(reading, node);
  const text = typeof value === 'string' ? value : isScalar(scalar) ? textOf(scalar) : undefined;
  return { value, text, where, secret: reading.source.encrypted || reading.sawSecret };
}

function isMerge({ key }: Pair<Node, Node | null>): boolean {
  return isScalar(key) && key.type === Scalar.PLAIN && key.value === '<<';
}

function textOf(node: Scalar): string {
  return String(node.value ?? '');
}

/** Ansible tries JSON first. */
function isJson(text: string): boolean {
  if (!/^\s*[[{]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
