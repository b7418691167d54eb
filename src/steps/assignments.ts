/**
 * Files of `key = value` lines, edited so that every other line keeps its bytes: locale.conf(5) and vconsole.conf(5) with the shell's quotes, sysctl.d(5)
 * without. The first line of a key is replaced where its value differs, later ones of the same key go, missing keys are appended.
 */

export interface Syntax {
  /** Two spellings of one key give the same string. */
  key(written: string): string;
  value(written: string): string;
  line(key: string, value: string): string;
}

/** locale.conf(5), vconsole.conf(5), /etc/default/*: KEY=value, the value perhaps in quotes. */
export const shellSyntax: Syntax = {
  key: (written) => written,
  value: (written) => /^"(.*)"$|^'(.*)'$/.exec(written)?.slice(1).find((inner) => inner !== undefined) ?? written,
  line: (key, value) => `${key}=${/^[\w.@%+,:/-]*$/.test(value) ? value : `"${value}"`}`,
};

const LINE = /^\s*([^#;=\s](?:[^=]*[^=\s])?)\s*=\s*(.*?)\s*$/;

/** The text with all `values` in it; the text itself when they are there already. */
export function assign(text: string, values: ReadonlyMap<string, string>, syntax: Syntax): string {
  const missing = new Map([...values].map(([key, value]) => [syntax.key(key), { key, value }]));
  const wanted = new Map(missing);
  const kept = text.split('\n').flatMap((line) => {
    const found = LINE.exec(line);
    const key = found ? syntax.key(found[1]!) : '';
    const want = found && wanted.get(key);
    if (!want) return [line];
    if (!missing.delete(key)) return [];
    return [syntax.value(found[2]!) === want.value ? line : syntax.line(want.key, want.value)];
  });
  const added = [...missing.values()].map(({ key, value }) => `${syntax.line(key, value)}\n`).join('');
  const edited = kept.join('\n');
  return edited + (added !== '' && edited !== '' && !edited.endsWith('\n') ? '\n' : '') + added;
}

/** Keys (as `syntax.key` gives them) and the value that counts: the last. */
export function assigned(text: string, syntax: Syntax): Map<string, string> {
  const found = text.split('\n').map((line) => LINE.exec(line)).filter((match) => match !== null);
  return new Map(found.map((match) => [syntax.key(match[1]!), syntax.value(match[2]!)]));
}
