import { expect, test } from 'vitest';
import { RockberryError } from '../../src/errors.js';
import { memoryTree, textOf, touched } from '../support/memory-tree.js';

test('absolute and climbing links stay inside the image', () => {
  const tree = memoryTree({ '/etc/passwd': 'image', '/a/abs': { target: '/etc/passwd' }, '/a/up': { target: '../../../../etc/passwd' } });
  expect(textOf(tree, '/a/abs')).toBe('image');
  expect(textOf(tree, '/a/up')).toBe('image');
  expect(tree.resolve('/a/up')).toBe('/etc/passwd');
});

test('a link loop is an error, not a hang', () => {
  const tree = memoryTree({ '/x': { target: '/y' }, '/y': { target: '/x' } });
  expect(() => tree.read('/x')).toThrow(RockberryError);
});

test('paths under the boot directory are on the FAT', () => {
  const tree = memoryTree({ '/boot/efi/cmdline.txt': 'console=tty1' }, { bootDirectory: '/boot/efi' });
  expect(textOf(tree, '/boot/efi/cmdline.txt')).toBe('console=tty1');
  expect(() => tree.makeLink('/boot/efi/l', 'x')).toThrow(/FAT/);
});

test('a write through a link of the usr merge is recorded and labelled under its real path', () => {
  const tree = memoryTree({ '/usr/lib/x': 'a', '/lib': { target: 'usr/lib' } }, { label: (path, type) => `u:r:${path}:${type}` });
  tree.write('/lib/y', Buffer.from('new'));
  expect(touched(tree)).toEqual(['created /usr/lib/y']);
  expect(Buffer.from(tree.xattrs('/usr/lib/y').get('security.selinux')!).toString()).toBe('u:r:/usr/lib/y:file\0');
});

test('actions tell what is different from the beginning', () => {
  const tree = memoryTree({ '/keep': 'a', '/edit': 'b', '/drop': 'c', '/again': 'd' });
  tree.write('/keep', Buffer.from('a'));
  tree.write('/edit', Buffer.from('B'));
  tree.remove('/drop');
  tree.write('/temporary', Buffer.from('t'));
  tree.remove('/temporary');
  tree.remove('/again');
  tree.write('/again', Buffer.from('d'));
  tree.write('/new', Buffer.from('n'));
  expect(tree.actions()).toEqual([
    { path: '/again', action: 'changed' }, { path: '/drop', action: 'removed' }, { path: '/edit', action: 'changed' },
    { path: '/keep', action: 'unchanged' }, { path: '/new', action: 'created' },
  ]);
});
