/** SELinux: that it comes up as configured, that every label is the one that the image's own policy gives; and the modes that go with the labels. */
import { RockberryError } from '../../errors.js';
import type { Stat } from '../../fs/filesystem.js';
import { valueOf } from '../../steps/command-line.js';
import type { Node } from '../node.js';
import { atMost, isOnFat, lstat, matching, walk } from '../paths.js';
import { verdict, type Problem, type Rule } from '../rule.js';
import { FILE_MODES, type FileMode } from '../tables/file-modes.js';

const MODES = ['enforcing', 'permissive', 'disabled'] as const;
type Mode = (typeof MODES)[number];

const CONFIG = '/etc/selinux/config';
const MAN_CONFIG = 'https://man7.org/linux/man-pages/man5/selinux_config.5.html';
/** Where a node's own files are. Their labels are judged with everything below them, when no profile says which files are its own. */
const LABELLED = [
  ...FILE_MODES.filter(({ path }) => !path.includes('*') && path !== '/etc').map(({ path }) => path),
  '/etc/ssh', '/etc/sudoers', '/etc/sudoers.d', '/etc/NetworkManager', '/etc/systemd/system', '/etc/modules-load.d', '/etc/sysctl.d', '/etc/modprobe.d', '/etc/udev/rules.d',
  '/etc/rancher', '/etc/containerd', '/etc/kubernetes', '/etc/firewalld', '/var/lib/rockberry', '/root/.ssh',
];
const MAX_LABELS = 10_000; // paths in all

/** libselinux, selinux_config.c, selinux_getenforcemode: the first line that starts with SELINUX= and one of three words, whatever follows the word. */
function configuredMode(text: string): Mode | undefined {
  for (const line of text.split('\n')) {
    const value = line.startsWith('SELINUX=') ? line.slice('SELINUX='.length).trimStart().toLowerCase() : '';
    const mode = MODES.find((word) => value.startsWith(word));
    if (mode !== undefined) return mode;
  }
  return undefined;
}

/** The lines that the firmware may pass on; one that cannot be read is a finding of the boot rules, not of these. */
function kernelLines(node: Node): { path: string; line: string }[] {
  try {
    return node.commandLines().map(({ path, line }) => ({ path, line }));
  } catch (error) {
    if (error instanceof RockberryError) return [];
    throw error;
  }
}

/** As load_policy.c of libselinux decides: the kernel's selinux=0, then enforcing=, then the file; a file without a mode counts as permissive. */
function effectiveMode(node: Node): Mode {
  const lines = kernelLines(node).map(({ line }) => line);
  if (lines.some((line) => valueOf(line, 'selinux') === '0')) return 'disabled';
  const configured = configuredMode(node.text(CONFIG) ?? '') ?? 'permissive';
  return configured === 'enforcing' && lines.some((line) => valueOf(line, 'enforcing') === '0') ? 'permissive' : configured;
}

const mode: Rule = {
  id: 'selinux-mode', group: 'selinux', title: 'SELinux is configured', source: MAN_CONFIG,
  check(node) {
    const text = node.text(CONFIG);
    if (text === undefined) return { skipped: `the image has no ${CONFIG}` };
    const found = configuredMode(text);
    if (found === 'enforcing' || found === 'permissive') return { ok: found };
    if (found === 'disabled') {
      return { problems: [{
        severity: 'info', subject: CONFIG, message: 'SELINUX=disabled: what the node writes gets no labels, and switching it on later needs a relabel of everything',
        hint: 'Kubernetes needs no more than SELINUX=permissive',
      }] };
    }
    const line = text.split('\n').find((one) => /^\s*SELINUX\s*=/i.test(one))?.trim().slice(0, 80);
    return { problems: [{
      severity: 'error', subject: CONFIG, message: `expected SELINUX=enforcing, permissive or disabled at the beginning of a line, found ${line === undefined ? 'no such line' : `"${line}"`}: the node comes up permissive without a word`,
      hint: 'correct the line (files step)',
    }] };
  },
};

const commandLine: Rule = {
  id: 'selinux-command-line', group: 'selinux', title: 'the kernel command line leaves SELinux alone', source: 'https://www.kernel.org/doc/html/latest/admin-guide/kernel-parameters.html',
  check(node) {
    if (node.text(CONFIG) === undefined) return { skipped: `the image has no ${CONFIG}` };
    const lines = kernelLines(node);
    if (lines.length === 0) return { skipped: 'no command line that can be read' };
    return verdict(lines.flatMap(({ path, line }) => commandLineProblems(node, path, line)), 'no selinux=0, enforcing=0 or autorelabel');
  },
};

function commandLineProblems(node: Node, subject: string, line: string): Problem[] {
  const hint = 'remove it from the command line (cmdline step: remove)';
  const problems: Problem[] = [];
  // selinux-autorelabel-generator.sh of policycoreutils: grep -E "\bautorelabel\b" /proc/cmdline, at every boot; the relabel ends with a reboot.
  if (/\bautorelabel\b/.test(line)) {
    const message = 'expected no autorelabel, found it: every boot relabels and reboots, without end';
    problems.push({ severity: effectiveMode(node) === 'disabled' ? 'warning' : 'error', subject, message, hint: `${hint}; for one relabel make the file /.autorelabel` });
  }
  if (valueOf(line, 'selinux') === '0') {
    problems.push({ severity: 'warning', subject, message: 'expected SELinux as configured, found selinux=0: what the node writes gets no labels', hint });
  }
  if (valueOf(line, 'enforcing') === '0' && configuredMode(node.text(CONFIG) ?? '') === 'enforcing') {
    problems.push({ severity: 'warning', subject, message: `expected SELinux as configured, found enforcing=0 against SELINUX=enforcing in ${CONFIG}`, hint });
  }
  return problems;
}

const policy: Rule = {
  id: 'selinux-policy', group: 'selinux', title: 'the configured SELinux policy is in the image', source: MAN_CONFIG,
  check(node) {
    const config = node.text(CONFIG);
    if (config === undefined) return { skipped: `the image has no ${CONFIG}` };
    if (effectiveMode(node) === 'disabled') return { skipped: 'SELinux is disabled' };
    const labels = node.image.labels();
    const name = labels?.policy ?? /^[ \t]*SELINUXTYPE=[ \t]*(\S+)/im.exec(config)?.[1] ?? 'targeted';
    const directory = `/etc/selinux/${name}/policy`;
    const [binary] = matching(node, `${directory}/policy.*`);
    if (labels && binary !== undefined) return { ok: binary };
    const effect = effectiveMode(node) === 'enforcing' ? 'init halts' : 'every file is unlabeled';
    const missing = labels ? `the policy in ${directory}, found none` : `file_contexts of the policy ${name}, found none`;
    return { problems: [{ severity: 'error', subject: CONFIG, message: `expected ${missing}: ${effect} at boot`, hint: 'install the package selinux-policy-targeted in the base image, or correct SELINUXTYPE' }] };
  },
};

const labelled: Rule = {
  id: 'selinux-labels', group: 'selinux', title: 'files have the labels of the image\'s policy', source: 'https://man7.org/linux/man-pages/man8/restorecon.8.html',
  check(node) {
    const labels = node.image.labels();
    if (!labels) return { skipped: 'the image has no SELinux policy' };
    const { paths, isWhole } = node.placed.length > 0 ? placedPaths(node) : ownPaths(node);
    const unlabelled = effectiveMode(node) === 'disabled' ? 'warning' : 'error';
    const customizable = new Set((node.text(`/etc/selinux/${labels.policy}/contexts/customizable_types`) ?? '').split('\n').map((line) => line.trim()));
    const problems = paths.flatMap(({ path, stat }): Problem[] => {
      const expected = labels.label(path, stat.type);
      const found = labelOf(node, path);
      if (expected === undefined || found === expected) return [];
      if (found === undefined) return [{ severity: unlabelled, subject: path, message: `expected the label ${expected}, found none (unlabeled_t)`, hint: RELABEL }];
      // restorecon without -F compares the type only, and lets the types alone that administrators give (customizable_types(5)).
      const isSame = node.placed.length === 0 && (typeOf(found) === typeOf(expected) || customizable.has(typeOf(found)));
      return isSame ? [] : [{ severity: 'warning', subject: path, message: `expected the label ${expected}, found ${found}`, hint: RELABEL }];
    });
    const unseen: Problem[] = isWhole ? [] : [{ severity: 'info', subject: '/', message: `only the first ${paths.length} labels were looked at` }];
    return verdict([...atMost(problems), ...unseen], `${paths.length} paths by the policy ${labels.policy}`);
  },
};

const RELABEL = 'build with rockberry, which labels what it writes, or make the file /.autorelabel for one relabel at the first boot';

type Labelled = { readonly path: string; readonly stat: Stat };

function placedPaths(node: Node): { paths: Labelled[]; isWhole: boolean } {
  const present = node.placed.filter(({ path, removed }) => !removed && !isOnFat(node, path));
  return { paths: present.flatMap(({ path }) => [lstat(node, path)].flatMap((stat) => (stat ? [{ path, stat }] : []))), isWhole: true };
}

function ownPaths(node: Node): { paths: Labelled[]; isWhole: boolean } {
  const roots = [...LABELLED, ...['bin', 'sbin', 'libexec'].map((name) => `/usr/local/${name}`), ...matching(node, '/home/*/.ssh')];
  const found = new Map<string, Stat>();
  let isWhole = true;
  for (const root of roots) {
    const one = walk(node, root, MAX_LABELS - found.size);
    one.found.forEach(({ path, stat }) => found.set(path, stat));
    isWhole &&= one.isWhole;
  }
  return { paths: [...found].filter(([path]) => !isOnFat(node, path)).map(([path, stat]) => ({ path, stat })).sort((a, b) => (a.path < b.path ? -1 : 1)), isWhole };
}

function labelOf(node: Node, path: string): string | undefined {
  const value = node.tree.xattrs(path).get('security.selinux');
  return value && Buffer.from(value).toString('latin1').replace(/\0+$/, '');
}

/** "system_u:object_r:etc_t:s0" → "etc_t" */
function typeOf(context: string): string {
  return context.split(':')[2] ?? context;
}

const relabel: Rule = {
  id: 'selinux-relabel', group: 'selinux', title: 'no relabel is pending', source: 'https://man7.org/linux/man-pages/man8/fixfiles.8.html',
  check(node) {
    if (!lstat(node, '/.autorelabel')) return { ok: '' };
    return { problems: [{
      severity: 'info', subject: '/.autorelabel', message: 'the first boot relabels every file, which takes minutes on a card, and reboots', hint: 'remove it when every label is right already (files step: absent)',
    }] };
  },
};

/** In the group of access: who may read and change what a node does. Labels do not help where modes let everybody in. */
const fileModes: Rule = {
  id: 'access-file-modes', group: 'access', title: 'modes and owners of the node\'s files', source: 'https://man7.org/linux/man-pages/man7/inode.7.html',
  check(node) {
    const judged = FILE_MODES.flatMap((row) => matching(node, row.path).map((path) => ({ row, path, stat: node.stat(path) })));
    const present = judged.filter(({ row, path, stat }) => stat?.type === row.type && !isOnFat(node, path));
    return verdict(atMost(present.flatMap(({ row, path, stat }) => modeProblems(row, path, stat!))), `${present.length} paths`);
  },
};

function modeProblems({ mode: wanted, forbidden, required, why }: FileMode, subject: string, stat: Stat): Problem[] {
  const isSound = (stat.mode & forbidden) === 0 && (stat.mode & required) === required && stat.uid === 0;
  if (isSound) return [];
  const show = (bits: number): string => bits.toString(8).padStart(4, '0');
  return [{
    severity: 'error', subject, message: `expected mode ${show(wanted)} and root as the owner, found ${show(stat.mode)} and ${stat.uid}:${stat.gid}: ${why}`,
    hint: `give it mode "${show(wanted)}" and owner root (files step)`,
  }];
}

export const selinuxRules: readonly Rule[] = [mode, commandLine, policy, labelled, relabel, fileModes];
