/**
 * Swap at boot. kubelet does not start while there is any (failSwapOn), unless its configuration says otherwise: the kubelet inside k3s and RKE2 is told to
 * take it (pkg/daemons/agent/agent.go of k3s sets FailSwapOn to false).
 */
import { parseFstab } from '../../image/fstab.js';
import { valueOf } from '../../steps/command-line.js';
import { findUnit } from '../../steps/systemd.js';
import type { Node } from '../node.js';
import { verdict, type Problem, type Rule, type Verdict } from '../rule.js';
import { startingUnit, wantedUnits } from '../formats/boot-units.js';
import { usefulLines } from '../formats/drop-ins.js';

const NO_SWAP = 'https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/install-kubeadm/#swap-configuration';
const OFF = 'add "swap: off"; the profile kubernetes-node has it';
const GPT_SWAP = '0657FD6D-A4AB-43C4-84E5-0933C84B4F4F'; // Discoverable Partitions Specification
const GENERATORS = ['/usr/lib/systemd/system-generators', '/lib/systemd/system-generators', '/etc/systemd/system-generators'];
const UNITS = '/etc/systemd/system';

export const swapRules: readonly Rule[] = [
  { id: 'storage-swap', group: 'storage', title: 'no swap in fstab', source: NO_SWAP, check: checkFstab },
  {
    id: 'storage-swap-gpt', group: 'storage', title: 'no swap partition that systemd finds by itself',
    source: 'https://www.freedesktop.org/software/systemd/man/252/systemd-gpt-auto-generator.html', check: checkGpt,
  },
  {
    id: 'storage-swap-zram', group: 'storage', title: 'no compressed swap in memory',
    source: 'https://github.com/systemd/zram-generator#configuration', check: checkZram,
  },
  {
    id: 'storage-swap-unit', group: 'storage', title: 'no unit that makes swap',
    source: 'https://www.freedesktop.org/software/systemd/man/252/systemd.swap.html', check: checkUnits,
  },
  {
    id: 'storage-swap-target', group: 'storage', title: 'swap.target is masked, as Kubespray leaves it', check: checkTarget,
    source: 'https://github.com/kubernetes-sigs/kubespray/blob/master/roles/kubernetes/preinstall/tasks/0010-swapoff.yml',
  },
];

/** Swap that will be on. k3s and RKE2 start all the same; pods are then paged out as their limits do not foresee. */
function severity({ target }: Node): Problem['severity'] {
  return target === 'k3s' || target === 'rke2' ? 'warning' : 'error';
}

/** What fstab's lines, GPT partitions and generated units hang on to. */
function isTargetMasked(node: Node): boolean {
  return findUnit(node.tree, 'swap.target')?.isMasked === true;
}

/** A switch of systemd's generators ("systemd.swap=0", systemd-fstab-generator(8)) on every command line that the firmware may take. */
function isOff(node: Node, name: string): boolean {
  const lines = node.commandLines();
  return lines.length > 0 && lines.every(({ line }) => ['0', 'no', 'false', 'off', 'n', 'f'].includes(valueOf(line, name) ?? ''));
}

function hasGenerator(node: Node, name: string): boolean {
  return GENERATORS.some((directory) => node.names(directory).includes(name));
}

function checkFstab(node: Node): Verdict {
  const entries = parseFstab(node.text('/etc/fstab') ?? '').filter(({ type, options }) => type === 'swap' && !options.includes('noauto'));
  const isLatent = isTargetMasked(node) || isOff(node, 'systemd.swap');
  return verdict(entries.map(({ source }): Problem => ({
    severity: isLatent ? 'warning' : severity(node), subject: '/etc/fstab', hint: OFF,
    message: `expected no swap, found the line for ${source}${isLatent ? ', which does not come up at boot but with "swapon -a"' : ''}`,
  })), 'fstab has none');
}

/** It takes swap partitions of the root's disk, but only where fstab has no swap at all: commenting out fstab's line is what turns it on (#6192 of systemd). */
function checkGpt(node: Node): Verdict {
  const { table, partitions } = node.image;
  if (table.scheme !== 'gpt') return { ok: 'the partition table is an MBR, which has no such partitions' };
  const swap = partitions.filter(({ type }) => type === GPT_SWAP);
  const isBuilt = GENERATORS.every((directory) => node.names(directory).length === 0) || hasGenerator(node, 'systemd-gpt-auto-generator');
  const isStopped = isTargetMasked(node) || isOff(node, 'systemd.swap') || isOff(node, 'systemd.gpt_auto');
  if (!isBuilt || isStopped || parseFstab(node.text('/etc/fstab') ?? '').some(({ type }) => type === 'swap')) return { ok: 'systemd does not look for them' };
  return verdict(swap.map(({ number }): Problem => ({
    severity: severity(node), subject: `partition ${number}`, hint: OFF,
    message: `expected no swap that comes up by itself, found that systemd will use partition ${number} (GPT type "Linux swap") because fstab names no swap`,
  })), 'the GPT has no swap partition');
}

/** zram-generator: the first directory that has zram-generator.conf counts, and an empty file means no device. Its drop-ins are read in any case. */
function checkZram(node: Node): Verdict {
  if (!hasGenerator(node, 'zram-generator')) return { ok: 'zram-generator is not installed' };
  if (isTargetMasked(node) || isOff(node, 'systemd.zram')) return { ok: 'zram-generator makes no swap' };
  const directories = ['/etc/systemd', '/usr/local/lib/systemd', '/usr/lib/systemd'];
  const main = directories.map((directory) => `${directory}/zram-generator.conf`).find((path) => node.stat(path) !== undefined);
  const dropIns = directories.flatMap((directory) => node.names(`${directory}/zram-generator.conf.d`).map((name) => `${directory}/zram-generator.conf.d/${name}`));
  const files = [...(main === undefined ? [] : [main]), ...dropIns];
  const active = files.filter((path) => usefulLines(node.text(path) ?? '').some((line) => /^\[zram\d+\]$/.test(line)));
  return verdict(active.map((path): Problem => ({
    severity: severity(node), subject: path, hint: OFF, message: `expected no compressed swap, found a device in ${path}`,
  })), 'no device is configured');
}

/** Swap units that something wants, and the makers of swap files of Raspberry Pi OS: dphys-swapfile up to 12, rpi-swap from 13 on (swap.conf(5)). */
function checkUnits(node: Node): Verdict {
  const isMasked = isTargetMasked(node);
  const isStarted = (name: string, link: string): boolean => name.endsWith('.swap') && !(isMasked && link.includes('/swap.target.')) && findUnit(node.tree, name)?.isMasked === false;
  const found = [...wantedUnits(node)].filter(([name, link]) => isStarted(name, link)).map(([name, link]) => ({ what: `${name} is wanted`, subject: link }));
  const dphys = startingUnit(node, 'dphys-swapfile.service');
  if (dphys !== undefined) found.push({ what: `${dphys} makes a swap file`, subject: dphys });
  const isNone = /^[ \t]*Mechanism[ \t]*=[ \t]*none[ \t]*$/m.test(node.text('/etc/rpi/swap.conf') ?? '');
  if (hasGenerator(node, 'rpi-swap-generator') && !isMasked && !isNone) found.push({ what: 'rpi-swap makes swap', subject: '/etc/rpi/swap.conf' });
  return verdict(found.map(({ what, subject }): Problem => ({
    severity: severity(node), subject, message: `expected no swap unit at boot, found that ${what}`, hint: `${OFF}; or mask the unit with "services: {mask: [...]}"`,
  })), 'nothing makes swap');
}

function checkTarget(node: Node): Verdict {
  if (isTargetMasked(node)) return { ok: 'no swap unit can come up through it' };
  return verdict([{
    severity: 'info', subject: `${UNITS}/swap.target`, hint: OFF,
    message: 'expected swap.target to be masked, found it is not: swap that is added later comes up at the next boot',
  }], '');
}
