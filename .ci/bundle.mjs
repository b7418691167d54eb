/**
 * src → dist: the program and the libraries it uses, in a few files. Loaded one by one, the hundreds of modules of both take a second of every start. node-liblzma
 * stays outside, for it is native and optional, and so does js-fatfs, which has its WebAssembly in a file beside it. Comments and white
 * space are left out, which take time at every start; --debug shows the lines in src all the same. Types are checked by `npm run typecheck`.
 */
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rolldown } from 'rolldown';

const root = join(import.meta.dirname, '..');
const dist = join(root, 'dist');

/** The folder of the package that a module is from; undefined for our own. */
function packageOf(module) {
  return /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(module.replaceAll('\\', '/'))?.[0];
}

/** Whoever gets a copy of a library gets its licence too. */
function licences(folders) {
  return folders.map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e(\.|$)/i.test(entry));
    return `${name} ${version}\n\n${file ? readFileSync(join(folder, file), 'utf8').trim() : license}\n`;
  }).join(`\n${'-'.repeat(80)}\n\n`);
}

const bundle = await rolldown({ input: join(root, 'src/main.ts'), cwd: root, platform: 'node', external: ['node-liblzma', 'js-fatfs'], logLevel: 'warn' });
const { output } = await bundle.write({
  dir: dist, format: 'esm', sourcemap: true, entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js',
  minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
});
const folders = new Set(output.flatMap((file) => file.moduleIds ?? []).map(packageOf).filter((folder) => folder !== undefined));
writeFileSync(join(dist, 'LICENSES.txt'), licences([...folders].sort()));
chmodSync(join(dist, 'main.js'), 0o755);
// After the new files are there: a program that is just running loads its parts when it needs them.
const written = new Set(['LICENSES.txt', ...output.map(({ fileName }) => fileName)]);
for (const name of readdirSync(dist)) if (!written.has(name)) rmSync(join(dist, name), { recursive: true });
