/** Runs the program as a user does: `node dist/main.js …` in a folder of its own; as root also as an unprivileged user. */
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll } from 'vitest';

export const ROOT = join(import.meta.dirname, '../..');
export const PROGRAM = join(ROOT, 'dist/main.js');
const NOBODY = 65534;
const CACHE = join(tmpdir(), `rockberry-test-cache-${process.pid}`); // never the user's own

export interface Outcome { readonly status: number; readonly stdout: string; readonly stderr: string }
export interface CliOptions { readonly cwd?: string; readonly env?: Record<string, string>; readonly nobody?: boolean; readonly node?: readonly string[] }

export async function rockberry(args: readonly string[], options: CliOptions = {}): Promise<Outcome> {
  const identity = options.nobody && process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  const result = await execa(process.execPath, [...(options.node ?? []), PROGRAM, ...args], {
    reject: false, cwd: options.cwd ?? ROOT, env: { XDG_CACHE_HOME: CACHE, ...options.env }, maxBuffer: 1 << 28, stripFinalNewline: false, ...identity,
  });
  return { status: result.exitCode ?? -1, stdout: result.stdout ?? '', stderr: result.stderr ?? '' };
}

/** Runs it with --json; the document, which must be all there is on stdout. */
export async function rockberryJson<T>(args: readonly string[], options: CliOptions = {}): Promise<T> {
  const { status, stdout, stderr } = await rockberry([...args, '--json'], options);
  if (status !== 0) throw new Error(`rockberry ${args.join(' ')} ended with ${status}: ${stderr}`);
  return JSON.parse(stdout) as T;
}

const folders: string[] = [];

/** A folder that anybody may write to, removed after the file's tests. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'rockberry-test-'));
  chmodSync(folder, 0o777);
  folders.push(folder);
  return folder;
}

/** Everything in a folder, hidden files too: what a failed run left behind. */
export function left(folder: string): string[] {
  return readdirSync(folder).sort();
}

afterAll(() => [CACHE, ...folders].forEach((folder) => rmSync(folder, { recursive: true, force: true })));
