/** The .mjs files here as programs that Node can run: a child cannot run TypeScript. */
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { folder } from './roots.js';

const made = new Map<string, Promise<string>>();

/** The path of what was made of the file beside this one. */
export function bundled(name = 'caller.mjs'): Promise<string> {
  const known = made.get(name) ?? bundle(name, join(folder(), name));
  made.set(name, known);
  return known;
}

async function bundle(name: string, file: string): Promise<string> {
  const sources = await rolldown({ input: join(import.meta.dirname, name), platform: 'node', logLevel: 'silent' });
  await sources.write({ file, format: 'esm', codeSplitting: false });
  await sources.close();
  return file;
}
