import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { RockberryError } from '../../src/errors.js';
import type { Tree } from '../../src/fs/filesystem.js';
import { filesStep } from '../../src/steps/files.js';
import { needs, output } from '../support/oracle.js';
import { memoryTree, textOf, touched } from '../support/memory-tree.js';

const PASSWD = 'root:x:0:0:root:/root:/bin/bash\nrocky:x:1000:1001::/home/rocky:/bin/bash\n';
const GROUP = 'root:x:0:\nrocky:x:1001:\nwheel:x:10:rocky\n';
const host = mkdtempSync(join(tmpdir(), 'rockberry-files-'));
afterAll(() => rmSync(host, { recursive: true, force: true }));

mkdirSync(join(host, 'tree/sub'), { recursive: true });
writeFileSync(join(host, 'tree/b'), 'b');
writeFileSync(join(host, 'tree/sub/run.sh'), '#!/bin/sh\n');
chmodSync(join(host, 'tree/sub/run.sh'), 0o700);
symlinkSync('../b', join(host, 'tree/sub/a-link'));
writeFileSync(join(host, 'motd.liquid'), 'Welcome to {{ name }}\n');

const context = { directory: host, render: (text: string) => text.replace('{{ name }}', 'node1') };
type Options = Parameters<typeof filesStep.apply>[1];
const image = (): Tree => memoryTree({ '/boot/cmdline.txt': 'x', '/etc/passwd': PASSWD, '/etc/group': GROUP, '/etc/old/deep/file': 'o', '/etc/keep': { content: 'k', mode: 0o600, uid: 5, gid: 6 }, '/lib': { target: 'usr/lib' }, '/usr/lib/x': 'x', '/etc/masked': { target: '/dev/null' } });

async function applyTwice(tree: Tree, options: Options): Promise<void> {
  await filesStep.apply(tree, options, context);
  expect(await filesStep.verify(tree, options, context)).toEqual([]);
  const before = tree.actions();
  await filesStep.apply(tree, options, context);
  expect(tree.actions()).toEqual(before);
}

test('content, template, owner by name from the image, mode', async () => {
  const tree = image();
  await applyTwice(tree, [
    { path: '/etc/motd', template: 'motd.liquid' },
    { path: '/home/rocky/.profile', content: 'ä\n', mode: '0640', owner: 'rocky', group: 'wheel' },
  ]);
  expect([textOf(tree, '/etc/motd'), textOf(tree, '/home/rocky/.profile')]).toEqual(['Welcome to node1\n', 'ä\n']);
  expect(tree.stat('/home/rocky/.profile')).toMatchObject({ mode: 0o640, uid: 1000, gid: 10 });
});

test('what is not given stays', async () => {
  const tree = image();
  await applyTwice(tree, [{ path: '/etc/keep', content: 'new' }]);
  expect(tree.stat('/etc/keep')).toMatchObject({ mode: 0o600, uid: 5, gid: 6 });
});

test('a directory tree is copied, sorted, with modes that do not depend on the host\'s umask and owners', async () => {
  const tree = image();
  await applyTwice(tree, [{ path: '/opt/tree', source: 'tree', owner: 1000 }]);
  expect(touched(tree)).toEqual(['created /opt', 'created /opt/tree', 'created /opt/tree/b', 'created /opt/tree/sub', 'created /opt/tree/sub/a-link', 'created /opt/tree/sub/run.sh']);
  expect(['b', 'sub/run.sh', 'sub'].map((name) => tree.stat(`/opt/tree/${name}`)!.mode.toString(8))).toEqual(['644', '755', '755']);
  expect([tree.readLink('/opt/tree/sub/a-link'), tree.stat('/opt/tree/b')!.uid]).toEqual(['../b', 1000]);
});

test('absent takes a directory with everything in it, and nothing when there is nothing', async () => {
  const tree = image();
  await applyTwice(tree, [{ path: '/etc/old', absent: true }, { path: '/etc/never', absent: true }]);
  expect(touched(tree)).toEqual(['removed /etc/old', 'removed /etc/old/deep', 'removed /etc/old/deep/file']);
});

test('directories and links', async () => {
  const tree = image();
  await applyTwice(tree, [{ path: '/var/lib/x', directory: true, mode: '0o700' }, { path: '/etc/alias', link: '/usr/lib/x' }, { path: '/lib', directory: true }]);
  expect([tree.stat('/var/lib/x')!.mode, tree.readLink('/etc/alias'), tree.stat('/lib')!.type]).toEqual([0o700, '/usr/lib/x', 'symlink']);
});

test('a link at the path is replaced, not written through', async () => {
  const tree = image();
  await applyTwice(tree, [{ path: '/etc/masked', content: 'c' }]);
  expect([tree.stat('/etc/masked')!.type, tree.stat('/dev')]).toEqual(['file', undefined]);
});

test('the boot FAT takes files; owners and modes are not looked for there', async () => {
  const tree = image();
  await applyTwice(tree, [{ path: '/boot/ssh', content: '', mode: '0600', owner: 'rocky' }]);
  expect(textOf(tree, '/boot/ssh')).toBe('');
});

test.each<[string, Options[0], string, RegExp]>([
  ['an unknown owner', { path: '/etc/x', content: '', owner: 'nobody' }, 'profile', /user of the image, found "nobody"/],
  ['a directory where a file is wanted', { path: '/etc', content: '' }, 'path', /found a directory/],
  ['a file where a directory is wanted', { path: '/etc/keep', directory: true }, 'path', /found a file/],
  ['a missing source', { path: '/etc/x', source: 'gone' }, 'profile', /readable source/],
  ['a missing template', { path: '/etc/x', template: 'gone' }, 'profile', /readable template/],
  ['the boot partition', { path: '/boot', absent: true }, 'refused', /boot partition/],
])('refused: %s', (_, options, code, message) => {
  expect(() => filesStep.apply(image(), [options], context)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
});

needs('mkfifo')('a fifo in the source is refused before anything is written', () => {
  mkdirSync(join(host, 'bad'), { recursive: true });
  writeFileSync(join(host, 'bad/a'), 'a');
  output('mkfifo', [join(host, 'bad/z')]);
  const tree = image();
  expect(() => filesStep.apply(tree, [{ path: '/opt/x', source: 'bad' }], context)).toThrow(RockberryError);
  expect(touched(tree)).toEqual([]);
});

test.each([
  { path: 'etc/x', content: '' }, { path: '/etc/../x', content: '' }, { path: '/etc/', directory: true }, { path: '/', absent: true }, { path: '/etc/x' },
  { path: '/etc/x', content: '', link: 'y' }, { path: '/etc/x', content: '', mode: 644 }, { path: '/etc/x', content: '', mode: '0888' }, { path: '/etc/x', absent: false },
])('the schema refuses %j', (options) => {
  expect(filesStep.schema.safeParse([options]).success).toBe(false);
});

test('verify sees what a stranger changed', async () => {
  const tree = image();
  const options = [{ path: '/etc/x', content: 'x', mode: '0600' }, { path: '/etc/l', link: 'x' }, { path: '/etc/old', absent: true as const }];
  await filesStep.apply(tree, options, context);
  tree.write('/etc/x', Buffer.from('y'));
  tree.makeLink('/etc/l', 'elsewhere');
  tree.makeDirectory('/etc/old');
  expect((await filesStep.verify(tree, options, context)).map(({ subject }) => subject)).toEqual(['/etc/x', '/etc/l', '/etc/old']);
});
