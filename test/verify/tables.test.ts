/** The tables of kernel options against what their sources say: row by row, in the sources' order. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { TARGETS } from '../../src/verify/rule.js';
import { CALICO_MODULES, CILIUM_OPTIONS, DEFAULT_NETWORK } from '../../src/verify/tables/cni.js';
import { FEATURES, IPVS } from '../../src/verify/tables/features.js';
import { K3S_CONTROLLERS, K3S_GONE, K3S_OPTIONS } from '../../src/verify/tables/k3s.js';
import { FAMILIES, MECHANISMS } from '../../src/verify/tables/memory-cgroup.js';
import { MOBY_OPTIONS } from '../../src/verify/tables/moby.js';
import { NODE_MODULES } from '../../src/verify/tables/modules.js';
import { rows, rowsFor, type OptionRow } from '../../src/verify/tables/options.js';
import { CONFIG_PATHS, CONTROLLERS, KNOWN_RELEASES, NOT_MISSED, VALIDATED_OPTIONS } from '../../src/verify/tables/system-validators.js';
import { SYSTEMD_DEFAULTS } from '../../src/verify/tables/systemd-cgroups.js';

const fixture = (name: string): string[] => readFileSync(join(import.meta.dirname, 'fixtures', name), 'utf8').split('\n').filter((line) => line !== '' && !line.startsWith('#'));
const of = (kind: string, table: readonly OptionRow[]): string[] => table.filter((row) => row.class === kind).map(({ name, aliases }) => [name, ...aliases].join(' = '));

describe('kubernetes/system-validators v1.12.1', () => {
  const field = (name: string): string[] => fixture('system-validators.txt').filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));

  test.each([['Required', 'required'], ['RequiredCgroupsV1', 'required-v1'], ['RequiredCgroupsV2', 'required-v2'], ['Optional', 'optional']])('options: %s', (name, kind) => {
    expect(field(name).length).toBeGreaterThan(3);
    expect(of(kind, VALIDATED_OPTIONS)).toEqual(field(name));
  });

  test('there is no other kind of option', () => {
    expect(VALIDATED_OPTIONS).toHaveLength(['Required', 'RequiredCgroupsV1', 'RequiredCgroupsV2', 'Optional'].flatMap(field).length);
    expect(NOT_MISSED.filter((name) => !of('optional', VALIDATED_OPTIONS).includes(name))).toEqual([]);
  });

  test('controllers, releases and where the configuration is looked for', () => {
    expect(CONTROLLERS).toEqual({ v1: { required: field('Cgroups'), optional: field('CgroupsOptional') }, v2: { required: field('CgroupsV2'), optional: field('CgroupsV2Optional') } });
    expect(KNOWN_RELEASES.map(({ source }) => source)).toEqual(field('Versions'));
    expect(CONFIG_PATHS).toEqual(field('Path'));
  });
});

/** Debian's package has 1.4.0: what changed up to 1.12.1 is named here, everything else must be the same. */
describe('kubernetes/system-validators as Debian packages it', () => {
  const path = '/usr/share/gocode/src/k8s.io/system-validators/validators/types_unix.go';
  const isThere = existsSync(path);
  if (!isThere && !process.env.CI) process.stderr.write('skipped: golang-k8s-system-validators-dev not installed\n');
  const oracle = isThere || process.env.CI ? test : test.skip;
  const list = (name: string): string => new RegExp(`\\b${name}:\\s*(\\[\\]KernelConfig\\{(?:\\n\\t\\t\\t\\{.*)*|\\[\\]string\\{[^}]*\\})`).exec(readFileSync(path, 'utf8'))?.[1] ?? '';
  const quoted = (text: string): string[] => [...text.replaceAll(/\/\/.*/g, '').matchAll(/"([^"]+)"/g)].map(([, name]) => name!);
  const options = (name: string): string[] => list(name).split('\n').filter((line) => line.includes('Name:')).map((line) => quoted(line.replace(/Description:.*/, '')).join(' = '));

  oracle('options', () => {
    const moved = of('required-v1', VALIDATED_OPTIONS); // in one list then, for both versions
    expect(options('Required')).toHaveLength(19);
    expect(options('Required').filter((name) => !moved.includes(name))).toEqual(of('required', VALIDATED_OPTIONS));
    expect(moved.filter((name) => !options('Required').includes(name))).toEqual([]);
    expect(of('required-v2', VALIDATED_OPTIONS).filter((name) => !options('Required').includes(name))).toEqual(['CGROUP_BPF']);
    const older = options('Optional').filter((name) => name !== 'CGROUP_HUGETLB'); // only the controller is asked for now
    expect([...older, 'SECCOMP', 'SECCOMP_FILTER']).toEqual(of('optional', VALIDATED_OPTIONS));
  });

  oracle('controllers', () => {
    expect(quoted(list('Cgroups'))).toEqual(CONTROLLERS.v1.required);
    expect(quoted(list('CgroupsV2'))).toEqual(CONTROLLERS.v2.required);
    expect([...quoted(list('CgroupsOptional')), 'blkio']).toEqual(CONTROLLERS.v1.optional);
    expect([...quoted(list('CgroupsV2Optional')), 'io']).toEqual(CONTROLLERS.v2.optional);
  });
});

describe('k3s check-config', () => {
  const versions: readonly { readonly major: number; readonly minor: number }[] = [...Array(20).keys()].flatMap((minor) => [3, 4, 5, 6].map((major) => ({ major, minor })));
  const found = fixture('k3s-check-config.txt').map((line) => {
    const [, kind, names, operator, limit] = /^(necessary|optional) (.*?)(?: if (<|<=|>) ([\d.]+))?$/.exec(line)!;
    return { kind: kind === 'necessary' ? 'required' : 'optional', names: names!.split(' '), operator, limit: limit?.split('.').map(Number) };
  });
  const holds = ({ operator, limit }: (typeof found)[number], { major, minor }: { major: number; minor: number }): boolean => {
    if (limit === undefined) return true;
    const difference = major === limit[0] ? minor - limit[1]! : major - limit[0]!;
    return operator === '<' ? difference < 0 : operator === '<=' ? difference <= 0 : difference > 0;
  };

  test.each(['required', 'optional'])('%s flags, in order, for every kernel from 3.0 to 6.19', (kind) => {
    expect(found.filter((line) => line.kind === kind).length).toBeGreaterThan(8);
    for (const version of versions) {
      const wanted = found.filter((line) => line.kind === kind && holds(line, version)).flatMap(({ names }) => names);
      expect(of(kind, rowsFor(K3S_OPTIONS, version))).toEqual(wanted);
    }
  });

  test('what newer kernels do not have is among the optional ones; the controllers are among kubeadm\'s', () => {
    expect(Object.keys(K3S_GONE).filter((name) => !of('optional', K3S_OPTIONS).includes(name))).toEqual([]);
    expect(K3S_CONTROLLERS.filter((name) => !CONTROLLERS.v2.required.includes(name))).toEqual([]);
  });
});

describe('every table', () => {
  const options = [...VALIDATED_OPTIONS, ...K3S_OPTIONS, ...MOBY_OPTIONS, ...CILIUM_OPTIONS];

  test('names are names of kernel options, each once in its list, with a source', () => {
    expect(options.flatMap(({ name, aliases }) => [name, ...aliases]).filter((name) => !/^[A-Z0-9_]+$/.test(name))).toEqual([]);
    for (const table of [VALIDATED_OPTIONS, K3S_OPTIONS, MOBY_OPTIONS, CILIUM_OPTIONS]) expect(new Set(table.map((row) => `${row.class} ${row.name}`)).size).toBe(table.length);
    const sources = [...options, ...CALICO_MODULES, ...NODE_MODULES, ...MECHANISMS, ...FAMILIES, ...FEATURES, ...SYSTEMD_DEFAULTS].map(({ source }) => source);
    expect(sources.filter((source) => !/^https:\/\/[^\s]+$/.test(source))).toEqual([]);
  });

  test('modules: names, options, targets', () => {
    expect([...CALICO_MODULES.flatMap((row) => row.modules), ...NODE_MODULES.map((row) => row.module)].filter((name) => !/^[A-Za-z0-9_-]+$/.test(name))).toEqual([]);
    expect(NODE_MODULES.flatMap(({ targets = [] }) => targets).filter((target) => !TARGETS.includes(target))).toEqual([]);
    expect(Object.keys(DEFAULT_NETWORK).sort()).toEqual([...TARGETS].sort());
  });

  test('rows that hold for some kernels only', () => {
    const table = [...rows('https://x', 'a', 'NEW|OLD OTHER'), ...rows('https://x', 'a', 'EARLY', { below: [4, 8] }), ...rows('https://x', 'a', 'LATE', { from: [4, 8] })];
    expect(table[0]).toEqual({ name: 'NEW', aliases: ['OLD'], class: 'a', source: 'https://x' });
    const names = (major: number, minor: number): string[] => rowsFor(table, { major, minor }).map(({ name }) => name);
    expect([names(4, 7), names(4, 8), names(3, 19), names(5, 0)]).toEqual([['NEW', 'OTHER', 'EARLY'], ['NEW', 'OTHER', 'LATE'], ['NEW', 'OTHER', 'EARLY'], ['NEW', 'OTHER', 'LATE']]);
  });

  test('what becomes of ipvs gets worse', () => {
    const order = ['info', 'warning', 'error'];
    expect(IPVS.map(({ kubernetes }) => kubernetes[1])).toEqual(IPVS.map(({ kubernetes }) => kubernetes[1]).sort((a, b) => a - b));
    expect(IPVS.map(({ severity }) => order.indexOf(severity))).toEqual(IPVS.map(({ severity }) => order.indexOf(severity)).sort());
  });

  test('the rows of the memory table leave no kernel out and hold one at a time', () => {
    for (const family of ['raspberrypi', 'upstream'] as const) {
      const mine = MECHANISMS.filter((row) => row.family === family);
      expect([mine[0]!.from, mine.at(-1)!.below]).toEqual([undefined, undefined]);
      expect(mine.slice(1).map(({ from }) => from)).toEqual(mine.slice(0, -1).map(({ below }) => below));
    }
  });

  test.each(FAMILIES.map(({ example, family }) => [example, family]))('the release %s is of the family %s', (example, family) => {
    expect(FAMILIES.find(({ release }) => release.test(example))?.family).toBe(family);
  });
});
