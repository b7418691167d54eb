import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parsePublicKey, publicKeyProblem } from '../../src/steps/ssh-key.js';
import { needs, output } from '../support/oracle.js';

const ed25519 = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl someone@somewhere';

describe('keys that ssh-keygen makes', () => {
  needs('ssh-keygen').each([['ed25519', 256], ['rsa', 2048], ['rsa', 3072], ['ecdsa', 256], ['ecdsa', 384], ['ecdsa', 521]])('%s %i', (type, bits) => {
    const directory = mkdtempSync(join(tmpdir(), 'rockberry-key-'));
    try {
      output('ssh-keygen', ['-q', '-t', type, '-b', String(bits), '-N', '', '-C', 'a comment', '-f', join(directory, 'key')]);
      const line = readFileSync(join(directory, 'key.pub'), 'utf8').trim();
      expect(publicKeyProblem(line)).toBeUndefined();
      expect(publicKeyProblem(`from="10.0.0.0/8,x\\"y",no-pty ${line}`)).toBeUndefined();
      expect(publicKeyProblem(readFileSync(join(directory, 'key'), 'utf8'))).toContain('PRIVATE');
      const [kind, blob] = line.split(' ') as [string, string];
      const raw = Buffer.from(blob, 'base64');
      for (const length of [3, 4, 20, raw.length - 1]) expect(publicKeyProblem(`${kind} ${raw.subarray(0, length).toString('base64')}`), `cut at ${length}`).toBeDefined();
      expect(publicKeyProblem(`${kind} ${Buffer.concat([raw, Buffer.alloc(4)]).toString('base64')}`)).toBeDefined();
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  needs('ssh-keygen')('rsa of 1024 bits is refused', () => {
    const directory = mkdtempSync(join(tmpdir(), 'rockberry-key-'));
    output('ssh-keygen', ['-q', '-t', 'rsa', '-b', '1024', '-N', '', '-f', join(directory, 'key')]);
    expect(publicKeyProblem(readFileSync(join(directory, 'key.pub'), 'utf8').trim())).toContain('1024');
    rmSync(directory, { recursive: true });
  });
});

test.each([
  ['another type in the blob', ed25519.replace('ssh-ed25519 ', 'ssh-rsa ')],
  ['no blob', 'ssh-ed25519'],
  ['a password', 'hunter2'],
  ['two lines', `${ed25519}\n${ed25519}`],
  ['PuTTY', 'PuTTY-User-Key-File-3: ssh-ed25519'],
  ['DSA', 'ssh-dss AAAAB3NzaC1kc3M='],
  ['empty', ''],
])('%s is refused without repeating it', (_, text) => {
  const problem = publicKeyProblem(text);
  expect(problem).toBeDefined();
  expect(problem).not.toContain('hunter2');
});

test('options and comments are told from the key', () => {
  expect(parsePublicKey(`command="a b",no-pty ${ed25519}`)).toMatchObject({ options: 'command="a b",no-pty', type: 'ssh-ed25519' });
  expect(parsePublicKey(`# ${ed25519}`)).toBeUndefined();
});
