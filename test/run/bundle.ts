/** caller.mjs as a program that Node can run: a child cannot run TypeScript. */
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { folder } from './roots.js';

let made: Promise<string> | undefined;

/** Its path. */
export function bundled(): Promise<string> {
  made ??= bundle(join(folder(), 'caller.mjs'));
  return made;
}

async function bundle(file: string): Promise<string> {
  const sources = await rolldown({ input: join(import.meta.dirname, 'caller.mjs'), platform: 'node', logLevel: 'silent' });
  await sources.write({ file, format: 'esm', codeSplitting: false });
  await sources.close();
  return file;
}
