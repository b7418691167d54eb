/** Who may import whom: the table of ../shared/design.md as data. A violation is named by file and import. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, test } from 'vitest';

const SRC = join(import.meta.dirname, '../../src');

/** Rooms in the order of the house; a file belongs to the first room whose prefix it has. */
const ROOMS: readonly (readonly [room: string, prefix: string])[] = [
  ['words', 'errors.ts'], ['words', 'report.ts'], ['words', 'pace.ts'], ['words', 'bytes/'], ['device', 'device/'], ['codec', 'codec/'], ['partition', 'partition/'], ['words', 'shipped.ts'],
  ['interface', 'fs/filesystem.ts'], ['fs', 'fs/'], ['output', 'output/'], ['image', 'image/'], ['steps', 'steps/'], ['profile', 'profile.ts'], ['profile', 'profile/'],
  ['verify', 'verify/'], ['cache', 'cache/'], ['verbs', 'build.ts'], ['verbs', 'write.ts'], ['verbs', 'read-back.ts'], ['verbs', 'range-hashes.ts'], ['verbs', 'base.ts'], ['verbs', 'base-memory.ts'], ['verbs', 'beside.ts'], ['verbs', 'prepare.ts'], ['verbs', 'shrink.ts'], ['verbs', 'inspect.ts'], ['verbs', 'verify.ts'], ['verbs', 'boot/'], ['text', 'verify-text.ts'], ['verbs', 'browse.ts'], ['verbs', 'diff.ts'], ['verbs', 'diff/'], ['text', 'diff-text.ts'], ['fleet', 'fleet/'], ['text', 'fleet-text.ts'], ['verbs', 'manifest-files.ts'], ['text', 'report-text.ts'], ['terminal', 'terminal.ts'], ['main', 'main.ts'], ['main', 'command.ts'], ['main', 'fleet-commands.ts'], ['main', 'flash-commands.ts'], ['main', 'profile-flags.ts'], ['main', 'backend-flags.ts'], ['kernel', 'kernel/'], ['run', 'run/'], ['flash', 'flash/'], ['text', 'flash-text.ts'], ['text', 'devices-text.ts'], ['text', 'audit-text.ts'],
];

const MAY: Readonly<Record<string, readonly string[]>> = {
  words: [],
  device: ['words'],
  interface: ['words', 'device'],
  codec: ['words', 'device'],
  partition: ['words', 'device'],
  fs: ['words', 'device', 'interface'],
  output: ['words', 'device'],
  image: ['words', 'device', 'codec', 'partition', 'fs', 'interface', 'output'],
  steps: ['words', 'interface'],
  run: ['words', 'device'],
  kernel: ['words', 'device', 'interface', 'fs', 'codec', 'image', 'run'],
  profile: ['words', 'interface', 'steps'],
  verify: ['words', 'device', 'interface', 'partition', 'image', 'profile', 'steps'],
  cache: ['words', 'device', 'output', 'codec'],
  verbs: ['words', 'device', 'interface', 'partition', 'fs', 'image', 'profile', 'codec', 'verify', 'output', 'steps', 'cache'],
  fleet: ['words', 'device', 'interface', 'image', 'profile', 'codec', 'verify', 'output', 'steps', 'cache', 'verbs'],
  flash: ['words', 'device', 'interface', 'image', 'profile', 'codec', 'verify', 'output', 'steps', 'cache', 'verbs', 'fleet'],
  terminal: ['words'],
  text: ['words', 'terminal', 'verbs', 'fleet', 'flash'],
  main: ['words', 'terminal', 'text', 'verbs', 'fleet', 'flash', 'profile', 'cache', 'kernel', 'image'],
};

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? sources(path) : entry.name.endsWith('.ts') ? [path] : [];
  });
}

function roomOf(file: string): string {
  const name = relative(SRC, file);
  return ROOMS.find(([, prefix]) => name === prefix || (prefix.endsWith('/') && name.startsWith(prefix)))?.[0] ?? `(no room) ${name}`;
}

function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  const found = [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)];
  return found.map(([, target]) => join(dirname(file), target!.replace(/\.js$/, '.ts')));
}

const files = sources(SRC);

test('every file has a room', () => {
  expect(files.map(roomOf).filter((room) => room.startsWith('(no room)'))).toEqual([]);
});

test('rooms import only what the table allows', () => {
  const violations = files.flatMap((file) => importsOf(file).flatMap((target) => {
    const [from, to] = [roomOf(file), roomOf(target)];
    return from === to || MAY[from]?.includes(to) ? [] : [`${relative(SRC, file)} (${from}) imports ${relative(SRC, target)} (${to})`];
  }));
  expect(violations).toEqual([]);
});

test('no import cycles', () => {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, trail: readonly string[]): void => {
    if (trail.includes(file)) {
      cycles.push([...trail.slice(trail.indexOf(file)), file].map((name) => relative(SRC, name)).join(' → '));
      return;
    }
    if (done.has(file)) return;
    for (const target of importsOf(file)) visit(target, [...trail, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  expect(cycles).toEqual([]);
});

test('no barrels, default exports, any, console or exit in the core', () => {
  const forbidden = /^export (?:\*|default)|\bas any\b|: any\b|\bconsole\.|process\.exit\(/m;
  const code = (file: string): string => readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
  const violations = files.filter((file) => forbidden.test(code(file))).map((file) => relative(SRC, file));
  expect(violations).toEqual([]);
});
