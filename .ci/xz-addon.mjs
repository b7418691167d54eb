/**
 * After `npm ci`: npm 10 builds node-liblzma from source although it brings its binary along, and drops the package where there is no compiler. Then it is put in
 * without its install script. Where that fails too, rockberry uses the xz program.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

try {
  await import('node-liblzma');
} catch {
  const lock = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8'));
  const { version } = lock.packages['node_modules/node-liblzma'];
  const args = ['install', '--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund', `node-liblzma@${version}`];
  const npm = process.env.npm_execpath;
  const { status } = npm ? spawnSync(process.execPath, [npm, ...args], { stdio: 'ignore' }) : { status: 1 };
  if (status !== 0) process.stderr.write('node-liblzma could not be installed; rockberry will use the xz program\n');
}
