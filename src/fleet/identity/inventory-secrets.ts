/** Which variables of an inventory are secret: by their names, as people give them, by what they hold, and by what the caller knows. */
import type { Value } from '../model.js';

export interface KnownSecrets {
  /** Names of variables that came out of an encrypted file, or are secret for another reason. */
  readonly secretNames?: ReadonlySet<string>;
  /** Values that must not be shown, whatever holds them. */
  readonly secretValues?: readonly string[];
}

const SECRET_NAME = /(?:^|[_-])(?:pass|passwd|password|passphrase|pw|secret|token|credential|psk|private_key|api_?key|access_key|encryption_key|certificate_key|auth)s?(?:$|[_-])/i;
/** What is called after a secret and is none: where it is, how long it lasts, whether there is one. */
const ABOUT_A_SECRET = /[_-](?:file|path|dir|directory|url|name|namespace|ttl|length|enabled?|type|mode|method|user|hash_seed)$/i;
const SECRET_TEXT = /PRIVATE KEY-----|^\$ANSIBLE_VAULT;|AGE-SECRET-KEY-1/m;
/** A reference to other variables, without any text of its own. */
const REFERENCE = /^\s*\{\{[^{}'"]*\}\}\s*$/;
const SHORTEST = 4; // characters; a shorter value is a part of too much

/** Whether the variable, or anything in it, is secret. */
export function isSecret(name: string, value: Value, known: KnownSecrets): boolean {
  return (known.secretNames?.has(name) ?? false) || holdsSecret(name, value, known.secretValues ?? []);
}

function holdsSecret(name: string, value: Value, secrets: readonly string[]): boolean {
  if (value === null || typeof value === 'boolean') return false;
  if (typeof value === 'object') {
    const entries: (readonly [string, Value])[] = Array.isArray(value) ? value.map((item: Value) => [name, item]) : Object.entries(value);
    return entries.some(([key, item]) => holdsSecret(key, item, secrets));
  }
  const text = String(value);
  if (SECRET_TEXT.test(text) || secrets.some((secret) => (secret.length < SHORTEST ? text === secret : text.includes(secret)))) return true;
  return SECRET_NAME.test(name) && !ABOUT_A_SECRET.test(name) && text !== '' && !REFERENCE.test(text);
}
