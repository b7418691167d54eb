import { expect, test } from 'vitest';
import { localeStep } from '../../src/steps/locale.js';
import { memoryTree, textOf } from '../support/memory-tree.js';
import { applyTwice } from './support.js';

test.each([
  ['new file', undefined, 'en_US.UTF-8', 'LANG=en_US.UTF-8\n'],
  ['replaced', 'LANG="C.UTF-8"\n', 'en_US.UTF-8', 'LANG=en_US.UTF-8\n'],
  ['quoted alike stays', 'LANG="en_US.UTF-8"\n', 'en_US.UTF-8', 'LANG="en_US.UTF-8"\n'],
  ['others stay', '# mine\nLC_TIME=de_DE.UTF-8\nLANG=C\n', 'en_US.UTF-8', '# mine\nLC_TIME=de_DE.UTF-8\nLANG=en_US.UTF-8\n'],
  ['no newline at the end', 'LC_TIME=C', 'en_US.UTF-8', 'LC_TIME=C\nLANG=en_US.UTF-8\n'],
  ['variables', 'LANG=C\nLANG=D\n', { lang: 'de_DE.UTF-8', LC_TIME: 'en_GB.UTF-8', language: 'de:en' }, 'LANG=de_DE.UTF-8\nLANGUAGE=de:en\nLC_TIME=en_GB.UTF-8\n'],
])('%s', async (_, before, options, after) => {
  const tree = memoryTree(before === undefined ? {} : { '/etc/locale.conf': before });
  expect(await applyTwice(localeStep, tree, options)).toEqual([]);
  expect(textOf(tree, '/etc/locale.conf')).toBe(after);
});

test.each([
  ['de_DE.UTF-8', ['C.utf8', 'en_US.utf8'], ['locale-missing']],
  ['en_US.UTF-8', ['C.utf8', 'en_US.utf8'], []],
  ['C.UTF-8', ['en_US.utf8'], []],
  ['de_DE.UTF-8@euro', ['de_DE.utf8@euro'], []],
  ['de_DE.UTF-8', ['locale-archive'], []],
])('%s with %j installed', async (locale, installed, ids) => {
  const tree = memoryTree(Object.fromEntries(installed.map((name) => [`/usr/lib/locale/${name}`, { directory: true }])));
  expect((await applyTwice(localeStep, tree, locale)).map(({ id }) => id)).toEqual(ids);
});

test.each(['', 'a b', 'x;y', { LC_ALL: 'C', lang: 'C' }, {}])('refuses %j', (options) => expect(localeStep.schema.safeParse(options).success).toBe(false));
