/**
 * Values of an INI inventory. Ansible gives each to Python's ast.literal_eval and keeps the text where that fails, so "1, 2" is a list, "0644" a text, "1 # one"
 * the number 1 and "true" a text (plugins/inventory/ini.py, _parse_value; Python's reference, "Lexical analysis"). Complex numbers and characters by name
 * (\N{...}) are left as text here.
 */
import type { Value } from '../model.js';

const DEPTH = 100; // brackets inside each other; CPython's parser stops at 200
const DIGITS = 4300; // CPython reads no longer numbers
const BLANK = /[ \t\f]*/y;
const FLOAT = /(?:\d(?:_?\d)*)?\.\d(?:_?\d)*(?:[eE][-+]?\d(?:_?\d)*)?|\d(?:_?\d)*\.(?:[eE][-+]?\d(?:_?\d)*)?|\d(?:_?\d)*[eE][-+]?\d(?:_?\d)*/y;
const INTEGER = /0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|[1-9](?:_?\d)*|0(?:_?0)*/y;
const WORD = /(?:True|False|None)(?!\w)/y;
const EMPTY_SET = /set[ \t\f]*\([ \t\f]*\)/y;
const QUOTE = /([bB]?[rR]?|[rR][bB]|[uU])("""|'''|"|')/y;
const ESCAPE = /\\(?:([0-7]{1,3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|[^xuUN])/y;
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\', '\'': '\'', '"': '"', a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };
const WORDS: Readonly<Record<string, Value>> = { True: true, False: false, None: null };

/** What is no literal ends the parse. */
class NoLiteral extends Error {}

/** How a literal may begin: most values are plain words, and need no parse. */
const BEGINNING = /^[ \t\f]*(?:[-+.\d[({'"]|True|False|None|set|[bBrRuU]{1,2}['"])/;

/** The value that Python reads in the text, or the text itself. */
export function pythonLiteral(text: string): Value {
  if (!BEGINNING.test(text) || text.includes('\0')) return text;
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof NoLiteral)) throw error;
    return text;
  }
}

interface Cursor { readonly text: string; at: number }

function parse(text: string): Value {
  const cursor: Cursor = { text, at: 0 };
  const items = [value(cursor, 0)];
  let comma = mark(cursor, ',');
  while (comma && !isEnd(cursor)) { // "1, 2" is a tuple without its parentheses
    items.push(value(cursor, 0));
    comma = mark(cursor, ',');
  }
  if (!isEnd(cursor)) throw new NoLiteral();
  return items.length === 1 && !comma ? items[0]! : items;
}

/** A comment may follow. */
function isEnd(cursor: Cursor): boolean {
  take(cursor, BLANK);
  return cursor.at >= cursor.text.length || cursor.text[cursor.at] === '#';
}

function take(cursor: Cursor, pattern: RegExp): RegExpExecArray | undefined {
  pattern.lastIndex = cursor.at;
  const found = pattern.exec(cursor.text);
  if (found) cursor.at = pattern.lastIndex;
  return found ?? undefined;
}

function mark(cursor: Cursor, character: string): boolean {
  take(cursor, BLANK);
  if (cursor.text[cursor.at] !== character) return false;
  cursor.at++;
  return true;
}

function value(cursor: Cursor, depth: number): Value {
  if (depth > DEPTH) throw new NoLiteral();
  if (mark(cursor, '[')) return list(cursor, ']', depth + 1).items;
  if (mark(cursor, '{')) return braces(cursor, depth + 1);
  if (mark(cursor, '(')) {
    const { items, comma } = list(cursor, ')', depth + 1);
    return items.length === 1 && !comma ? items[0]! : items;
  }
  if (mark(cursor, '-')) return 0 - unsigned(cursor, depth);
  if (mark(cursor, '+')) return unsigned(cursor, depth);
  const word = take(cursor, WORD);
  if (word) return WORDS[word[0]]!;
  if (take(cursor, EMPTY_SET)) return [];
  return strings(cursor) ?? number(cursor);
}

/** Values with commas between, up to the closing bracket. */
function list(cursor: Cursor, close: string, depth: number): { items: Value[]; comma: boolean } {
  const items: Value[] = [];
  let comma = false;
  while (!mark(cursor, close)) {
    if (items.length > 0 && !comma) throw new NoLiteral();
    items.push(value(cursor, depth));
    comma = mark(cursor, ',');
  }
  return { items, comma };
}

/** A dictionary, or a set, which becomes a list. */
function braces(cursor: Cursor, depth: number): Value {
  const entries: [string, Value][] = [];
  const items: Value[] = [];
  for (let comma = true; !mark(cursor, '}'); comma = mark(cursor, ',')) {
    if (!comma) throw new NoLiteral();
    const first = value(cursor, depth);
    const isEntry = mark(cursor, ':');
    if (isEntry ? items.length > 0 : entries.length > 0) throw new NoLiteral();
    if (isEntry) entries.push([keyText(first), value(cursor, depth)]);
    else items.push(first);
  }
  return items.length > 0 ? [...new Set(items)] : Object.fromEntries(entries);
}

/** As Python's json module writes a key. */
function keyText(key: Value): string {
  if (typeof key === 'object' && key !== null) throw new NoLiteral();
  return String(key);
}

/** What a sign may stand before: a number, also in parentheses. */
function unsigned(cursor: Cursor, depth: number): number {
  if (depth > DEPTH) throw new NoLiteral();
  if (!mark(cursor, '(')) return number(cursor);
  const inner = unsigned(cursor, depth + 1);
  if (!mark(cursor, ')')) throw new NoLiteral();
  return inner;
}

function number(cursor: Cursor): number {
  take(cursor, BLANK);
  const [found] = take(cursor, FLOAT) ?? take(cursor, INTEGER) ?? [];
  if (found === undefined || found.length > DIGITS || /[\w.]/.test(cursor.text[cursor.at] ?? '')) throw new NoLiteral();
  return Number(found.replaceAll('_', '').replace(/^0+(?=[\d.])/, ''));
}

/** Strings beside each other are one; bytes, which Ansible makes a text, only with bytes. */
function strings(cursor: Cursor): string | undefined {
  let all: { text: string; isBytes: boolean } | undefined;
  for (take(cursor, BLANK); ; take(cursor, BLANK)) {
    const [, prefix, quote] = take(cursor, QUOTE) ?? [];
    if (quote === undefined) return all?.text;
    const isBytes = /b/i.test(prefix!);
    if (all && all.isBytes !== isBytes) throw new NoLiteral();
    all = { text: (all?.text ?? '') + string(cursor, quote, prefix!.toLowerCase()), isBytes };
  }
}

function string(cursor: Cursor, quote: string, prefix: string): string {
  const { text } = cursor;
  let inner = '';
  while (!text.startsWith(quote, cursor.at)) {
    if (cursor.at >= text.length) throw new NoLiteral();
    if (text[cursor.at] !== '\\') inner += text[cursor.at++]!;
    else if (prefix.includes('r')) inner += text.slice(cursor.at, cursor.at += 2);
    else inner += escape(cursor);
  }
  cursor.at += quote.length;
  return inner;
}

function escape(cursor: Cursor): string {
  const [found, octal, two, four, eight] = take(cursor, ESCAPE) ?? [];
  if (found === undefined) throw new NoLiteral();
  const digits = two ?? four ?? eight;
  const code = octal !== undefined ? parseInt(octal, 8) : digits !== undefined ? parseInt(digits, 16) : undefined;
  if (code !== undefined && code > 0x10ffff) throw new NoLiteral();
  return code !== undefined ? String.fromCodePoint(code) : (ESCAPES[found[1]!] ?? found);
}
