/** Identities for tests in no time: Ed25519 and P-256 keys are made anew, the RSA key is one for all. Also what several tests need: a folder, and sorted names. */
import { generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { hostKeyOf, KEY_TYPES, type Identity, type KeyType } from '../../../src/fleet/identity/mint.js';
import { encodeOpenSshKey } from '../../../src/fleet/identity/openssh-key.js';
import type { FleetNode } from '../../../src/fleet/model.js';

let rsa: KeyObject | undefined;

function makeKey(type: KeyType): KeyObject {
  if (type === 'ed25519') return generateKeyPairSync('ed25519').privateKey;
  if (type === 'ecdsa') return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  return (rsa ??= generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey); // short: only its form counts here
}

export function quickIdentity(name: string): Identity {
  const hostKeys = KEY_TYPES.map((type) => {
    const { privateKey, publicKey } = encodeOpenSshKey(makeKey(type), `root@${name}`, randomBytes(4));
    return hostKeyOf(type, privateKey, publicKey);
  });
  return { name, machineId: randomBytes(16).toString('hex'), hostKeys };
}

export const quickMint = (name: string): Promise<Identity> => Promise.resolve(quickIdentity(name));

export function byName(...identities: Identity[]): Map<string, Identity> {
  return new Map(identities.map((identity) => [identity.name, identity]));
}

export function fleetNode(name: string, rest: Partial<FleetNode> = {}): FleetNode {
  return { name, groups: [], profiles: [], variables: {}, hostVars: {}, address: undefined, mac: undefined, serial: undefined, board: undefined, where: 'inventory.ini:1', ...rest };
}

/** A folder that is gone after the file's tests. */
export function testFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'rockberry-identity-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
