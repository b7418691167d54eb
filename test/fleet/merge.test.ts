/** Reports of shards: joined the same way in any order, and refused when they are not of one run. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import type { RockberryError } from '../../src/errors.js';
import { mergeReports, readReport } from '../../src/fleet/merge.js';
import type { FleetReport, NodeReport } from '../../src/fleet/model.js';
import { namesOfShard, type Shard } from '../../src/fleet/shard.js';

const folder = mkdtempSync(join(tmpdir(), 'rockberry-merge-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const SEED = Number(process.env.ROCKBERRY_SEED ?? 20260801);

const node = (name: string, built: boolean): NodeReport => ({
  name, status: built ? 'built' : 'left', why: built ? 'new' : 'shard', groups: ['kube_node'], profiles: ['kubespray-node'], address: '192.0.2.1', mac: null, serial: null, board: 'pi4',
  output: built ? `${name}.img.xz` : null, sha256: built ? '0'.repeat(64) : null, bytes: built ? 10 : null, imageBytes: built ? 20 : null, changedBytes: built ? 5 : null,
  files: built ? [{ path: '/etc/hostname', action: 'changed' }] : [], findings: built ? [{ severity: 'info', id: 'x', subject: '/etc', message: 'm' }] : [],
  readiness: built ? { target: 'kubespray', errors: 0, warnings: 1 } : null,
});

const report = (names: readonly string[], shard: Shard | null): FleetReport => {
  const ours = shard ? namesOfShard(names, shard) : new Set(names);
  return {
    tool: { name: 'rockberry', version: '0.1.0' }, as: 'image', inventory: 'fleet.yaml',
    base: { name: 'base.img.xz', sha256: 'a'.repeat(64), bytes: 100, imageBytes: 200, format: 'xz' },
    partitions: [{ number: 1, start: 4096, length: 100, holds: 'vfat', label: 'BOOT', mountedAt: '/boot' }],
    shard, nodes: names.map((name) => node(name, ours.has(name))),
    findings: [{ severity: 'warning', id: 'even-etcd', subject: 'fleet', message: 'm', hint: 'h' }],
  };
};
const NAMES = Array.from({ length: 10 }, (_, at) => `node${at + 1}`);
const shards = (names: readonly string[], count: number): FleetReport[] => Array.from({ length: count }, (_, index) => report(names, { index, count }));
const refusal = (reports: readonly FleetReport[]): string => {
  try {
    mergeReports(reports);
    return 'merged';
  } catch (error) {
    return `${(error as RockberryError).code}: ${(error as Error).message}`;
  }
};

describe('merging', () => {
  test('shards of any number, in any order, give the report of one machine', () => {
    const cases = fc.tuple(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 12 })).chain(([size, count]) => {
      const names = Array.from({ length: size }, (_, at) => `node${at + 1}`);
      const all = shards(names, count);
      return fc.tuple(fc.constant(names), fc.shuffledSubarray([...all, ...all], { minLength: count * 2 })); // each twice: a shard that ran again
    });
    fc.assert(fc.property(cases, ([names, reports]) => {
      expect(mergeReports(reports)).toEqual(report(names, null));
    }), { seed: SEED, numRuns: 100 });
  });

  test('a single report of the whole fleet stays as it is', () => {
    expect(mergeReports([report(NAMES, null)])).toEqual(report(NAMES, null));
  });

  test('what failed in one run and was built in the next is built; what failed is told', () => {
    const [one, two] = shards(NAMES, 2) as [FleetReport, FleetReport];
    const failing = (each: FleetReport, name: string): FleetReport => ({ ...each, nodes: each.nodes.map((entry) => (entry.name === name ? { ...node(name, false), status: 'failed', why: 'no space' } : entry)) });
    const mine = one.nodes.find(({ status }) => status === 'built')!.name;
    const status = (merged: FleetReport): string => merged.nodes.find(({ name }) => name === mine)!.status;
    expect(status(mergeReports([failing(one, mine), two]))).toBe('failed');
    expect(mergeReports([failing(one, mine), two, one])).toEqual(report(NAMES, null));
  });

  test('findings of all, each once', () => {
    const [one, two] = shards(NAMES, 2) as [FleetReport, FleetReport];
    const more = { severity: 'error', id: 'vip', subject: 'fleet', message: 'only here' } as const;
    expect(mergeReports([{ ...two, findings: [...two.findings, more] }, one]).findings).toEqual([...one.findings, more]);
  });

  test.each<[string, (one: FleetReport) => FleetReport, string]>([
    ['tool', (one) => ({ ...one, tool: { name: 'rockberry', version: '0.2.0' } }), 'the same tool, found rockberry 0.1.0 in shard 1/2 and rockberry 0.2.0 in shard 2/2'],
    ['as', (one) => ({ ...one, as: 'patch' }), 'the same kind of output, found image in shard 1/2 and patch in shard 2/2'],
    ['base', (one) => ({ ...one, base: { ...one.base, sha256: 'b'.repeat(64) } }), 'the same base, found base.img.xz (sha256 aaaaaaaaaaaa…) in shard 1/2 and base.img.xz (sha256 bbbbbbbbbbbb…) in shard 2/2'],
    ['inventory', (one) => ({ ...one, inventory: 'other.yaml' }), 'the same inventory, found fleet.yaml in shard 1/2 and other.yaml in shard 2/2'],
    ['count', (one) => ({ ...one, shard: { index: 1, count: 3 } }), 'the same number of shards, found 2 in shard 1/2 and 3 in shard 2/3'],
    ['whole', (one) => ({ ...one, shard: null }), 'the same number of shards, found the whole fleet in the report of the whole fleet and 2 in shard 1/2'],
    ['nodes', (one) => ({ ...one, nodes: one.nodes.slice(1) }), 'the same number of nodes, found 10 in shard 1/2 and 9 in shard 2/2'],
  ])('another %s is refused', (_, change, message) => {
    const [one, two] = shards(NAMES, 2) as [FleetReport, FleetReport];
    expect(refusal([one, change(two)])).toBe(`refused: expected reports of one run, with ${message}`);
  });

  test.each<[string, Partial<NodeReport>]>([
    ['name', { name: 'node3b' }], ['groups', { groups: [] }], ['profiles', { profiles: ['node'] }], ['address', { address: null }], ['mac', { mac: '00:00:5e:00:53:01' }], ['serial', { serial: '1' }], ['board', { board: null }],
  ])('another %s of a node is another inventory', (fact, change) => {
    const [one, two] = shards(NAMES, 2) as [FleetReport, FleetReport];
    const changed = { ...two, nodes: two.nodes.map((entry, at) => (at === 2 ? { ...entry, ...change } : entry)) };
    expect(refusal([changed, one])).toBe(`refused: expected reports of one inventory, found another ${fact} of node node3 in shard 2/2 than in shard 1/2`);
  });

  test('missing shards are named', () => {
    const all = shards(NAMES, 5);
    expect(refusal([all[4]!, all[0]!, all[2]!])).toBe('refused: expected all 5 shards, found no report of 2/5, 4/5');
    expect(refusal([report(NAMES, { index: 30, count: 40 })])).toMatch(/found no report of 1\/40, 2\/40, .* 20\/40 and 19 more$/);
    expect(refusal([])).toBe('usage: expected at least one report to merge, found none');
  });

  test('a node with two results is refused', () => {
    const [one, two] = shards(NAMES, 2) as [FleetReport, FleetReport];
    const name = one.nodes.find(({ status }) => status === 'built')!.name;
    const again = (change: Partial<NodeReport>): FleetReport => ({ ...two, nodes: two.nodes.map((entry) => (entry.name === name ? { ...node(name, true), ...change } : entry)) });
    expect(refusal([one, again({})])).toBe('merged'); // twice the same is waste, not harm
    expect(refusal([one, again({ sha256: '1'.repeat(64) })])).toBe(`refused: expected one result of node ${name}, found different ones in shard 1/2 and shard 2/2`);
    expect(refusal([one, again({ status: 'current', output: 'other.img.xz' })])).toBe(`refused: expected one result of node ${name}, found different ones in shard 1/2 and shard 2/2`);
  });
});

describe('reading a report', () => {
  const path = join(folder, 'fleet.json');
  const read = (text: string): FleetReport | string => {
    writeFileSync(path, text);
    try {
      return readReport(path);
    } catch (error) {
      return `${(error as RockberryError).code}: ${(error as Error).message.replace(path, 'FILE')}`;
    }
  };
  const good = report(NAMES, { index: 0, count: 2 });

  test('gives what was written', () => {
    expect(read(JSON.stringify(good, null, 2))).toEqual(good);
    expect(() => readReport(join(folder, 'none.json'))).toThrow(expect.objectContaining({ code: 'io' }));
  });

  const first = (change: object): unknown => ({ ...good, nodes: [{ ...good.nodes[0]!, ...change }, ...good.nodes.slice(1)] });
  test.each<[string, unknown, RegExp]>([
    ['an output that leaves the folder', first({ output: '../../etc/passwd' }), /^corrupt: FILE: at nodes\[0\]\.output: expected a name without slashes and control characters$/],
    ['an absolute output', first({ output: '/etc/passwd' }), /at nodes\[0\]\.output/],
    ['an output of a DOS', first({ output: 'C:\\x' }), /at nodes\[0\]\.output/],
    ['the folder itself', first({ output: '.' }), /at nodes\[0\]\.output/],
    ['a status', first({ status: 'great' }), /at nodes\[0\]\.status/],
    ['a sha256', first({ sha256: 'A'.repeat(64) }), /at nodes\[0\]\.sha256: expected a sha256/],
    ['a size', first({ bytes: -1 }), /at nodes\[0\]\.bytes/],
    ['an endless size', first({ bytes: 1e300 }), /at nodes\[0\]\.bytes/],
    ['a node twice', { ...good, nodes: [...good.nodes, good.nodes[0]] }, /at nodes: expected every node once$/],
    ['a shard beyond', { ...good, shard: { index: 2, count: 2 } }, /at shard: expected an index below the count$/],
    ['a key more', { ...good, more: 1 }, /Unrecognized key: "more"$/],
    ['a list', [], /^corrupt: FILE: expected object, received array$/],
  ])('refuses %s', (_, document, message) => {
    expect(read(JSON.stringify(document))).toMatch(message);
  });

  test('refuses what is no JSON, cut, deep or polluting', () => {
    const text = JSON.stringify(good);
    for (let length = 0; length < text.length; length += 97) expect(read(text.slice(0, length))).toBe('corrupt: FILE: expected JSON, found something else');
    expect(read('['.repeat(300_000) + ']'.repeat(300_000))).toMatch(/^corrupt: FILE: /);
    expect(read(text.replace('"inventory":"fleet.yaml"', `"inventory":${'['.repeat(300_000)}${']'.repeat(300_000)}`))).toMatch(/^corrupt: FILE: at inventory: expected string/);
    expect(read(`{"__proto__":{"polluted":true},${text.slice(1)}`)).toMatch(/^corrupt: FILE: Unrecognized key/);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});
