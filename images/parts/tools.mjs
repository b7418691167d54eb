/** Runs other people's programs with a fixed clock, and turns a tree as data into filesystems through them. */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readSync, rmSync, truncateSync, utimesSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** 2023-05-16T12:00:00Z: every time stamp of every sample. */
export const MOMENT = 1684238400;

const here = dirname(fileURLToPath(import.meta.url));
const environment = {
  ...process.env,
  PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`,
  LC_ALL: 'C',
  TZ: 'UTC',
  SOURCE_DATE_EPOCH: String(MOMENT), // mtools, mkfs.vfat
  E2FSPROGS_FAKE_TIME: String(MOMENT), // libext2fs
  E2FSCK_TIME: String(MOMENT), // e2fsck's own notion of now
  MKE2FS_CONFIG: join(here, '..', 'mke2fs.conf'),
  MTOOLS_SKIP_CHECK: '1',
};

export function tool(program, args, { input, accept = [0] } = {}) {
  const ran = spawnSync(program, args, { env: environment, input, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (ran.error) throw new Error(`${program} could not be run (${ran.error.code}); install e2fsprogs, dosfstools, mtools, util-linux (fdisk) and selinux-utils`);
  if (!accept.includes(ran.status)) throw new Error(`${program} ${args.join(' ')} ended with ${ran.status}:\n${ran.stdout}${ran.stderr}`);
  return ran.stdout;
}

/** What setfiles would write on each node, asked of libselinux: path -> context, without those that the policy leaves alone. */
function contexts(nodes, fileContexts) {
  const kinds = { file: 'file', directory: 'dir', symlink: 'symlink' };
  const found = new Map();
  for (const [type, name] of Object.entries(kinds)) {
    const paths = nodes.filter((node) => node.type === type).map((node) => node.path);
    for (let at = 0; at < paths.length; at += 500) {
      const lines = tool('matchpathcon', ['-f', fileContexts, '-m', name, ...paths.slice(at, at + 500)]).trimEnd().split('\n');
      for (const line of lines) {
        const [path, context] = line.split('\t');
        if (context && context !== '<<none>>') found.set(path, context);
      }
    }
  }
  return found;
}

const TYPE_BITS = { file: 0o100000, directory: 0o040000, symlink: 0o120000 };

/** The debugfs commands that create the nodes. mke2fs -d is not used: it follows the host's directory order and owners, and this must run without root. */
function commands(nodes, labels, scratch) {
  const lines = [];
  const staged = join(scratch, 'content');
  mkdirSync(staged);
  for (const [number, node] of nodes.entries()) {
    const slash = node.path.lastIndexOf('/');
    const directory = node.path.slice(0, slash) || '/';
    const created = slash === 0 ? `/${node.path}` : node.path; // "/x" is x in debugfs's current directory: what is before the last slash is empty
    if (node.type === 'file') {
      writeFileSync(join(staged, String(number)), node.text ?? '');
      lines.push(`cd "${directory}"`, `write ${join(staged, String(number))} "${node.path.slice(slash + 1)}"`);
    } else if (node.type === 'symlink') lines.push(`symlink "${created}" "${node.target}"`);
    else if (node.path !== '/' && node.path !== '/lost+found') lines.push(`mkdir "${created}"`);
    lines.push(`sif "${node.path}" mode 0${(TYPE_BITS[node.type] | node.mode).toString(8)}`);
    if (node.uid) lines.push(`sif "${node.path}" uid ${node.uid}`);
    if (node.gid) lines.push(`sif "${node.path}" gid ${node.gid}`);
    const label = labels?.get(node.path);
    if (label) lines.push(`ea_set "${node.path}" security.selinux "${label}\\000"`);
  }
  return `${lines.join('\n')}\n`;
}

/**
 * An ext4 inside `disk` at byte `offset`. `fileContexts` (a host path) labels every node; left out: no labels.
 * Directories of several blocks get their hash tree from e2fsck -D.
 */
export function makeExt4({ disk, offset, blocks, label, uuid, mkfs = [], nodes, fileContexts, scratch }) {
  tool('mke2fs', ['-q', '-F', '-t', 'ext4', '-b', '4096', '-m', '1', '-L', label, '-U', uuid,
    '-E', `offset=${offset},hash_seed=1f2e3d4c-5b6a-4978-8695-a4b3c2d1e0f0,nodiscard,root_owner=0:0`, ...mkfs, disk, String(blocks)]);
  const device = `${disk}?offset=${offset}`;
  const all = [{ path: '/lost+found', type: 'directory', mode: 0o700, uid: 0, gid: 0 }, ...nodes].sort((a, b) => (a.path < b.path ? -1 : 1));
  const labels = fileContexts === undefined ? undefined : contexts(all, fileContexts);
  const script = join(scratch, 'debugfs.txt');
  writeFileSync(script, commands(all, labels, scratch));
  const said = spawnSync('debugfs', ['-w', '-f', script, device], { env: environment, encoding: 'utf8', maxBuffer: 1 << 28 });
  const complaints = said.stderr.split('\n').filter((line) => line !== '' && !line.startsWith('debugfs 1.'));
  if (said.status !== 0 || complaints.length > 0) throw new Error(`debugfs: ${complaints.slice(0, 5).join('\n')}`);
  tool('e2fsck', ['-f', '-D', '-y', device], { accept: [0, 1] });
  tool('tune2fs', ['-c0', '-i0', '-Odir_index', '-ouser_xattr,acl', device]);
  tool('debugfs', ['-w', '-R', `set_super_value lastcheck @${MOMENT}`, device]);
  rmSync(join(scratch, 'content'), { recursive: true });
}

/** A FAT inside `disk` at sector `start`. Files: path without leading slash -> text; parents first. */
export function makeFat({ disk, start, sectors, width, label, volumeId, files, scratch }) {
  const kibibytes = Math.floor(sectors / 2);
  tool('mkfs.vfat', ['--invariant', '-i', volumeId, '-F', String(width), ...(label ? ['-n', label] : []), `--offset=${start}`, disk, String(kibibytes)]);
  const image = `${disk}@@${start * 512}`;
  const staged = join(scratch, 'fat');
  mkdirSync(staged);
  const made = new Set();
  for (const [path, text] of Object.entries(files)) {
    const parts = path.split('/');
    for (let depth = 1; depth < parts.length; depth++) {
      const directory = parts.slice(0, depth).join('/');
      if (!made.has(directory)) tool('mmd', ['-i', image, `::/${directory}`]);
      made.add(directory);
    }
    const source = join(staged, 'file');
    writeFileSync(source, text);
    utimesSync(source, MOMENT, MOMENT);
    tool('mcopy', ['-m', '-i', image, source, `::/${path}`]);
  }
  rmSync(staged, { recursive: true });
}

/** A swap area is one page of header and nothing else, so it is made beside the disk and its page copied in. */
export function makeSwap({ disk, start, sectors, label, uuid, scratch }) {
  const area = join(scratch, 'swap');
  writeFileSync(area, '', { mode: 0o600 });
  truncateSync(area, sectors * 512);
  tool('mkswap', ['-q', '-L', label, '-p', '4096', '-U', uuid, area]);
  const page = Buffer.alloc(4096);
  const from = openSync(area, 'r');
  const to = openSync(disk, 'r+');
  readSync(from, page, 0, page.length, 0);
  writeSync(to, page, 0, page.length, start * 512);
  closeSync(from);
  closeSync(to);
  rmSync(area);
}

export function makeTable(disk, script) {
  tool('sfdisk', ['-q', '--no-reread', '--no-tell-kernel', '-X', /^label: gpt/m.test(script) ? 'gpt' : 'dos', disk], { input: script });
}

