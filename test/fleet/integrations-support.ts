/** What the tests of integrations/ share: their files, oracles that come as npm packages, and a program that records how it was called. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'vitest';
import { parseAllDocuments, type Document } from 'yaml';
import { ROOT } from '../support/cli.js';
import { run } from '../support/oracle.js';

export const INTEGRATIONS = join(ROOT, 'integrations');
const require = createRequire(import.meta.url);

export type Yaml = null | boolean | number | string | Yaml[] | { [key: string]: Yaml };

export function text(name: string): string {
  return readFileSync(join(INTEGRATIONS, name), 'utf8');
}

/** All documents of a YAML file; anything that the parser finds odd throws. */
export function documents(name: string): Yaml[] {
  return (parseAllDocuments(text(name)) as Document[]).map((document) => {
    const found = [...document.errors, ...document.warnings];
    if (found.length > 0) throw new Error(`${name}: ${found[0]!.message}`);
    return document.toJS() as Yaml;
  });
}

/** The value at a path ("spec.template.spec"); undefined where there is none. */
export function at(value: Yaml | undefined, path: string): Yaml | undefined {
  return path.split('.').reduce<Yaml | undefined>((inner, key) => (typeof inner === 'object' && inner !== null ? (inner as Record<string, Yaml>)[key] : undefined), value);
}

/** A judge that comes as a development dependency; loaded, or where it stands. */
export function npmPackage(name: string): unknown {
  return require(name);
}

export function npmPath(name: string): string {
  return require.resolve(name);
}

function isInstalled(name: string): boolean {
  try {
    require.resolve(name);
    return true;
  } catch {
    return false;
  }
}

/** A `test` that needs npm packages: skipped with a printed reason where they are missing, except in CI, where the test itself then fails. */
export function needsNpm(...names: string[]): typeof test {
  const missing = names.filter((name) => !isInstalled(name));
  if (missing.length === 0 || process.env.CI) return test;
  process.stderr.write(`skipped: npm packages ${missing.join(', ')} not installed\n`);
  return test.skip as unknown as typeof test;
}

/** What shellcheck says of a script, as "LINE: CODE: message" lines; nothing when it is clean. */
export function shellcheck(shell: 'bash' | 'sh', script: string): string {
  return run('shellcheck', ['--shell', shell, '--severity=style', '--format=gcc', '--norc', '-'], script).output;
}

/** The script of a sample call, with `${{ name }}` replaced by what it stands for; a name that is not known throws. */
export function resolved(template: string, values: Readonly<Record<string, string>>): string {
  return template.replaceAll(/\$\{\{ ?([\w.-]+) ?\}\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`no value for ${name}`);
    return value;
  });
}

export interface Call { readonly argv: readonly string[]; readonly env: Readonly<Record<string, string>> }

/** Writes a JSON line for every call; makes what `fleet build` and `fleet merge` would leave in their folder. */
const RECORDER = `
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
const argv = process.argv.slice(2);
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => /^(ROCKBERRY_SHARD|CI_NODE_)/.test(name)));
appendFileSync(process.env.RECORD, JSON.stringify({ argv, env }) + '\\n');
const output = argv.find((word) => word.startsWith('--output=')).slice('--output='.length);
mkdirSync(output, { recursive: true });
writeFileSync(output + '/fleet.json', '{}');
const part = process.env.CI_NODE_INDEX ?? process.env.ROCKBERRY_SHARD_INDEX ?? '0';
if (argv[1] === 'build') for (const ending of ['.img.xz', '.img.xz.bmap', '.patch']) writeFileSync(output + '/node' + part + ending, part);
`;

/** A stand-in for rockberry below `folder`: dist/main.js, as the action starts it, and bin/rockberry, for a PATH. */
export function recorder(folder: string): { readonly record: string; readonly bin: string; calls(): Call[] } {
  const [dist, bin, record] = [join(folder, 'dist'), join(folder, 'bin'), join(folder, 'calls')];
  mkdirSync(dist, { recursive: true });
  mkdirSync(bin);
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  writeFileSync(join(dist, 'main.js'), RECORDER);
  writeFileSync(join(bin, 'rockberry'), `#!/bin/sh\nexec '${process.execPath}' '${join(dist, 'main.js')}' "$@"\n`);
  chmodSync(join(bin, 'rockberry'), 0o755);
  writeFileSync(record, '');
  return { record, bin, calls: () => readFileSync(record, 'utf8').trim().split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Call) };
}
