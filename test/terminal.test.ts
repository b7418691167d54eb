import { expect, test } from 'vitest';
import { printable, terminalText } from '../src/terminal.js';
import { rockberry } from './support/cli.js';

test('control characters of an image do not reach the terminal', () => {
  expect(terminalText('a\x1b]0;title\x07\tb\r\nc\rd\x9b')).toBe('a\\x1b]0;title\\x07\tb\r\nc\\x0dd\\x9b');
  expect(printable('a\nb\tü')).toBe('a\\x0ab\\x09ü');
  expect([terminalText('safe\u202egpj.exe'), printable('\u2066x')]).toEqual(['safe\\u202egpj.exe', '\\u2066x']);
});

test('nor in an error', async () => {
  const { stderr } = await rockberry(['profile', 'show', 'a\x1b[31m']);
  expect(stderr).toMatch(/^rockberry: .*a\\x1b\[31m/);
  expect(stderr).not.toContain('\x1b');
});

test('no command, with --json: a document that says so', async () => {
  const { status, stdout } = await rockberry(['--json']);
  expect(status).toBe(2);
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'usage', message: 'expected a command, found none' } });
});
