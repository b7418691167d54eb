import fc from 'fast-check';
import { expect, test } from 'vitest';
import { assign, assigned, shellSyntax } from '../../src/steps/assignments.js';
import { editHosts } from '../../src/steps/hostname.js';
import { parseUnitFile } from '../../src/steps/unit-file.js';

const seed = Number(process.env.ROCKBERRY_SEED ?? 1);
const key = fc.constantFrom('LANG', 'LC_TIME', 'FONT', '# LANG', 'KEYMAP');
const line = fc.oneof(fc.tuple(key, fc.constantFrom('=', ' = ', '==', ''), fc.string({ maxLength: 6 })).map((parts) => parts.join('')), fc.string({ maxLength: 8 }));
const text = fc.array(line.map((one) => one.replaceAll('\n', '')), { maxLength: 8 }).map((lines) => lines.join('\n'));
const values = fc.dictionary(fc.constantFrom('LANG', 'FONT'), fc.stringMatching(/^[A-Za-z0-9. ]{0,6}$/).map((value) => value.trim()), { noNullPrototype: true }).map((all) => new Map(Object.entries(all)));

test('an edit says what is asked for, once, keeps the other lines, and a second one changes nothing', () => {
  fc.assert(fc.property(text, values, (before, wanted) => {
    const after = assign(before, wanted, shellSyntax);
    expect(assign(after, wanted, shellSyntax)).toBe(after);
    for (const [name, value] of wanted) expect(assigned(after, shellSyntax).get(name)).toBe(value);
    const others = (whole: string): string[] => whole.split('\n').filter((one) => one !== '' && !wanted.has(one.split('=')[0]!.trim()) );
    expect(others(after)).toEqual(others(before));
  }), { seed, numRuns: 300 });
});

test('hosts: the same of 127.0.1.1', () => {
  const host = fc.tuple(fc.constantFrom('127.0.0.1', '127.0.1.1', '::1', '#', ''), fc.constantFrom(' ', '\t'), fc.constantFrom('localhost', 'node1', 'node1.example', 'x')).map((parts) => parts.join(''));
  fc.assert(fc.property(fc.array(host, { maxLength: 6 }), (lines) => {
    const after = editHosts(lines.join('\n'), 'node1.example');
    expect(editHosts(after, 'node1.example')).toBe(after);
    expect(after.split('\n').filter((one) => one.startsWith('127.0.1.1'))).toHaveLength(1);
    expect(after.split('\n').filter((one) => !/^127\.0\.1\.1|^$/.test(one))).toEqual(lines.filter((one) => !/^127\.0\.1\.1|^$/.test(one)));
  }), { seed, numRuns: 300 });
});

test('megabytes of one line take no time', { timeout: 5000 }, () => {
  for (const hostile of [' '.repeat(4 << 20), `a${' '.repeat(4 << 20)}b`, `a=${' '.repeat(4 << 20)}b`, '\\\n'.repeat(1 << 20), 'a'.repeat(4 << 20)]) {
    assigned(hostile, shellSyntax);
    parseUnitFile(hostile);
    editHosts(hostile, 'node1');
  }
});
