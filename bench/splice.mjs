/**
 * npm run bench:splice: issue 3's figures, each against a peer or a limit measured in the same run. Not a test: nothing fails here. At full size on two cores it takes about
 * half an hour, twice that with the base of one block; the bases are made the first time and kept in .cache/bench.
 *   1. build xz → xz, profile node, cold and warm cache, against what a person scripts without root (decode, mtools and debugfs, encode) and against cp
 *   2. bytes of the output against the pipeline's; xz blocks that differ from the base's
 *   3. inspect and cat against a full decode
 *   4. peak memory of every command of ours
 *   5. a base of one block: first build against decode | encode, second build as in 1
 * ROCKBERRY_BENCH_RUNS (5), ROCKBERRY_BENCH_PIPELINE_RUNS (1: it takes minutes), ROCKBERRY_BENCH_MIB (programs in the base), ROCKBERRY_BENCH_ONE=1 (adds 5),
 * ROCKBERRY_BENCH_DIR. The table is also written as splice.json.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readdirSync, readSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { bases, FULL_MIB } from './base.mjs';
import { compare } from './measure.mjs';

const RUNS = Number(process.env.ROCKBERRY_BENCH_RUNS ?? 5);
const PIPELINE_RUNS = Number(process.env.ROCKBERRY_BENCH_PIPELINE_RUNS ?? 1);
const PROGRAMS_MIB = Number(process.env.ROCKBERRY_BENCH_MIB ?? FULL_MIB);
const ONE = process.env.ROCKBERRY_BENCH_ONE === '1';
const ROOT = join(import.meta.dirname, '..');
const WORK = resolve(process.env.ROCKBERRY_BENCH_DIR ?? join(ROOT, '.cache/bench'));
const RUN = join(WORK, 'splice'); // outputs, caches and scripts of this run
const PROGRAM = join(ROOT, 'dist/main.js');
const [FAT, EXT4] = [8192 * 512, 1593344 * 512]; // bytes: the legacy family's boot and root partitions

process.env.PATH += ':/usr/sbin:/sbin'; // debugfs

const say = (text) => process.stderr.write(`${new Date().toTimeString().slice(0, 8)} ${text}\n`);
const read = (command, ...args) => {
  const ran = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (ran.status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${ran.status}: ${ran.error ?? ran.stderr}`);
  return ran.stdout;
};

/* ---- the two contenders ---- */

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2dVQXyqT0mC0h1xY4m1S1fD0b2M5o8c3VYpQh0xXyz bench';
const VARIABLES = { hostname: 'node1', user: 'rocky', ssh_keys: [KEY], address: '192.0.2.11/24', gateway: '192.0.2.1', dns: ['192.0.2.1'] };

const localhost = (address, number = 4) => `${address}localhost localhost.localdomain localhost${number} localhost${number}.localdomain${number}\n`;
const CONNECTION = `[connection]\nid=rockberry\nuuid=df66b36a-87bd-52c2-adee-24cad7da940f\ntype=ethernet\nautoconnect-priority=100\n\n[match]\ninterface-name=end0;eth0;\n
[ipv4]\nmethod=manual\naddress1=192.0.2.11/24,192.0.2.1\ndns=192.0.2.1;\n\n[ipv6]\nmethod=auto\n`;

/** What the profile writes into the root filesystem, as a person would: path, text, mode, owner, label; `old` files are removed first. */
const EDITS = [
  { path: '/etc/hostname', text: 'node1\n', mode: '0100644', owner: 0, label: 'system_u:object_r:hostname_etc_t:s0', old: true },
  { path: '/etc/hosts', text: `${localhost('127.0.0.1   ')}${localhost('::1         ', 6)}127.0.1.1 node1\n`, mode: '0100644', owner: 0, label: 'system_u:object_r:net_conf_t:s0', old: true },
  { path: '/etc/sudoers.d/90-rockberry-rocky', text: 'rocky ALL=(ALL) NOPASSWD: ALL\n', mode: '0100440', owner: 0, label: 'system_u:object_r:etc_t:s0' },
  { path: '/etc/NetworkManager/system-connections/rockberry.nmconnection', text: CONNECTION, mode: '0100600', owner: 0, label: 'system_u:object_r:NetworkManager_etc_rw_t:s0' },
  { path: '/home/rocky/.ssh', mode: '040700', owner: 1000, label: 'unconfined_u:object_r:ssh_home_t:s0' },
  { path: '/home/rocky/.ssh/authorized_keys', text: `${KEY}\n`, mode: '0100600', owner: 1000, label: 'unconfined_u:object_r:ssh_home_t:s0' },
];

/** debugfs's commands for EDITS; the texts are written beside them. */
function debugfsScript() {
  const lines = EDITS.flatMap(({ path, text, mode, owner, label, old }, at) => {
    const slash = path.lastIndexOf('/');
    const staged = join(RUN, `edit${at}`);
    if (text !== undefined) writeFileSync(staged, text);
    return [
      ...(old ? [`rm ${path}`] : []),
      ...(text === undefined ? [`mkdir ${path}`] : [`cd ${path.slice(0, slash)}`, `write ${staged} ${path.slice(slash + 1)}`]),
      `sif ${path} mode ${mode}`, `sif ${path} uid ${owner}`, `sif ${path} gid ${owner}`, `ea_set ${path} security.selinux "${label}\\000"`,
    ];
  });
  writeFileSync(join(RUN, 'debugfs.txt'), `${lines.join('\n')}\n`);
}

const out = (name) => join(RUN, name);
const OURS = out('ours.img.xz');
const THEIRS = out('theirs.img.xz');
const COPY = out('copy.img.xz');
const RAW = out('raw.img');
const VARS = out('vars.json');

/** Removes every output (and what is beside it), and lets the disk finish what the last command left it. */
function clean() {
  for (const name of readdirSync(RUN)) if (/^(ours|theirs|copy|raw)\./.test(name)) rmSync(join(RUN, name));
  read('sync');
}

const log = join(RUN, 'stderr.log');
mkdirSync(RUN, { recursive: true });
const stderr = openSync(log, 'w');
const options = (cache) => ({ stdio: ['ignore', 'ignore', stderr], env: { ...process.env, ...(cache && { XDG_CACHE_HOME: cache }) } });

/** Our program with the cache directory `cache`; emptied first when `cold`. */
function rockberry(cache, cold, ...args) {
  const before = () => {
    clean();
    if (cold) rmSync(cache, { recursive: true, force: true });
    mkdirSync(cache, { recursive: true });
  };
  return { command: process.execPath, args: [PROGRAM, ...args], before, options: options(cache) };
}

const build = (base, cache, cold) => rockberry(cache, cold, 'build', base, '-p', 'node', '--vars', VARS, '-o', OURS);
const shell = (script, ...args) => ({ command: 'sh', args: ['-ec', script, 'sh', ...args], before: clean, options: options() });

/** "sparse" is xz's own doing: it leaves holes when its output is a file. */
const pipeline = (base, ...encode) => shell(`
  base=$1 raw=$2 out=$3 work=$4 fat=$5 ext4=$6; shift 6
  export MTOOLS_SKIP_CHECK=1
  xz -dc -T0 "$base" > "$raw"
  mcopy -n -i "$raw@@$fat" ::/cmdline.txt "$work/cmdline.txt"
  sed -i 's/$/ cgroup_enable=cpuset cgroup_memory=1 cgroup_enable=memory/' "$work/cmdline.txt"
  mcopy -D o -i "$raw@@$fat" "$work/cmdline.txt" ::/cmdline.txt
  debugfs -w -f "$work/debugfs.txt" "$raw?offset=$ext4"
  xz -T0 -6 "$@" -c "$raw" > "$out"`, base, RAW, THEIRS, RUN, String(FAT), String(EXT4), ...encode);

/* ---- xz's own view of a file ---- */

/** The blocks of a file: plain offset -> where its compressed data is, in bytes. Block headers are left out: their padding is the encoder's choice. */
function blocks(path) {
  const lines = read('xz', '--robot', '--list', '-vv', path).split('\n').filter((line) => line.startsWith('block\t'));
  return new Map(lines.map((line) => line.split('\t')).map((fields) => {
    const [, , , , at, plainAt, , , , , , header, , packed] = fields.map(Number);
    return [plainAt, { at: at + header, packed }];
  }));
}

function digest(handle, { at, packed }) {
  const bytes = Buffer.alloc(packed);
  readSync(handle, bytes, 0, packed, at);
  return createHash('sha256').update(bytes).digest('hex');
}

/** How many of the blocks of `base` do not stand in `path` at the same place, byte for byte; one that was cut into smaller ones counts once. */
function differing(path, base) {
  const [mine, theirs] = [blocks(path), blocks(base)];
  const [a, b] = [openSync(path, 'r'), openSync(base, 'r')];
  const equal = (at, block) => mine.get(at)?.packed === block.packed && digest(a, mine.get(at)) === digest(b, block);
  const count = [...theirs].filter(([at, block]) => !equal(at, block)).length;
  closeSync(a);
  closeSync(b);
  return { count, of: theirs.size };
}

/* ---- the table ---- */

const rows = [];
const memory = [];

/** `kind`: 'times' (its seconds / ours), 'more' (seconds above its), 'under' (our seconds alone) or 'share' (ours / its); `goal` is in the same unit, or none. */
function row(what, ours, against, its, kind, goal) {
  const value = { times: its / ours, more: ours - its, under: ours, share: ours / its }[kind];
  rows.push({ what, ours, against, its, kind, value, goal, met: goal === undefined ? undefined : kind === 'times' ? value >= goal : value <= goal });
}

const number = (value) => (Number.isInteger(value) ? String(value) : value.toFixed(value >= 100 ? 1 : 2));
const show = { times: (value) => `${value.toFixed(1)}x less`, more: (value) => `${value < 0 ? '' : '+'}${value.toFixed(2)} s`, under: (value) => `${value.toFixed(2)} s`, share: (value) => `x ${value.toFixed(4)}`, count: String };

function line([what, ours, against, its, result, goal]) {
  return `${what.padEnd(36)}${ours.padStart(10)}  ${against.padEnd(18)}${its.padStart(10)}${result.padStart(13)}${goal.padStart(10)}`.trimEnd();
}

function goalText({ kind, goal, met }) {
  if (goal === undefined) return '';
  return `${kind === 'times' ? '>' : '<'}=${goal} ${met ? 'ok' : 'NO'}`;
}

function table() {
  const lines = rows.map((each) => line([each.what, number(each.ours), each.against, each.its === undefined ? '' : number(each.its), show[each.kind](each.value), goalText(each)]));
  const used = memory.map(({ what, megabytes }) => line([`memory: ${what}`, String(megabytes), '', '', `${megabytes} MB`, goalText({ kind: 'under', goal: 400, met: megabytes <= 400 })]));
  return [line(['what', 'ours', 'against', 'its', 'result', 'goal']), '-'.repeat(99), ...lines, ...used].join('\n');
}

function remember(what, { memory: bytes }) {
  memory.push({ what, megabytes: Math.round(bytes / 1e6) });
}

/* ---- the measurements ---- */

/** 1 and 2 for a base in blocks. `name` is the base's in the table; `faster` and `more` are the goals. Gives the pipeline's figures. */
async function splice(name, base, faster, more, encode, known) {
  const [cold, warm] = [join(RUN, 'cache-cold'), join(RUN, 'cache-warm')];
  say(`${name}: the pipeline, ${PIPELINE_RUNS} runs`);
  const [theirs] = await compare(PIPELINE_RUNS, [pipeline(base, ...encode)]);
  if (read('debugfs', '-R', 'cat /etc/hostname', `${RAW}?offset=${EXT4}`) !== 'node1\n') throw new Error(`the pipeline did not edit the image, see ${log}`);
  const theirBytes = statSync(THEIRS).size;
  say(`${name}: our build, ${RUNS} runs`);
  rmSync(warm, { recursive: true, force: true });
  await compare(1, [build(base, warm, true)]);
  const cp = { command: 'cp', args: ['--reflink=never', base, COPY], before: clean, options: options() };
  const synced = shell('cp --reflink=never "$1" "$2"; sync -d "$2"', base, COPY);
  const [copy, copySynced, first, again] = await compare(RUNS, [cp, synced, build(base, cold, true), build(base, warm, false)]);
  check(OURS);
  for (const [state, ours] of [['cold', first], ['warm', again]]) {
    const what = `${name} build, ${state}`;
    row(what, ours.seconds, 'pipeline', theirs.seconds, 'times', faster);
    row(what, ours.seconds, 'cp', copy.seconds, 'more', more);
    row(what, ours.seconds, 'cp; sync', copySynced.seconds, 'more');
    remember(what, ours);
  }
  row(`${name} bytes`, statSync(OURS).size, 'pipeline', theirBytes, 'share', 1.01);
  if (known) row(`${name} bytes`, statSync(OURS).size, 'pipeline, 24 MiB', known.bytes, 'share');
  changed(`${name} blocks changed`, base);
  return { seconds: theirs.seconds, bytes: theirBytes };
}

function changed(what, base) {
  const { count, of } = differing(OURS, base);
  rows.push({ what, ours: count, against: 'blocks in all', its: of, kind: 'count', value: count, goal: 5, met: count <= 5 });
}

/** A wrong image is not a fast one. */
function check(path) {
  read('xz', '-t', '-T0', path);
  const hostname = read(process.execPath, PROGRAM, 'cat', path, '/etc/hostname');
  if (hostname !== 'node1\n') throw new Error(`expected node1 in ${path}'s /etc/hostname, found ${JSON.stringify(hostname)}`);
}

/** 3. */
async function reading(name, base) {
  say(`${name}: inspect and cat, ${RUNS} runs`);
  const cache = join(RUN, 'cache-cold');
  const [inspect, cat, decode] = await compare(RUNS, [
    rockberry(cache, true, 'inspect', base), rockberry(cache, true, 'cat', base, '/etc/os-release'), shell('xz -dc -T0 "$1" > /dev/null', base),
  ]);
  for (const [verb, ours] of [['inspect', inspect], ['cat', cat]]) {
    const what = `${name} ${verb}`;
    row(what, ours.seconds, 'full decode', decode.seconds, 'times');
    row(what, ours.seconds, '', undefined, 'under', 1.5);
    remember(what, ours);
  }
}

/** 5. The second build is held against what was measured for a base in blocks of the size that the first one chose. `pipelines`: 24 MiB and 4 MiB. */
async function oneBlock(base, pipelines) {
  const cache = join(RUN, 'cache-one');
  say(`one block: first build and decode | encode, ${PIPELINE_RUNS} runs`);
  const [first, recode] = await compare(PIPELINE_RUNS, [build(base, cache, true), shell('xz -dc -T0 "$1" | xz -T0 -6 > "$2"', base, THEIRS)]);
  row('one block, first build', first.seconds, 'xz -dc | xz -T0 -6', recode.seconds, 'share', 1.15);
  remember('one block, first build', first);
  const prepared = largest(cache);
  const [name, theirs, faster, more] = blocks(prepared).size > blocks(made.base24).size ? ['4 MiB', pipelines[1], 100, 2] : ['24 MiB', pipelines[0], 50, 6];
  say(`one block: second build, ${RUNS} runs`);
  const [copy, again] = await compare(RUNS, [{ command: 'cp', args: ['--reflink=never', prepared, COPY], before: clean, options: options() }, build(base, cache, false)]);
  check(OURS);
  row('one block, second build', again.seconds, `pipeline, ${name}`, theirs.seconds, 'times', faster);
  row('one block, second build', again.seconds, 'cp', copy.seconds, 'more', more);
  remember('one block, second build', again);
  row('one block bytes', statSync(OURS).size, `pipeline, ${name}`, theirs.bytes, 'share', 1.01);
  changed('one block, blocks changed', prepared);
}

/** The base as the cache keeps it in blocks. */
function largest(directory) {
  const files = readdirSync(directory, { recursive: true }).map((name) => join(directory, name)).map((path) => ({ path, stat: statSync(path) }));
  const [found] = files.filter(({ stat }) => stat.isFile()).sort((a, b) => b.stat.size - a.stat.size);
  if (!found) throw new Error(`expected the base in blocks below ${directory}, found nothing`);
  return found.path;
}

const made = bases(WORK, { mib: PROGRAMS_MIB, one: ONE, say });
writeFileSync(VARS, JSON.stringify(VARIABLES));
debugfsScript();

const pipeline24 = await splice('24 MiB', made.base24, 50, 6, []);
const pipeline4 = await splice('4 MiB', made.base4, 100, 2, ['--block-size=4MiB'], pipeline24);
await reading('24 MiB', made.base24);
await reading('4 MiB', made.base4);
if (ONE) await oneBlock(made.base1, [pipeline24, pipeline4]);

const [xz] = read('xz', '--version').split('\n');
const machine = { cpus: cpus().length, model: cpus()[0].model, node: process.version, xz };
const base = { programsMib: PROGRAMS_MIB, full: PROGRAMS_MIB >= FULL_MIB, packed24: statSync(made.base24).size, packed4: statSync(made.base4).size };
process.stdout.write(`\n${machine.cpus} cores (${machine.model}), Node ${machine.node}, ${xz}
base: ${base.programsMib} MiB of programs, ${base.packed24} bytes in 24 MiB blocks, ${base.packed4} in 4 MiB blocks
seconds are medians of ${RUNS} runs, of the pipeline ${PIPELINE_RUNS}; memory is the greatest of them${base.full ? '' : `\nthe goals are those of a base of ${FULL_MIB} MiB`}\n\n${table()}\n`);
writeFileSync(join(WORK, 'splice.json'), `${JSON.stringify({ machine, base, runs: RUNS, pipelineRuns: PIPELINE_RUNS, rows, memory }, null, 2)}\n`);
closeSync(stderr);
rmSync(RUN, { recursive: true });
