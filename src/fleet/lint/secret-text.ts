/**
 * Secrets in clear in the text of a file: keys by their form, and values by the names that they stand under, in INI, YAML and environment files alike. Nothing
 * of a value is kept. What Ansible or sops will still have to open (!vault, ENC[…], {{ lookup }}) is no secret in clear.
 */

export interface SecretPlace {
  /** The variable, or what kind of key: it is no secret itself. */
  readonly what: string;
  /** From 1; undefined for a column of a table. */
  readonly line: number | undefined;
}

const LONGEST_LINE = 4096; // characters; the rest of a longer line is looked at as lines of their own
const MOST = 20; // places that are told

/** token, k3s_token, ansible_password, vault_grafana_password …, and Ansible's short ones (connection and become variables). */
const WELL_KNOWN = /^(?:[a-z0-9]+[_-])*(?:token|password|passwd|passphrase|psk|secret_key|client_secret)$|^ansible_(?:ssh|become|sudo|su)_pass$/i;
/** A name, and the beginning of what stands behind it: enough to say that there is something. */
const ENTRY = /(?<![\w.-])["']?([A-Za-z][\w-]{0,63})["']?[ \t]*[:=][ \t]*(?=(["']?)([^\s"',}\]]{0,16}))/g;
/** Nothing, something that is encrypted, a template, a variable of the shell; without quotes also a truth value, an alias, a mapping or a list. */
const NOT_CLEAR = /^(|\$ANSIBLE_VAULT.*|ENC\[.*|\{\{.*|\{%.*|\$\{.*)$/;
const NOT_CLEAR_PLAIN = /^(true|false|yes|no|on|off|null|none|~|omit|!vault.*|[{*[#].*)$/i;
const BLOCK = /^[|>][-+\d]*$/;
/** RFC 7468; age's own; the form of a token of k3s and RKE2 (docs.k3s.io, cli/token). An encrypted key is none. */
const FORMS: readonly (readonly [form: RegExp, what: string])[] = [
  [/-----BEGIN (?:(?!ENCRYPTED )[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----/, 'a private key'],
  [/AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{20}/, 'a private key of age'],
  [/\bK10[0-9a-f]{64}::[^\s"']/, 'a token of k3s or RKE2'],
];

/** Where a text holds secrets in clear: at most 20 places. `declared` are names that the fleet's profiles call secret. */
export function secretPlaces(text: string, declared: ReadonlySet<string>): SecretPlace[] {
  const found: SecretPlace[] = [];
  const lines = text.split('\n');
  for (let at = 0; at < lines.length && found.length < MOST; at++) {
    const line = lines[at]!;
    for (let from = 0; from < line.length || from === 0; from += LONGEST_LINE) {
      const piece = line.slice(from, from + LONGEST_LINE);
      for (const what of [...formsIn(piece), ...namesIn(piece, lines[at + 1] ?? '', declared)]) found.push({ what, line: at + 1 });
    }
  }
  return found.slice(0, MOST);
}

function formsIn(line: string): string[] {
  return FORMS.filter(([form]) => form.test(line)).map(([, what]) => what);
}

function namesIn(line: string, next: string, declared: ReadonlySet<string>): string[] {
  if (/^\s*[#;]/.test(line)) return [];
  return [...line.matchAll(ENTRY)].filter(([, name, quote, start]) => {
    if (!isSecretName(name!, declared)) return false;
    return quote === '' && BLOCK.test(start!) ? isClear(next.trim().slice(0, 32), '') : isClear(start!, quote!);
  }).map(([, name]) => name!);
}

/** Whether what stands under this name is secret. `declared` are names that the fleet's profiles call so. */
export function isSecretName(name: string, declared: ReadonlySet<string>): boolean {
  return declared.has(name) || WELL_KNOWN.test(name);
}

function isClear(start: string, quote: string): boolean {
  return !NOT_CLEAR.test(start) && (quote !== '' || !NOT_CLEAR_PLAIN.test(start));
}
