import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { exposedSecrets, resolveValues, secretsToAsk, type GivenValues } from '../../src/profile/given.js';
import { shownValues, variableSchema, type Declaration } from '../../src/profile/variables.js';

const folder = mkdtempSync(join(tmpdir(), 'rockberry-given-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, content: string | Uint8Array): string {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

const DECLARED = new Map<string, Declaration>(Object.entries({
  token: { description: 'the cluster\'s token', secret: true, required: true },
  hash: { description: 'a hash', secret: true, env: 'NODE_HASH' },
  keys: { description: 'keys', secret: true, type: 'list' },
  site: { description: 'a site', env: 'SITE' },
  name: { description: 'a name' },
  binary: { description: 'a file', type: 'path', default: 'files/k3s' },
} satisfies Record<string, Declaration>));

const values = (given: Partial<GivenValues>): Record<string, unknown> => Object.fromEntries(resolveValues(DECLARED, { set: [], varsFiles: [], environment: {}, ...given }));
const secret = write('token', 'from-file\n');

test.each<[string, Partial<GivenValues>, Record<string, unknown>]>([
  ['the environment, for a secret one', { environment: { ROCKBERRY_VAR_TOKEN: 'e', ROCKBERRY_VAR_NAME: 'no' } }, { token: 'e', name: null }],
  ['the environment, under a name of its own', { environment: { ROCKBERRY_VAR_TOKEN: 'e', NODE_HASH: 'h', ROCKBERRY_VAR_HASH: 'no', SITE: 's' } }, { hash: 'h', site: 's' }],
  ['an empty variable is none', { environment: { ROCKBERRY_VAR_TOKEN: 'e', NODE_HASH: '' } }, { hash: null }],
  ['a vars file over the environment', { environment: { ROCKBERRY_VAR_TOKEN: 'e' }, varsFiles: [write('v.yaml', 'token: v\n')] }, { token: 'v' }],
  ['--set over a vars file', { set: ['token=s'], varsFiles: [write('v.yaml', 'token: v\n')] }, { token: 's' }],
  ['a file of its own over --set', { set: ['token=s'], secrets: [`token=${secret}`] }, { token: 'from-file' }],
  ['an answer over all', { set: ['token=s'], secrets: ['token'], answers: new Map([['token', 'a']]) }, { token: 'a' }],
  ['a list from a file, by line', { set: ['token=s'], secrets: [`keys=${write('keys', 'one\n\ntwo\n')}`] }, { keys: ['one', 'two'] }],
  ['a list from the environment', { set: ['token=s'], environment: { ROCKBERRY_VAR_KEYS: 'one,two' } }, { keys: ['one', 'two'] }],
  ['only the last line end of a file goes', { secrets: [`token=${write('long', 'a\nb\n\n')}`] }, { token: 'a\nb\n' }],
  ['a path of --set is of the current folder', { set: ['token=s', 'binary=k3s'] }, { binary: join(process.cwd(), 'k3s') }],
  ['a path of a vars file is of its folder', { set: ['token=s'], varsFiles: [write('p.yaml', 'binary: sub/k3s\n')] }, { binary: join(folder, 'sub/k3s') }],
  ['a path that is absolute stays', { set: ['token=s', 'binary=/opt/k3s'] }, { binary: '/opt/k3s' }],
  ['a default path is of its profile', { set: ['token=s'] }, { binary: 'files/k3s' }],
])('%s', (_, given, expected) => expect(values(given)).toMatchObject(expected));

test.each<[string, Partial<GivenValues>, RegExp]>([
  ['nothing', {}, /expected a value for the variable "token" \(the cluster's token\), found none/],
  ['a file that is not there', { secrets: ['token=/no/such/file'] }, /--secret token: expected a readable file at \/no\/such\/file, found: ENOENT/],
  ['a directory', { secrets: [`token=${folder}`] }, /--secret token: expected a readable file at .*, found: EISDIR/],
  ['an empty file', { secrets: [`token=${write('empty', '\n')}`] }, /--secret token: expected a secret in .*, found an empty file/],
  ['a file without an end', { secrets: ['token=/dev/zero'] }, /--secret token: expected at most 65536 bytes in \/dev\/zero, found more/],
  ['bytes', { secrets: [`token=${write('bytes', Buffer.from([0xff, 0xfe, 0x41]))}`] }, /--secret token: expected text \(UTF-8\)/],
  ['a name that nobody declared', { secrets: [`tokn=${secret}`] }, /--secret tokn: expected a variable of the profile, found "tokn"; the nearest known name is "token"/],
  ['a variable that is no secret', { secrets: [`site=${secret}`] }, /--secret site: expected a secret variable, found one that is not/],
])('refused: %s', (_, given, message) => expect(() => values(given)).toThrow(message));

test('the hint for a missing secret says where it may come from', () => {
  expect(() => values({})).toThrow(expect.objectContaining({ hint: 'give it with --secret token=FILE or in the environment variable ROCKBERRY_VAR_TOKEN' }));
});

// Mistakes in the call and in a vars file, each of which would be quoted if it were not for a secret.
test.each<[string, () => Partial<GivenValues>]>([
  ['a value without a name', () => ({ set: ['hunter2-hunter2'] })],
  ['a vars file that is one text', () => ({ varsFiles: [write('text.yaml', 'token hunter2-hunter2\n')] })],
  ['a tag that YAML does not know', () => ({ varsFiles: [write('tag.yaml', 'token: !hunter2-hunter2\n')] })],
  ['an alias that is none', () => ({ varsFiles: [write('alias.yaml', 'token: *hunter2-hunter2\n')] })],
  ['a quote that does not end', () => ({ varsFiles: [write('quote.yaml', 'token: "hunter2-hunter2\n')] })],
  ['a mark that may not begin a value', () => ({ varsFiles: [write('mark.yaml', 'token: @hunter2-hunter2\n')] })],
  ['a list', () => ({ varsFiles: [write('list.yaml', 'token: [hunter2-hunter2]\n')] })],
])('%s: the error does not repeat it', (_, given) => {
  let caught: unknown;
  try {
    values(given());
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(Error);
  const { message, hint } = caught as { message: string; hint?: string };
  expect(`${message} ${hint}`).not.toContain('hunter2');
});

test('what is asked for: what is required and missing, and what was named without a file', () => {
  const names = (given: Partial<GivenValues>): string[] => secretsToAsk(DECLARED, { set: [], varsFiles: [], environment: {}, ...given }).map(({ name }) => name);
  expect([names({}), names({ secrets: ['hash'] }), names({ environment: { ROCKBERRY_VAR_TOKEN: 'e' } }), names({ set: ['token=s'], secrets: ['token'] }), names({ set: ['token='] })])
    .toEqual([['token'], ['token', 'hash'], [], ['token'], ['token']]);
});

test('a secret among the arguments is told once, by name only', () => {
  const found = exposedSecrets(DECLARED, { set: ['token=hunter2', 'token=hunter3', 'name=x', 'hash=y'], varsFiles: [] });
  expect(found.map(({ severity, id, subject }) => [severity, id, subject])).toEqual([['warning', 'secret-argument', '--set token'], ['warning', 'secret-argument', '--set hash']]);
  expect(found[1]!.hint).toContain('NODE_HASH');
  expect(JSON.stringify(found)).not.toContain('hunter');
});

test('what may be shown of values', () => {
  const shown = shownValues(DECLARED, new Map<string, unknown>([['token', 'x'], ['keys', ['a']], ['hash', null], ['binary', '/home/me/k3s'], ['name', 'n']]));
  expect(Object.fromEntries(shown)).toEqual({ token: '***', keys: '***', hash: null, binary: 'k3s', name: 'n' });
});

test('a declaration names an environment variable as a shell can', () => {
  expect([variableSchema.safeParse({ description: 'd', env: 'A_1' }).success, variableSchema.safeParse({ description: 'd', env: 'A-1' }).success]).toEqual([true, false]);
});
