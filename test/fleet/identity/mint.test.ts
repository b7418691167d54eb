/** Minted keys before OpenSSH's own programs. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { KEY_TYPES, mintIdentity } from '../../../src/fleet/identity/mint.js';
import { encodeOpenSshKey } from '../../../src/fleet/identity/openssh-key.js';
import { hasProgram, needs, output, run } from '../../support/oracle.js';
import { testFolder } from './quick.js';

const folder = testFolder();
const identity = await mintIdentity('node1.example.org');
const other = await mintIdentity('node2');

function stored(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

const BITS = { ed25519: [256, 'ED25519'], ecdsa: [256, 'ECDSA'], rsa: [3072, 'RSA'] } as const;

describe.each(identity.hostKeys)('$type', ({ type, privateKey, publicKey, fingerprint }) => {
  const path = stored(`ssh_host_${type}_key`, privateKey);

  needs('ssh-keygen')('ssh-keygen -y finds the public line, comment and all', () => {
    expect(output('ssh-keygen', ['-y', '-f', path]).toString()).toBe(`${publicKey}\n`);
    expect(publicKey.split(' ')[2]).toBe('root@node1.example.org');
  });

  needs('ssh-keygen')('ssh-keygen -l finds bits, fingerprint and type', () => {
    const [bits, name] = BITS[type];
    const lines = [path, stored(`${type}.pub`, `${publicKey}\n`)].map((file) => output('ssh-keygen', ['-l', '-f', file]).toString());
    expect(new Set(lines)).toEqual(new Set([`${bits} ${fingerprint} root@node1.example.org (${name})\n`]));
  });

  needs('ssh-keygen')('what it signs, its public half verifies', () => {
    const message = randomBytes(100);
    const signature = stored(`${type}.sig`, output('ssh-keygen', ['-Y', 'sign', '-n', 'test', '-f', path], message).toString());
    const verify = (key: string): number => run('ssh-keygen', ['-Y', 'verify', '-n', 'test', '-I', 'host', '-f', stored(`${type}.allowed`, `host ${key}\n`), '-s', signature], message).status;
    expect([verify(publicKey), verify(other.hostKeys.find((key) => key.type === type)!.publicKey)]).toEqual([0, 255]);
  });
});

needs('sshd')('sshd takes all three', () => {
  const sshd = ['/usr/sbin/sshd', '/usr/bin/sshd'].find(hasProgram)!;
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 }); // what its package's service would make
  const config = stored('sshd_config', identity.hostKeys.map(({ type, privateKey }) => `HostKey ${stored(`sshd_${type}`, privateKey)}\n`).join(''));
  expect(run(sshd, ['-t', '-f', config])).toEqual({ status: 0, output: '' });
  chmodSync(stored('sshd_rsa', 'no key\n'), 0o600);
  expect(run(sshd, ['-t', '-f', config]).output).toMatch(/sshd_rsa/);
});

test('a machine-id is 32 digits of a v4 UUID, and everything differs between two nodes', () => {
  expect(identity.machineId).toMatch(/^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$/);
  expect(identity.hostKeys.map(({ type }) => type)).toEqual(KEY_TYPES);
  const all = [identity, other].flatMap(({ machineId, hostKeys }) => [machineId, ...hostKeys.flatMap(({ privateKey, fingerprint }) => [privateKey, fingerprint])]);
  expect(new Set(all).size).toBe(14);
});

needs('ssh-keygen').each(Array.from({ length: 8 }, (_, index) => ['-', 'r', 'a@b', '0.example', 'x_y:z'].join('').slice(0, index + 1)))('every padding: with the comment %j OpenSSH reads the file', (comment) => {
  const path = join(folder, 'any');
  for (const { privateKey: key } of [generateKeyPairSync('ed25519'), generateKeyPairSync('ec', { namedCurve: 'P-256' })]) {
    const { privateKey, publicKey } = encodeOpenSshKey(key, comment, randomBytes(4));
    writeFileSync(path, privateKey, { mode: 0o600 });
    expect(output('ssh-keygen', ['-y', '-f', path]).toString()).toBe(`${publicKey}\n`);
  }
});

test.each(['', 'a b', 'a\nb', '-oProxyCommand=x', '__proto__', 'ä', `${'a'.repeat(254)}`, '../x', 'a,b', '*'])('no node is called %j', async (name) => {
  await expect(mintIdentity(name)).rejects.toMatchObject({ code: 'usage', message: expect.stringMatching(/name of a node/) as string });
});
