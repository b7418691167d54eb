/** The device tree reader against dtc and fdtget: trees that dtc makes, random ones, and damaged ones. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect } from 'vitest';
import { RockberryError } from '../../src/errors.js';
import { DEVICE_TREE_LIMIT, deviceTreeNode, deviceTreeText, readDeviceTree, type DeviceTreeNode } from '../../src/verify/formats/fdt.js';
import { needs, output, run } from '../support/oracle.js';

const seed = Number(process.env.ROCKBERRY_SEED ?? Math.floor(Math.random() * 2 ** 31));
const folder = mkdtempSync(join(tmpdir(), 'rockberry-fdt-'));
const file = join(folder, 'tree.dtb');
afterAll(() => rmSync(folder, { recursive: true }));

const test = needs('dtc', 'fdtget', 'fdtput');
const dtb = (source: string, ...options: string[]): Buffer => output('dtc', ['-q', '-I', 'dts', '-O', 'dtb', ...options], `/dts-v1/;\n${source}`);
const CHOSEN = '/memreserve/ 0x0 0x1000;\n/ { model = "x"; compatible = "a", "b"; aliases { serial0 = "/soc/uart@1"; };'
  + ' chosen { bootargs = "coherent_pool=1M cgroup_disable=memory"; }; memory@0 { reg = <0 1>; }; soc { uart@1 { reg = <1 2>; status = "okay"; }; }; };';

/** Damaged trees crash dtc 1.6.1 now and then: a signal becomes an exit status. */
const GUARD = ['-c', '"$@" || exit 1', 'sh'];

/** The bytes of properties as fdtget prints them, in the same order. */
function fdtget(data: Uint8Array, pairs: readonly (readonly [path: string, property: string])[]): string[] | undefined {
  writeFileSync(file, data);
  const { status, output: text } = run('sh', [...GUARD, 'fdtget', '-t', 'bx', file, ...pairs.flat()]);
  return status === 0 ? text.split('\n') : undefined;
}

const shown = (value: Uint8Array): string => [...value].map((byte) => byte.toString(16)).join(' ');
const bootargs = (data: Uint8Array): string | undefined => {
  const chosen = deviceTreeNode(readDeviceTree(data), '/chosen');
  return chosen && deviceTreeText(chosen, 'bootargs');
};

function walk(node: DeviceTreeNode, path = ''): [path: string, property: string, value: Uint8Array][] {
  const own = [...node.properties].map(([name, value]): [string, string, Uint8Array] => [path === '' ? '/' : path, name, value]);
  return [...own, ...node.children.flatMap((child) => walk(child, `${path}/${child.name}`))];
}

function code(data: Uint8Array): string {
  try {
    readDeviceTree(data);
    return 'read';
  } catch (error) {
    if (error instanceof RockberryError) return error.code;
    throw error;
  }
}

function poke(data: Buffer, at: number, word: number): Buffer {
  const copy = Buffer.from(data);
  copy.writeUInt32BE(word, at);
  return copy;
}

test('bootargs as fdtget reads them, in version 17 and 16, with holes and with bytes behind the tree', () => {
  for (const options of [[], ['-V', '16'], ['-p', '4096'], ['-S', '8192']]) {
    const data = dtb(CHOSEN, ...options);
    expect(bootargs(data)).toBe('coherent_pool=1M cgroup_disable=memory');
    expect(fdtget(data, [['/chosen', 'bootargs']])).toEqual([shown(Buffer.from('coherent_pool=1M cgroup_disable=memory\0'))]);
  }
  expect(bootargs(Buffer.concat([dtb(CHOSEN), Buffer.alloc(100, 0xff)]))).toBe('coherent_pool=1M cgroup_disable=memory');
  expect(bootargs(dtb('/ { chosen { }; };'))).toBeUndefined();
  expect(bootargs(dtb('/ { };'))).toBeUndefined();
  expect(bootargs(dtb('/ { chosen { bootargs; }; };'))).toBe('');
});

test('what fdtput removed (NOP tokens) and added is read as fdtget reads it', () => {
  writeFileSync(file, dtb(CHOSEN, '-p', '1024'));
  output('fdtput', ['-d', file, '/', 'compatible']);
  output('fdtput', ['-r', file, '/aliases']);
  output('fdtput', ['-t', 's', file, '/chosen', 'bootargs', 'psi=1']);
  const data = output('cat', [file]);
  const root = readDeviceTree(data);
  expect([...root.properties.keys()]).toEqual(output('fdtget', ['-p', file, '/']).toString().trim().split('\n'));
  expect(root.children.map(({ name }) => name)).toEqual(output('fdtget', ['-l', file, '/']).toString().trim().split('\n'));
  expect(bootargs(data)).toBe('psi=1');
});

test('a name without its unit address finds the node, as fdtget has it', () => {
  const data = dtb('/ { soc { uart@1 { reg = <1>; }; }; };');
  expect(shown(deviceTreeNode(readDeviceTree(data), '/soc/uart')!.properties.get('reg')!)).toBe(fdtget(data, [['/soc/uart', 'reg']])![0]);
  expect(deviceTreeNode(readDeviceTree(data), '/soc/ua')).toBeUndefined();
});

/** Siblings differ in front of "@": fdtget takes a path without it for the first that fits. */
interface Drawn { readonly unit: number | null; readonly properties: Record<string, string>; readonly children: Record<string, Drawn> }
const nameOf = fc.stringMatching(/^[a-z][a-z0-9,._+-]{0,30}$/);
const valueOf = fc.oneof(
  fc.stringMatching(/^[ -!#-\[\]-~]{0,80}$/).map((text) => `"${text}"`),
  fc.array(fc.nat(0xffffffff), { minLength: 1, maxLength: 20 }).map((cells) => `<${cells.map((cell) => `0x${cell.toString(16)}`).join(' ')}>`),
  fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => `[${[...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')}]`),
  fc.constant(''),
);
const { drawn } = fc.letrec<{ drawn: Drawn }>((tie) => ({
  drawn: fc.record({
    unit: fc.option(fc.nat(999)),
    properties: fc.dictionary(nameOf, valueOf, { maxKeys: 5 }),
    children: fc.oneof({ depthSize: 'small', withCrossShrink: true }, fc.constant({}), fc.dictionary(nameOf, tie('drawn'), { maxKeys: 4 })),
  }),
}));

function source({ properties, children }: Drawn): string {
  const own = Object.entries(properties).map(([name, value]) => (value === '' ? `${name};` : `${name} = ${value};`));
  return `{ ${[...own, ...Object.entries(children).map(([name, child]) => `${name}${child.unit === null ? '' : `@${child.unit}`} ${source(child)}`)].join(' ')} };`;
}

describe(`device trees (seed ${seed})`, () => {
  test('every property of random trees has the bytes that fdtget prints', () => {
    fc.assert(fc.property(drawn, fc.constantFrom('16', '17'), (tree, version) => {
      const data = dtb(`/ ${source(tree)}`, '-f', '-V', version);
      const all = walk(readDeviceTree(data));
      const count = (node: Drawn): number => Object.keys(node.properties).length + Object.values(node.children).reduce((sum, child) => sum + count(child), 0);
      expect(all.length).toBe(count(tree));
      if (all.length > 0) expect(all.map(([, , value]) => shown(value))).toEqual(fdtget(data, all.map(([path, property]) => [path, property])));
    }), { numRuns: 60, seed });
  });

  test('a damaged tree is read as fdtget reads it, or refused; what dtc takes with a sound header is read', () => {
    const good = dtb(CHOSEN);
    const pokes = fc.array(fc.tuple(fc.noBias(fc.nat(good.length - 1)), fc.oneof(fc.nat(12), fc.nat(255))), { minLength: 1, maxLength: 3 });
    const counts = { read: 0, refused: 0 };
    fc.assert(fc.property(pokes, fc.oneof({ weight: 7, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.nat(good.length) }), (bytes, cut) => {
      const data = Buffer.from(good);
      for (const [at, value] of bytes) data[at] = value;
      const damaged = cut === null ? data : data.subarray(0, cut);
      const read = code(damaged) === 'read';
      counts[read ? 'read' : 'refused']++;
      const chosen = read ? deviceTreeNode(readDeviceTree(damaged), '/chosen') : undefined;
      const ours = chosen?.properties.get('bootargs');
      const theirs = fdtget(damaged, [['/chosen', 'bootargs']]);
      if (read) expect(ours && [shown(ours)]).toEqual(theirs);
      const sound = cut === null && bytes.every(([at]) => at >= 40);
      if (sound && theirs && run('sh', [...GUARD, 'dtc', '-q', '-f', '-I', 'dtb', '-O', 'dts', '-o', '/dev/null', file]).status === 0) expect(read).toBe(true);
    }), { numRuns: 300, seed });
    expect(counts.read).toBeGreaterThan(20); // both ways were gone
    expect(counts.refused).toBeGreaterThan(20);
  });
});

test('one field of the header or one token, one error', () => {
  const good = dtb('/ { a = <1>; b { }; };');
  const structAt = good.readUInt32BE(8);
  const cases: readonly (readonly [what: string, data: Uint8Array, code: string])[] = [
    ['nothing', new Uint8Array(), 'corrupt'],
    ['a short header', good.subarray(0, 30), 'corrupt'],
    ['another magic', poke(good, 0, 0xd00dfeee), 'corrupt'],
    ['a size beyond the file', poke(good, 4, good.length + 1), 'corrupt'],
    ['a structure block beyond the end', poke(good, 8, 0xfffffffc), 'corrupt'],
    ['a structure block that is not aligned', poke(good, 8, structAt + 2), 'corrupt'],
    ['a strings block beyond the end', poke(good, 12, good.length), 'corrupt'],
    ['a strings block in the header', poke(good, 12, 36), 'corrupt'],
    ['an old version', poke(poke(good, 20, 3), 24, 2), 'unsupported'],
    ['a new version that is not compatible', poke(poke(good, 20, 19), 24, 18), 'unsupported'],
    ['a version older than what it is compatible to', poke(poke(good, 20, 16), 24, 17), 'unsupported'],
    ['a structure block without an end', poke(good, 36, good.readUInt32BE(36) - 4), 'corrupt'],
    ['a property outside every node', poke(good, structAt, 3), 'corrupt'],
    ['an unknown token', poke(good, structAt + 8, 5), 'corrupt'],
    ['a property longer than the block', poke(good, structAt + 12, 0x7fffffff), 'corrupt'],
    ['a property name outside the strings block', poke(good, structAt + 16, 0x7fffffff), 'corrupt'],
    ['a node closed twice', poke(poke(good, structAt + 24, 2), structAt + 28, 2), 'corrupt'],
    ['the end inside a node', poke(good, structAt + 24, 9), 'corrupt'],
    ['more than the kernel takes', Buffer.alloc(DEVICE_TREE_LIMIT + 1), 'unsupported'],
  ];
  expect(code(good)).toBe('read');
  expect(code(poke(good, 20, 18))).toBe('read'); // a later version that says it is compatible
  expect(cases.map(([what, data]) => [what, code(data)])).toEqual(cases.map(([what, , expected]) => [what, expected]));
});

test('64 nodes inside each other are read, 65 are not: as deep as the kernel goes', () => {
  const nested = (depth: number): Buffer => dtb(`/ ${'{ n '.repeat(depth - 1)}{ ${'}; '.repeat(depth)}`);
  expect(code(nested(64))).toBe('read');
  expect(code(nested(65))).toBe('corrupt');
});

/** Header, structure and strings block of version 17, without a memory reservation block. */
function flat(structure: Buffer, strings: Buffer): Buffer {
  const header = Buffer.alloc(40);
  [0xd00dfeed, 40 + structure.length + strings.length, 40, 40 + structure.length, 40, 17, 16, 0, strings.length, structure.length].forEach((word, at) => header.writeUInt32BE(word, at * 4));
  return Buffer.concat([header, structure, strings]);
}

const cells = (...words: number[]): Buffer => Buffer.from(Uint32Array.from(words).map((word) => ((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)).buffer);

test('a tree that fills all it may costs a moment, whatever it names', () => {
  const count = 60_000;
  const siblings = flat(Buffer.concat([cells(1, 0), ...Array.from({ length: count }, () => cells(1, 0x61000000, 2)), cells(2, 9)]), Buffer.alloc(4));
  const strings = Buffer.alloc(800_000, 'a'); // one name of 800,000 bytes, which every property uses from another byte on
  const named = flat(Buffer.concat([cells(1, 0), ...Array.from({ length: count }, (_, at) => cells(3, 0, at)), cells(2, 9)]), strings);
  const short = flat(Buffer.concat([cells(1, 0), ...Array.from({ length: count }, (_, at) => cells(3, 0, at * 2)), cells(2, 9)]), Buffer.from('a\0'.repeat(count)));
  const started = performance.now();
  expect(readDeviceTree(siblings).children.length).toBe(count);
  expect(code(named)).toBe('corrupt');
  expect(readDeviceTree(short).properties.size).toBe(1);
  expect(code(flat(Buffer.alloc(2_000_000, cells(4)), Buffer.alloc(0)))).toBe('corrupt');
  expect(performance.now() - started).toBeLessThan(5000);
});
