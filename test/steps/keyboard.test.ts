import { expect, test } from 'vitest';
import { keyboardStep } from '../../src/steps/keyboard.js';
import { memoryTree, textOf } from '../support/memory-tree.js';
import { applyTwice } from './support.js';

test('KEYMAP in vconsole.conf, FONT kept, no X11 file made', async () => {
  const tree = memoryTree({ '/etc/vconsole.conf': 'KEYMAP="us"\nFONT="eurlatgr"\n' });
  expect(await applyTwice(keyboardStep, tree, 'de')).toEqual([]);
  expect(textOf(tree, '/etc/vconsole.conf')).toBe('KEYMAP=de\nFONT="eurlatgr"\n');
  expect(tree.stat('/etc/X11')).toBeUndefined();
});

test('X11 and Debian files are edited where they are', async () => {
  const x11 = 'Section "InputClass"\n        Identifier "system-keyboard"\n        MatchIsKeyboard "on"\n        Option "XkbLayout" "us"\nEndSection\n';
  const tree = memoryTree({ '/etc/X11/xorg.conf.d/00-keyboard.conf': x11, '/etc/default/keyboard': 'XKBMODEL="pc105"\nXKBLAYOUT="gb"\n' });
  expect(await applyTwice(keyboardStep, tree, { keymap: 'de-nodeadkeys', layout: 'de', variant: 'nodeadkeys', font: 'eurlatgr' })).toEqual([]);
  expect(textOf(tree, '/etc/X11/xorg.conf.d/00-keyboard.conf')).toBe(
    x11.replace('"us"', '"de"').replace('EndSection', '        Option "XkbVariant" "nodeadkeys"\nEndSection'));
  expect(textOf(tree, '/etc/default/keyboard')).toBe('XKBMODEL="pc105"\nXKBLAYOUT=de\nXKBVARIANT=nodeadkeys\n');
  expect(textOf(tree, '/etc/vconsole.conf')).toBe('KEYMAP=de-nodeadkeys\nFONT=eurlatgr\n');
});

test('a keymap the image does not have', async () => {
  const tree = memoryTree({ '/usr/lib/kbd/keymaps/xkb/de.map.gz': '', '/usr/lib/kbd/keymaps/legacy/i386/qwerty/us.map.gz': '' });
  expect(() => keyboardStep.apply(tree, 'dee', { directory: '/' })).toThrow(expect.objectContaining({ code: 'profile', hint: 'did you mean "de"?' }));
  expect(await applyTwice(keyboardStep, tree, 'us')).toEqual([]);
});

test.each([{}, { variant: 'x' }, 'a b', { keymap: 'de', extra: 1 }])('refuses %j', (options) => expect(keyboardStep.schema.safeParse(options).success).toBe(false));
