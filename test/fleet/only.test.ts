import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nodeGlob } from '../../src/fleet/only.js';

test('names, * and ?, separated by commas', () => {
  const cases: readonly (readonly [pattern: string | undefined, yes: readonly string[], no: readonly string[]])[] = [
    [undefined, ['a', 'node1'], []], ['node1', ['node1'], ['node11', 'node', 'xnode1']], ['node?', ['node1'], ['node', 'node12']], ['*', ['a'], []],
    ['a*b*c', ['abc', 'axxbyyc', 'abcbc'], ['ab', 'acb']], ['x,node*', ['x', 'node', 'node9'], ['y']], ['node-1.lan', ['node-1.lan'], ['node-1xlan']],
  ];
  for (const [pattern, yes, no] of cases) {
    expect(yes.filter(nodeGlob(pattern)), pattern).toEqual(yes);
    expect(no.filter(nodeGlob(pattern)), pattern).toEqual([]);
  }
  for (const bad of ['', 'a b', '[12]', 'x'.repeat(1001)]) expect(() => nodeGlob(bad)).toThrow(/--only/);
});

const seed = Number(process.env.ROCKBERRY_SEED ?? Math.floor(Math.random() * 2 ** 31));
test(`as a regular expression has it (seed ${seed})`, () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?', '-'), minLength: 1, maxLength: 8 });
  const name = fc.string({ unit: fc.constantFrom('a', 'b', '-'), maxLength: 10 });
  fc.assert(fc.property(word, name, (pattern, text) => {
    expect(nodeGlob(pattern)(text)).toBe(new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`).test(text));
  }), { seed, numRuns: 2000 });
});
