/**
 * The text that identities are kept as: JSON with its own digest, so that damage is told and never taken for another identity. All values are strings, names
 * are sorted: the same identities are the same bytes.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { RockberryError } from '../../errors.js';
import { hostKeyOf, isNodeName, KEY_TYPES, type Identity } from './mint.js';

const FORMAT = 'rockberry-identities/1';

const key = z.strictObject({
  private: z.string().regex(/^-----BEGIN OPENSSH PRIVATE KEY-----\n(?:[A-Za-z0-9+/=]{1,70}\n){1,100}-----END OPENSSH PRIVATE KEY-----\n$/),
  public: z.string().max(4096).regex(/^[a-z0-9-]+ [A-Za-z0-9+/=]+ [\x21-\x7e]+$/),
});
const node = z.strictObject({ machine_id: z.string().regex(/^[0-9a-f]{32}$/), host_keys: z.strictObject({ ed25519: key, ecdsa: key, rsa: key }) });
const state = z.strictObject({ format: z.literal(FORMAT), nodes: z.record(z.string().refine(isNodeName), node), sha256: z.string().regex(/^[0-9a-f]{64}$/) });

type Nodes = z.output<typeof state>['nodes'];

/** The whole text, with a line end; nodes in the order of their names (code units). */
export function formatIdentities(identities: ReadonlyMap<string, Identity>): string {
  const nodes = sortedNodes(identities);
  return `${JSON.stringify({ format: FORMAT, nodes, sha256: digestOf(nodes) }, null, 2)}\n`;
}

/**
 * Reads it back. `where` is for messages: they show no part of the text. Errors: `corrupt` for anything that formatIdentities would not have written but white
 * space, `unsupported` for another version.
 */
export function parseIdentities(text: string, where: string): Map<string, Identity> {
  const value = parseJson(text, where);
  const format = typeof value === 'object' && value !== null && 'format' in value ? value.format : undefined;
  if (typeof format === 'string' && /^rockberry-identities\/\d{1,9}$/.test(format) && format !== FORMAT) {
    throw new RockberryError('unsupported', `${where}: expected ${FORMAT}, found ${format}`, { hint: 'use the release of rockberry that wrote it, or a newer one' });
  }
  const parsed = state.safeParse(value);
  // A path only: zod's own messages, and what it was given, may hold a key.
  if (!parsed.success) throw damaged(where, `found something else at ${shownPath(parsed.error.issues[0]?.path ?? [])}`);
  const identities = new Map(Object.entries(parsed.data.nodes).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, { machine_id, host_keys }]) => [name, {
    name, machineId: machine_id, hostKeys: KEY_TYPES.map((type) => hostKeyOf(type, host_keys[type].private, host_keys[type].public)),
  }]));
  if (digestOf(sortedNodes(identities)) !== parsed.data.sha256) throw damaged(where, 'found another content than its own sha256 says');
  return identities;
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw damaged(where, text.trim() === '' ? 'found an empty file' : 'found a text that is no JSON'); // the parser's own message quotes the text
  }
}

function damaged(where: string, found: string): RockberryError {
  return new RockberryError('corrupt', `${where}: expected the identities of nodes as rockberry keeps them, ${found}`, {
    hint: 'bring it back from a backup; without one, move it away, and every node gets new keys',
  });
}

function shownPath(path: readonly PropertyKey[]): string {
  return path.length === 0 ? 'its top' : path.slice(0, 5).map((part) => String(part).replace(/[^\w.:-]/g, '?').slice(0, 64)).join('.');
}

function sortedNodes(identities: ReadonlyMap<string, Identity>): Nodes {
  const sorted = [...identities.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  return Object.fromEntries(sorted.map(({ name, machineId, hostKeys }) => {
    const [ed25519, ecdsa, rsa] = hostKeys.map(({ privateKey, publicKey }) => ({ private: privateKey, public: publicKey }));
    return [name, { machine_id: machineId, host_keys: { ed25519: ed25519!, ecdsa: ecdsa!, rsa: rsa! } }];
  }));
}

function digestOf(nodes: Nodes): string {
  return createHash('sha256').update(JSON.stringify(nodes)).digest('hex');
}
