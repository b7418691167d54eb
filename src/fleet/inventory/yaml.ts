/**
 * The YAML of inventories, with places, within limits: what profile/document.ts does for profiles, for files that are larger and may have been decrypted. An
 * error says what is wrong and where, and never quotes the text: that may be a secret.
 */
import { isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, parseDocument, visit, type Alias, type Node } from 'yaml';
import type { YamlFile } from '../../profile/document.js';
import { RockberryError } from '../../errors.js';
import { problem } from './problem.js';
import type { Source } from './source.js';
import { VAULT_TAGS } from './vault-values.js';

/** 'text': every scalar is its text, to be read by Ansible's rules; 'core': YAML 1.2, for our own form. */
export type Scalars = 'text' | 'core';

const TOKEN_LIMIT = 3_000_000; // words and marks
export const DEPTH_LIMIT = 64;
const SCALAR_FOLLOWS = '\x1f'; // yaml's CST.SCALAR: the next token is a scalar's source

/** The parsed file, or why it is no YAML. Errors: `unsupported` for a text that is too large or too deep. */
export function parseYaml(source: Source, scalars: Scalars): { file: YamlFile; broken: undefined } | { file: undefined; broken: RockberryError } {
  const { name, directory, text } = source;
  checkSize(text, name);
  const lines = new LineCounter();
  const where = (offset: number): string => {
    const { line, col } = lines.linePos(Math.min(offset, text.length));
    return `${name}:${Math.max(line, 1)}:${Math.max(col, 1)}`;
  };
  const vaultTags = VAULT_TAGS.map((tag) => ({ tag, resolve: (value: string) => value }));
  const options = scalars === 'text' ? { schema: 'failsafe', version: '1.1' } as const : { stringKeys: true, customTags: vaultTags };
  try {
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false, ...options });
    const [first] = document.errors;
    if (first) return { file: undefined, broken: problem('corrupt', where(first.pos[0]), `expected valid YAML, found ${first.code.toLowerCase().replaceAll('_', ' ')}`, 'put a value with special characters into quotes') };
    return { file: { name, directory, text, document, aliases: aliasesOf(document.contents), where }, broken: undefined };
  } catch (error) {
    return { file: undefined, broken: new RockberryError('corrupt', `${name}: expected YAML, found a text that the YAML library cannot read`, { cause: error }) };
  }
}

/** The parser is recursive: a text that is hostile in this way is refused by its tokens. */
function checkSize(text: string, name: string): void {
  let [count, line, flow, compact] = [0, 1, 0, 0];
  const tokens = new Lexer().lex(text);
  for (const token of tokens) {
    if (++count > TOKEN_LIMIT) throw problem('unsupported', `${name}:${line}:1`, `expected at most ${TOKEN_LIMIT} words and marks of YAML, found more`);
    if (token === SCALAR_FOLLOWS) line += String(tokens.next().value).split('\n').length - 1;
    else if (token === '[' || token === '{') flow++;
    else if (token === ']' || token === '}') flow--;
    else if (token === '-' || token === '?') compact++; // "- - - -" on one line nests too
    else if (token.endsWith('\n')) [line, compact] = [line + 1, 0];
    if (flow + compact > DEPTH_LIMIT) throw problem('unsupported', `${name}:${line}:1`, `expected at most ${DEPTH_LIMIT} levels, found more`);
  }
}

/** An alias means the last node of that name before it. */
function aliasesOf(root: Node | null): Map<Alias, Node> {
  const named = new Map<string, Node>();
  const aliases = new Map<Alias, Node>();
  if (root) visit(root, (_key, node) => {
    if (isAlias(node)) {
      const target = named.get(node.source);
      if (target) aliases.set(node, target);
    } else if ((isMap(node) || isSeq(node) || isScalar(node)) && node.anchor !== undefined) named.set(node.anchor, node);
  });
  return aliases;
}
