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

/** Key and value as written; undefined for comments and other lines. */
function split(line: string): { key: string; value: string } | undefined {
  const at = line.indexOf('=');
  const key = line.slice(0, Math.max(0, at)).trim();
  return key === '' || /^[#;]/.test(key) ? undefined : { key, value: line.slice(at + 1).trim() };
}

/** The text with all `values` in it; the text itself when they are there already. */
export function assign(text: string, values: ReadonlyMap<string, string>, syntax: Syntax): string {
  const missing = new Map([...values].map(([key, value]) => [syntax.key(key), { key, value }]));
  const wanted = new Map(missing);
  const kept = text.split('\n').flatMap((line) => {
    const found = split(line);
    const key = found ? syntax.key(found.key) : '';
    const want = found && wanted.get(key);
    if (!want) return [line];
    if (!missing.delete(key)) return [];
    return [syntax.value(found.value) === want.value ? line : syntax.line(want.key, want.value)];
  });
  const added = [...missing.values()].map(({ key, value }) => `${syntax.line(key, value)}\n`).join('');
  const edited = kept.join('\n');
  return edited + (added !== '' && edited !== '' && !edited.endsWith('\n') ? '\n' : '') + added;
}

/** Keys (as `syntax.key` gives them) and the value that counts: the last. */
export function assigned(text: string, syntax: Syntax): Map<string, string> {
  const found = text.split('\n').map(split).filter((line) => line !== undefined);
  return new Map(found.map(({ key, value }) => [syntax.key(key), syntax.value(value)]));
}
