import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LINE_LIMIT, lines } from '../../src/run/lines.js';

function linesOf(...pieces: (string | Uint8Array)[]): string[] {
  const said: string[] = [];
  const lined = lines((line) => said.push(line));
  for (const piece of pieces) lined.add(Buffer.from(piece));
  lined.end();
  return said;
}

test('a line ends with a line feed, a carriage return, or both', () => {
  expect(linesOf('a\nb\r\nc\rd\n\n\r\re')).toEqual(['a', 'b', 'c', 'd', '', '', '', 'e']);
  expect(linesOf('a\r', '\nb')).toEqual(['a', 'b']);
  expect(linesOf('a\r', 'b\n')).toEqual(['a', 'b']);
  expect(linesOf()).toEqual([]);
});

test('a character that comes in two pieces is one', () => {
  expect(linesOf(new Uint8Array([0xc3]), new Uint8Array([0xa4, 10]))).toEqual(['ä']);
});

test('of a line that is too long comes the beginning', () => {
  expect(linesOf('x'.repeat(LINE_LIMIT - 1), 'yz', 'more'.repeat(100_000), '\nnext\n')).toEqual([`${'x'.repeat(LINE_LIMIT - 1)}y […]`, 'next']);
  expect(linesOf(`${'x'.repeat(LINE_LIMIT)}\n`)).toEqual(['x'.repeat(LINE_LIMIT)]);
});

test('where a piece ends makes no difference', () => {
  fc.assert(fc.property(fc.array(fc.constantFrom('a', 'ä', '\n', '\r', '\r\n', '𝄞')), fc.array(fc.nat(40)), (parts, cuts) => {
    const bytes = Buffer.from(parts.join(''));
    const at = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
    expect(linesOf(...at.slice(1).map((end, index) => bytes.subarray(at[index], end)))).toEqual(linesOf(bytes));
  }));
});
