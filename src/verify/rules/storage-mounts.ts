/** The root filesystem: writable, large enough or about to grow, and programs may run from where container runtimes keep them. */
import { parseFstab, type FstabEntry } from '../../image/fstab.js';
import { words } from '../../steps/command-line.js';
import type { Node } from '../node.js';
import { verdict, type Problem, type Rule, type Target, type Verdict } from '../rule.js';
import { startingUnit, wantedUnits } from '../formats/boot-units.js';
import { dropIns } from '../formats/drop-ins.js';

const GIB = 1 << 30;
/** Below the first, the images and binaries of one node do not fit (Kubespray keeps a second copy in /tmp/releases); below the second, kubelet soon evicts. */
const [LEAST_FREE, GOOD_FREE] = [4 * GIB, 8 * GIB];
const GROW = 'add "grow_root: true" (the profile kubernetes-node has it), or enlarge the image';
const SECTION = 'https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#eviction-thresholds';

/** Directories whose files are executed, and for whom that is the end; the others only lose what runs from volumes. */
const RUN_FROM: readonly (readonly [path: string, stops: readonly (Target | undefined)[]])[] = [
  ['/opt/cni/bin', ['kubespray', 'kubeadm', undefined]], ['/usr/local/bin', ['kubespray', 'k3s', 'rke2']], ['/var/lib/rancher', ['k3s', 'rke2']],
  ['/var/lib/kubelet', []], ['/var/lib/containerd', []],
];
const WRITTEN = ['/', '/etc', '/opt', '/usr/local', '/var', '/var/lib', '/var/log', '/var/lib/kubelet', '/var/lib/containerd', '/var/lib/rancher', '/etc/kubernetes', '/tmp'];

export const mountRules: readonly Rule[] = [
  { id: 'storage-grow', group: 'storage', title: 'the root filesystem has room for container images, or will grow on first boot', source: SECTION, check: checkGrowth },
  {
    id: 'storage-root', group: 'storage', title: 'the root filesystem is mounted for writing',
    source: 'https://www.freedesktop.org/software/systemd/man/252/systemd-remount-fs.service.html', check: checkRoot,
  },
  {
    id: 'storage-read-only', group: 'storage', title: 'fstab mounts nothing read-only that Kubernetes writes to',
    source: 'https://man7.org/linux/man-pages/man5/fstab.5.html', check: checkReadOnly,
  },
  {
    id: 'storage-noexec', group: 'storage', title: 'programs may run where container runtimes keep them',
    source: 'https://man7.org/linux/man-pages/man8/mount.8.html#FILESYSTEM-INDEPENDENT_MOUNT_OPTIONS', check: checkExecution,
  },
];

function checkGrowth(node: Node): Verdict {
  const how = growth(node);
  const { free } = node.tree.info();
  if (how !== undefined) return { ok: how };
  if (free >= GOOD_FREE) return { ok: `${gib(free)} are free` };
  const severity = free < LEAST_FREE ? 'error' : 'warning';
  return verdict([{
    severity, subject: '/', hint: GROW,
    message: `expected ${gib(severity === 'error' ? LEAST_FREE : GOOD_FREE)} free or a root filesystem that grows on first boot, found ${gib(free)} and nothing that grows it`,
  }], '');
}

function gib(bytes: number): string {
  return `${(bytes / GIB).toFixed(1)} GiB`;
}

/** What grows root on first boot; undefined: nothing. */
function growth(node: Node): string | undefined {
  if (startingUnit(node, 'rockberry-grow-root.service')) return 'rockberry-grow-root.service grows it on first boot';
  const expander = [...wantedUnits(node).keys()].find((name) => /rootfs-expand|resize2?fs|growroot|growpart/.test(name) && startingUnit(node, name) !== undefined);
  if (expander !== undefined) return `${expander} grows it`;
  if (startingUnit(node, 'cloud-init.service', 'cloud-init-main.service', 'cloud-init-network.service') && growsByCloudInit(node)) return 'cloud-init grows it (growpart)';
  const firmware = node.commandLines().find(({ line }) => words(line).some((word) => word === 'resize' || /^init=.*(firstboot|init_resize)/.test(word)));
  if (firmware) return 'Raspberry Pi OS grows it on first boot'; // raspberrypi-sys-mods: firstboot (12), "resize" (13); raspi-config: init_resize.sh (11)
  return growsByRepart(node) ? 'systemd-repart and x-systemd.growfs grow it' : undefined;
}

/** cc_growpart and cc_resizefs are on unless "growpart: {mode: off}" says otherwise; the module has to be in the list of cloud.cfg. */
function growsByCloudInit(node: Node): boolean {
  if (node.stat('/etc/cloud/cloud-init.disabled')) return false;
  const paths = ['/etc/cloud/cloud.cfg', ...node.names('/etc/cloud/cloud.cfg.d').map((name) => `/etc/cloud/cloud.cfg.d/${name}`)];
  const text = paths.map((path) => node.text(path) ?? '').join('\n');
  return /^[ \t]*-[ \t]*growpart[ \t]*$/m.test(text) && !/^growpart:[ \t]*(?:\{[^}\n]*|\n(?:[ \t]+.*\n)*[ \t]+)mode:[ \t]*['"]?(?:off|false)\b/m.test(text);
}

/** x-systemd.growfs grows the filesystem only: the partition has to be grown too, by repart.d(5). */
function growsByRepart(node: Node): boolean {
  const root = parseFstab(node.text('/etc/fstab') ?? '').find(({ target }) => target === '/');
  const growsFilesystem = root?.options.includes('x-systemd.growfs') === true;
  return growsFilesystem && dropIns(node, 'repart.d').some(({ text }) => /^[ \t]*Type[ \t]*=[ \t]*(root|linux-generic)/m.test(text));
}

/** The kernel mounts root read-only unless "rw" is the last word about it; systemd-remount-fs then does what fstab's line for / says, if there is one. */
function checkRoot(node: Node): Verdict {
  const root = parseFstab(node.text('/etc/fstab') ?? '').find(({ target }) => target === '/');
  if (root) {
    if (!isReadOnly(root)) return { ok: 'fstab says so' };
    return verdict([{
      severity: 'error', subject: '/etc/fstab', message: 'expected the root filesystem to be writable, found "ro" in its line of fstab',
      hint: 'take "ro" out of the line for /',
    }], '');
  }
  const readOnly = node.commandLines().filter(({ line }) => words(line).findLast((word) => word === 'ro' || word === 'rw') !== 'rw');
  return verdict(readOnly.map(({ path }): Problem => ({
    severity: 'error', subject: path,
    message: 'expected the root filesystem to be writable, found no line for / in fstab and no "rw" in the kernel command line: it stays read-only',
    hint: 'add the line for / to fstab',
  })), 'the kernel mounts it so');
}

function isReadOnly({ options }: FstabEntry): boolean {
  return options.findLast((option) => option === 'ro' || option === 'rw') === 'ro';
}

/** mount(8): user and users imply noexec, and a later word overrides. */
function isNoExec({ options }: FstabEntry): boolean {
  return ['noexec', 'user', 'users'].includes(options.findLast((option) => ['noexec', 'exec', 'user', 'users'].includes(option)) ?? '');
}

/** The line of fstab whose filesystem has the path. */
function mountOf(node: Node, path: string): FstabEntry | undefined {
  const mounts = parseFstab(node.text('/etc/fstab') ?? '').filter(({ target, options }) => target.startsWith('/') && !options.includes('noauto'));
  const above = mounts.filter(({ target }) => target === '/' || path === target || path.startsWith(`${target.replace(/\/+$/, '')}/`));
  return above.sort((a, b) => b.target.length - a.target.length)[0];
}

function checkReadOnly(node: Node): Verdict {
  const mounts = new Set(WRITTEN.map((path) => mountOf(node, path)).filter((one) => one !== undefined && one.target !== '/' && isReadOnly(one)));
  return verdict([...mounts].map((one): Problem => ({
    severity: 'error', subject: one!.target, message: `expected ${one!.target} to be writable, found "ro" in its line of fstab`, hint: 'take "ro" out of the line',
  })), 'all are writable');
}

function checkExecution(node: Node): Verdict {
  const problems = RUN_FROM.flatMap(([path, stops]): Problem[] => {
    const mount = mountOf(node, path);
    if (!mount || !isNoExec(mount)) return [];
    return [{
      severity: stops.includes(node.target) ? 'error' : 'warning', subject: mount.target,
      message: `expected programs to run from ${path}, found "noexec" for ${mount.target} in fstab`, hint: 'add "exec" to the options, or mount something else there',
    }];
  });
  return verdict(problems, 'nothing is mounted noexec there');
}
