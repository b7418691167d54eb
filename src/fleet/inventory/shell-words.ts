/** A line in words, as Python's shlex.split(line, comments=True) does: quotes, backslashes, and a "#" that ends the line wherever it stands outside of quotes. */

const PLAIN = /[^ \t\r\n#\\"']+/y;
const PLAIN_IN_QUOTES: Readonly<Record<string, RegExp>> = { '"': /[^"\\]+/y, '\'': /[^']+/y };

/** The words; undefined when a quote or a backslash at the end is left open. */
export function shellWords(line: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < line.length;) {
    const character = line[at]!;
    const plain = run(PLAIN, line, at);
    if (character === '#') break;
    if (plain !== '') {
      word = (word ?? '') + plain;
      at += plain.length;
    } else if (character === '\\') {
      if (at + 1 >= line.length) return undefined;
      word = (word ?? '') + line[at + 1]!;
      at += 2;
    } else if (character in PLAIN_IN_QUOTES) {
      const quoted = readQuoted(line, at);
      if (!quoted) return undefined;
      word = (word ?? '') + quoted.text;
      at = quoted.end + 1;
    } else {
      if (word !== undefined) words.push(word);
      word = undefined;
      at++;
    }
  }
  return word === undefined ? words : [...words, word];
}

/** The text between the quotes, and where the closing one is. A backslash means something only in double quotes, before a quote or a backslash. */
function readQuoted(line: string, start: number): { text: string; end: number } | undefined {
  const quote = line[start]!;
  let text = '';
  for (let at = start + 1; at < line.length;) {
    const plain = run(PLAIN_IN_QUOTES[quote]!, line, at);
    text += plain;
    at += plain.length;
    if (line[at] === quote) return { text, end: at };
    if (line[at] !== '\\') continue;
    if (at + 1 >= line.length) return undefined;
    text += line[at + 1] === '"' || line[at + 1] === '\\' ? line[at + 1]! : `\\${line[at + 1]!}`;
    at += 2;
  }
  return undefined;
}

function run(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? '';
}
