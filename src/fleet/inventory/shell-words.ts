/** A line in words, as Python's shlex.split(line, comments=True) does: quotes, backslashes, and a "#" that ends the line wherever it stands outside of quotes. */

/** The words; undefined when a quote or a backslash at the end is left open. */
export function shellWords(line: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < line.length; at++) {
    const character = line[at]!;
    if (character === '#') break;
    if (' \t\r\n'.includes(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === '\\') {
      if (++at >= line.length) return undefined;
      word = (word ?? '') + line[at]!;
    } else if (character === '"' || character === '\'') {
      const quoted = readQuoted(line, at);
      if (!quoted) return undefined;
      word = (word ?? '') + quoted.text;
      at = quoted.end;
    } else word = (word ?? '') + character;
  }
  return word === undefined ? words : [...words, word];
}

/** The text between the quotes, and where the closing one is. A backslash means something only in double quotes, before a quote or a backslash. */
function readQuoted(line: string, start: number): { text: string; end: number } | undefined {
  const quote = line[start]!;
  let text = '';
  for (let at = start + 1; at < line.length; at++) {
    if (line[at] === quote) return { text, end: at };
    if (quote === '"' && line[at] === '\\') {
      if (++at >= line.length) return undefined;
      text += line[at] === '"' || line[at] === '\\' ? line[at]! : `\\${line[at]!}`;
    } else text += line[at]!;
  }
  return undefined;
}
