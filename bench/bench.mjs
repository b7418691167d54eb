/**
 * npm run bench: what rockberry costs, as ratios against a peer and against the limit, measured in the same run. Medians of 5. Not a test: nothing fails here.
 *   1. --version against `node -e 0` (the limit: Node's own start)
 *   2. raw → raw against `cp --sparse=always` (peer) and `sha256sum` (limit: the result is hashed), the 3.6 GiB sample as a dense and as a sparse file
 *   3. peak memory of every command
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { compare, once } from './measure.mjs';

const RUNS = Number(process.env.ROCKBERRY_BENCH_RUNS ?? 5);
const ROOT = join(import.meta.dirname, '..');
const WORK = process.env.ROCKBERRY_BENCH_DIR ?? join(ROOT, '.cache/bench');
const PROGRAM = join(ROOT, 'dist/main.js');
const SAMPLE = join(ROOT, 'images/rocky9-pi-sample.img.xz');
const MIB = 2 ** 20;

mkdirSync(WORK, { recursive: true });
const dense = join(WORK, 'dense.img');
const sparse = join(WORK, 'sparse.img');
const out = join(WORK, 'out.img');
const outXz = join(WORK, 'out.img.xz');
const clean = () => [out, outXz].flatMap((path) => ['', '.bmap', '.sha256', '.json'].map((ending) => path + ending)).forEach((path) => rmSync(path, { force: true }));
const rockberry = (...args) => ({ command: process.execPath, args: [PROGRAM, ...args], before: clean });

if (!existsSync(dense)) await once('sh', ['-c', 'xz -dc --no-sparse "$1" > "$2"', 'sh', SAMPLE, dense]);
if (!existsSync(sparse)) await once('cp', ['--sparse=always', dense, sparse]);

const rows = [];
const row = (what, ours, against, other) => rows.push({
  what, seconds: ours.seconds.toFixed(3), against, 'its seconds': other.seconds.toFixed(3), ratio: (ours.seconds / other.seconds).toFixed(2), 'peak MiB': Math.round(ours.memory / MIB),
});

const [version, node] = await compare(RUNS * 2 + 1, [rockberry('--version'), { command: process.execPath, args: ['-e', '0'] }]);
row('--version', version, 'node -e 0', node);

for (const [name, image] of [['dense', dense], ['sparse', sparse]]) {
  const [build, copy, hash] = await compare(RUNS, [
    rockberry('build', image, '-p', 'cgroups', '-o', out, '--image-only'),
    { command: 'cp', args: ['--sparse=always', image, out], before: clean },
    { command: 'sha256sum', args: [image] },
  ]);
  row(`raw → raw, ${name}`, build, 'cp --sparse=always', copy);
  row(`raw → raw, ${name}`, build, 'sha256sum', hash);
}

const [toXz, inspect, cat] = await compare(Math.min(RUNS, 3), [
  rockberry('build', SAMPLE, '-p', 'cgroups', '-o', outXz), rockberry('inspect', SAMPLE), rockberry('cat', SAMPLE, '/etc/os-release'),
]);
for (const [what, result] of [['sample .img.xz → .img.xz', toXz], ['inspect sample.img.xz', inspect], ['cat sample.img.xz', cat]]) row(what, result, 'node -e 0', node);

console.table(rows);
clean();
console.log('What a build of a full-sized .img.xz costs against cp and against decode, edit, encode: npm run bench:splice (half an hour and more).');
