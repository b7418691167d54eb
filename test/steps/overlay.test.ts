import { createHash } from 'node:crypto';
import { chmodSync, linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';
import type { Tree } from '../../src/fs/filesystem.js';
import { overlayStep } from '../../src/steps/overlay.js';
import { memoryTree, textOf, touched } from '../support/memory-tree.js';
import { needs, output } from '../support/oracle.js';

const test = needs('tar', 'gzip', 'xz', 'zstd');

const host = mkdtempSync(join(tmpdir(), 'rockberry-overlay-'));
afterAll(() => rmSync(host, { recursive: true, force: true }));
const context = { directory: host };
const image = (): Tree => memoryTree({
  '/boot/cmdline.txt': 'x', '/etc/passwd': 'root', '/lib': { target: 'usr/lib' }, '/usr/lib/old': 'old', '/etc/masked': { target: '/dev/null' }, '/etc/keep': { content: 'k', mode: 0o600 },
});

let folders = 0;
/** A folder on the host with some files, and what real tar makes of it. */
function pack(make: (folder: string) => void, args: readonly string[], name = 'a.tar'): string {
  const folder = join(host, `f${folders++}`);
  mkdirSync(folder);
  make(folder);
  output('tar', ['-C', folder, '-cf', join(folder, name), '--owner=1000', '--group=1000', '--numeric-owner', ...args]);
  return join(folder, name);
}

/** A tar made byte by byte, for what real tar will not make. */
function raw(members: readonly { name: string; type?: string; link?: string; data?: string; size?: number }[]): string {
  const blocks = members.flatMap(({ name, type = '0', link = '', data = '', size = data.length }) => {
    const header = Buffer.alloc(512);
    header.write(name, 0, 'latin1');
    header.write(['0000644', '0000000', '0000000', ''].join('\x00'), 100, 'latin1');
    header.write(`${size.toString(8).padStart(11, '0')}\0${'0'.repeat(11)}\0        ${type}${link}`, 124, 'latin1');
    header.write('ustar\u000000', 257, 'latin1');
    header.write(`${header.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    return [header, Buffer.from(data.padEnd(Math.ceil(data.length / 512) * 512, '\0'), 'latin1')];
  });
  const path = join(host, `raw${folders++}.tar`);
  writeFileSync(path, Buffer.concat([...blocks, Buffer.alloc(1024)]));
  return path;
}

async function applyTwice(tree: Tree, options: Parameters<typeof overlayStep.apply>[1]): Promise<void> {
  await overlayStep.apply(tree, options, context);
  expect(await overlayStep.verify(tree, options, context)).toEqual([]);
  const before = tree.actions();
  await overlayStep.apply(tree, options, context);
  expect(tree.actions()).toEqual(before);
}

function sampleTree(folder: string): void {
  mkdirSync(join(folder, 'etc/app'), { recursive: true });
  mkdirSync(join(folder, 'lib'));
  writeFileSync(join(folder, 'etc/app/conf'), 'conf\n');
  chmodSync(join(folder, 'etc/app/conf'), 0o640);
  writeFileSync(join(folder, 'etc/masked'), 'unmasked');
  writeFileSync(join(folder, 'etc/keep'), 'mine');
  writeFileSync(join(folder, 'lib/unit'), 'unit');
  symlinkSync('../lib/unit', join(folder, 'etc/link'));
  linkSync(join(folder, 'etc/app/conf'), join(folder, 'etc/second'));
  utimesSync(join(folder, 'etc/app/conf'), 1_700_000_000.25, 1_700_000_000.25);
  utimesSync(join(folder, 'etc/app'), 1_600_000_000, 1_600_000_000);
}

test.each([['plain', [], 'a.tar'], ['gzip', ['-z'], 'a'], ['xz', ['-J'], 'a'], ['zstd', ['--zstd'], 'a'], ['old GNU', ['--format=gnu'], 'a'], ['ustar', ['--format=ustar'], 'a']])('an archive of real tar: %s', async (kind, args, name) => {
  const archive = pack(sampleTree, ['--sort=name', ...(args.some((arg) => arg.startsWith('--format')) ? args : ['--format=posix', ...args]), './etc', './lib'], name);
  const tree = image();
  await applyTwice(tree, { archive });
  expect(touched(tree)).toEqual([
    'changed /etc', 'created /etc/app', 'created /etc/app/conf', 'changed /etc/keep', 'created /etc/link', 'changed /etc/masked', 'created /etc/second', 'changed /usr/lib', 'created /usr/lib/unit',
  ]);
  const fraction = kind === 'old GNU' || kind === 'ustar' ? 0 : 250_000_000;
  expect(tree.stat('/etc/app/conf')).toMatchObject({ mode: 0o640, uid: 1000, gid: 1000, mtime: { seconds: 1_700_000_000, nanoseconds: fraction }, links: 2 });
  expect([tree.readLink('/etc/link'), textOf(tree, '/etc/second'), textOf(tree, '/usr/lib/unit'), textOf(tree, '/etc/masked')]).toEqual(['../lib/unit', 'conf\n', 'unit', 'unmasked']);
  expect([tree.stat('/etc/masked')!.type, tree.stat('/dev'), tree.readLink('/lib'), tree.stat('/etc/app')!.mtime.seconds]).toEqual(['file', undefined, 'usr/lib', 1_600_000_000]);
});

test('to and strip', async () => {
  const archive = pack((folder) => { mkdirSync(join(folder, 'top/bin'), { recursive: true }); writeFileSync(join(folder, 'top/bin/x'), 'x'); }, ['top']);
  const tree = image();
  await applyTwice(tree, { archive, to: '/opt/app', strip: 1 });
  expect(textOf(tree, '/opt/app/bin/x')).toBe('x');
});

test('extended attributes keep their bytes: text, binary, and the SELinux label with its NUL', async () => {
  const archive = pack((folder) => writeFileSync(join(folder, 'x'), 'x'), [
    '--format=posix', '--pax-option=SCHILY.xattr.user.plain:=text,SCHILY.xattr.security.selinux:=system_u:object_r:bin_t:s0', 'x']);
  const tree = image();
  await applyTwice(tree, { archive });
  expect([...tree.xattrs('/x')].map(([name, value]) => [name, Buffer.from(value).toString('latin1')])).toEqual(expect.arrayContaining([
    ['user.plain', 'text'], ['security.selinux', 'system_u:object_r:bin_t:s0']]));

  const value = Buffer.from([1, 0, 0, 2, 0x80, 0x20, 0xff, 0, 0, 0, 0, 0]).toString('latin1'); // a capability, not UTF-8
  const record = (key: string, text: string): string => {
    const length = [...Array(99).keys()].find((size) => `${size} ${key}=${text}\n`.length === size)!;
    return `${length} ${key}=${text}\n`;
  };
  const binary = raw([
    { name: 'h', type: 'x', data: record('SCHILY.xattr.security.capability', value) + record('mtime', '12.5') }, { name: 'ping', data: 'p'.repeat(700) },
    { name: 'h', type: 'x', data: record('LIBARCHIVE.xattr.user.a%20b', 'AP8=') + record('RHT.security.selinux', 'u:r:t:s0') }, { name: 'other', data: 'o' }, { name: 'none', data: 'n' }]);
  await applyTwice(tree, { archive: binary });
  expect(Buffer.from(tree.xattrs('/ping').get('security.capability')!).toString('latin1')).toBe(value);
  expect(tree.stat('/ping')!.mtime).toEqual({ seconds: 12, nanoseconds: 500_000_000 });
  expect([...tree.xattrs('/other')].map(([name, bytes]) => [name, Buffer.from(bytes).toString('latin1')])).toEqual([['user.a b', '\0\xff'], ['security.selinux', 'u:r:t:s0\0']]);
  expect(tree.xattrs('/none').size).toBe(0);
});

needs('setfattr')('extended attributes of a real file, through tar --xattrs', async ({ skip }) => {
  const archive = pack((folder) => {
    writeFileSync(join(folder, 'x'), 'x');
    try {
      output('setfattr', ['-n', 'user.note', '-v', '0x00ff10', join(folder, 'x')]);
    } catch {
      skip('the host\'s temporary folder has no user attributes');
    }
  }, ['--format=posix', '--xattrs', 'x']);
  const tree = image();
  await applyTwice(tree, { archive });
  expect(Buffer.from(tree.xattrs('/x').get('user.note')!).toString('hex')).toBe('00ff10');
});

test('a large member goes through a file, byte for byte', async () => {
  const bytes = Buffer.from(Uint8Array.from({ length: 9 << 20 }, (_, index) => index % 251));
  const archive = pack((folder) => writeFileSync(join(folder, 'big'), bytes), ['big']);
  const tree = image();
  await overlayStep.apply(tree, { archive }, context);
  const hash = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');
  expect(hash(tree.read('/big'))).toBe(hash(bytes));
});

test('long names, and a later member wins', async () => {
  const long = `${'d'.repeat(120)}/${'f'.repeat(200)}`;
  const make = (folder: string): void => { mkdirSync(join(folder, 'd'.repeat(120))); writeFileSync(join(folder, long), 'long'); };
  for (const format of ['gnu', 'posix']) {
    const tree = image();
    await applyTwice(tree, { archive: pack(make, [`--format=${format}`, 'd'.repeat(120)]) });
    expect(textOf(tree, `/${long}`)).toBe('long');
  }
  const tree = image();
  await applyTwice(tree, { archive: raw([{ name: 'x', data: 'first' }, { name: './x', data: 'second' }]) });
  expect(textOf(tree, '/x')).toBe('second');
});

const hostile: [string, () => string, RegExp][] = [
  ['an absolute path (tar -P)', () => pack((folder) => writeFileSync(join(folder, 'x'), 'x'), ['-P', join(host, `f${folders}`, 'x')]), /member "\/.*x": .*absolute/],
  ['a path with .. (tar -P)', () => pack((folder) => { mkdirSync(join(folder, 'a')); writeFileSync(join(folder, 'x'), 'x'); }, ['-P', 'a/../x']), /member "a\/\.\.\/x": .*"\.\."/],
  ['a path through a link of the archive', () => raw([{ name: 'a', type: '2', link: '/etc' }, { name: 'a/passwd', data: 'evil' }]), /member "a\/passwd": .*link of the same archive/],
  ['the same by way of the image\'s own link', () => raw([{ name: 'usr/lib/evil', type: '2', link: '/etc' }, { name: 'lib/', type: '5' }, { name: 'lib/evil/passwd', data: 'evil' }]), /member "lib\/evil\/passwd": .*link of the same archive/],
  ['the image\'s own link replaced first', () => raw([{ name: 'lib', type: '2', link: 'etc' }, { name: 'lib/passwd', data: 'evil' }]), /member "lib\/passwd": .*link of the same archive/],
  ['a hard link to the outside', () => raw([{ name: 'a', type: '1', link: '../../etc/shadow' }]), /member "a": .*"\.\."/],
  ['a hard link with an absolute target', () => raw([{ name: 'a', type: '1', link: '/etc/passwd' }]), /member "a": .*absolute/],
  ['a hard link to nothing', () => raw([{ name: 'a', type: '1', link: 'gone' }]), /member "a": expected a hard link to a file, found one to "gone"/],
  ['a hard link through a link of the archive', () => raw([{ name: 'l', type: '2', link: '/etc' }, { name: 'a', type: '1', link: 'l/passwd' }]), /link of the same archive/],
  ['a device', () => raw([{ name: 'dev/sda', type: '4' }]), /member "dev\/sda": .*found a block-device/],
  ['a fifo', () => raw([{ name: 'f', type: '6' }]), /found a fifo/],
  ['a sparse file of GNU', () => raw([{ name: 's', type: 'S' }]), /unknown kind/],
  ['a file in place of a directory', () => raw([{ name: 'etc', data: 'x' }]), /member "etc": expected a file .* found a directory/],
  ['a directory in place of a file', () => raw([{ name: 'etc/passwd/', type: '5' }]), /member "etc\/passwd\/": expected a directory .* found a file/],
  ['a path below a file', () => raw([{ name: 'etc/passwd/x', data: 'x' }]), /expected a directory at \/etc\/passwd, found a file/],
  ['a name that is not UTF-8', () => raw([{ name: 'a\xff', data: 'x' }]), /UTF-8/],
  ['NUL in a name', () => raw([{ name: 'h', type: 'x', data: '14 path=a\0b/c\n' }, { name: 'x', data: 'x' }]), /NUL/],
];
test.each(hostile)('refused before anything is written: %s', async (_, make, message) => {
  const tree = image();
  const archive = make();
  await expect(overlayStep.apply(tree, { archive }, context)).rejects.toMatchObject({ code: 'profile', message: expect.stringMatching(message) });
  expect(touched(tree)).toEqual([]);
});

test.each<[string, string, () => string]>([
  ['a bomb of one huge member', 'no-space', () => raw([{ name: 'x', size: 0o77777777777 }])],
  ['a truncated tar', 'corrupt', () => { const path = pack(sampleTree, ['etc']); truncateSync(path, 700); return path; }],
  ['a tar cut off between two members', 'corrupt', () => { const path = raw([{ name: 'x', data: 'x' }, { name: 'y', data: 'y' }]); truncateSync(path, 1024); return path; }],
  ['an xz without its footer', 'corrupt', () => { const path = pack(sampleTree, ['-J', 'etc']); truncateSync(path, readFileSync(path).length - 12); return path; }],
  ['garbage after gzip', 'corrupt', () => { const path = pack(sampleTree, ['-z', 'etc']); writeFileSync(path, 'garbage', { flag: 'a' }); return path; }],
  ['a truncated gzip', 'corrupt', () => { const path = pack(sampleTree, ['-z', 'etc']); truncateSync(path, 100); return path; }],
  ['a truncated xz', 'corrupt', () => { const path = pack(sampleTree, ['-J', 'etc']); truncateSync(path, 150); return path; }],
  ['a truncated zstd', 'corrupt', () => { const path = pack(sampleTree, ['--zstd', 'etc']); truncateSync(path, 100); return path; }],
  ['a flipped byte in gzip', 'corrupt', () => { const path = pack(sampleTree, ['-z', 'etc']); const data = readFileSync(path); data[60]! ^= 0xff; writeFileSync(path, data); return path; }],
  ['a broken header', 'corrupt', () => { const path = raw([{ name: 'x', data: 'x' }]); const data = readFileSync(path); data[0] = 0x41; writeFileSync(path, data); return path; }],
  ['a huge extended header', 'unsupported', () => raw([{ name: 'h', type: 'x', size: 1 << 22 }])],
  ['a zip', 'unsupported', () => { const path = join(host, 'a.zip'); writeFileSync(path, 'PK\x03\x04'); return path; }],
  ['nothing there', 'profile', () => join(host, 'none.tar')],
])('refused: %s', async (_, code, make) => {
  const tree = image();
  await expect(overlayStep.apply(tree, { archive: make() }, context)).rejects.toMatchObject({ name: 'RockberryError', code });
  expect(touched(tree)).toEqual([]);
});

test('verify sees what a stranger changed', async () => {
  const archive = pack(sampleTree, ['etc', 'lib']);
  const tree = image();
  await overlayStep.apply(tree, { archive }, context);
  tree.write('/etc/keep', Buffer.from('other'));
  tree.change('/usr/lib/unit', { mode: 0o600 });
  tree.makeLink('/etc/link', 'elsewhere');
  expect((await overlayStep.verify(tree, { archive }, context)).map(({ subject }) => subject).sort()).toEqual(['/etc/keep', '/etc/link', '/usr/lib/unit']);
});
