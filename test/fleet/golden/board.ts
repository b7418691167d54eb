/** Boards as files, each with the card of a golden image in it, and the runs of rockberry-node on them. */
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execaSync } from 'execa';
import { goldenSteps, type GoldenOptions } from '../../../src/fleet/golden.js';
import type { GoldenEntry } from '../../../src/fleet/golden/entry.js';
import type { Tree } from '../../../src/fs/filesystem.js';
import { SHELLS as ALL_SHELLS, type Shell } from '../../preflight/node.js';
import { memoryTree, type Seed } from '../../support/memory-tree.js';
import { run } from '../../support/oracle.js';

/** dash, bash, and busybox, which installs its links itself in one call. */
const [dash, bash, busybox] = ALL_SHELLS;
export const SHELLS: readonly [Shell, Shell, Shell] = [dash!, bash!, { ...busybox!, path: busyboxLinks }];
let links: string | undefined;

function busyboxLinks(): string {
  if (links !== undefined) return links;
  links = mkdtempSync(join(tmpdir(), 'rockberry-busybox-'));
  process.on('exit', () => rmSync(links!, { recursive: true, force: true }));
  run('busybox', ['--install', '-s', links]);
  return links;
}

export const SCRIPT = new URL('../../../profiles/files/rockberry-node', import.meta.url).pathname;
export const SERIAL = '10000000abcdef01';
export const MAC = 'dc:a6:32:01:02:03';
export const MADE_BY = { where: 'fleet.yaml', allowSecrets: [] } satisfies GoldenOptions;
/** Only root gives files away. */
const isRoot = process.getuid!() === 0;
export const OWNER = isRoot ? 70001 : process.getuid!();
export const GROUP = isRoot ? 65537 : process.getgid!();

const bytes = (text: string): Uint8Array => Buffer.from(text);
const own = { owner: process.getuid!(), group: process.getgid!() };

/** A node that has nothing of its own: the quickest to be put in place. */
export function bare(name: string, match: GoldenEntry['match']): GoldenEntry {
  return { name, match, secrets: [], where: `fleet.yaml:${name}`, files: [], remove: [] };
}

/** A node with every kind of line. */
export function entry(name: string, match: GoldenEntry['match'], more: Partial<GoldenEntry> = {}): GoldenEntry {
  return {
    ...bare(name, match),
    files: [
      { path: '/etc/hostname', content: bytes(`${name}\n`), mode: 0o644, ...own },
      { path: '/etc/NetworkManager/system-connections/wired.nmconnection', content: bytes(`[connection]\nid=${name}\n`), mode: 0o600, ...own },
      { path: '/srv/new/deep/odd', content: bytes(`${name} alone`), mode: 0o4751, owner: OWNER, group: GROUP },
    ],
    links: [{ path: '/etc/localtime', target: `../usr/share/zoneinfo/Etc/${name}`, ...own }],
    directories: [{ path: '/etc/rancher', mode: 0o750, owner: OWNER, group: GROUP }],
    remove: ['/etc/old.conf', '/etc/old.d/a', '/etc/old.d'],
    ...more,
  };
}

export const BASE: Readonly<Record<string, string | Seed>> = {
  '/usr/lib/systemd/system/sysinit.target': '[Unit]\n', '/etc/hostname': 'localhost\n', '/etc/localtime': { target: '../usr/share/zoneinfo/UTC' }, '/etc/old.conf': 'old', '/etc/old.d/a': 'old',
  '/etc/NetworkManager/system-connections': { directory: true }, '/var/lib': { directory: true },
};

export async function goldenTree(entries: readonly GoldenEntry[], options: Partial<GoldenOptions> = {}, base = BASE): Promise<Tree> {
  const tree = memoryTree(base);
  for (const step of goldenSteps(entries, { ...MADE_BY, ...options }).steps) await step.apply(tree);
  return tree;
}

/** The tree as files of this machine, which belong to whoever runs the test. */
export function onCard(tree: Tree, root: string, directory = '/'): void {
  for (const { name, type } of tree.list(directory)) {
    const path = join(directory, name);
    if (type === 'directory') mkdirSync(join(root, path), { recursive: true });
    if (type === 'file') writeFileSync(join(root, path), tree.read(path));
    if (type === 'symlink') symlinkSync(tree.readLink(path), join(root, path));
    else chmodSync(join(root, path), tree.stat(path)!.mode);
    if (type === 'directory') onCard(tree, root, path);
  }
}

export interface Interface { readonly mac: string; readonly isVirtual?: boolean; readonly type?: string; readonly assigned?: string }

/** What the kernel tells of a board; `serial` as the firmware puts it into the device tree. */
export interface Board { readonly serial?: string; readonly base?: string; readonly cpuinfo?: string; readonly interfaces?: Readonly<Record<string, Interface>> }

export const PI4: Board = { serial: `${SERIAL}\0`, interfaces: { lo: { mac: '00:00:00:00:00:00', isVirtual: true, type: '772' }, eth0: { mac: MAC }, wlan0: { mac: 'dc:a6:32:01:02:04' } } };

export function plug(root: string, { serial, base, cpuinfo, interfaces = {} }: Board): void {
  const files: Record<string, string | undefined> = { '/proc/device-tree/serial-number': serial, '/sys/firmware/devicetree/base/serial-number': base, '/proc/cpuinfo': cpuinfo, '/proc/sys/kernel/hostname': 'localhost\n' };
  for (const [name, { mac, isVirtual, type = '1', assigned = '0' }] of Object.entries(interfaces)) {
    const folder = `/sys/class/net/${name}`;
    Object.assign(files, { [`${folder}/address`]: `${mac}\n`, [`${folder}/type`]: `${type}\n`, [`${folder}/addr_assign_type`]: `${assigned}\n` });
    if (!isVirtual) files[`${folder}/device/uevent`] = '';
  }
  for (const [path, text] of Object.entries(files)) {
    if (text === undefined) continue;
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}

/** Hands over a folder that is removed afterwards. */
export function inFolder<T>(work: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'rockberry-node-'));
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Path → type, mode, owner and content of everything on the card; what is the kernel's is left out. */
export function stateOf(root: string, directory = ''): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of readdirSync(join(root, directory)).sort()) {
    const path = `${directory}/${name}`;
    if (/^\/(proc|sys)$/.test(path)) continue;
    const stat = lstatSync(join(root, path));
    const kind = stat.isDirectory() ? 'directory' : stat.isSymbolicLink() ? `link ${readlinkSync(join(root, path))}` : `file ${readFileSync(join(root, path), 'latin1')}`;
    found.set(path, `${stat.isSymbolicLink() ? '' : (stat.mode & 0o7777).toString(8)} ${stat.uid}:${stat.gid} ${kind}`);
    if (stat.isDirectory()) stateOf(root, path).forEach((value, key) => found.set(key, value));
  }
  return found;
}

/** Programs in front of PATH: `sync` and `sleep` that take no time, `restorecon`, and whatever else is given, as text for /bin/sh. */
export function programs(folder: string, more: Readonly<Record<string, string>> = {}): string {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  for (const name of ['sync', 'sleep', 'restorecon']) if (!(name in more)) symlinkSync('/bin/true', join(folder, name));
  for (const [name, body] of Object.entries(more)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${body}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  return folder;
}

export interface Ran { readonly status: number | undefined; readonly said: string }

const shells = new Map<string, string>();
const whereIs = (program: string): string => shells.get(program) ?? shells.set(program, run('sh', ['-c', 'command -v "$1"', 'sh', program]).output).get(program)!;

/** `status` is undefined when the shell was killed. */
export function runNode(root: string, path: string, shell: Shell = SHELLS[0]): Ran {
  const [program, ...rest] = shell.command;
  const { exitCode, all } = execaSync(whereIs(program), [...rest, SCRIPT], {
    env: { PATH: `${path}:${shell.path()}`, ROCKBERRY_ROOT: root }, extendEnv: false, reject: false, all: true, stripFinalNewline: false, timeout: 60_000,
  });
  return { status: exitCode, said: all };
}

