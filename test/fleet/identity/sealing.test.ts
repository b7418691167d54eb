/**
 * The file of identities, encrypted: by age itself, and by a stand-in for sops, which Debian does not have. The stand-in takes the arguments that sops 3.10 documents
 * (getsops.io, "Encrypting and decrypting from other programs") and keeps what it was called with.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { openIdentities, type IdentitiesOptions } from '../../../src/fleet/identity/identities.js';
import { sealingOf } from '../../../src/fleet/identity/sealing.js';
import { hasProgram, needs, output } from '../../support/oracle.js';
import { quickMint, testFolder } from './quick.js';

const folder = testFolder();
let count = 0;
const newState = (ending: string): string => join(folder, `state${++count}${ending}`);
const open = (path: string, options: IdentitiesOptions = {}) => openIdentities(path, { mint: quickMint, patience: 0, ...options });
const hasAge = hasProgram('age-keygen');
afterEach(() => vi.unstubAllEnvs());

/** A program of that name that comes first in PATH. */
function program(name: string, script: string): void {
  const directory = join(folder, `bin${++count}`);
  mkdirSync(directory);
  writeFileSync(join(directory, name), script);
  chmodSync(join(directory, name), 0o755);
  vi.stubEnv('PATH', `${directory}${delimiter}${process.env.PATH}`);
}

function ageKey(): { file: string; recipient: string } {
  const file = join(folder, `key${++count}.txt`);
  if (!hasAge) return { file, recipient: '' };
  output('age-keygen', ['-o', file]);
  return { file, recipient: output('age-keygen', ['-y', file]).toString().trim() };
}

const key = ageKey();
const stranger = ageKey();

describe('age', () => {
  needs('age', 'age-keygen')('age opens it to the recipient, nobody else, and the file may be read by all', async () => {
    const path = newState('.age');
    const options = { ageRecipients: [key.recipient], ageIdentity: key.file };
    const { identities } = await (await open(path, options)).ensure(['node1']);
    const secret = identities.get('node1')!.hostKeys[0]!.privateKey;
    const text = readFileSync(path, 'utf8');
    expect([text.split('\n')[0], text.includes('PRIVATE'), statSync(path).mode & 0o777]).toEqual(['-----BEGIN AGE ENCRYPTED FILE-----', false, 0o600]);
    expect(output('age', ['-d', '-i', key.file, path]).toString()).toContain(JSON.stringify(secret));
    chmodSync(path, 0o644);
    expect(await (await open(path, options)).all()).toEqual(identities);
    await expect(open(path, { ageIdentity: stranger.file })).rejects.toMatchObject({ code: 'io', message: expect.stringMatching(/age says: .*no identity matched/) as string });
    expect((await (await open(path, options)).ensure(['node2', 'node1'])).identities.get('node1')).toEqual(identities.get('node1'));
  });

  needs('age', 'age-keygen').each<[string, Record<string, string>, IdentitiesOptions]>([
    ['AGE_RECIPIENTS and SOPS_AGE_KEY_FILE', { AGE_RECIPIENTS: `${stranger.recipient}, ${key.recipient}`, SOPS_AGE_KEY_FILE: key.file }, {}],
    ['SOPS_AGE_RECIPIENTS and AGE_IDENTITY', { SOPS_AGE_RECIPIENTS: `${key.recipient},${stranger.recipient}`, AGE_IDENTITY: key.file }, {}],
    ['AGE_RECIPIENTS_FILE', { AGE_RECIPIENTS_FILE: 'recipients', AGE_IDENTITY: key.file }, {}],
    ['the identity alone', {}, { ageIdentity: key.file }],
    ['options before variables', { AGE_RECIPIENTS: stranger.recipient, AGE_IDENTITY: stranger.file }, { ageRecipients: [key.recipient], ageIdentity: key.file }],
  ])('told by %s', async (_, variables, options) => {
    writeFileSync(join(folder, 'recipients'), `# ours\n${key.recipient}\n`);
    for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value === 'recipients' ? join(folder, 'recipients') : value);
    const path = newState('.age');
    const { identities } = await (await open(path, options)).ensure(['a']);
    expect(await (await open(path, options)).all()).toEqual(identities);
    expect(output('age', ['-d', '-i', key.file, path]).toString()).toContain(identities.get('a')!.machineId);
  });

  needs('age', 'age-keygen')('cut short or changed: an error, and it stays as it is', async () => {
    const path = newState('.age');
    const options = { ageIdentity: key.file };
    await (await open(path, options)).ensure(['a']);
    const text = readFileSync(path, 'utf8');
    for (const damaged of [text.slice(0, 900), text.replace(/([a-z])(.{30}\n)(?=.*END)/s, (_, letter: string, rest: string) => (letter === 'a' ? 'b' : 'a') + rest), 'x', '']) {
      writeFileSync(path, damaged);
      await expect(open(path, options)).rejects.toMatchObject({ code: damaged === '' ? 'corrupt' : 'io' });
      expect(readFileSync(path, 'utf8')).toBe(damaged);
    }
  });

  test('neither recipient nor identity: told, nothing written; a secret key is no recipient and is not shown', async () => {
    const path = newState('.age');
    await expect((await open(path)).ensure(['a'])).rejects.toMatchObject({ code: 'usage', message: expect.stringMatching(/a recipient/) as string, hint: expect.stringMatching(/--age-recipient/) as string });
    const refused = await (await open(path, { ageRecipients: ['AGE-SECRET-KEY-1QQPQQQ'] })).ensure(['a']).catch((error: Error) => error) as Error;
    expect([refused.message.includes('1QQP'), refused.message]).toEqual([false, expect.stringMatching(/found a secret key/)]);
    expect(existsSync(path)).toBe(false);
    writeFileSync(path, 'x');
    await expect(open(path)).rejects.toMatchObject({ code: 'usage', message: expect.stringMatching(/an age key/) as string });
  });

  test('age that is not installed', async () => {
    vi.stubEnv('PATH', join(folder, 'nowhere'));
    await expect((await open(newState('.age'), { ageIdentity: 'x' })).ensure(['a'])).rejects.toMatchObject({ code: 'missing-program', message: expect.stringMatching(/program age/) as string });
  });
});

/** base64 for a cipher, between the marks of sops. Arguments, /proc's view of them and the environment go to a file. */
const SOPS = (log: string): string => `#!/bin/sh
tr '\\0' ' ' </proc/$$/cmdline >>'${log}'; printf '%s\\n' "$*" >>'${log}'; env >>'${log}'
case $* in
'encrypt --filename-override '*' --input-type binary') printf '{"data": "ENC[%s]", "sops": {}}\\n' "$(base64 -w0)" ;;
'decrypt --filename-override '*' --output-type binary') sed 's/.*ENC\\[//; s/].*//' | base64 -d ;;
*) echo "unknown call: $*" >&2; exit 100 ;;
esac
`;

describe('sops', () => {
  test.each(['.sops.json', '.sops.yaml'])('a name that ends in %s: by its documented arguments, secrets only through standard input and output', async (ending) => {
    const log = join(folder, `log${++count}`);
    program('sops', SOPS(log));
    const path = newState(ending);
    const { identities } = await (await open(path)).ensure(['node1']);
    expect([await (await open(path)).all(), (await open(path)).kind]).toEqual([identities, 'sops']);
    expect(readFileSync(path, 'utf8')).not.toContain('PRIVATE');
    const seen = readFileSync(log, 'utf8');
    expect(seen).toContain(`encrypt --filename-override ${path} --input-type binary\n`);
    const secrets = [identities.get('node1')!.machineId, ...identities.get('node1')!.hostKeys.flatMap(({ privateKey }) => privateKey.split('\n').slice(1, -2))];
    expect(secrets.filter((secret) => seen.includes(secret.slice(0, 24)))).toEqual([]);
  });

  test.each([['lets all through', 'cat'], ['encrypts only a part, as a rule with encrypted_regex', 'printf "ENC[x]"; cat'], ['says nothing', 'cat >/dev/null']])('a sops that %s: nothing is written', async (_, command) => {
    program('sops', `#!/bin/sh\n${command}\n`);
    const path = newState('.sops.yaml');
    await expect((await open(path)).ensure(['a'])).rejects.toMatchObject({ code: 'refused', message: expect.stringMatching(/expected the program to encrypt/) as string });
    expect([existsSync(path), existsSync(`${path}.lock`)]).toEqual([false, false]);
  });

  test('what it says is shown, but not what it was given', async () => {
    program('sops', '#!/bin/sh\nkeys=$(tr -d "\\n" | head -c 900)\nprintf "\\033[31mcannot do it: %s\\nmore\\n" "$keys" >&2\nexit 1\n');
    const failed = await sealingOf('/x.sops.json').seal(Buffer.from(`{"private":"${'QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo'.repeat(20)}"}`)).catch((error: Error) => error) as Error & { hint: string };
    expect(failed.message).toBe('cannot seal /x.sops.json: sops says: [31mcannot do it: {"private":"***"}');
    expect(JSON.stringify([failed.hint, failed.cause ?? null, failed.stack])).not.toContain('QUJD');
  });

  test('sops that is not installed, or an older one', async () => {
    program('sops', '#!/bin/sh\necho "Incorrect Usage: flag provided but not defined" >&2\nexit 1\n');
    const path = newState('.sops.json');
    await expect((await open(path)).ensure(['a'])).rejects.toMatchObject({ code: 'io', message: expect.stringMatching(/Incorrect Usage/) as string, hint: expect.stringMatching(/3\.10/) as string });
    vi.stubEnv('PATH', join(folder, 'nowhere'));
    await expect((await open(path)).ensure(['a'])).rejects.toMatchObject({ code: 'missing-program' });
  });
});

needs('age', 'age-keygen')('age gets recipients and file names as arguments, and keys only through standard input', async () => {
  const log = join(folder, 'age.log');
  const age = output('sh', ['-c', 'command -v age']).toString().trim();
  program('age', `#!/bin/sh\nprintf '%s\\n' "$*" >>'${log}'; env >>'${log}'\nexec '${age}' "$@"\n`);
  const path = newState('.age');
  const { identities } = await (await open(path, { ageRecipients: [key.recipient], ageIdentity: key.file })).ensure(['n']);
  const seen = readFileSync(log, 'utf8');
  expect(seen).toContain(`--encrypt --armor --recipient ${key.recipient}\n`);
  const secrets = [readFileSync(key.file, 'utf8').match(/AGE-SECRET-KEY-\w+/)![0], ...identities.get('n')!.hostKeys.flatMap(({ privateKey }) => privateKey.split('\n').slice(1, -2))];
  expect(secrets.filter((secret) => seen.includes(secret.slice(0, 24)))).toEqual([]);
});

test.each([['a.json', 'plain'], ['a.age', 'age'], ['a.sops.json', 'sops'], ['a.sops.yaml', 'sops'], ['a.sops.yml', 'sops'], ['sops.json', 'plain'], ['a.age.json', 'plain']])('%s is %s', (name, kind) => {
  expect(sealingOf(`/x/${name}`).kind).toBe(kind);
});

test.each(['a.gpg', 'a.json.asc', 'a.sops', 'a.sops.txt', 'a.enc', 'nodes.vault'])('%s says encrypted and would not be', async (name) => {
  await expect(openIdentities(join(folder, name))).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining(name.slice(name.lastIndexOf('.'))) as string });
});
