/** Shards: told in every engine's words, disjoint and complete for any number of them. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RockberryError } from '../../src/errors.js';
import { namesOfShard, shardOf, type Environment } from '../../src/fleet/shard.js';

const SEED = Number(process.env.ROCKBERRY_SEED ?? 20260801);

describe('which shard this is', () => {
  test.each<[string | undefined, Environment, { index: number; count: number } | undefined]>([
    [undefined, {}, undefined],
    ['1/1', {}, { index: 0, count: 1 }],
    ['1/3', {}, { index: 0, count: 3 }],
    ['3/3', {}, { index: 2, count: 3 }],
    ['2/5', { JOB_COMPLETION_INDEX: '4', CI_NODE_INDEX: '1', CI_NODE_TOTAL: '9' }, { index: 1, count: 5 }], // what the user says counts
    // Kubernetes counts from 0
    ['/4', { JOB_COMPLETION_INDEX: '0' }, { index: 0, count: 4 }],
    ['/4', { JOB_COMPLETION_INDEX: '3', JOB_COMPLETIONS: '4' }, { index: 3, count: 4 }],
    [undefined, { JOB_COMPLETION_INDEX: '3', JOB_COMPLETIONS: '4' }, { index: 3, count: 4 }],
    [undefined, { JOB_COMPLETION_INDEX: '2', ROCKBERRY_SHARDS: '8' }, { index: 2, count: 8 }],
    // GitLab from 1; a job without `parallel` has the total alone
    [undefined, { CI_NODE_INDEX: '1', CI_NODE_TOTAL: '3' }, { index: 0, count: 3 }],
    ['/3', { CI_NODE_INDEX: '3', CI_NODE_TOTAL: '3' }, { index: 2, count: 3 }],
    [undefined, { CI_NODE_TOTAL: '1' }, undefined],
    // our own, as the GitHub action sets them
    [undefined, { ROCKBERRY_SHARD_INDEX: '0', ROCKBERRY_SHARDS: '2' }, { index: 0, count: 2 }],
    [undefined, { ROCKBERRY_SHARD_INDEX: '1', ROCKBERRY_SHARDS: '2', CI_NODE_INDEX: '7', CI_NODE_TOTAL: '9' }, { index: 1, count: 2 }],
    // empty is not set; a number of shards alone says nothing
    [undefined, { ROCKBERRY_SHARD_INDEX: '', JOB_COMPLETION_INDEX: '', CI_NODE_INDEX: '' }, undefined],
    [undefined, { ROCKBERRY_SHARDS: '4' }, undefined],
  ])('%s with %j', (spec, environment, expected) => {
    expect(shardOf(spec, environment)).toEqual(expected);
  });

  test.each<[string | undefined, Environment, string]>([
    ['0/3', {}, 'expected a shard between 1 and 3, found --shard 0/3'],
    ['4/3', {}, 'expected a shard between 1 and 3, found --shard 4/3'],
    ['1/0', {}, 'expected a number of shards between 1 and 100000 in --shard, found "0"'],
    ['1/100001', {}, 'expected a number of shards between 1 and 100000 in --shard, found "100001"'],
    ['1/9999999999999999999999', {}, 'expected a number of shards between 1 and 100000 in --shard, found "9999999999999999999999"'],
    ...['', '1', '1/', 'a/b', '1/3/5', '-1/3', '1.5/3', '1e1/30', ' 1/3', '1/3 ', '1/3\n', '１/3', '/'].map((spec): [string, Environment, string] => [spec, { JOB_COMPLETION_INDEX: '0' }, `expected a shard as I/N, 1 to N, or /N, found "${spec}"`]),
    ['/3', {}, 'expected the number of this run in ROCKBERRY_SHARD_INDEX, CI_NODE_INDEX, JOB_COMPLETION_INDEX beside --shard /3, found none'],
    ['/3', { JOB_COMPLETION_INDEX: '3' }, 'expected a shard between 0 and 2, found JOB_COMPLETION_INDEX=3'],
    ['/3', { JOB_COMPLETION_INDEX: 'x' }, 'expected a shard between 0 and 2, found JOB_COMPLETION_INDEX=x'],
    ['/3', { CI_NODE_INDEX: '0' }, 'expected a shard between 1 and 3, found CI_NODE_INDEX=0'],
    ['/3', { CI_NODE_INDEX: '1', CI_NODE_TOTAL: '4' }, 'expected --shard /4, as CI_NODE_TOTAL says, found /3'],
    ['/3', { JOB_COMPLETION_INDEX: '0', JOB_COMPLETIONS: '4' }, 'expected --shard /4, as JOB_COMPLETIONS says, found /3'],
    [undefined, { JOB_COMPLETION_INDEX: '0' }, 'expected the number of shards in ROCKBERRY_SHARDS or JOB_COMPLETIONS beside JOB_COMPLETION_INDEX, found none'],
    [undefined, { CI_NODE_INDEX: '1' }, 'expected the number of shards in CI_NODE_TOTAL beside CI_NODE_INDEX, found none'],
    [undefined, { ROCKBERRY_SHARD_INDEX: '0' }, 'expected the number of shards in ROCKBERRY_SHARDS beside ROCKBERRY_SHARD_INDEX, found none'],
    [undefined, { ROCKBERRY_SHARD_INDEX: '2', ROCKBERRY_SHARDS: '2' }, 'expected a shard between 0 and 1, found ROCKBERRY_SHARD_INDEX=2'],
    [undefined, { ROCKBERRY_SHARD_INDEX: '0', ROCKBERRY_SHARDS: 'many' }, 'expected a number of shards between 1 and 100000 in ROCKBERRY_SHARDS, found "many"'],
  ])('refuses %j with %j', (spec, environment, message) => {
    const outcome = ((): unknown => {
      try {
        return shardOf(spec, environment);
      } catch (error) {
        return error;
      }
    })();
    expect(outcome).toBeInstanceOf(RockberryError);
    expect(outcome).toMatchObject({ code: 'usage', message });
  });
});

describe('whose node it is', () => {
  const fleets = fc.oneof(fc.uniqueArray(fc.string({ maxLength: 12 }), { maxLength: 40 }), fc.integer({ min: 0, max: 60 }).map((size) => Array.from({ length: size }, (_, at) => `node${at + 1}`)));
  const counts = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 80 }));
  const parts = (names: readonly string[], count: number): (readonly string[])[] => Array.from({ length: count }, (_, index) => [...namesOfShard(names, { index, count })]);

  test('shards are disjoint and complete for any number of them, and as even as can be', () => {
    fc.assert(fc.property(fleets, counts, (names, count) => {
      const all = parts(names, count);
      expect(all.flat().sort()).toEqual([...names].sort()); // every name once
      const sizes = all.map(({ length }) => length);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
    }), { seed: SEED, numRuns: 150 });
  });

  test('the order of the inventory does not matter', () => {
    const shuffled = fleets.chain((names) => fc.tuple(fc.constant(names), fc.shuffledSubarray(names, { minLength: names.length })));
    fc.assert(fc.property(shuffled, counts, ([names, others], count) => {
      expect(parts(others, count)).toEqual(parts(names, count));
    }), { seed: SEED, numRuns: 50 });
  });

  test('stays what it is: machines with different versions agree', () => {
    const names = Array.from({ length: 9 }, (_, at) => `node${at + 1}`);
    // for i in $(seq 9); do printf "%s node$i\n" "$(printf "node$i" | sha256sum | cut -c1-8)"; done | sort   →   2 9 5 3 6 7 1 8 4
    expect(parts(names, 2)).toEqual([['node2', 'node5', 'node6', 'node1', 'node4'], ['node9', 'node3', 'node7', 'node8']]);
  });

  test('groups of like nodes spread', () => {
    const names = ['cp', 'worker', 'etcd'].flatMap((group) => Array.from({ length: 40 }, (_, at) => `${group}-${at}`));
    for (const part of parts(names, 4)) for (const group of ['cp', 'worker', 'etcd']) expect(part.filter((name) => name.startsWith(group)).length).toBeGreaterThan(3);
  });
});
