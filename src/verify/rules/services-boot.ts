/** The boot itself: where it ends, that there is a network on the way, and that every link leads to a unit. */
import { findUnit, UNITS } from '../../steps/systemd.js';
import type { Node } from '../node.js';
import { atMost, lstat } from '../paths.js';
import { verdict, type Problem, type Rule, type Verdict } from '../rule.js';
import { startingUnit, wantedUnits } from '../formats/boot-units.js';

const NETWORKS = ['NetworkManager.service', 'systemd-networkd.service', 'networking.service', 'network.service', 'dhcpcd.service', 'connman.service'];
/** What a node cannot do without: a link to one of them that leads nowhere stops it. */
const NEEDED = /^(sshd?|NetworkManager|systemd-networkd|chronyd?|kubelet|containerd|crio|k3s|k3s-agent|rke2-server|rke2-agent|rockberry-.*)\.(service|socket|timer)$/;
const DEFAULT = ['/etc/systemd/system/default.target', '/usr/lib/systemd/system/default.target', '/lib/systemd/system/default.target'];

export const bootRules: readonly Rule[] = [
  {
    id: 'services-target', group: 'services', title: 'the boot ends in a system for many users',
    source: 'https://www.freedesktop.org/software/systemd/man/252/systemd.special.html#default.target', check: checkTarget,
  },
  {
    id: 'services-network', group: 'services', title: 'something brings the network up',
    source: 'https://www.freedesktop.org/software/systemd/man/252/systemd.special.html#network.target', check: checkNetwork,
  },
  {
    id: 'services-units', group: 'services', title: 'everything that is enabled is there',
    source: 'https://www.freedesktop.org/software/systemd/man/252/systemctl.html', check: checkUnits,
  },
];

function checkTarget(node: Node): Verdict {
  const path = DEFAULT.find((one) => lstat(node, one) !== undefined);
  const hint = `make ${DEFAULT[0]} a link to /usr/lib/systemd/system/multi-user.target`;
  if (path === undefined) return verdict([{
    severity: 'error', subject: DEFAULT[0]!, message: 'expected a default.target, found none: systemd ends in emergency mode', hint,
  }], '');
  const real = node.tree.resolve(path);
  const name = real.slice(real.lastIndexOf('/') + 1);
  if (name === 'multi-user.target') return { ok: name };
  if (name === 'graphical.target') return { ok: 'graphical.target, which includes multi-user.target' };
  const isThere = node.stat(path)?.type === 'file' && node.stat(path)!.size > 0;
  return verdict([{
    severity: isThere && !/^(rescue|emergency|halt|poweroff|reboot|shutdown)\.target$/.test(name) ? 'warning' : 'error', subject: path,
    message: `expected multi-user.target, found ${isThere ? name : `a link to ${real}, which is no unit`}`, hint,
  }], '');
}

function checkNetwork(node: Node): Verdict {
  const found = startingUnit(node, ...NETWORKS);
  if (found !== undefined) return { ok: found };
  return verdict([{
    severity: 'error', subject: 'NetworkManager.service',
    message: `expected one of ${NETWORKS.slice(0, 3).join(', ')} to start at boot, found none: the node has no network`,
    hint: 'add "services: {enable: [NetworkManager]}"',
  }], '');
}

/** systemd goes by the names in .wants and .requires, and by the targets of aliases. */
function checkUnits(node: Node): Verdict {
  const wanted = [...wantedUnits(node)].filter(([name]) => isMissing(node, name));
  const aliases = node.names(UNITS).flatMap((name) => {
    const path = `${UNITS}/${name}`;
    const isDangling = lstat(node, path)?.type === 'symlink' && node.tree.readLink(path) !== '/dev/null' && node.stat(path) === undefined && isMissing(node, name);
    return isDangling ? [[name, path] as const] : [];
  });
  const problems = [...wanted, ...aliases].map(([name, path]): Problem => {
    const isNeeded = NEEDED.test(name);
    const hint = isNeeded ? 'install its package in the image, or disable the unit' : 'disable the unit';
    return { severity: isNeeded ? 'error' : 'info', subject: path, message: `expected a unit file for ${name}, found a link that leads nowhere`, hint };
  });
  return verdict(atMost(problems), `${wantedUnits(node).size} units`);
}

function isMissing(node: Node, name: string): boolean {
  return /\.[a-z]+$/.test(name) && findUnit(node.tree, name) === undefined && !/\.(device|mount|swap|slice|scope)$/.test(name); // those come from generators and devices
}
