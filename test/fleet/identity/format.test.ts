import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RockberryError } from '../../../src/errors.js';
import { formatIdentities, parseIdentities } from '../../../src/fleet/identity/format.js';
import { byName, quickIdentity } from './quick.js';

const kept = byName(quickIdentity('node2'), quickIdentity('node10'), quickIdentity('db.example.org'));
const text = formatIdentities(kept);
const caught = (work: () => unknown): RockberryError => {
  try {
    work();
  } catch (error) {
    if (error instanceof RockberryError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};

test('what is written is read back, by name and sorted; the order of making does not count', () => {
  expect(parseIdentities(text, 'x')).toEqual(kept);
  expect([...parseIdentities(text, 'x').keys()]).toEqual(['db.example.org', 'node10', 'node2']);
  expect(formatIdentities(new Map([...kept].reverse()))).toBe(text);
  expect(formatIdentities(parseIdentities(text, 'x'))).toBe(text);
  expect(parseIdentities(formatIdentities(new Map()), 'x')).toEqual(new Map());
});

const seed = 20_261_126;
test(`one byte that is another: an error, or the same identities (seed ${seed})`, () => {
  const bytes = Buffer.from(text);
  let errors = 0;
  fc.assert(fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
    const damaged = Buffer.from(bytes);
    damaged[at]! ^= change;
    try {
      expect(parseIdentities(damaged.toString('utf8'), 'x')).toEqual(kept);
    } catch (error) {
      expect(error).toBeInstanceOf(RockberryError);
      errors++;
    }
  }), { seed, numRuns: 500 });
  expect(errors).toBeGreaterThan(400); // the others hit white space
});

test(`any end that is missing is noticed (seed ${seed})`, () => {
  fc.assert(fc.property(fc.nat(text.length - 3), (length) => caught(() => parseIdentities(text.slice(0, length), 'x')).code === 'corrupt'), { seed, numRuns: 200 });
});

describe('damage', () => {
  const other = quickIdentity('node2');
  const changed = (change: (value: Record<string, never>) => void): string => {
    const value = JSON.parse(text) as Record<string, never>;
    change(value);
    return JSON.stringify(value);
  };
  const swapped = text.replace(kept.get('node2')!.machineId, other.machineId);
  test.each<[string, string, RegExp]>([
    ['nothing', '', /an empty file/], ['white space', ' \n', /an empty file/], ['no JSON', `${text}x`, /no JSON/], ['another JSON', '[]', /at its top/], ['null', 'null', /at its top/],
    ['another key', changed((value) => Object.assign(value, { extra: 1 })), /at its top/], ['a node that was exchanged', swapped, /its own sha256/],
    ['a node that is gone', changed(({ nodes }) => delete nodes['node2']), /its own sha256/], ['a part that is gone', changed(({ nodes }) => delete nodes['node2']['machine_id']), /at nodes\.node2\.machine_id/],
    ['a key in another form', text.replaceAll('OPENSSH', 'RSA'), /at nodes\.[\w.]+\.host_keys\.\w+\.private/],
    ['a name that no node has', text.replace('"node2"', '"__proto__"'), /its own sha256|at nodes/],
  ])('%s', (_, damaged, message) => {
    expect(caught(() => parseIdentities(damaged, 'nodes.json'))).toMatchObject({ code: 'corrupt', message: expect.stringMatching(message) as string, hint: expect.stringMatching(/backup/) as string });
    expect(caught(() => parseIdentities(damaged, 'nodes.json')).message).toMatch(/^nodes\.json: expected /);
  });

  test('a newer version is told', () => {
    expect(caught(() => parseIdentities(text.replace('identities/1', 'identities/2'), 'x'))).toMatchObject({ code: 'unsupported', message: 'x: expected rockberry-identities/1, found rockberry-identities/2' });
  });

  test('no part of a key is in any error, its hint, its stack or its cause', () => {
    const damages = [`${text}x`, text.slice(0, 700), text.replaceAll('OPENSSH', 'RSA'), swapped, text.replace('BEGIN', 'BEGIM')];
    const said = damages.map((damaged) => caught(() => parseIdentities(damaged, 'x'))).map(({ message, hint, stack, cause }) => `${message}${hint}${stack}${JSON.stringify(cause)}`).join('\n');
    const pieces = [...kept.values()].flatMap(({ machineId, hostKeys }) => [machineId, ...hostKeys.flatMap(({ privateKey }) => privateKey.split('\n').slice(1, -2))]).flatMap((line) => line.match(/.{12}/g) ?? []);
    expect(pieces.length).toBeGreaterThan(100);
    expect(pieces.filter((piece) => said.includes(piece))).toEqual([]);
  });
});
