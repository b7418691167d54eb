/** Debian's arm64 kernel, its modules and a busybox, as .ci/boot-kit fetched them into .cache/boot/kit: other people's programs, so missing ones skip or fail as oracles do. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'vitest';
import { ROOT } from '../support/cli.js';
import { needs } from '../support/oracle.js';

const KIT = join(ROOT, '.cache/boot/kit');

export const vmlinuz = join(KIT, 'vmlinuz');
export const busybox = join(KIT, 'busybox');
export const kernelConfig = join(KIT, 'config');

/** `needs` for the boot proof: the programs, and the kit. */
export function needsKit(...programs: string[]): typeof test {
  const withPrograms = needs(...programs);
  if (existsSync(join(KIT, 'packages.txt'))) return withPrograms;
  if (process.env.CI) throw new Error('expected the kit for test/boot in .cache/boot/kit, found none; .ci/boot-kit makes it');
  process.stderr.write('skipped: no arm64 kernel in .cache/boot/kit; .ci/boot-kit fetches it\n');
  return test.skip as unknown as typeof test;
}

/** The release of the kit's kernel, as `uname -r` says it. */
export function kernelRelease(): string {
  return readdirSync(join(KIT, 'modules'))[0]!;
}

/** Where `kernel/…` and modules.builtin are. */
export function moduleFolder(): string {
  return join(KIT, 'modules', kernelRelease());
}

export interface KernelModule {
  /** With "_" for "-". */
  readonly name: string;
  readonly path: string;
  /** Names of all modules that must be loaded before it. */
  readonly needs: ReadonlySet<string>;
}

/**
 * The modules with everything that they need, each after what it needs. What a module needs stands in its own .modinfo section; what is built into the kernel
 * needs no loading. Debian's package has no modules.dep: its installation makes it.
 */
export function loadOrder(wanted: readonly string[]): KernelModule[] {
  const [files, builtin] = [moduleFiles(), builtinModules()];
  const order = new Map<string, KernelModule>();
  const add = (name: string): string[] => {
    if (builtin.has(name)) return [];
    const known = order.get(name);
    if (known) return [name, ...known.needs];
    const path = files.get(name);
    if (path === undefined) throw new Error(`expected a module ${name} for ${kernelRelease()}, found none`);
    const depends = /\0depends=([^\0]*)\0/.exec(readFileSync(path, 'latin1'))?.[1] ?? '';
    const needs = new Set(depends.split(',').filter((one) => one !== '').flatMap((one) => add(one.replaceAll('-', '_'))));
    order.set(name, { name, path, needs });
    return [name, ...needs];
  };
  wanted.forEach(add);
  return [...order.values()];
}

const moduleName = (path: string): string => basename(path, '.ko').replaceAll('-', '_');

function moduleFiles(): Map<string, string> {
  const folder = join(moduleFolder(), 'kernel');
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ko'));
  return new Map(paths.map((path) => [moduleName(path), join(folder, path)]));
}

function builtinModules(): Set<string> {
  const text = readFileSync(join(moduleFolder(), 'modules.builtin'), 'utf8');
  return new Set(text.split('\n').filter((line) => line !== '').map(moduleName));
}
