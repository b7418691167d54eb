/**
 * Updates: by themselves on a node that runs pods, and on the older Rocky image at all. There, "dnf update" replaces the firmware package by one that puts its
 * files into /boot/efi, which on this image is no partition: the Pi does not start again (https://forums.rockylinux.org/t/18773).
 */
import { excluded } from '../../steps/dnf.js';
import type { Node } from '../node.js';
import { verdict, type Problem, type Rule, type Verdict } from '../rule.js';
import { startingUnit, wantedUnits } from '../formats/boot-units.js';
import { globFits } from '../formats/glob.js';

const FORUM = 'https://forums.rockylinux.org/t/18773';
const DNF_CONF = '/etc/dnf/dnf.conf';
const PROGRAMS = '/usr/libexec/rockberry';
/** The old firmware's successor, and the package whose update brings it. */
const PACKAGES = ['kernel-rpi-firmware', 'raspberrypi2-firmware'];
const LONGEST_LINE = 1000; // characters
const TIMERS = ['dnf-automatic.timer', 'dnf-automatic-install.timer', 'unattended-upgrades.service', 'apt-daily-upgrade.timer', 'packagekit-offline-update.service'];

export const updateRules: readonly Rule[] = [
  {
    id: 'services-updates', group: 'services', title: 'nothing updates the node by itself',
    source: 'https://dnf.readthedocs.io/en/latest/automatic.html', check: checkAutomatic,
  },
  { id: 'services-older-image', group: 'services', title: 'an update cannot keep the older Rocky image from starting', source: FORUM, check: checkOlderImage },
];

/** FAT on /boot, the firmware in it, no config.txt, and a kernel of the SIG that built it ("6.1.31-v8.1.el9.altarch"). */
function isOlderImage(node: Node): boolean {
  const { boot } = node.image.roles;
  const isFirmwareThere = boot !== undefined && node.tree.bootDirectory === '/boot' && node.stat('/boot/config.txt') === undefined;
  return isFirmwareThere && node.kernels().some(({ release }) => /-v8\.\d+\.el[89]\.altarch$/.test(release));
}

function isProtected(node: Node): boolean {
  const patterns = excluded(node.text(DNF_CONF) ?? '');
  return PACKAGES.some((name) => patterns.some((pattern) => globFits(name, pattern)));
}

/** A command of a script that updates all there is. */
function isUpdate(line: string): boolean {
  const words = line.slice(0, LONGEST_LINE).split(/[\s;&|()]+/);
  const at = words.findIndex((word) => /^(?:\/usr\/bin\/)?(?:dnf|yum)$/.test(word));
  return at >= 0 && words.slice(at).some((word) => /^(?:update|upgrade|distro-sync)$/.test(word));
}

/** dnf-automatic.timer installs only where automatic.conf says apply_updates (dnf-automatic(8)). */
function checkAutomatic(node: Node): Verdict {
  const wanted = wantedUnits(node);
  const appliesUpdates = /^[ \t]*apply_updates[ \t]*=[ \t]*(yes|true|1|on)[ \t]*$/im.test(node.text('/etc/dnf/automatic.conf') ?? '');
  const found = TIMERS.filter((name) => startingUnit(node, name) !== undefined && (name !== 'dnf-automatic.timer' || appliesUpdates));
  return verdict(found.map((name): Problem => ({
    severity: isOlderImage(node) && !isProtected(node) ? 'error' : 'warning', subject: wanted.get(name)!,
    hint: `add "services: {disable: [${name}]}", and update node by node after a drain`,
    message: `expected no updates by themselves, found ${name} enabled: it restarts container runtimes under running pods, on all nodes at once`,
  })), 'no timer for updates is enabled');
}

function checkOlderImage(node: Node): Verdict {
  if (!isOlderImage(node)) return { skipped: 'it is not the older Rocky image' };
  if (isProtected(node)) return { ok: `dnf leaves ${PACKAGES.join(' and ')} alone` };
  const script = node.names(PROGRAMS).find((name) => (node.text(`${PROGRAMS}/${name}`) ?? '').split('\n').some(isUpdate));
  const message = 'expected dnf to leave the firmware packages alone, found no "exclude" for them: after "dnf update" the Pi does not start';
  return verdict([{
    severity: script === undefined ? 'warning' : 'error', subject: script === undefined ? DNF_CONF : `${PROGRAMS}/${script}`,
    hint: 'add "dnf: {exclude: [kernel-rpi*, raspberrypi2*]}"; the profile kubernetes-node does',
    message: script === undefined ? message : `${message}, and rockberry-${script} runs it`,
  }], '');
}
