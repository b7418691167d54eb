/** Random operations on a filesystem and on its model. */
import fc from 'fast-check';
import type { Attributes, FileSystem } from '../../../src/fs/filesystem.js';
import { RockberryError } from '../../../src/errors.js';
import type { Model, Node, Verdict } from './model.js';

export interface Operation {
  readonly kind: 'write' | 'append' | 'truncate' | 'directory' | 'link' | 'hard' | 'rename' | 'change' | 'remove' | 'fill';
  /** Picks from what is there, by index. */
  readonly pick: number;
  readonly place: number;
  readonly name: number;
  readonly size: number;
  readonly byte: number;
  readonly attributes: Attributes;
}

const kinds: fc.Arbitrary<Operation['kind']> = fc.oneof(
  { weight: 30, arbitrary: fc.constant('write' as const) }, { weight: 12, arbitrary: fc.constant('append' as const) },
  { weight: 10, arbitrary: fc.constant('truncate' as const) }, { weight: 6, arbitrary: fc.constant('directory' as const) },
  { weight: 7, arbitrary: fc.constant('link' as const) }, { weight: 7, arbitrary: fc.constant('hard' as const) },
  { weight: 12, arbitrary: fc.constant('rename' as const) }, { weight: 14, arbitrary: fc.constant('change' as const) },
  { weight: 18, arbitrary: fc.constant('remove' as const) }, { weight: 1, arbitrary: fc.constant('fill' as const) },
);

const sizes = fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 0, max: 200 }) }, { weight: 6, arbitrary: fc.integer({ min: 0, max: 20_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 700_000 }) }, { weight: 2, arbitrary: fc.constantFrom(1024, 2048, 4096, 59, 60, 12 * 1024, 13 * 1024) });

const xattrs = fc.dictionary(fc.constantFrom('user.a', 'user.b', 'security.selinux', 'security.capability', 'trusted.overlay.opaque', 'user.a-longer-name'),
  fc.option(fc.uint8Array({ maxLength: 60 }).chain((data) => fc.constantFrom(data, Buffer.concat([data, Buffer.alloc(220, 7)]))), { freq: 4 }), { minKeys: 1, maxKeys: 3, noNullPrototype: true })
  .map((record): ReadonlyMap<string, Uint8Array | null> => new Map(Object.entries(record)));

const attributes: fc.Arbitrary<Attributes> = fc.record({
  mode: fc.integer({ min: 0, max: 0o7777 }), uid: fc.constantFrom(0, 1000, 65_535, 65_536, 4_294_967_290), gid: fc.constantFrom(0, 7, 70_000),
  mtime: fc.record({ seconds: fc.constantFrom(0, 1, 1_600_000_000, 2_147_483_647), nanoseconds: fc.constantFrom(0, 1, 999_999_999) }), xattrs,
}, { requiredKeys: [] });

export const operation: fc.Arbitrary<Operation> = fc.record({
  kind: kinds, pick: fc.nat(), place: fc.nat(), name: fc.nat({ max: 300 }), size: sizes, byte: fc.integer({ min: 0, max: 255 }),
  attributes: fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: attributes }),
});

function content(size: number, byte: number): Uint8Array {
  const data = Buffer.alloc(size, byte);
  for (let at = 0; at + 4 <= size; at += 512) data.writeUInt32LE((at * 2_654_435_761 + byte) >>> 0, at);
  return data;
}

function nameOf(index: number): string {
  return index % 10 === 0 ? `${index}-${'ü'.repeat(index % 110)}` : `name${index}`;
}

/** One call, for the filesystem and for the model alike. */
export interface Call {
  readonly text: string;
  on(fs: FileSystem): void;
  model(model: Model): Verdict;
}

function among(model: Model, pick: number, fits: (node: Node) => boolean): string | undefined {
  const found = model.all().filter(([, node]) => fits(node));
  return found.length === 0 ? undefined : found[pick % found.length]![0];
}

/** What the operation is, given what is there; several calls for `fill`, none when it finds nothing to work on. */
export function calls(model: Model, { kind, pick, place, name, size, byte, attributes: wanted }: Operation): Call[] {
  const directory = place % 3 === 0 ? '' : among(model, place, (node) => node.type === 'directory') ?? '';
  const path = `${directory}/${nameOf(name)}`;
  const file = among(model, pick, (node) => node.type === 'file');
  const any = among(model, pick, () => true);
  const call = (text: string, on: (fs: FileSystem) => void, expected: (model: Model) => Verdict): Call[] => [{ text: `${kind} ${text}`, on, model: expected }];
  const data = content(size, byte);
  switch (kind) {
    case 'write': {
      const goal = pick % 3 === 0 && file !== undefined ? file : path;
      return call(`${goal} ${size}`, (fs) => fs.write(goal, data, wanted), (m) => m.write(goal, data, wanted));
    }
    case 'append': return file === undefined ? [] : call(`${file} ${size}`, (fs) => fs.append(file, data), (m) => m.append(file, data));
    case 'truncate': return file === undefined ? [] : call(`${file} ${size}`, (fs) => fs.truncate(file, size), (m) => m.truncate(file, size));
    case 'directory': return call(path, (fs) => fs.makeDirectory(path, wanted), (m) => m.makeDirectory(path, wanted));
    case 'link': {
      const target = `/${'t'.repeat(size % 900)}`;
      return call(`${path} ${target.length}`, (fs) => fs.makeLink(path, target, wanted), (m) => m.makeLink(path, target, wanted));
    }
    case 'hard': return any === undefined ? [] : call(`${path} = ${any}`, (fs) => fs.makeHardLink(path, any), (m) => m.makeHardLink(path, any));
    case 'rename': return any === undefined ? [] : call(`${any} -> ${path}`, (fs) => fs.rename(any, path), (m) => m.rename(any, path));
    case 'change': return any === undefined ? [] : call(any, (fs) => fs.change(any, wanted), (m) => m.change(any, wanted));
    case 'remove': return any === undefined ? [] : call(any, (fs) => fs.remove(any), (m) => m.remove(any));
    case 'fill': return Array.from({ length: 45 }, (_, index) => `${directory}/fill-${name}-${index}`)
      .flatMap((each) => call(each, (fs) => fs.write(each, new Uint8Array(0)), (m) => m.write(each, new Uint8Array(0), {})));
  }
}

/** Does the call on both. 'no-space' leaves both as they were; any other difference between them throws. */
export function perform(fs: FileSystem, model: Model, { on, model: expected }: Call): 'done' | 'refused' | 'no-space' {
  let code: string | undefined;
  try {
    on(fs);
  } catch (error) {
    if (!(error instanceof RockberryError) || (error.code !== 'path' && error.code !== 'no-space')) throw error;
    code = error.code;
  }
  if (code === 'no-space') return 'no-space';
  const verdict = expected(model);
  if (verdict !== code) throw new Error(`expected ${verdict ?? 'success'}, found ${code ?? 'success'}`);
  return verdict === undefined ? 'done' : 'refused';
}
