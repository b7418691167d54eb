import { expect, test } from 'vitest';
import { timezoneStep } from '../../src/steps/timezone.js';
import { memoryTree, textOf } from '../support/memory-tree.js';
import { applyTwice } from './support.js';

const zones = { '/usr/share/zoneinfo/UTC': 'TZif2', '/usr/share/zoneinfo/Europe/Berlin': 'TZif2', '/usr/share/zoneinfo/zone.tab': '# text' };

test.each([
  ['a link', { '/etc/localtime': { target: '../usr/share/zoneinfo/UTC' } }],
  ['a copy', { '/etc/localtime': 'TZif2' }],
  ['nothing', {}],
])('replaces %s', async (_, before) => {
  const tree = memoryTree({ ...zones, ...before });
  expect(await applyTwice(timezoneStep, tree, 'Europe/Berlin')).toEqual([]);
  expect(tree.readLink('/etc/localtime')).toBe('../usr/share/zoneinfo/Europe/Berlin');
  expect(tree.stat('/etc/timezone')).toBeUndefined();
});

test('Debian: /etc/timezone too', async () => {
  const tree = memoryTree({ ...zones, '/etc/timezone': 'Etc/UTC\n' });
  expect(await applyTwice(timezoneStep, tree, 'Europe/Berlin')).toEqual([]);
  expect(textOf(tree, '/etc/timezone')).toBe('Europe/Berlin\n');
});

test.each([['Europe/Berln', 'did you mean "Europe/Berlin"?'], ['zone', 'use a name as in "timedatectl list-timezones"'], ['Europe', 'list-timezones']])('no zone %s: %s', (zone, hint) => {
  expect(() => timezoneStep.apply(memoryTree(zones), zone, { directory: '/' })).toThrow(expect.objectContaining({ code: 'profile', hint: expect.stringContaining(hint) }));
});

test('an image without zones says so', () => {
  expect(() => timezoneStep.apply(memoryTree({}), 'UTC', { directory: '/' })).toThrow(expect.objectContaining({ hint: expect.stringContaining('tzdata') }));
});

test.each(['../../etc/shadow', '/etc/shadow', 'a//b', 'Europe/', ''])('refuses %j', (zone) => expect(timezoneStep.schema.safeParse(zone).success).toBe(false));
