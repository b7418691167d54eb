import fc from 'fast-check';
import { expect, test } from 'vitest';
import { coalesce, overlaps, overlapsAny } from '../../src/bytes/ranges.js';

const ranges = fc.array(fc.record({ offset: fc.nat(200), length: fc.nat(20) }));

test('overlapsAny in ascending order says what comparing with every range says', () => {
  fc.assert(fc.property(ranges, ranges, (some, asked) => {
    const changed = coalesce(some);
    const isChanged = overlapsAny(changed);
    for (const range of coalesce(asked)) expect(isChanged(range)).toBe(changed.some((one) => overlaps(one, range)));
  }));
});
