/**
 * A YAML file with the place of every value, so that a problem can be told by line and column. Values are taken from YAML's own tree, not from its text: what
 * a template puts in can never become YAML. Numbers that YAML versions read differently (0644) keep their text.
 */
import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, parseDocument, visit, type Alias, type Document, type Node, type Pair } from 'yaml';
import { RockberryError } from '../errors.js';

export interface YamlFile {
  /** As messages name it. */
  readonly name: string;
  readonly directory: string;
  readonly text: string;
  readonly document: Document;
  /** What each alias stands for. */
  readonly aliases: ReadonlyMap<Alias, Node>;
  /** "node.yaml:12:5" for an offset in the text. */
  where(offset: number): string;
}

/** What was found at a path of a value: offsets of its key and itself, and the scalar's own text. */
export interface Place {
  readonly key: number;
  readonly value: number;
  readonly text: string | undefined;
}

export type Path = readonly (string | number)[];

export interface Located {
  readonly value: unknown;
  readonly places: ReadonlyMap<string, Place>;
}

export interface Problem {
  readonly where: string;
  readonly message: string;
  readonly hint?: string;
}

/** What a scalar's text becomes; LEFT_OUT drops the entry it stands in. */
export type Render = (text: string) => unknown;
export const LEFT_OUT = Symbol('left out');

const FILE_LIMIT = 1 << 20; // bytes
const NODE_LIMIT = 100_000; // with every alias counted as what it stands for
const TOKEN_LIMIT = 200_000;
const DEPTH_LIMIT = 64;
const SCALAR_FOLLOWS = '\x1f'; // yaml's CST.SCALAR: the next token is a scalar's source

/** Reads and parses. Errors: `io` when it cannot be read, `profile` when it is too large; what YAML itself finds wrong is in syntaxProblems. */
export function readYaml(path: string, name: string): YamlFile {
  const text = readLimited(path, name);
  checkTokens(text, name);
  const lines = new LineCounter();
  let document: Document;
  try {
    // Keys are compared in locate(): the library's own way takes minutes for a mapping of 60,000.
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false, stringKeys: true });
  } catch (error) {
    throw new RockberryError('profile', `${name}: expected YAML, found a text that the YAML library cannot read`, { cause: error }); // its recursion is not bounded
  }
  return { name, directory: dirname(path), text, document, aliases: resolveAliases(document), where(offset) {
    const { line, col } = lines.linePos(Math.min(offset, text.length));
    return `${name}:${Math.max(line, 1)}:${Math.max(col, 1)}`;
  } };
}

/** The parser is recursive, and slow with many errors: a text that is hostile in this way is refused by its tokens. */
function checkTokens(text: string, name: string): void {
  let [count, line, flow, compact] = [0, 1, 0, 0];
  const tokens = new Lexer().lex(text);
  for (const token of tokens) {
    if (++count > TOKEN_LIMIT) throw new RockberryError('profile', `${name}:${line}:1: expected at most ${TOKEN_LIMIT} words and marks of YAML, found more`);
    if (token === SCALAR_FOLLOWS) line += String(tokens.next().value).split('\n').length - 1;
    else if (token === '[' || token === '{') flow++;
    else if (token === ']' || token === '}') flow--;
    else if (token === '-' || token === '?') compact++; // "- - - -" on one line nests too
    else if (token.endsWith('\n')) [line, compact] = [line + 1, 0];
    if (flow + compact > DEPTH_LIMIT) throw new RockberryError('profile', `${name}:${line}:1: expected at most ${DEPTH_LIMIT} levels, found more`);
  }
}

/** All at once: the library's own resolve looks through the document for every alias again. An alias means the last node of that name before it. */
function resolveAliases(document: Document): Map<Alias, Node> {
  const named = new Map<string, Node>();
  const aliases = new Map<Alias, Node>();
  visit(document, (_key, node) => {
    if (isAlias(node)) {
      const target = named.get(node.source);
      if (target) aliases.set(node, target);
    } else if ((isMap(node) || isSeq(node) || isScalar(node)) && node.anchor !== undefined) named.set(node.anchor, node);
  });
  return aliases;
}

const UNREADABLE: Readonly<Record<string, string>> = { ENOENT: 'none', EISDIR: 'a directory', EACCES: 'one that this user may not read' };

function readLimited(path: string, name: string): string {
  try {
    const { size } = statSync(path);
    if (size > FILE_LIMIT) throw new RockberryError('profile', `expected at most ${FILE_LIMIT} bytes in ${name}, found ${size}`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof RockberryError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw new RockberryError('profile', `expected a readable file at ${path}, found ${UNREADABLE[code ?? ''] ?? message}`, { cause: error });
  }
}

export function syntaxProblems(file: YamlFile): Problem[] {
  return [...file.document.errors, ...file.document.warnings].map((error) => ({ where: file.where(error.pos[0]), message: `expected valid YAML, found: ${lowerFirst(error.message)}` }));
}

export function placeKey(path: Path): string {
  return path.join('\0');
}

/** The place of a path, or of the nearest thing around it. */
export function placeOf(places: ReadonlyMap<string, Place>, path: Path): Place | undefined {
  for (let length = path.length; length >= 0; length--) {
    const place = places.get(placeKey(path.slice(0, length)));
    if (place) return place;
  }
  return undefined;
}

/** Turns a node of the file into a plain value, with every scalar text rendered and every place noted. */
export function locate(file: YamlFile, node: Node | null | undefined, render: Render = (text) => text): Located {
  const places = new Map<string, Place>();
  let left = NODE_LIMIT;

  function fail(at: number, message: string): never {
    throw new RockberryError('profile', `${file.where(at)}: ${message}`);
  }

  function convert(given: Node | null | undefined, path: Path, keyAt: number): unknown {
    const at = given?.range?.[0] ?? keyAt;
    if (--left < 0) fail(at, `expected at most ${NODE_LIMIT} values, found more (aliases count as what they stand for)`);
    if (path.length > DEPTH_LIMIT) fail(at, `expected at most ${DEPTH_LIMIT} levels, found more`);
    const target = isAlias(given) ? file.aliases.get(given) : given;
    const text = isScalar(target) && typeof target.value === 'string' ? target.value : undefined;
    places.set(placeKey(path), { key: keyAt, value: at, text });
    if (isMap(target)) return object(target.items as Pair<Node, Node | null>[], path);
    if (isSeq(target)) return list(target.items as Node[], path, at);
    if (text === undefined) return isScalar(target) ? unambiguous(target.value, target.source) : null;
    try {
      return render(text);
    } catch (error) {
      if (!(error instanceof RockberryError)) throw error;
      throw new RockberryError(error.code, `${file.where(at)}: ${error.message}`, { hint: error.hint, cause: error });
    }
  }

  /** An item that is left out leaves no gap: its index is the next one's. */
  function list(items: readonly Node[], path: Path, at: number): unknown[] {
    const kept: unknown[] = [];
    for (const item of items) {
      const value = convert(item, [...path, kept.length], at);
      if (value !== LEFT_OUT) kept.push(value);
    }
    return kept;
  }

  function object(pairs: readonly Pair<Node, Node | null>[], path: Path): unknown {
    const names = new Set<string>();
    const entries = pairs.map(({ key, value }) => {
      const name = isScalar(key) ? String(key.value) : '';
      const keyAt = key.range?.[0] ?? 0;
      if (name === '__proto__') fail(keyAt, 'expected a key, found "__proto__"');
      if (names.has(name)) fail(keyAt, `expected each key once, found "${name}" again`);
      names.add(name);
      return [name, convert(value, [...path, name], keyAt)] as const;
    });
    return Object.fromEntries(entries.filter(([, value]) => value !== LEFT_OUT));
  }

  const value = convert(node, [], node?.range?.[0] ?? 0);
  return { value, places };
}

/** YAML 1.1 reads 0644 as octal, YAML 1.2 as 644, and 0o644 the other way round: such numbers stay text. */
function unambiguous(value: unknown, source: string | undefined): unknown {
  return typeof value === 'number' && source !== undefined && /^[-+]?0[0-9o]/.test(source) ? source : value;
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}
