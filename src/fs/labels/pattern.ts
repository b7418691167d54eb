/**
 * The regular expressions of file_contexts, matched without backtracking. libselinux gives them to PCRE2 with DOTALL (libselinux/src/regex.c); policies use
 * literals, '.', classes, groups, alternatives and quantifiers, and for these "does it match" is the same question for an automaton. That makes the time
 * at most pattern length × path length, so that no expression of a hostile image can hang us. What an automaton cannot do (back references, possessive
 * quantifiers) and look-behind, which no policy has, are refused by name. Texts are strings of bytes: one character per byte, U+0000 to U+00FF, as PCRE2 sees them without UTF.
 */

/** An expression that PCRE2 refuses, or that we do not know. The message says which part. */
export class PatternError extends Error {}

type Node =
  | { readonly kind: 'byte'; readonly value: number }
  | { readonly kind: 'set'; readonly set: Uint8Array }
  | { readonly kind: 'start' | 'end' }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly Node[] }
  | { readonly kind: 'repeat'; readonly part: Node; readonly min: number; readonly max: number }
  | { readonly kind: 'ahead'; readonly part: Node; readonly negative: boolean };

const NESTING = 64; // groups in groups
const MAX_COUNT = 65535; // pcre2pattern(3): "{n,m}" must be less than 65536

function setOf(test: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (test(byte) ? 1 : 0));
}

function among(text: string): Uint8Array {
  return setOf((byte) => text.includes(String.fromCharCode(byte)));
}

const not = (set: Uint8Array): Uint8Array => set.map((bit) => 1 - bit);
const range = (first: string, last: string): Uint8Array => setOf((byte) => byte >= first.charCodeAt(0) && byte <= last.charCodeAt(0));
const union = (...sets: Uint8Array[]): Uint8Array => setOf((byte) => sets.some((set) => set[byte] === 1));

const ANY = setOf(() => true);
const DIGIT = range('0', '9');
const UPPER = range('A', 'Z');
const LOWER = range('a', 'z');
const ALPHA = union(UPPER, LOWER);
const ALNUM = union(ALPHA, DIGIT);
const SPACE = among(' \t\n\v\f\r');
const GRAPH = range('!', '~');

/** The generic types of pcre2pattern(3), in the C locale. */
const GENERIC: Record<string, Uint8Array> = {
  d: DIGIT, D: not(DIGIT), s: SPACE, S: not(SPACE), w: union(ALNUM, among('_')), W: not(union(ALNUM, among('_'))),
  h: among(' \t\xa0'), H: not(among(' \t\xa0')), v: among('\n\v\f\r\x85'), V: not(among('\n\v\f\r\x85')), N: not(among('\n')),
};
const CONTROL: Record<string, number> = { a: 7, e: 27, f: 12, n: 10, r: 13, t: 9 };
const POSIX: Record<string, Uint8Array> = {
  alnum: ALNUM, alpha: ALPHA, ascii: range('\0', '\x7f'), blank: among(' \t'), cntrl: union(range('\0', '\x1f'), among('\x7f')), digit: DIGIT,
  graph: GRAPH, lower: LOWER, print: range(' ', '~'), punct: union(range('!', '/'), range(':', '@'), range('[', '`'), range('{', '~')),
  space: SPACE, upper: UPPER, word: GENERIC.w!, xdigit: union(DIGIT, range('a', 'f'), range('A', 'F')),
};

class Parser {
  private at = 0;
  constructor(private readonly text: string) {}

  whole(): Node {
    const node = this.choice(0);
    if (this.at < this.text.length) throw new PatternError('an unmatched )');
    return node;
  }

  private choice(depth: number): Node {
    if (depth > NESTING) throw new PatternError(`more than ${NESTING} groups in each other`);
    const parts = [this.sequence(depth)];
    while (this.text[this.at] === '|') {
      this.at++;
      parts.push(this.sequence(depth));
    }
    return parts.length === 1 ? parts[0]! : { kind: 'choice', parts };
  }

  private sequence(depth: number): Node {
    const parts: Node[] = [];
    while (this.at < this.text.length && this.text[this.at] !== '|' && this.text[this.at] !== ')') parts.push(this.quantified(this.atom(depth)));
    return { kind: 'sequence', parts };
  }

  private atom(depth: number): Node {
    const character = this.text[this.at++]!;
    switch (character) {
      case '^': return { kind: 'start' };
      case '$': return { kind: 'end' };
      case '.': return { kind: 'set', set: ANY };
      case '(': return this.group(depth);
      case '[': return { kind: 'set', set: this.classSet() };
      case '\\': return this.escape();
      case '*': case '+': case '?': throw new PatternError(`a quantifier ${character} after nothing that it could repeat`);
      default: return { kind: 'byte', value: character.charCodeAt(0) };
    }
  }

  private group(depth: number): Node {
    const opening = /\?(:|=|!|<?.?)|\*/y;
    opening.lastIndex = this.at;
    const found = opening.exec(this.text)?.[0] ?? '';
    if (!['', '?:', '?=', '?!'].includes(found)) throw new PatternError(`a group (${found}…)`);
    this.at += found.length;
    const part = this.choice(depth + 1);
    if (this.text[this.at++] !== ')') throw new PatternError('a group without its )');
    return found === '?=' || found === '?!' ? { kind: 'ahead', part, negative: found === '?!' } : part;
  }

  private escape(): Node {
    const value = this.escaped();
    return typeof value === 'number' ? { kind: 'byte', value } : { kind: 'set', set: value };
  }

  /** After a backslash: one byte, or a set of them. */
  private escaped(): number | Uint8Array {
    const character = this.text[this.at++];
    if (character === undefined) throw new PatternError('a \\ at the end');
    if (!/[0-9A-Za-z]/.test(character)) return character.charCodeAt(0);
    const found = CONTROL[character] ?? GENERIC[character];
    if (found === undefined) throw new PatternError(`\\${character}`);
    return found;
  }

  private quantified(part: Node): Node {
    const found = /[*+?]|\{(\d{1,5})(,(\d{1,5})?)?\}/y;
    found.lastIndex = this.at;
    const match = found.exec(this.text);
    if (!match) return part;
    if (part.kind === 'start' || part.kind === 'end' || part.kind === 'ahead') throw new PatternError(`a quantifier ${match[0]} after an assertion`);
    this.at += match[0].length;
    if (this.text[this.at] === '+') throw new PatternError(`a possessive quantifier ${match[0]}+`);
    if (this.text[this.at] === '?') this.at++; // lazy: finds another match first, but not another answer
    const [min, max] = match[1] === undefined
      ? [match[0] === '+' ? 1 : 0, match[0] === '?' ? 1 : Infinity]
      : [Number(match[1]), match[2] === undefined ? Number(match[1]) : match[3] === undefined ? Infinity : Number(match[3])];
    if (min > max || min > MAX_COUNT || (max > MAX_COUNT && max !== Infinity)) throw new PatternError(`a quantifier ${match[0]} out of range`);
    return { kind: 'repeat', part, min, max };
  }

  private classSet(): Uint8Array {
    const inverted = this.text[this.at] === '^';
    if (inverted) this.at++;
    const set = new Uint8Array(256);
    for (let first = true; first || this.text[this.at] !== ']'; first = false) {
      if (this.at >= this.text.length) throw new PatternError('a [ without its ]');
      this.classItem(set);
    }
    this.at++;
    return inverted ? not(set) : set;
  }

  private classItem(set: Uint8Array): void {
    const low = this.classMember();
    const ranged = this.text[this.at] === '-' && this.text[this.at + 1] !== ']' && this.at + 1 < this.text.length;
    if (typeof low !== 'number') {
      low.forEach((bit, byte) => { if (bit) set[byte] = 1; });
      return;
    }
    if (!ranged) {
      set[low] = 1;
      return;
    }
    this.at++;
    const high = this.classMember();
    if (typeof high !== 'number') throw new PatternError('a range that ends in a class');
    if (high < low) throw new PatternError('a range out of order');
    set.fill(1, low, high + 1);
  }

  private classMember(): number | Uint8Array {
    const named = /\[:(\^?)([a-z]+):\]/y;
    named.lastIndex = this.at;
    const match = named.exec(this.text);
    if (match) {
      const set = POSIX[match[2]!];
      if (!set) throw new PatternError(`the class ${match[0]}`);
      this.at += match[0].length;
      return match[1] ? not(set) : set;
    }
    const character = this.text[this.at++]!;
    if (character === '[' && /[.=]/.test(this.text[this.at] ?? '')) throw new PatternError('a collating element');
    if (character !== '\\') return character.charCodeAt(0);
    if (this.text[this.at] === 'b') {
      this.at++;
      return 8; // pcre2pattern(3): \b is a backspace inside a class
    }
    return this.escaped();
  }
}

/** The syntax tree of an expression; throws PatternError. */
export function parsePattern(text: string): Node {
  return new Parser(text).whole();
}

export type PatternNode = Node;
