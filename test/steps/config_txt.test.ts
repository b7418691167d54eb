import { expect, test } from 'vitest';
import { configSettings, editConfig, unmetSettings, type ConfigEdit } from '../../src/steps/config-text.js';
import { configTxtStep } from '../../src/steps/config_txt.js';
import { memoryTree, textOf, touched } from '../support/memory-tree.js';

const ROCKY_9 = 'arm_64bit=1\nauto_initramfs=1\n\n[pi5]\ndtoverlay=vc4-kms-v3d\n';

const cases: [string, string, ConfigEdit, string][] = [
  ['no file', '', { section: 'all', set: { enable_uart: 1 } }, 'enable_uart=1\n'],
  ['the file ends in a section for one board', ROCKY_9, { section: 'all', set: { enable_uart: 1 } }, `${ROCKY_9}[all]\nenable_uart=1\n`],
  ['a value is replaced where it stands', ROCKY_9, { section: 'all', set: { auto_initramfs: 0 } }, ROCKY_9.replace('initramfs=1', 'initramfs=0')],
  ['a value that is there', ROCKY_9, { section: 'all', set: { arm_64bit: true } }, ROCKY_9],
  ['a name that repeats is a set', 'dtoverlay=a\n', { section: 'all', set: { dtoverlay: ['b', 'a'], dtparam: 'audio=on' } }, 'dtoverlay=a\ndtoverlay=b\ndtparam=audio=on\n'],
  ['the same overlay in another section is another matter', ROCKY_9, { section: 'all', set: { dtoverlay: 'vc4-kms-v3d' } }, `${ROCKY_9}[all]\ndtoverlay=vc4-kms-v3d\n`],
  ['into a section that is there', `${ROCKY_9}\n[all]\nx=1\n`, { section: 'pi5', set: { kernel: 'kernel8.img' } }, `${ROCKY_9}kernel=kernel8.img\n\n[all]\nx=1\n`],
  ['into a section that is not there', 'x=1', { section: 'pi4', set: { y: 2 } }, 'x=1\n[pi4]\ny=2\n[all]\n'],
  ['a new section after another one', ROCKY_9, { section: 'pi4', set: { y: 2 } }, `${ROCKY_9}[all]\n[pi4]\ny=2\n[all]\n`],
  ['filters of other types combine', '[EDID=X]\n[pi4]\na=1\n', { section: 'pi4', set: { a: 2 } }, '[EDID=X]\n[pi4]\na=1\n[all]\n[pi4]\na=2\n[all]\n'],
  ['filters of one type replace each other', '[pi3]\na=1\n[pi4]\na=1\n', { section: 'pi4', set: { a: 2 } }, '[pi3]\na=1\n[pi4]\na=2\n'],
  ['line ends stay', '# c\r\na=1\r\n', { section: 'all', set: { a: 2, b: 3 } }, '# c\r\na=2\r\nb=3\r\n'],
  ['the last line has no end', 'a=1', { section: 'all', set: { b: 2 } }, 'a=1\nb=2\n'],
  ['a comment is no setting', '#a=1\n', { section: 'all', set: { a: 1 } }, '#a=1\na=1\n'],
  ['the last of several is in force', 'a=1\na=2\n', { section: 'all', set: { a: 1 } }, 'a=1\na=1\n'],
  ['initramfs has no equals sign', 'initramfs old followkernel\n', { section: 'all', set: { initramfs: 'new followkernel' }, remove: ['initramfs old followkernel'] }, 'initramfs new followkernel\n'],
  ['remove a name', 'a=1\n# a=1\nb=1\na=2\n', { section: 'all', remove: ['a'] }, '# a=1\nb=1\n'],
  ['remove one value', 'dtoverlay=a\r\ndtoverlay=b\r\n', { section: 'all', remove: ['dtoverlay=a'] }, 'dtoverlay=b\r\n'],
  ['remove leaves other sections alone', 'a=1\n[pi4]\na=1\n', { section: 'pi4', remove: ['a'] }, 'a=1\n[pi4]\n'],
];
test.each(cases)('%s', (_, text, edit, expected) => {
  const once = editConfig(text, edit);
  expect(once).toBe(expected);
  expect(editConfig(once, edit)).toBe(once);
  expect(unmetSettings(once, edit)).toEqual([]);
});

test('settings are read with the filters in force', () => {
  const text = 'a=1\n[pi4]\n[tryboot]\nb=2\n[pi5]\nc=3\n[all]\ninclude x.txt\r\n';
  expect(configSettings(text).map(({ key, value, filters }) => [key, value, filters])).toEqual([
    ['a', '1', []], ['b', '2', ['pi4', 'tryboot']], ['c', '3', ['tryboot', 'pi5']], ['include', 'x.txt', []],
  ]);
});

test('the step makes the file on the boot FAT, once', async () => {
  const tree = memoryTree({ '/boot/cmdline.txt': 'x' });
  const options = { set: { enable_uart: 1, dtoverlay: ['disable-wifi'] } };
  await configTxtStep.apply(tree, options, { directory: '/' });
  await configTxtStep.apply(tree, options, { directory: '/' });
  expect(textOf(tree, '/boot/config.txt')).toBe('enable_uart=1\ndtoverlay=disable-wifi\n');
  expect(touched(tree)).toEqual(['created /boot/config.txt']);
  expect(await configTxtStep.verify(tree, options, { directory: '/' })).toEqual([]);
  expect(await configTxtStep.verify(tree, { set: { enable_uart: 0 }, remove: ['dtoverlay'] }, { directory: '/' })).toHaveLength(2);
});

test('removing from a file that is not there makes none', async () => {
  const tree = memoryTree({ '/boot/cmdline.txt': 'x' });
  await configTxtStep.apply(tree, { remove: ['a'] }, { directory: '/' });
  expect(touched(tree)).toEqual([]);
});

test('a line that the firmware would cut off is refused', () => {
  expect(() => editConfig('', { section: 'all', set: { dtoverlay: 'x'.repeat(90) } })).toThrow(/98 characters/);
});
