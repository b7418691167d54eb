/**
 * Keys in OpenSSH's own forms: the public line (RFC 4253 section 6.6, RFC 5656, RFC 8709) and the private file "openssh-key-v1", unencrypted
 * (PROTOCOL.key of openssh-portable; each private part has the fields of the agent protocol's "add key", draft-ietf-sshm-ssh-agent section 3.2).
 */
import { createHash, type JsonWebKey, type KeyObject } from 'node:crypto';

const MAGIC = Buffer.from('openssh-key-v1\0');
const BLOCK = 8; // bytes, of the cipher "none"
const LINE = 70; // characters of base64, as ssh-keygen writes them

/** What one key is to OpenSSH: its public fields and its private ones, as they follow the name of its type. */
interface Parts {
  readonly name: string;
  readonly publicFields: readonly Buffer[];
  readonly privateFields: readonly Buffer[];
}

/** A private key and its public half, with the same comment. */
export interface OpenSshKey {
  /** The whole private file. */
  readonly privateKey: string;
  /** One line without its end: type, base64, comment. */
  readonly publicKey: string;
}

/** Ed25519, ECDSA on P-256, or RSA. `checkint`: 4 random bytes, by which OpenSSH sees that a decryption went well. */
export function encodeOpenSshKey(key: KeyObject, comment: string, checkint: Uint8Array): OpenSshKey {
  const { name, publicFields, privateFields } = partsOf(key.export({ format: 'jwk' }));
  const blob = Buffer.concat([text(name), ...publicFields]);
  const secret = Buffer.concat([checkint, checkint, text(name), ...privateFields, text(comment)]);
  const padding = Buffer.from(Array.from({ length: (BLOCK - (secret.length % BLOCK)) % BLOCK }, (_, index) => index + 1));
  const file = Buffer.concat([MAGIC, text('none'), text('none'), text(''), uint32(1), field(blob), field(Buffer.concat([secret, padding]))]);
  const lines = file.toString('base64').match(new RegExp(`.{1,${LINE}}`, 'g'))!;
  return {
    privateKey: ['-----BEGIN OPENSSH PRIVATE KEY-----', ...lines, '-----END OPENSSH PRIVATE KEY-----', ''].join('\n'),
    publicKey: `${name} ${blob.toString('base64')} ${comment}`,
  };
}

/** The bytes that fingerprints are taken of: the middle of a public line. */
export function publicBlob(publicKey: string): Buffer {
  return Buffer.from(publicKey.split(' ')[1] ?? '', 'base64');
}

/** "SHA256:…", as `ssh-keygen -l` shows it. */
export function fingerprintOf(publicKey: string): string {
  return `SHA256:${createHash('sha256').update(publicBlob(publicKey)).digest('base64').replace(/=+$/, '')}`;
}

function partsOf(jwk: JsonWebKey): Parts {
  const bytes = (part: string | undefined): Buffer => Buffer.from(part!, 'base64url');
  if (jwk.kty === 'OKP') {
    const [point, seed] = [bytes(jwk.x), bytes(jwk.d)];
    return { name: 'ssh-ed25519', publicFields: [field(point)], privateFields: [field(point), field(Buffer.concat([seed, point]))] };
  }
  if (jwk.kty === 'EC') {
    const open = [text('nistp256'), field(Buffer.concat([Buffer.from([4]), bytes(jwk.x), bytes(jwk.y)]))]; // 4: uncompressed (SEC 1, 2.3.3)
    return { name: 'ecdsa-sha2-nistp256', publicFields: open, privateFields: [...open, integer(bytes(jwk.d))] };
  }
  const [n, e, d, inverse, p, q] = [jwk.n, jwk.e, jwk.d, jwk.qi, jwk.p, jwk.q].map((part) => integer(bytes(part)));
  return { name: 'ssh-rsa', publicFields: [e!, n!], privateFields: [n!, e!, d!, inverse!, p!, q!] };
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** "string" of RFC 4251 section 5. */
function field(bytes: Uint8Array): Buffer {
  return Buffer.concat([uint32(bytes.length), bytes]);
}

function text(value: string): Buffer {
  return field(Buffer.from(value, 'utf8'));
}

/** "mpint" of RFC 4251 section 5 for a positive number: no leading zeros, but one before a set top bit. */
function integer(bytes: Buffer): Buffer {
  const start = bytes.findIndex((byte) => byte !== 0);
  const digits = bytes.subarray(start);
  return field(digits[0]! & 0x80 ? Buffer.concat([Buffer.from([0]), digits]) : digits);
}
