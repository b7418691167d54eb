import { readdirSync, readFileSync, lstatSync, readlinkSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Tree } from '../../src/fs/filesystem.js';
import { PRESET, servicesStep } from '../../src/steps/services.js';
import { memoryTree, textOf } from '../support/memory-tree.js';
import { needs } from '../support/oracle.js';
import { applyTwice } from './support.js';
import { inTree, systemctl, units, type Files } from './units.js';

const context = { directory: '/' };
const enabled = ['sshd', 'sshd.socket', 'NetworkManager', 'firewalld', 'chronyd', 'chrony-wait', 'getty@tty1', 'getty@', 'autovt@tty2', 'serial-getty@ttyS0', 'instalias@', 'instalias@a',
  'spec', 'reset', 'dropin', 'cleared', 'aliasdir', 'selfalias', 'also-loop-a', 'also-missing', 'dbus-broker', 'fstrim.timer', 'aliased', 'only-also', 'quoted', 'overridden', 'local'];

describe('systemctl makes the same links', () => {
  needs('systemctl').each(enabled)('enable %s', async (name) => {
    const { status, output, made } = systemctl(units, ['enable', name]);
    expect(status, output).toBe(0);
    const tree = memoryTree(units);
    expect(await applyTwice(servicesStep, tree, { enable: [name] })).toEqual([]);
    expect(inTree(tree)).toEqual(made);
  });

  needs('systemctl').each(enabled)('enable %s and all others, then disable it', async (name) => {
    const { made } = systemctl(units, ['enable', ...enabled], ['disable', name]);
    const tree = memoryTree(units);
    await servicesStep.apply(tree, { enable: enabled }, context);
    expect(await applyTwice(servicesStep, tree, { disable: [name] })).toEqual([]);
    expect(inTree(tree)).toEqual(made);
  });

  needs('systemctl').each(['masked', 'nowhere', 'serial-getty@', 'bad name'])('%s cannot be enabled', (name) => {
    const { made } = systemctl(units, ['enable', name]);
    const tree = memoryTree(units);
    expect(() => servicesStep.apply(tree, { enable: [name] }, context)).toThrow(expect.objectContaining({ code: 'profile' }));
    expect(inTree(tree)).toEqual(made);
  });

  needs('systemctl')('mask and unmask', async () => {
    const { made, output } = systemctl(units, ['mask', 'sshd', 'nowhere'], ['unmask', 'masked'], ['enable', 'masked']);
    const tree = memoryTree(units);
    expect(await applyTwice(servicesStep, tree, { mask: ['sshd', 'nowhere.service'], unmask: ['masked'], enable: ['masked'] }), output).toMatchObject([{ severity: 'info', id: 'services-unknown', hint: expect.not.stringContaining('"nowhere.service"') as string }]);
    expect(inTree(tree)).toEqual(made);
  });

  needs('systemctl')('links that were made by hand: relative ones count, other targets are turned', async () => {
    const files: Files = {
      ...units,
      '/etc/systemd/system/multi-user.target.wants/sshd.service': { target: '../../../../usr/lib/systemd/system/sshd.service' },
      '/etc/systemd/system/multi-user.target.wants/chronyd.service': { target: '/usr/lib/systemd/system/other.service' },
    };
    const { made } = systemctl(files, ['enable', 'sshd', 'chronyd']);
    const tree = memoryTree(files);
    expect(await applyTwice(servicesStep, tree, { enable: ['sshd', 'chronyd'] })).toEqual([]);
    expect(inTree(tree)).toEqual(made);
  });

  // Every unit of this machine: other people's files, read by two programs.
  needs('systemctl')('the units of this machine', { timeout: 60_000 }, async () => {
    const files = hostUnits();
    const names = Object.keys(files).map((path) => path.slice(path.lastIndexOf('/') + 1)).filter((name) => /^[^@]+\.(service|socket|timer|target|path)$/.test(name));
    const tree = memoryTree(files);
    const able = names.filter((name) => canEnable(tree, name));
    const { made } = systemctl(files, ...able.map((name) => ['enable', name]));
    expect(inTree(tree)).toEqual(made);
    expect(able.length).toBeGreaterThan(0);
  });
});

function canEnable(tree: Tree, name: string): boolean {
  try {
    void servicesStep.apply(tree, { enable: [name] }, context);
    return true;
  } catch {
    return false;
  }
}

function hostUnits(): Files {
  const directory = '/usr/lib/systemd/system';
  const names = readdirSync(directory).filter((name) => !lstatSync(`${directory}/${name}`).isDirectory());
  return Object.fromEntries(names.map((name) => {
    const path = `${directory}/${name}`;
    return [path, lstatSync(path).isSymbolicLink() ? { target: readlinkSync(path).replace(/^\/lib\//, '/usr/lib/') } : readFileSync(path, 'utf8')];
  }));
}

test.each([
  ['a slip', { enable: ['shd'] }, 'profile', 'did you mean "sshd.service"?'],
  ['static', { enable: ['static'] }, 'profile', 'it is started by other units; nothing needs to be enabled'],
  ['masked', { enable: ['masked'] }, 'profile', 'add "unmask: [masked.service]"'],
  ['template without instance', { enable: ['serial-getty@'] }, 'profile', 'name an instance, as "serial-getty@NAME.service"'],
  ['mask over a file', { mask: ['overridden'] }, 'refused', 'remove it with a files step (absent) or disable the unit instead'],
])('%s is an error with a hint', (_, options, code, hint) => {
  expect(() => servicesStep.apply(memoryTree(units), options, context)).toThrow(expect.objectContaining({ code, hint }));
});

test('an alias that leads to another unit is not turned', () => {
  const tree = memoryTree({ ...units, '/etc/systemd/system/dbus.service': { target: '/usr/lib/systemd/system/sshd.service' } });
  expect(() => servicesStep.apply(tree, { enable: ['dbus-broker'] }, context)).toThrow(expect.objectContaining({ code: 'refused' }));
});

test('an alias loop ends', () => {
  const loop = { '/usr/lib/systemd/system/a.service': { target: 'b.service' }, '/usr/lib/systemd/system/b.service': { target: 'a.service' } };
  expect(() => servicesStep.apply(memoryTree(loop), { enable: ['a'] }, context)).toThrow(expect.objectContaining({ code: 'corrupt' }));
});

test('the preset says the same, sorted, without instances', async () => {
  const tree = memoryTree({ ...units, [PRESET]: 'enable firewalld.service\n' });
  expect(await applyTwice(servicesStep, tree, { enable: ['sshd', 'getty@tty3', 'chronyd'], disable: ['firewalld'] })).toEqual([]);
  expect(textOf(tree, PRESET)).toBe('disable firewalld.service\nenable chronyd.service\nenable sshd.service\n');
});

test('verify sees what was not done', async () => {
  const tree = memoryTree(units);
  await servicesStep.apply(tree, { enable: ['chronyd'] }, context);
  const findings = await servicesStep.verify(tree, { enable: ['sshd', 'masked', 'nowhere'], disable: ['chronyd', 'chronid'], mask: ['firewalld'], unmask: ['masked'] }, context);
  expect(findings.map(({ severity, subject }) => `${severity} ${subject}`)).toEqual([
    'error /etc/systemd/system/multi-user.target.wants/sshd.service', 'error masked.service', 'error nowhere.service',
    'error /etc/systemd/system/multi-user.target.wants/chronyd.service', 'info chronid.service', 'error /etc/systemd/system/firewalld.service', 'error /etc/systemd/system/masked.service',
  ]);
});

test.each([{ enable: 'sshd' }, { enable: ['../x'] }, { start: ['sshd'] }, { enable: [''] }])('refuses %j', (options) => expect(servicesStep.schema.safeParse(options).success).toBe(false));
