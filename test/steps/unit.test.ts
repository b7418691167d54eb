import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { unitStep } from '../../src/steps/unit.js';
import { parseUnitFile } from '../../src/steps/unit-file.js';
import { memoryTree, textOf, touched } from '../support/memory-tree.js';
import { needs } from '../support/oracle.js';
import { applyTwice } from './support.js';
import { inTree, systemctl, units } from './units.js';

const context = { directory: '/' };
const content = '[Unit]\nDescription=Bootstrap\n\n[Service]\nType=oneshot\nExecStart=/usr/local/sbin/bootstrap\n\n[Install]\nWantedBy=multi-user.target\n';

needs('systemctl')('a unit, enabled: as systemctl enables it', async () => {
  const tree = memoryTree(units);
  expect(await applyTwice(unitStep, tree, { name: 'bootstrap', content, enable: true })).toEqual([]);
  expect(tree.stat('/etc/systemd/system/bootstrap.service')).toMatchObject({ mode: 0o644 });
  const { made } = systemctl({ ...units, '/etc/systemd/system/bootstrap.service': content }, ['enable', 'bootstrap']);
  expect(inTree(tree)).toEqual(made);
});

test('not enabled: the unit alone', async () => {
  const tree = memoryTree({});
  expect(await applyTwice(unitStep, tree, { name: 'bootstrap.service', content: content.trimEnd() })).toEqual([]);
  expect(touched(tree).at(-1)).toBe('created /etc/systemd/system/bootstrap.service');
  expect(textOf(tree, '/etc/systemd/system/bootstrap.service')).toBe(content);
});

test('a drop-in, from a file beside the profile', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'rockberry-unit-'));
  writeFileSync(join(directory, 'x.conf'), '[Service]\nRestart=always\n');
  const tree = memoryTree(units);
  expect(await applyTwice(unitStep, tree, { name: 'sshd', drop_in: '10-x.conf', source: 'x.conf' }, directory)).toEqual([]);
  expect(textOf(tree, '/etc/systemd/system/sshd.service.d/10-x.conf')).toBe('[Service]\nRestart=always\n');
  expect(await applyTwice(unitStep, memoryTree({}), { name: 'sshd', drop_in: '10-x.conf', source: 'x.conf' }, directory)).toMatchObject([{ id: 'unit-missing' }]);
  rmSync(directory, { recursive: true });
});

test('a mask of that name gives way to the unit', async () => {
  const tree = memoryTree({ '/etc/systemd/system/bootstrap.service': { target: '/dev/null' } });
  await applyTwice(unitStep, tree, { name: 'bootstrap', content });
  expect(tree.stat('/etc/systemd/system/bootstrap.service')!.type).toBe('file');
  expect(tree.stat('/dev/null')).toBeUndefined();
});

test.each([
  ['no section', 'ExecStart=/bin/true\n', 'line 1: expected a section before "ExecStart="'],
  ['no equals sign', '[Service]\nExecStart /bin/true\n', 'line 2: expected "[Section]" or "Key=value"'],
  ['half a section', '[Unit\n', 'line 1'],
  ['a slip in a section', content.replace('[Service]', '[Sevice]'), 'found [Sevice]'],
  ['no [Service]', '[Unit]\nDescription=x\n', 'expected a section [Service]'],
  ['no ExecStart', '[Service]\nType=oneshot\n', 'ExecStart='],
  ['another type\'s section', content.replace('[Unit]', '[Socket]'), 'found [Socket]'],
])('%s is an error', (_, text, message) => {
  const tree = memoryTree({});
  expect(() => unitStep.apply(tree, { name: 'x', content: text }, context)).toThrow(expect.objectContaining({ code: 'profile', message: expect.stringContaining(message) }));
  expect(touched(tree)).toEqual([]);
});

test.each([
  ['enable without [Install]', { name: 'x', content: '[Service]\nExecStart=/bin/true\n', enable: true }, 'expected a section [Install]'],
  ['no such source', { name: 'x', source: 'nowhere' }, 'ENOENT'],
])('%s is an error', (_, options, message) => {
  expect(() => unitStep.apply(memoryTree({}), options, context)).toThrow(expect.objectContaining({ code: 'profile', message: expect.stringContaining(message) }));
});

test.each([
  ['continued lines, comments in between', '[Service]\nExecStart=/bin/sh \\\n# comment\n  -c true\n', [['ExecStart', '/bin/sh    -c true']]],
  ['spaces around', ' [Service] \n  Type = oneshot  \n', [['Type', 'oneshot']]],
  ['comments', '# a\n; b\n[Service]\n\nType=x\n', [['Type', 'x']]],
  ['a last line that goes on', '[Service]\nType=x\\', [['Type', 'x']]],
  ['CR', '[Service]\r\nType=x\r\n', [['Type', 'x']]],
  ['byte order mark', '\xef\xbb\xbf[Service]\nType=x\n', [['Type', 'x']]],
])('systemd.syntax: %s', (_, text, expected) => {
  const { assignments, problems } = parseUnitFile(text);
  expect(problems).toEqual([]);
  expect(assignments.map(({ key, value }) => [key, value])).toEqual(expected);
});

test.each([{ name: 'x' }, { name: 'x', content, source: 'y' }, { name: '../x', content }, { name: 'x', content, drop_in: 'x' }, { name: 'x', content, enabled: true }])('refuses %j', (options) => {
  expect(unitStep.schema.safeParse(options).success).toBe(false);
});
