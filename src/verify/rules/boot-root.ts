/** From the kernel to a writable root: root= names it, the kernel can wait for it, fstab's filesystems are there. */
import { partitionNamed, type FstabEntry } from '../../image/fstab.js';
import { valueOf, words } from '../../steps/command-line.js';
import type { CommandLineFile } from '../../steps/cmdline.js';
import { ROOT_HINT, ROOT_MISSING, rootOf, rootProblem } from '../boot.js';
import { boots, type Boot } from '../boots.js';
import type { Node } from '../node.js';
import { verdict, type Problem, type Rule, type Verdict } from '../rule.js';
import { lineOf, onBoards, onLines } from './boot-boards.js';

const PARAMETERS = 'https://docs.kernel.org/admin-guide/kernel-parameters.html';
const SYSTEMD = 'https://www.freedesktop.org/software/systemd/man/latest';

export const rootRules: readonly Rule[] = [
  {
    id: 'boot-root', group: 'boot', title: 'root= names the root filesystem of this image', source: PARAMETERS,
    check: (node) => onLines(node, (file) => rootProblems(node, file), (files) => [...new Set(files.map((file) => `root=${rootOf(file)}`))].join(', ')),
  },
  {
    id: 'boot-root-initramfs', group: 'boot', title: 'root= has a form that can be resolved', source: PARAMETERS, check: initramfsVerdict,
  },
  {
    id: 'boot-rootwait', group: 'boot', title: 'the kernel waits for the card with the root filesystem', source: PARAMETERS,
    check: (node) => onBoards(node, (boot) => waitProblems(node, boot), () => 'rootwait'),
  },
  {
    id: 'boot-root-writable', group: 'boot', title: 'the root filesystem becomes writable', source: `${SYSTEMD}/systemd-remount-fs.service.html`,
    check: (node) => onLines(node, (file) => writableProblems(node, file), () => (rootEntry(node) ? 'fstab mounts it' : 'rw on the command line')),
  },
  { id: 'boot-fstab', group: 'boot', title: 'what fstab mounts is a partition of this image', source: `${SYSTEMD}/systemd.mount.html`, check: fstabVerdict },
];

function rootProblems(node: Node, file: CommandLineFile): Problem[] {
  if (rootOf(file) === undefined) {
    const helped = boots(node).some(({ initramfs }) => initramfs?.present);
    return [{ severity: helped ? 'warning' : 'error', subject: file.path, message: ROOT_MISSING, hint: ROOT_HINT }];
  }
  const problem = rootProblem(node.image, file);
  return problem === undefined ? [] : [{ severity: 'error', subject: file.path, message: problem, hint: ROOT_HINT }];
}

/** What the kernel cannot resolve: it reads partition tables, not filesystems (block/early-lookup.c knows PARTUUID=, PARTLABEL=, /dev/NAME and numbers). */
const NEEDS_USERLAND = /^(LABEL|UUID)=|^\/dev\/(disk|mapper)\//;

/** Where some boards have the initramfs and others not, the vendor's image is known to boot all the same on some firmware: a warning. */
function initramfsVerdict(node: Node): Verdict {
  const failing = boots(node).filter((boot) => !boot.initramfs?.present && needsInitramfs(node, boot));
  const severity = failing.length === boots(node).length ? 'error' : 'warning';
  return onBoards(node, (boot) => {
    const file = lineOf(node, boot);
    if (!file || !failing.includes(boot)) return [];
    const found = boot.initramfs ? `${boot.initramfs.path} is not there` : 'config.txt names none';
    return [{
      severity, subject: file.path, message: `expected an initramfs to resolve root=${rootOf(file)}, but ${found}`,
      hint: 'name the partition as the kernel can find it: root=PARTUUID=… (cmdline step; `rockberry inspect` shows it)',
    }];
  }, (list) => (list.some((boot) => needsInitramfs(node, boot)) ? 'by the initramfs' : 'by the kernel itself'));
}

function needsInitramfs(node: Node, boot: Boot): boolean {
  const file = lineOf(node, boot);
  return file !== undefined && NEEDS_USERLAND.test(rootOf(file) ?? '');
}

/** Cards are found late and in the background. An initramfs waits on its own. */
function waitProblems(node: Node, boot: Boot): Problem[] {
  const file = lineOf(node, boot);
  if (!file || valueOf(file.line, 'rootwait') !== undefined || valueOf(file.line, 'rootdelay') !== undefined) return [];
  return [{
    severity: boot.initramfs?.present ? 'info' : 'error', subject: file.path, message: 'expected rootwait, found none: the kernel looks for its root before the card is ready',
    hint: 'add it with a cmdline step: { add: [rootwait] }',
  }];
}

function rootEntry(node: Node): FstabEntry | undefined {
  return node.image.roles.fstab.find(({ target }) => target === '/');
}

/** The kernel mounts the root read-only unless told "rw"; later systemd mounts it as fstab says, and lets it be when fstab does not name it. */
function writableProblems(node: Node, { path, line }: CommandLineFile): Problem[] {
  const entry = rootEntry(node);
  if (entry ? !entry.options.includes('ro') : words(line).findLast((word) => word === 'rw' || word === 'ro') === 'rw') return [];
  const found = entry ? 'the option ro in /etc/fstab' : 'no entry for / in /etc/fstab, and no rw on the command line';
  return [{ severity: 'error', subject: entry ? '/etc/fstab' : path, message: `expected the root filesystem to be mounted for writing, found ${found}`, hint: 'let /etc/fstab have a line for / without ro' }];
}

const MEMORY_DEVICE = /^\/dev\/(zram|loop|ram|sr|fd)\d/;

function fstabVerdict(node: Node): Verdict {
  const entries = node.image.roles.fstab.filter(({ source }) => /^(LABEL|UUID|PARTUUID|PARTLABEL)=|^\/dev\//.test(source) && !MEMORY_DEVICE.test(source));
  if (entries.length === 0) return { skipped: 'fstab names no partition' };
  return verdict(entries.flatMap((entry) => fstabProblems(node, entry)), entries.map(({ target }) => target).join(', '));
}

function fstabProblems({ image }: Node, { source, target, type, options }: FstabEntry): Problem[] {
  const partition = partitionNamed(source, image.partitions);
  const wrong = target === '/' && image.roles.root && partition !== image.roles.root;
  if ((partition && !wrong) || options.includes('noauto')) return [];
  const found = partition ? `partition ${partition.number} (${partition.holds})` : 'no partition of this image';
  const what = wrong ? `the root filesystem, partition ${image.roles.root.number},` : 'a partition of this image';
  const severity = options.includes('nofail') ? 'info' : type === 'swap' ? 'warning' : 'error';
  return [{
    severity, subject: '/etc/fstab', message: `expected ${source} for ${target} to name ${what} but it names ${found}`,
    hint: severity === 'error' ? 'systemd waits for it and then stops in emergency mode; correct the line, or give it the option nofail' : 'systemd waits 90 seconds for it on every boot; remove the line',
  }];
}
