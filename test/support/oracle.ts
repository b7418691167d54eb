/**
 * Programs that others wrote, the judges of our output. A missing one skips the test with a printed reason on a laptop, and fails it in CI.
 */
import { execaSync } from 'execa';
import { test } from 'vitest';

const SEARCH = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;
export const oracleEnvironment = { ...process.env, PATH: SEARCH, LC_ALL: 'C', TZ: 'UTC', MTOOLS_SKIP_CHECK: '1' };

export function hasProgram(name: string): boolean {
  return !execaSync('sh', ['-c', 'command -v "$1"', 'sh', name], { env: oracleEnvironment, reject: false }).failed;
}

const told = new Set<string>();

/** A `test` that needs other people's programs: `needs('e2fsck', 'debugfs')('name', fn)`. */
export function needs(...programs: string[]): typeof test {
  const missing = programs.filter((name) => !hasProgram(name));
  if (missing.length === 0 || process.env.CI) return test; // in CI a missing oracle fails in the test itself
  const reason = `skipped: ${missing.join(', ')} not installed\n`;
  if (!told.has(reason)) process.stderr.write(reason);
  told.add(reason);
  return test.skip as unknown as typeof test;
}

export interface Ran { readonly status: number; readonly output: string }

/** Runs an oracle; its exit status is for the caller to judge. Its text comes without the last newline. Throws when the program is missing. */
export function run(program: string, args: readonly string[], input?: string | Uint8Array): Ran {
  const result = execaSync(program, args, { env: oracleEnvironment, reject: false, all: true, input, maxBuffer: 1 << 28 });
  if (result.exitCode === undefined) throw new Error(`${program} did not run: ${result.message}`);
  return { status: result.exitCode, output: result.all ?? '' };
}

/** Runs an oracle that must succeed and returns what it printed on stdout, byte for byte. */
export function output(program: string, args: readonly string[], input?: string | Uint8Array): Buffer {
  const result = execaSync(program, args, { env: oracleEnvironment, input, encoding: 'buffer', stripFinalNewline: false, maxBuffer: 1 << 30 });
  return Buffer.from(result.stdout);
}

/** Options for mke2fs: without them every run has another UUID and another hash seed, so that names fall into other blocks of a hashed directory. */
export const SAME_EVERY_TIME = ['-U', '01234567-89ab-cdef-0123-456789abcdef', '-E', 'hash_seed=6ed4a4a8-0cd4-4b54-b1fc-6cc1a4b7c1d1'] as const;
