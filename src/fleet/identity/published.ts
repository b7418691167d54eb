/** What others learn of the nodes' identities, as text: known_hosts, SSHFP records, a block for /etc/hosts. No secret is in any of it, nor a machine-id. */
import { createHash } from 'node:crypto';
import type { FleetNode } from '../model.js';
import { isAddress, reachedBy, unique } from './hosts.js';
import type { Identity, KeyType } from './mint.js';
import { publicBlob } from './openssh-key.js';

export type ByName = ReadonlyMap<string, Identity>;

/**
 * Lines of known_hosts (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"): each node once per key. Where sshd is reached at another port than 22 all names stand with it,
 * and what Ansible dials only so: behind a forwarded port another machine may answer at 22. Nodes without an identity are left out.
 */
export function knownHosts(nodes: readonly FleetNode[], identities: ByName): string {
  return lines(nodes.flatMap((node) => {
    const names = namesToKnow(node).join(',');
    const keys = names === '' ? [] : (identities.get(node.name)?.hostKeys ?? []);
    return keys.map(({ publicKey }) => `${names} ${publicKey.split(' ').slice(0, 2).join(' ')}`);
  }));
}

function namesToKnow(node: FleetNode): string[] {
  const { names, address, dialed, port } = reachedBy(node);
  const all = unique([...names, dialed, address]);
  if (port === 22) return all;
  return [...all.filter((name) => name !== dialed), ...all.map((name) => `[${name}]:${port}`)];
}

/** RFC 4255 and 6594 for RSA (1) and ECDSA (3), RFC 7479 for Ed25519 (4). */
const ALGORITHMS: Readonly<Record<KeyType, number>> = { rsa: 1, ecdsa: 3, ed25519: 4 };
/** RFC 4255 and 6594: fingerprint types. */
const DIGESTS = [[1, 'sha1'], [2, 'sha256']] as const;

/** SSHFP records in the form of a zone file, as `ssh-keygen -r NAME` prints them; names are relative to the zone's origin. A node that is named by an address has none. */
export function sshfpRecords(nodes: readonly FleetNode[], identities: ByName): string {
  return lines(nodes.flatMap((node) => {
    const owner = reachedBy(node).names.find((name) => !isAddress(name));
    const keys = owner === undefined ? [] : (identities.get(node.name)?.hostKeys ?? []);
    return keys.flatMap(({ type, publicKey }) => DIGESTS.map(([number, digest]) => `${owner} IN SSHFP ${ALGORITHMS[type]} ${number} ${createHash(digest).update(publicBlob(publicKey)).digest('hex')}`));
  }));
}

/** Lines for /etc/hosts between markers, by which a later block replaces it. Nodes whose address is not known are named in a comment. */
export function hostsBlock(nodes: readonly FleetNode[]): string {
  const body = nodes.flatMap((node) => {
    const { names, address } = reachedBy(node);
    const named = names.filter((name) => !isAddress(name));
    if (named.length === 0) return [];
    return [address === undefined ? `# ${named.join(' ')}: the inventory has no address` : `${address}\t${named.join(' ')}`];
  });
  return lines(['# rockberry begin', ...body, '# rockberry end']);
}

function lines(texts: readonly string[]): string {
  return texts.map((text) => `${text}\n`).join('');
}
