/**
 * The sample images, built once by images/make-samples.mjs into .cache/samples and shared by all test workers. They are read-only: copy before writing
 * (`cp --sparse=always`, or an overlay).
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const images = join(root, 'images');

export type SampleName = 'rocky9-pi-sample' | 'rocky9-sbc-sample' | 'rocky10-sbc' | 'rpios-like' | 'ubuntu-like' | 'almalinux-like' | 'efi-grub-like';
export const sampleNames: readonly SampleName[] = ['rocky9-pi-sample', 'rocky9-sbc-sample', 'rocky10-sbc', 'rpios-like', 'ubuntu-like', 'almalinux-like', 'efi-grub-like'];

/** What make-samples.mjs needs: `needs(...samplePrograms)('name', () => { … sample('rpios-like') … })`. */
export const samplePrograms = ['mke2fs', 'debugfs', 'e2fsck', 'tune2fs', 'mkfs.vfat', 'mcopy', 'mmd', 'mkswap', 'sfdisk', 'matchpathcon'] as const;

/** A committed sample, which is there without any program: images/NAME.img.xz. */
export function packedSample(name: 'rocky9-pi-sample' | 'rocky9-sbc-sample'): string {
  return join(images, `${name}.img.xz`);
}

/** Changes when anything that decides the bytes of a sample does. */
function recipe(): string {
  const hash = createHash('sha256');
  for (const folder of ['.', 'parts', 'policy']) {
    for (const name of readdirSync(join(images, folder)).sort()) {
      if (/\.(mjs|conf)$|^file_contexts/.test(name)) hash.update(`${folder}/${name}\0`).update(readFileSync(join(images, folder, name)));
    }
  }
  return hash.digest('hex').slice(0, 12);
}

function age(path: string): number {
  try {
    return Date.now() - statSync(path).mtimeMs;
  } catch {
    return 0; // gone meanwhile
  }
}

function take(lock: string): boolean {
  try {
    mkdirSync(lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if (age(lock) > 180_000) rmSync(lock, { recursive: true, force: true }); // its owner died
    return false;
  }
}

/** The path of the raw image. The first caller builds it (some seconds), the others wait; the script renames it into place when it is whole. */
export function sample(name: SampleName): string {
  const folder = join(root, '.cache', 'samples', recipe());
  const file = join(folder, `${name}.img`);
  const lock = `${file}.lock`;
  mkdirSync(folder, { recursive: true });
  while (!existsSync(file)) {
    if (!take(lock)) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
      continue;
    }
    try {
      if (existsSync(file)) break;
      execFileSync(process.execPath, [join(images, 'make-samples.mjs'), 'make', name, file], { stdio: ['ignore', 'ignore', 'pipe'] });
      chmodSync(file, 0o444);
      utimesSync(file, 1684238400, 1684238400);
    } finally {
      rmSync(lock, { recursive: true, force: true });
    }
  }
  return file;
}
