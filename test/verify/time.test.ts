/** The time rules: one seeded defect each and more where there are several kinds, the ready node, what is no defect, and chronyd itself on the same files. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { chronyConfig } from '../../src/verify/formats/chrony.js';
import { timeRules } from '../../src/verify/rules/time.js';
import { needs, output } from '../support/oracle.js';
import { testRules, type Defect } from './cases.js';
import { memoryNode, problemsOf } from './node.js';
import { defect, installed, READY, readyNode, unit, wants, type Changes } from './ready-node.js';

const CONF = '/etc/chrony.conf';
const chrony = (text: string): Changes => ({ [CONF]: text });
const noChrony: Changes = { [`${wants}/chronyd.service`]: undefined };
const timesyncd: Changes = { ...noChrony, ...unit('systemd-timesyncd.service') };
const noWait: Changes = { [`${wants}/chrony-wait.service`]: undefined };
const clock: Changes = { '/boot/config.txt': '[all]\ndtoverlay=i2c-rtc,ds3231\n' };
const text = READY[CONF] as string;

const DEFECTS: readonly Defect[] = [
  defect('time-sync', 'nothing sets the clock', noChrony, 'error', 'chronyd.service', /found none enabled: a Pi without a clock/),
  defect('time-sync', 'installed is not enabled', { ...noChrony, ...installed('systemd-timesyncd.service') }, 'error', 'chronyd.service', /found none enabled/),
  defect('time-sync', 'a board with a clock', { ...noChrony, ...clock }, 'warning', 'chronyd.service', /found none enabled$/),
  defect('time-sources', 'no chrony.conf', { [CONF]: undefined }, 'error', CONF, /chronyd does not start/),
  defect('time-sources', 'nobody to ask', chrony('! pool a\n; pool b\n# pool c\n% pool d\nmakestep 1 3\n'), 'error', CONF, /found none$/),
  defect('time-sources', 'only what DHCP says', chrony('sourcedir /run/chrony-dhcp\nmakestep 1 3\n'), 'warning', CONF, /only if DHCP names a server/),
  defect('time-sources', 'systemd-timesyncd without servers', { ...timesyncd, '/etc/systemd/timesyncd.conf': '[Time]\n#NTP=a\nFallbackNTP=\n' }, 'warning', '/etc/systemd/timesyncd.conf', /FallbackNTP= is empty/),
  defect('time-makestep', 'not there', chrony(text.replace('makestep', '#makestep')), 'error', CONF, /expected "makestep", found none/),
  defect('time-makestep', 'never', chrony(text.replace('1.0 3', '1.0 0')), 'error', CONF, /expected "makestep"/),
  defect('time-wait', 'nothing waits', noWait, 'warning', 'time-sync.target', /found neither/),
  defect('time-zone', 'a link to nowhere', { '/etc/localtime': { target: '../usr/share/zoneinfo/Mars/Olympus' } }, 'info', '/etc/localtime', /found none/),
  defect('time-zone', 'none', { '/etc/localtime': undefined }, 'info', '/etc/localtime', /found none/),
];

testRules(timeRules, () => readyNode(), DEFECTS);

describe('no defect', () => {
  test.each<[string, string, Changes]>([
    ['time-sync', 'systemd-timesyncd', timesyncd],
    ['time-sync', 'Debian\'s chrony', { ...noChrony, ...unit('chrony.service') }],
    ['time-sources', 'in a directory', { ...chrony('confdir /etc/chrony.d\nmakestep 1 3\n'), '/etc/chrony.d/a.conf': 'SERVER 192.0.2.1 iburst\n' }],
    ['time-sources', 'in a directory of sources', { ...chrony('sourcedir /etc/chrony/sources.d\n'), '/etc/chrony/sources.d/a.sources': 'pool a.example\n', '/etc/chrony/sources.d/b.conf': 'x' }],
    ['time-sources', 'included by a pattern', { ...chrony('include /etc/chrony/*.inc\n'), '/etc/chrony/a.inc': 'refclock PPS /dev/pps0\n' }],
    ['time-sources', 'Debian\'s file', { [CONF]: undefined, '/etc/chrony/chrony.conf': 'pool a\n' }],
    ['time-sources', 'systemd-timesyncd with its own', timesyncd],
    ['time-sources', 'systemd-timesyncd with one', { ...timesyncd, '/etc/systemd/timesyncd.conf': '[Time]\nFallbackNTP=\n', '/etc/systemd/timesyncd.conf.d/a.conf': '[Time]\nNTP=192.0.2.1\n' }],
    ['time-makestep', 'its older kin', chrony('initstepslew 30 192.0.2.1\n')],
    ['time-wait', 'systemd\'s', { ...noWait, ...unit('systemd-time-wait-sync.service') }],
    ['time-wait', 'the board has a clock', { ...noWait, ...clock }],
    ['time-zone', 'a file', { '/etc/localtime': 'TZif2' }],
  ])('%s: %s', (id, _, changes) => {
    expect(problemsOf(timeRules, id, readyNode(changes))).toBeUndefined();
  });

  test('chrony\'s own demands are not asked where it does not start', () => {
    expect(problemsOf(timeRules, 'time-makestep', readyNode(timesyncd))).toMatch(/chronyd does not start/);
    expect(problemsOf(timeRules, 'time-sources', readyNode(noChrony))).toMatch(/neither/);
  });
});

describe('chrony.conf', () => {
  /** D stands for a directory of the test's own. */
  const FILES: Record<string, string> = {
    '/etc/chrony.conf': '! a comment\n  pool   a.example  iburst\nInclude D/inc/*.conf\nconfdir D/one D/two\nsourcedir D/sources\nmakestep 1.0 3\n# end\n',
    'D/inc/b.conf': 'server b.example\n', 'D/inc/a.conf': 'driftfile /tmp/x\nserver a2.example\n', 'D/inc/c.txt': 'server wrong.example\n', 'D/one/10.conf': 'rtcsync\n', 'D/two/10.conf': 'server hidden.example\n', 'D/two/05.conf': 'maxdistance 3\n',
    'D/sources/x.sources': 'server s.example\n', 'D/sources/y.conf': 'server wrong.example\n',
  };

  needs('chronyd')('chronyd -p reads the same directives in the same order', () => {
    const directory = mkdtempSync(join(tmpdir(), 'rockberry-time-'));
    try {
      const files = Object.fromEntries(Object.entries(FILES).map(([path, content]) => [path.replace(/^D/, directory), content.replaceAll('D/', `${directory}/`)]));
      for (const [path, content] of Object.entries(files)) {
        const real = path === '/etc/chrony.conf' ? join(directory, 'chrony.conf') : path;
        mkdirSync(dirname(real), { recursive: true });
        writeFileSync(real, content);
      }
      const printed = output('chronyd', ['-p', '-f', join(directory, 'chrony.conf')]).toString().trim().split('\n').map((line) => line.split(/\s+/).join(' ').toLowerCase());
      const found = chronyConfig(memoryNode(files))!.directives.map(({ name, values }) => [name, ...values].join(' ').toLowerCase());
      expect(found.filter((line) => !/^(include|confdir|sourcedir) /.test(line) && !line.includes('s.example'))).toEqual(printed.filter((line) => !/^(include|confdir|sourcedir) /.test(line)));
      expect(found).toContain('server s.example'); // chronyd reads sources after its configuration, so -p does not print them
      expect(printed).toContain('maxdistance 3');
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  test('files that include each other end', () => {
    const include = 'include /etc/chrony/*.conf\n'.repeat(50);
    const node = readyNode({ [CONF]: include, '/etc/chrony/a.conf': include, '/etc/chrony/b.conf': include });
    expect(problemsOf(timeRules, 'time-sources', node)).toHaveLength(1);
  }, 10_000);
});
