import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RockberryError } from '../../src/errors.js';
import { masking, maskedError, maskedValue } from '../../src/profile/masking.js';

const TOKEN = 'K10f3c0ffee::server:correct-horse-battery';

test.each<[string, string, string, string]>([
  ['as it is', TOKEN, `token ${TOKEN} end`, 'token *** end'],
  ['in quotes', TOKEN, `found the string "${TOKEN}"`, 'found the string "***"'],
  ['cut short', TOKEN, `found the string "${TOKEN.slice(0, 20)}…`, 'found the string "***…'],
  ['its tail', TOKEN, `…${TOKEN.slice(-12)}`, '…***'],
  ['as JSON spells it', 'a"b\\c\td-long', JSON.stringify({ token: 'a"b\\c\td-long' }), '{"token":"***"}'],
  ['with its backslashes doubled', 'pass\\word', 'psk=pass\\\\word', 'psk=***'],
  ['in a shell\'s single quotes', 'it\'s-a-secret', 'echo \'it\'\\\'\'s-a-secret\'', 'echo \'***\''],
  ['as the bytes of the image', 'geheimnisvoll-ß', Buffer.from('x geheimnisvoll-ß').toString('latin1'), 'x ***'],
  ['a line of several', 'first line\nsecond line\n}', 'found "second line" at 3', 'found "***" at 3'],
  ['all of its lines', 'first line\nsecond line\n}', 'first line\nsecond line\n}', '***'],
  ['a brace on a line of its own is none', 'first line\nsecond line\n}', 'expected {}', 'expected {}'],
  ['twice, next to each other', 'hunter22', 'hunter22hunter22 hunter22', '*** ***'],
  ['a short one', 'abcd', 'abcd xabcdx', '*** x***x'],
  ['a very short one only in quotes', 'a', 'a banana "a" and "ab"', 'a banana "***" and "ab"'],
  ['nothing', '', 'text', 'text'],
  ['a template mark', '{{ token }}-secret', 'found {{ token }}-secret', 'found ***'],
])('%s', (_, secret, text, expected) => {
  expect(masking([secret])(text)).toBe(expected);
});

test('several secrets, one inside the other', () => {
  expect(masking(['abcdef', 'abcdefghijkl'])('abcdef abcdefghijkl abc')).toBe('*** *** abc');
});

test('whatever the secret and the text around it, no eight characters of it are left', () => {
  fc.assert(fc.property(fc.string({ minLength: 8, maxLength: 60 }), fc.string(), fc.string(), fc.nat(), fc.nat(), (secret, before, after, start, length) => {
    const piece = secret.slice(start % (secret.length - 7)).slice(0, 8 + (length % secret.length));
    const shown = [masking([secret])(`${before}${piece}${after}`), masking([secret])(JSON.stringify(`${before}${secret}${after}`))];
    for (let at = 0; at + 8 <= piece.length; at++) if (!'***'.includes(piece.slice(at, at + 8))) for (const text of shown) expect(text).not.toContain(piece.slice(at, at + 8));
  }), { numRuns: 500, verbose: true });
});

// JSON of another maker: Python escapes everything beyond ASCII, which our own JSON never does, so only what both spell alike is asked for.
test('a token in a document that another program wrote', () => {
  const text = execFileSync('node', ['-p', `JSON.stringify({ deep: [{ token: ${JSON.stringify('x"y\\z-0123456789')} }] }, null, 2)`]).toString();
  expect(masking(['x"y\\z-0123456789'])(text)).not.toMatch(/0123456789|x\\"y/);
});

test('values at every depth are masked; keys, numbers and null stay', () => {
  expect(maskedValue({ [TOKEN]: [TOKEN, 1, null, { path: `/etc/${TOKEN}`, on: true }] }, masking([TOKEN]))).toEqual({ [TOKEN]: ['***', 1, null, { path: '/etc/***', on: true }] });
  const value = { a: 1 };
  expect(maskedValue(value, masking([]))).toBe(value);
});

test('an error keeps its code, and neither sentence, hint, stack nor cause keeps the secret', () => {
  const cause = new TypeError(`bad ${TOKEN}`, { cause: new Error(TOKEN) });
  const masked = maskedError(new RockberryError('io', `found ${TOKEN}`, { hint: `not ${TOKEN}`, cause }), masking([TOKEN]));
  expect(masked).toMatchObject({ code: 'io', message: 'found ***', hint: 'not ***' });
  const all = (error: Error): string => `${error.message} ${error.stack} ${error.cause instanceof Error ? all(error.cause) : ''}`;
  expect(all(masked)).toContain('bad ***');
  expect(all(masked)).not.toMatch(/K10|coffee|battery/);
  expect(maskedError(new TypeError(TOKEN), masking([TOKEN]))).toMatchObject({ name: 'TypeError', message: '***' });
});
