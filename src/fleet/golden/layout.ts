/** What lies in /etc/rockberry/nodes; the form is written down in profiles/files/rockberry-node, which reads it. */
import { createHash } from 'node:crypto';
import { boardKeys } from './boards.js';
import { NODES, type GoldenEntry } from './entry.js';

/** Contents by path, sorted by path. Every one of them is root's alone (0600), as are the directories (0700). */
export type Layout = ReadonlyMap<string, Uint8Array>;

/**
 * What is read before the program runs: by the firmware and the kernel, by PID 1 and its generators, and by the services before sysinit.target. A node with one
 * of these starts again, once. /boot is where the FAT is, in every image that is known.
 */
const READ_EARLY = [
  '/boot', '/etc/binfmt.d', '/etc/crypttab', '/etc/fstab', '/etc/locale.conf', '/etc/machine-id', '/etc/modprobe.d', '/etc/modules-load.d', '/etc/selinux',
  '/etc/sysctl.conf', '/etc/sysctl.d', '/etc/systemd', '/etc/sysusers.d', '/etc/tmpfiles.d', '/etc/udev', '/etc/vconsole.conf', '/usr/lib/modprobe.d',
  '/usr/lib/modules', '/usr/lib/modules-load.d', '/usr/lib/sysctl.d', '/usr/lib/systemd', '/usr/lib/udev',
];

/** Files of the table, the entries and the contents; equal contents of several nodes are there once. */
export function layoutOf(entries: readonly GoldenEntry[], keep: boolean): Layout {
  const files = new Map<string, Uint8Array>();
  const digests = new Map<GoldenEntry, string>();
  for (const entry of entries) {
    for (const { content } of entry.files) files.set(`${NODES}/contents/${digestOf(content)}`, content);
    const text = Buffer.from(linesOf(entry).map((line) => `${line}\n`).join(''));
    files.set(`${NODES}/entries/${entry.name}`, text);
    digests.set(entry, digestOf(text));
  }
  const table = boardKeys(entries).map(({ kind, value, entry }) => `${kind} ${value} ${entry.name} ${digests.get(entry)!}\n`);
  files.set(`${NODES}/table`, Buffer.from(table.join('')));
  if (keep) files.set(`${NODES}/keep`, new Uint8Array());
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The node's first path, in the order of the paths, that is read before the program runs; undefined when there is none. */
export function readEarly({ files, links = [], directories = [], remove }: GoldenEntry): string | undefined {
  const paths = [...files, ...links, ...directories].map(({ path }) => path).concat(remove);
  return paths.filter((path) => READ_EARLY.some((early) => path === early || path.startsWith(`${early}/`))).sort()[0];
}

/** What goes first, and that from below; then what comes, from above. */
function linesOf(entry: GoldenEntry): string[] {
  const { files, links = [], directories = [], remove } = entry;
  const early = readEarly(entry);
  const made = [
    ...directories.map(({ path, mode, owner, group }) => ({ path, line: ['directory', octal(mode), `${owner}:${group}`, '-', path] })),
    ...files.map(({ path, content, mode, owner, group }) => ({ path, line: ['file', octal(mode), `${owner}:${group}`, digestOf(content), path] })),
    ...links.map(({ path, target, owner, group }) => ({ path, line: ['link', '-', `${owner}:${group}`, target, path] })),
  ];
  return [
    ...[...remove].sort().reverse().map((path) => ['remove', '-', '-', '-', path]),
    ...made.sort((a, b) => (a.path < b.path ? -1 : 1)).map(({ line }) => line),
    ...(early === undefined ? [] : [['restart', '-', '-', '-', early]]),
  ].map((words) => words.join('\t'));
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}

function digestOf(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}
