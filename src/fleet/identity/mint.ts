/** What makes a node itself: SSH host keys and a machine-id, made here instead of at the first boot. The only place of the program that uses random numbers. */
import { generateKeyPair, randomBytes, randomUUID, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { RockberryError } from '../../errors.js';
import { encodeOpenSshKey, fingerprintOf } from './openssh-key.js';

/** In the order in which they are kept, placed and shown; those that EL9's sshd-keygen.target makes. */
export const KEY_TYPES = ['ed25519', 'ecdsa', 'rsa'] as const;
export type KeyType = typeof KEY_TYPES[number];

export interface HostKey {
  readonly type: KeyType;
  /** The file ssh_host_TYPE_key: secret. */
  readonly privateKey: string;
  /** The line of ssh_host_TYPE_key.pub, without its end. */
  readonly publicKey: string;
  /** "SHA256:…" */
  readonly fingerprint: string;
}

export interface Identity {
  /** The node's, in the inventory. */
  readonly name: string;
  /** 32 lower-case hexadecimal digits; not for the public, says machine-id(5). */
  readonly machineId: string;
  /** One of each of KEY_TYPES, in that order. */
  readonly hostKeys: readonly HostKey[];
}

const RSA_BITS = 3072; // what ssh-keygen makes
/** What an inventory may call a node and a key's comment can hold; "__proto__" is none. */
const NODE_NAME = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,252}$/;

export function isNodeName(name: string): boolean {
  return NODE_NAME.test(name);
}

/** Errors: `usage` for a name that no host has. */
export function requireNodeName(name: string): void {
  if (!isNodeName(name)) throw new RockberryError('usage', `expected the name of a node (letters, digits, ".", "-", "_", ":"), found ${JSON.stringify(name.slice(0, 80))}`);
}

/** Makes keys and machine-id for the node of that name. The work is done off the main thread; of an RSA key it is some 0.3 s. Errors: `usage` for a name that no host has. */
export async function mintIdentity(name: string): Promise<Identity> {
  requireNodeName(name);
  const hostKeys = await Promise.all(KEY_TYPES.map(async (type) => {
    const { privateKey, publicKey } = encodeOpenSshKey(await generate(type), `root@${name}`, randomBytes(4));
    return hostKeyOf(type, privateKey, publicKey);
  }));
  return { name, machineId: randomUUID().replaceAll('-', ''), hostKeys }; // a v4 UUID, as sd_id128_randomize(3) makes it
}

export function hostKeyOf(type: KeyType, privateKey: string, publicKey: string): HostKey {
  return { type, privateKey, publicKey, fingerprint: fingerprintOf(publicKey) };
}

async function generate(type: KeyType): Promise<KeyObject> {
  const make = promisify(generateKeyPair);
  const { privateKey } = type === 'ed25519' ? await make('ed25519') : type === 'ecdsa' ? await make('ec', { namedCurve: 'P-256' }) : await make('rsa', { modulusLength: RSA_BITS });
  return privateKey;
}
