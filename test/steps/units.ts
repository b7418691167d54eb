/** Unit files like those of EL9, and what systemctl itself does with them in a directory: the judge of services and unit. */
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Tree } from '../../src/fs/filesystem.js';
import { run } from '../support/oracle.js';
import type { Seed } from '../support/memory-tree.js';

export type Files = Record<string, string | Seed>;

const service = (install: string, unit = ''): string => `[Unit]\nDescription=A service\n${unit}\n[Service]\nExecStart=/bin/true\n\n[Install]\n${install}\n`;
const lib = '/usr/lib/systemd/system';

export const units: Files = {
  [`${lib}/multi-user.target`]: '[Unit]\nDescription=Multi-User System\n',
  [`${lib}/getty.target`]: '[Unit]\nDescription=Login Prompts\n',
  [`${lib}/sshd.service`]: service('WantedBy=multi-user.target', 'After=network.target \\\n  sshd-keygen.target'),
  [`${lib}/sshd.socket`]: '[Socket]\nListenStream=22\nAccept=yes\n[Install]\nWantedBy=sockets.target\n',
  [`${lib}/sshd-keygen@.service`]: '[Unit]\nDescription=keys %i\n[Service]\nExecStart=/bin/true\n',
  [`${lib}/NetworkManager.service`]: service('WantedBy=multi-user.target\nAlso=NetworkManager-dispatcher.service\n# the wait-online service\nAlso=NetworkManager-wait-online.service'),
  [`${lib}/NetworkManager-dispatcher.service`]: service('Alias=dbus-org.freedesktop.nm-dispatcher.service'),
  [`${lib}/NetworkManager-wait-online.service`]: service('WantedBy=network-online.target'),
  [`${lib}/firewalld.service`]: service('WantedBy=multi-user.target\nAlias=dbus-org.fedoraproject.FirewallD1.service'),
  [`${lib}/chronyd.service`]: service('WantedBy=multi-user.target'),
  [`${lib}/chrony-wait.service`]: service('WantedBy=time-sync.target\nRequiredBy=a.target b.target'),
  [`${lib}/getty@.service`]: service('WantedBy=getty.target\nDefaultInstance=tty1'),
  [`${lib}/autovt@.service`]: { target: 'getty@.service' },
  [`${lib}/serial-getty@.service`]: service('WantedBy=getty.target'),
  [`${lib}/instalias@.service`]: service('WantedBy=getty.target\nAlias=other@.service\nDefaultInstance=x-%p'),
  [`${lib}/spec.service`]: service('WantedBy=%p.target %N-x.target\nRequiredBy=a-%j.target'),
  [`${lib}/reset.service`]: service('WantedBy=old.target\nWantedBy=\nWantedBy=new.target'),
  [`${lib}/dropin.service`]: service(''),
  '/etc/systemd/system/dropin.service.d/10-install.conf': '[Install]\nWantedBy=multi-user.target\n',
  '/etc/systemd/system/dropin.service.d/ignored.txt': '[Install]\nWantedBy=rescue.target\n',
  [`${lib}/cleared.service`]: service('WantedBy=multi-user.target'),
  [`${lib}/cleared.service.d/a.conf`]: '[Install]\nWantedBy=\nWantedBy=other.target\n',
  [`${lib}/aliasdir.service`]: service('Alias=multi-user.target.wants/aliasdir.service\nAlias=renamed.service'),
  [`${lib}/selfalias.service`]: service('Alias=selfalias.service\nWantedBy=multi-user.target'),
  [`${lib}/also-loop-a.service`]: service('Also=also-loop-b.service\nWantedBy=multi-user.target'),
  [`${lib}/also-loop-b.service`]: service('Also=also-loop-a.service\nWantedBy=multi-user.target'),
  [`${lib}/also-missing.service`]: service('Also=nowhere.service\nWantedBy=multi-user.target'),
  [`${lib}/dbus-broker.service`]: service('Alias=dbus.service'),
  [`${lib}/fstrim.timer`]: '[Timer]\nOnCalendar=weekly\n[Install]\nWantedBy=timers.target\n',
  [`${lib}/static.service`]: '[Service]\nExecStart=/bin/true\n',
  [`${lib}/aliased.service`]: { target: 'sshd.service' },
  [`${lib}/only-also.service`]: service('Also=chronyd.service'),
  [`${lib}/quoted.service`]: service('WantedBy="multi-user.target" \\\n   graphical.target'),
  [`${lib}/overridden.service`]: service('WantedBy=multi-user.target'),
  '/etc/systemd/system/overridden.service': service('WantedBy=own.target'),
  '/usr/local/lib/systemd/system/local.service': service('WantedBy=multi-user.target'),
  [`${lib}/masked.service`]: service('WantedBy=multi-user.target'),
  '/etc/systemd/system/masked.service': { target: '/dev/null' },
};

/** Runs systemctl on the files in a directory of their own. Returns what it said and all that is in /etc/systemd/system, as path → target or text. */
export function systemctl(files: Files, ...commands: string[][]): { status: number; output: string; made: Map<string, string> } {
  const root = mkdtempSync(join(tmpdir(), 'rockberry-units-'));
  try {
    mkdirSync(join(root, 'etc/systemd/system'), { recursive: true });
    for (const [path, seed] of Object.entries(files)) plant(join(root, path), typeof seed === 'string' ? { content: seed } : seed);
    const ran = commands.map((args) => run('systemctl', [`--root=${root}`, ...args]));
    return { status: Math.max(...ran.map(({ status }) => status)), output: ran.map(({ output }) => output).join('\n'), made: onDisk(join(root, 'etc/systemd/system'), '/etc/systemd/system') };
  } finally {
    rmSync(root, { recursive: true });
  }
}

function plant(path: string, { content = '', target }: Seed): void {
  mkdirSync(dirname(path), { recursive: true });
  if (target !== undefined) symlinkSync(target, path);
  else writeFileSync(path, content);
}

function onDisk(host: string, path: string): Map<string, string> {
  const entries = readdirSync(host, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  return new Map(entries.flatMap((entry) => {
    const [from, to] = [join(host, entry.name), `${path}/${entry.name}`];
    if (entry.isDirectory()) return [[to, 'directory'] as const, ...onDisk(from, to)];
    return [[to, entry.isSymbolicLink() ? `-> ${readlinkSync(from)}` : readFileSync(from, 'utf8')] as const];
  }));
}

/** The same of a tree. */
export function inTree(tree: Tree, path = '/etc/systemd/system'): Map<string, string> {
  if (tree.stat(path)?.type !== 'directory') return new Map();
  return new Map(tree.list(path).flatMap(({ name, type }) => {
    const to = `${path}/${name}`;
    if (type === 'directory') return [[to, 'directory'] as const, ...inTree(tree, to)];
    return [[to, type === 'symlink' ? `-> ${tree.readLink(to)}` : Buffer.from(tree.read(to)).toString('utf8')] as const];
  }));
}
