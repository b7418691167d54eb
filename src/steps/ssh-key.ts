/** OpenSSH public keys as a line of authorized_keys has them (sshd(8), "AUTHORIZED_KEYS FILE FORMAT"; blobs of RFC 4253 section 6.6, RFC 5656, RFC 8709). */

export interface PublicKey {
  /** "" or the options in front of the key, as written. */
  readonly options: string;
  readonly type: string;
  readonly blob: string;
}

const TYPES = ['ssh-ed25519', 'ssh-rsa', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521', 'sk-ssh-ed25519@openssh.com', 'sk-ecdsa-sha2-nistp256@openssh.com'];
const LINE = new RegExp(`^(?:((?:[^\\s"]|"(?:\\\\.|[^"\\\\])*")+)\\s+)?(${TYPES.map((type) => type.replaceAll('.', '\\.')).join('|')})\\s+([A-Za-z0-9+/]+={0,2})(?:\\s.*)?$`);
const LONGEST = 16384; // characters; sshd reads no longer lines
const SMALLEST_RSA = 2048; // bits; EL9's crypto policy and OpenSSH's RequiredRSASize refuse less
const POINT_SIZES: Record<string, number> = { nistp256: 65, nistp384: 97, nistp521: 133 }; // bytes, uncompressed

/** Why the text is no public key, in words that do not repeat it (it may be a secret); undefined when it is one. */
export function publicKeyProblem(text: string): string | undefined {
  if (/PRIVATE KEY|PuTTY-User-Key-File/.test(text)) {
    return 'found a PRIVATE key: it must never be in a profile or an image; give the line of the .pub file, and replace the key if this profile was shared';
  }
  if (/[\n\r\0]/.test(text) || text.length > LONGEST) return 'expected one line of a .pub file, found several or a very long one';
  const key = parsePublicKey(text.trim());
  if (!key) return `expected a public key as in a .pub file (${TYPES[0]} AAAA…), found something else`;
  return blobProblem(key);
}

/** The key of a line; undefined for comments, empty lines and what is no key. */
export function parsePublicKey(line: string): PublicKey | undefined {
  const found = line.length > LONGEST || line.startsWith('#') ? null : LINE.exec(line.trim());
  return found ? { options: found[1] ?? '', type: found[2]!, blob: found[3]!.replace(/=+$/, '') } : undefined;
}

function blobProblem({ type, blob }: PublicKey): string | undefined {
  const fields = stringsOf(Buffer.from(blob, 'base64'));
  const inner = fields?.[0]?.toString('latin1');
  if (!fields || inner !== type) return `expected the base64 of a ${type} key, found ${inner !== undefined && TYPES.includes(inner) ? `a ${inner} key` : 'data that is cut short or of another kind'}`;
  if (!isSound(type, fields)) return `expected a complete ${type} key, found one with fields missing or of a wrong size`;
  const bits = type === 'ssh-rsa' ? modulusBits(fields[2]!) : SMALLEST_RSA;
  return bits < SMALLEST_RSA ? `expected an RSA key of at least ${SMALLEST_RSA} bits, found ${bits}: sshd of EL9 refuses it` : undefined;
}

/** The blob's length-prefixed strings (RFC 4251 section 5), or undefined when it does not consist of them. */
function stringsOf(blob: Buffer): Buffer[] | undefined {
  const found: Buffer[] = [];
  let at = 0;
  while (at + 4 <= blob.length) {
    const end = at + 4 + blob.readUInt32BE(at);
    if (end > blob.length) return undefined;
    found.push(blob.subarray(at + 4, end));
    at = end;
  }
  return at === blob.length ? found : undefined;
}

function isSound(type: string, [, first, second, third, ...rest]: readonly Buffer[]): boolean {
  if (!first || rest.length > 0) return false;
  if (type === 'ssh-ed25519') return first.length === 32 && !second;
  if (type === 'ssh-rsa') return first.length > 0 && second !== undefined && second.length > 0 && !third;
  if (type === 'sk-ssh-ed25519@openssh.com') return first.length === 32 && second !== undefined && !third;
  const curve = /nistp\d+/.exec(type)![0];
  const isPoint = first.toString('latin1') === curve && second?.length === POINT_SIZES[curve] && second[0] === 4;
  return isPoint && (type.startsWith('sk-') ? third !== undefined : !third);
}

function modulusBits(modulus: Buffer): number {
  const first = modulus.findIndex((byte) => byte !== 0);
  return first < 0 ? 0 : (modulus.length - first) * 8 - (Math.clz32(modulus[first]!) - 24);
}
