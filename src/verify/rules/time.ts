/**
 * Time: most Pis have no clock that runs without power. Until NTP has answered, every certificate is from the future: no package, no image and no join.
 */
import type { Node } from '../node.js';
import { verdict, type Rule, type Verdict } from '../rule.js';
import { startingUnit } from '../formats/boot-units.js';
import { chronyConfig, timeSources } from '../formats/chrony.js';
import { inForce, usefulLines } from '../formats/drop-ins.js';
import { firmwareConfig } from '../firmware.js';

const CHRONY_CONF = 'https://chrony-project.org/doc/4.5/chrony.conf.html';
const CHRONY = ['chronyd.service', 'chrony.service'];
const TIMESYNC = 'systemd-timesyncd.service';
const OTHERS = ['ntpd.service', 'ntpsec.service', 'openntpd.service'];
const WAITERS = ['chrony-wait.service', 'systemd-time-wait-sync.service'];
const HINT = 'add "services: {enable: [chronyd, chrony-wait]}"; the profile kubernetes-node does';

export const timeRules: readonly Rule[] = [
  {
    id: 'time-sync', group: 'time', title: 'the clock is set from the network',
    source: 'https://github.com/kubernetes-sigs/kubespray/blob/master/docs/advanced/ntp.md', check: checkService,
  },
  { id: 'time-sources', group: 'time', title: 'there is somebody to ask for the time', source: `${CHRONY_CONF}#server`, check: checkSources },
  { id: 'time-makestep', group: 'time', title: 'chrony may set a clock that is far off at once', source: `${CHRONY_CONF}#makestep`, check: checkStep },
  {
    id: 'time-wait', group: 'time', title: 'what needs the time waits for it',
    source: 'https://www.freedesktop.org/software/systemd/man/252/systemd.special.html#time-sync.target', check: checkWait,
  },
  { id: 'time-zone', group: 'time', title: 'the time zone is there', source: 'https://www.freedesktop.org/software/systemd/man/252/localtime.html', check: checkZone },
];

/** A clock chip that config.txt names (firmware's overlays/README: i2c-rtc, i2c-rtc-gpio, rpi-rtc…). The Pi 5 has one, but needs a battery that nobody can see from here. */
function hasClock(node: Node): boolean {
  return firmwareConfig(node).settings.some(({ key, value }) => key === 'dtoverlay' && /^i2c-rtc(-gpio)?(,|$)/.test(value));
}

function checkService(node: Node): Verdict {
  const found = startingUnit(node, ...CHRONY, TIMESYNC, ...OTHERS);
  if (found !== undefined) return { ok: found };
  return verdict([{
    severity: hasClock(node) ? 'warning' : 'error', subject: 'chronyd.service', hint: HINT,
    message: `expected a service that sets the clock, found none enabled${hasClock(node) ? '' : ': a Pi without a clock then lives in the past, and no certificate is valid'}`,
  }], '');
}

function checkSources(node: Node): Verdict {
  if (startingUnit(node, ...CHRONY)) return checkChronySources(node);
  if (!startingUnit(node, TIMESYNC)) return { skipped: 'neither chronyd nor systemd-timesyncd starts at boot' };
  const roots = ['/etc', '/run', '/usr/local/lib', '/usr/lib'].map((root) => `${root}/systemd/timesyncd.conf.d`);
  const texts = [node.text('/etc/systemd/timesyncd.conf') ?? '', ...inForce(node, roots, '.conf').map(({ text }) => text)];
  const last = (key: string): string | undefined => texts.flatMap(usefulLines).findLast((line) => line.startsWith(`${key}=`))?.slice(key.length + 1).trim();
  if (last('NTP') || last('FallbackNTP') !== '') return { ok: last('NTP') || last('FallbackNTP') || 'the fallback servers that it was built with' };
  return verdict([{
    severity: 'warning', subject: '/etc/systemd/timesyncd.conf',
    message: 'expected a time server, found none: FallbackNTP= is empty, and NTP= says nothing', hint: 'set NTP=',
  }], '');
}

/** Servers that DHCP names come in files of /run, which an image does not have. */
function checkChronySources(node: Node): Verdict {
  const config = chronyConfig(node);
  if (!config) return verdict([{
    severity: 'error', subject: '/etc/chrony.conf', message: 'expected /etc/chrony.conf, found none: chronyd does not start',
    hint: 'place one with a files step',
  }], '');
  const sources = timeSources(config);
  if (sources.length > 0) return { ok: sources.slice(0, 3).map(({ values }) => values[0] ?? '').join(', ') };
  const fromNetwork = config.directives.some(({ name, values }) => name === 'sourcedir' && values.some((path) => path.startsWith('/run/')));
  return verdict([{
    severity: fromNetwork ? 'warning' : 'error', subject: config.path, hint: 'add a line "pool 2.rocky.pool.ntp.org iburst", or a server of your own',
    message: `expected a server, pool, peer or refclock, found none${fromNetwork ? ': the time comes only if DHCP names a server' : ''}`,
  }], '');
}

/** Without it chronyd slews by at most 1 s in 12 s (maxslewrate 83333 ppm): months to make up for a month without power. */
function checkStep(node: Node): Verdict {
  const config = startingUnit(node, ...CHRONY) ? chronyConfig(node) : undefined;
  if (!config) return { skipped: 'chronyd does not start at boot' };
  const step = config.directives.findLast(({ name }) => name === 'makestep' || name === 'initstepslew');
  if (step && (step.name !== 'makestep' || step.values[1] !== '0')) return { ok: [step.name, ...step.values].join(' ') };
  return verdict([{
    severity: hasClock(node) ? 'warning' : 'error', subject: config.path,
    message: 'expected "makestep", found none: a clock that is far off is then corrected over weeks', hint: 'add the line "makestep 1.0 3"',
  }], '');
}

function checkWait(node: Node): Verdict {
  const found = startingUnit(node, ...WAITERS);
  if (found !== undefined) return { ok: `${found} holds time-sync.target back` };
  if (hasClock(node)) return { ok: 'the board has a clock (dtoverlay=i2c-rtc)' };
  return verdict([{
    severity: 'warning', subject: 'time-sync.target', hint: HINT,
    message: `expected one of ${WAITERS.join(', ')} to start at boot, found neither: services after time-sync.target start with a clock in the past`,
  }], '');
}

function checkZone(node: Node): Verdict {
  const path = '/etc/localtime';
  if (node.stat(path)?.type === 'file') return { ok: node.tree.resolve(path).replace(/^.*\/zoneinfo\//, '') };
  return verdict([{ severity: 'info', subject: path, message: 'expected a time zone, found none: the node will use UTC', hint: 'add "timezone: UTC"' }], '');
}
