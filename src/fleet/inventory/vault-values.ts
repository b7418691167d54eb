/** Values of ansible-vault's inside a YAML file: scalars with the tag !vault. */
import { visit, type Scalar } from 'yaml';
import type { YamlFile } from '../../profile/document.js';
import { inParallel } from './pool.js';
import type { Source, Sources } from './source.js';

/** The older name is still read. */
export const VAULT_TAGS: readonly string[] = ['!vault', '!vault-encrypted'];

export function isVaultValue({ tag }: Scalar): boolean {
  return tag !== undefined && VAULT_TAGS.includes(tag);
}

/** Encrypted → plain, for all of a file's; each different one is decrypted once. */
export async function decryptValues(sources: Sources, source: Source, file: YamlFile): Promise<Map<string, string>> {
  const encrypted = new Map<string, string>();
  visit(file.document, { Scalar: (_key, node) => {
    const text = String(node.value);
    if (isVaultValue(node) && !encrypted.has(text)) encrypted.set(text, file.where(node.range?.[0] ?? 0));
  } });
  return new Map(await inParallel(encrypted, async ([text, where]) => [text, await sources.decryptValue(text, source, where)] as const));
}
