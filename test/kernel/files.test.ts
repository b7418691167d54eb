/** A mounted filesystem answers as our own driver does, over random operations; what getfattr and debugfs say decides about names and attributes. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { afterAll, expect } from 'vitest';
import { ROOT, scratch } from '../support/cli.js';
import { output } from '../support/oracle.js';
import { smallImage } from '../support/small.js';
import { mounting } from './support.js';

const seed = Number(process.env.ROCKBERRY_SEED ?? Math.floor(Math.random() * 2 ** 31));

interface Result {
  readonly answers: readonly { readonly step: number; readonly name: string; readonly kernel: unknown; readonly own: unknown }[];
  readonly kernel: Record<string, unknown>;
  readonly own: Record<string, unknown>;
  readonly findings: unknown[];
}

const program = join(ROOT, `.cache/differential-${process.pid}.mjs`); // below the project, where it finds the packages that stay outside
afterAll(() => rmSync(program, { force: true }));

async function bundled(): Promise<string> {
  const sources = await rolldown({ input: join(import.meta.dirname, 'differential.mjs'), platform: 'node', logLevel: 'silent', external: ['js-fatfs', 'node-liblzma'] });
  await sources.write({ file: program, format: 'esm', codeSplitting: false });
  await sources.close();
  return program;
}

mounting('debugfs')(`600 random operations have the same answers and leave the same files (seed ${seed})`, async () => {
  const folder = scratch();
  const image = smallImage(folder);
  const text = output('unshare', ['--mount', '--propagation', 'private', process.execPath, await bundled(), image, folder, String(seed), '600']);
  const { answers, kernel, own, findings } = JSON.parse(text.toString()) as Result;
  expect(answers).toEqual([]);
  expect(kernel).toEqual(own);
  expect(Object.keys(kernel).length).toBeGreaterThan(5);
  expect(findings).toEqual([]);
  expect(output('losetup', ['--list', '--noheadings']).toString()).not.toContain(join(folder, ''));
});
