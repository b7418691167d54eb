/** Which files the firmware loads on each board, the release that a kernel file tells, and what the device trees say. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { boots, bootedImage, kernelImages } from '../../src/verify/boots.js';
import { deviceTrees } from '../../src/verify/device-trees.js';
import { firmwareConfig, osFolders, osPrefixes } from '../../src/verify/firmware.js';
import { kernelPieces, readKernelImage } from '../../src/verify/formats/kernel-image.js';
import { memoryTree } from '../support/memory-tree.js';
import { arm32Image, arm64Image, deviceTree } from './boot-material.js';
import { memoryNode, type Files } from './node.js';

const TREES: Files = Object.fromEntries(['bcm2710-rpi-3-b', 'bcm2711-rpi-4-b', 'bcm2711-rpi-cm4', 'bcm2712-rpi-5-b'].map((name) => [`/boot/${name}.dtb`, { content: deviceTree() }]));
const kernels = (...names: string[]): Files => Object.fromEntries(names.map((name) => [`/boot/${name}`, { content: arm64Image() }]));
const ALL = kernels('kernel.img', 'kernel7.img', 'kernel7l.img', 'kernel8.img', 'kernel_2712.img');

/** Kernel and initramfs of each board, without "/boot/"; "?" where the file is missing. */
function loaded(config: string | undefined, files: Files): Record<string, string> {
  const node = memoryNode({ '/boot/cmdline.txt': 'root=/dev/mmcblk0p3\n', ...files, ...(config !== undefined && { '/boot/config.txt': config }) });
  const shown = (file: { path: string; present: boolean } | undefined): string => (file ? `${file.path.replace('/boot/', '')}${file.present ? '' : '?'}` : '-');
  return Object.fromEntries(boots(node).map((boot) => [boot.board.name, `${shown(boot.kernel)} ${shown(boot.initramfs)}`]));
}

const on = (pi3: string, pi4: string, cm4: string, pi5: string): Record<string, string> => ({ 'Pi 3': pi3, 'Pi 4': pi4, 'Compute Module 4': cm4, 'Pi 5': pi5 });
const onAll = (file: string): Record<string, string> => on(file, file, file, file);

/** The rows are sentences of raspberrypi.com/documentation/computers/config_txt.html, and of raspberrypi/firmware#1193. */
const CHOICES: readonly (readonly [what: string, config: string | undefined, files: Files, expected: Record<string, string>])[] = [
  ['all kernels, no config.txt', undefined, { ...TREES, ...ALL }, on('kernel7.img -', 'kernel8.img -', 'kernel8.img -', 'kernel_2712.img -')],
  ['the older Rocky image: kernel8.img alone', undefined, { ...TREES, ...kernels('kernel8.img') }, onAll('kernel8.img -')],
  ['no kernel', undefined, TREES, onAll('kernel8.img? -')],
  ['arm_64bit=1', 'arm_64bit=1\n', { ...TREES, ...ALL }, on('kernel8.img -', 'kernel8.img -', 'kernel8.img -', 'kernel_2712.img -')],
  ['arm_64bit=0', 'arm_64bit=0\n', { ...TREES, ...ALL }, on('kernel7.img -', 'kernel7l.img -', 'kernel7l.img -', 'kernel_2712.img -')],
  ['a kernel by name', 'kernel=vmlinuz\r\n', { ...TREES, ...ALL, ...kernels('vmlinuz') }, onAll('vmlinuz -')],
  ['a kernel for one model', '[pi4]\nkernel=a.img\n[cm4]\nkernel=b.img\n', { ...TREES, ...ALL, ...kernels('a.img', 'b.img') }, on('kernel7.img -', 'a.img -', 'b.img -', 'kernel_2712.img -')],
  ['a kernel for one serial number, and for nobody', '[0x12345678]\nkernel=a.img\n[all]\n[none]\nkernel=b.img\n', { ...TREES, ...ALL }, on('kernel7.img -', 'kernel8.img -', 'kernel8.img -', 'kernel_2712.img -')],
  ['an include', 'include more.txt\n', { ...TREES, ...ALL, '/boot/more.txt': '[pi5]\nkernel=kernel8.img\n' }, on('kernel7.img -', 'kernel8.img -', 'kernel8.img -', 'kernel8.img -')],
  ['auto_initramfs', 'arm_64bit=1\nauto_initramfs=1\n', { ...TREES, ...ALL, '/boot/initramfs8': 'x' }, on('kernel8.img initramfs8', 'kernel8.img initramfs8', 'kernel8.img initramfs8', 'kernel_2712.img initramfs_2712?')],
  ['initramfs by name', 'arm_64bit=1\nauto_initramfs=1\ninitramfs a.cpio,b.cpio followkernel\n', { ...TREES, ...kernels('kernel8.img'), '/boot/a.cpio': 'x', '/boot/b.cpio': 'x' }, onAll('kernel8.img a.cpio')],
  [
    'os_prefix with kernel and trees', 'os_prefix=current/\nkernel=vmlinuz\ninitramfs initrd.img followkernel\n',
    { ...TREES, ...ALL, ...Object.fromEntries(Object.entries({ ...TREES, ...kernels('vmlinuz', 'initrd.img') }).map(([path, seed]) => [path.replace('/boot/', '/boot/current/'), seed])) },
    onAll('current/vmlinuz current/initrd.img'),
  ],
  ['os_prefix without trees is passed over', 'os_prefix=current/\n', { ...TREES, ...kernels('kernel8.img'), '/boot/current/kernel8.img': { content: arm64Image() } }, onAll('kernel8.img -')],
  ['os_prefix that is no directory', 'os_prefix=test-\n', { '/boot/test-bcm2711-rpi-4-b.dtb': { content: deviceTree() }, ...kernels('kernel8.img', 'test-kernel8.img') }, { 'Pi 4': 'test-kernel8.img -' }],
  ['an absolute name has no prefix', 'os_prefix=test-\nkernel=/kernel8.img\n', { '/boot/test-bcm2711-rpi-4-b.dtb': { content: deviceTree() }, ...kernels('kernel8.img', 'test-kernel8.img') }, { 'Pi 4': 'kernel8.img -' }],
  ['mainline\'s names', 'upstream_kernel=1\n', { '/boot/upstream/bcm2837-rpi-3-b.dtb': { content: deviceTree() }, ...kernels('upstream/kernel8.img', 'kernel8.img') }, { 'Pi 3': 'upstream/kernel8.img -' }],
  [
    'mainline\'s names go first only where they are preferred', 'upstream_kernel=1\n', { '/boot/bcm2710-rpi-3-b.dtb': { content: deviceTree() }, '/boot/bcm2837-rpi-3-b.dtb': { content: deviceTree() }, ...kernels('kernel8.img') },
    { 'Pi 3': 'kernel8.img -' },
  ],
  ['initramfs without a name, ramfsfile', '[pi4]\ninitramfs ,\n[pi5]\nramfsfile=r.cpio\n', { ...TREES, ...kernels('kernel8.img'), '/boot/r.cpio': 'x' }, on('kernel8.img -', 'kernel8.img -', 'kernel8.img -', 'kernel8.img r.cpio')],
  [
    'the last of several', 'auto_initramfs=0\nauto_initramfs=1\nkernel=a.img\nkernel=kernel8.img\n[pi4]\ninitramfs a followkernel\ninitramfs b followkernel\n', { ...TREES, ...kernels('kernel8.img'), '/boot/b': 'x', '/boot/initramfs8': 'x' },
    on('kernel8.img initramfs8', 'kernel8.img b', 'kernel8.img b', 'kernel8.img initramfs8'),
  ],
  ['a name that leaves the partition', 'kernel=../etc/passwd\n', { ...TREES, '/etc/passwd': 'x' }, onAll('../etc/passwd? -')],
];

describe('what the firmware loads', () => {
  for (const [what, config, files, expected] of CHOICES) test(what, () => expect(loaded(config, files)).toEqual(expected));

  test('mainline\'s device tree where it is preferred', () => {
    const files = { '/boot/bcm2710-rpi-3-b.dtb': { content: deviceTree() }, '/boot/bcm2837-rpi-3-b.dtb': { content: deviceTree() } };
    const tree = (config: string): string | undefined => boots(memoryNode({ ...files, '/boot/config.txt': config }))[0]?.deviceTree?.path;
    expect([tree(''), tree('upstream_kernel=0\n'), tree('upstream_kernel=1\n')]).toEqual(['/boot/bcm2710-rpi-3-b.dtb', '/boot/bcm2710-rpi-3-b.dtb', '/boot/bcm2837-rpi-3-b.dtb']);
  });

  test('folders and prefixes are those that config.txt names', () => {
    const prefixes = (config: string): readonly string[] => osPrefixes(memoryNode({ '/boot/config.txt': config }));
    expect(prefixes('a=1\nupstream_kernel=0\nb=2\n')).toEqual(['']);
    expect(prefixes('a=1\nupstream_kernel=1\nb=2\n')).toEqual(['', 'upstream/']);
    expect(osFolders(memoryNode({ '/boot/config.txt': 'os_prefix=../etc/\n[pi4]\nos_prefix=new/a-\n[pi5]\nos_prefix=gone/\n', '/boot/new/x': '', '/etc/x': '' }))).toEqual(['/boot', '/boot/new']);
  });

  test('the command line follows prefix and name', () => {
    const tree = { content: deviceTree() };
    const node = memoryNode({ '/boot/config.txt': '[pi4]\ncmdline=four.txt\n[pi5]\nos_prefix=new/\n', ...TREES, ...ALL, '/boot/new/bcm2712-rpi-5-b.dtb': tree, '/boot/new/kernel8.img': { content: arm64Image() } });
    expect(boots(node).map(({ board, commandLine }) => `${board.name}: ${commandLine.path}`)).toEqual(['Pi 3: /boot/cmdline.txt', 'Pi 4: /boot/four.txt', 'Compute Module 4: /boot/four.txt', 'Pi 5: /boot/new/cmdline.txt']);
  });
});

describe('config.txt and what it includes', () => {
  test('each setting with its file, line and filters', () => {
    const node = memoryNode({ '/boot/config.txt': 'a=1\n[pi4]\ninclude b.txt\nc=3\n', '/boot/b.txt': 'b=2\n' });
    expect(firmwareConfig(node).settings.map(({ key, path, line, filters }) => [key, path, line, filters])).toEqual([
      ['a', '/boot/config.txt', 0, []], ['b', '/boot/b.txt', 0, ['pi4']], ['c', '/boot/config.txt', 3, ['pi4']],
    ]);
  });

  test('includes in a circle and in a chain without end come to one', () => {
    const circle = memoryNode({ '/boot/config.txt': 'include a.txt\n', '/boot/a.txt': 'x=1\ninclude config.txt\ninclude a.txt\n' });
    expect(firmwareConfig(circle).settings.map(({ key }) => key)).toEqual(['x']);
    const chain = Object.fromEntries(Array.from({ length: 3000 }, (_, at) => [`/boot/${at}.txt`, `include ${at + 1}.txt\n`]));
    expect(firmwareConfig(memoryNode({ ...chain, '/boot/config.txt': 'include 0.txt\n' })).files).toHaveLength(64);
  });
});

describe('the release of a kernel file', () => {
  const read = (content: Uint8Array): ReturnType<typeof readKernelImage> => readKernelImage(memoryTree({ '/boot/k': { content } }), '/boot/k');

  test('in an Image, and in one that gzip packed', () => {
    expect(read(arm64Image('6.1.31-v8.1.el9.altarch'))).toEqual({ path: '/boot/k', architecture: 'arm64', gzip: false, release: '6.1.31-v8.1.el9.altarch' });
    expect(read(gzipSync(arm64Image('6.12.25+rpt-rpi-2712')))).toEqual({ path: '/boot/k', architecture: 'arm64', gzip: true, release: '6.12.25+rpt-rpi-2712' });
  });

  test('wherever it stands, also across the pieces that are read', () => {
    for (const at of [64, 2 ** 20 - 5, 2 ** 20, 2 ** 20 - 40, 3 * 2 ** 20 - 14, 2 ** 21 + 17]) expect(read(arm64Image('6.6.1-x', at)).release).toBe('6.6.1-x');
  });

  test('also where the banner is all there is, and where the first byte is half of gzip\'s magic', () => {
    expect(read(Buffer.from('Linux version 6.1.7 (a@b)')).release).toBe('6.1.7');
    const image = arm64Image('6.1.8');
    image[0] = 0x1f;
    expect(read(image)).toMatchObject({ gzip: false, release: '6.1.8' });
  });

  test('not from a format string or a text about Linux', () => {
    const image = Buffer.concat([arm64Image(), Buffer.from('Linux version %s (%s)\nLinux version 6.1 is old\nLinux version unknown (x)\n')]);
    expect(read(image).release).toBeUndefined();
    expect(read(Buffer.concat([image, Buffer.from('Linux version 6.1.0-1 (a@b) (gcc)')])).release).toBe('6.1.0-1');
  });

  test('a 32-bit kernel, text, nothing, a cut and an oversized gzip file tell none', () => {
    expect(read(arm32Image())).toMatchObject({ architecture: 'arm', release: undefined });
    expect(read(Buffer.from('text'))).toMatchObject({ architecture: 'unknown', release: undefined });
    expect(read(Buffer.alloc(0))).toMatchObject({ architecture: 'unknown', release: undefined });
    expect(read(gzipSync(arm64Image('6.1.1')).subarray(0, 90))).toMatchObject({ architecture: 'unknown', gzip: true, release: undefined });
    expect(read(gzipSync(Buffer.alloc((128 << 20) + 1)))).toMatchObject({ architecture: 'unknown', gzip: true, release: undefined });
  });

  test('all bytes come through, packed or not', () => {
    const image = arm64Image('6.1.1', 2 ** 21 + 3);
    for (const content of [image, gzipSync(image)]) expect(Buffer.concat([...kernelPieces(memoryTree({ '/boot/k': { content } }), '/boot/k')]).equals(image)).toBe(true);
  });

  const kit = join(import.meta.dirname, '../../.cache/boot/kit'); // .ci/boot-kit fetches it: Debian's arm64 cloud kernel and its modules
  test.skipIf(!existsSync(kit) && !process.env.CI)('of a real kernel is the name of its modules\' directory', () => {
    const kernel = readFileSync(join(kit, 'vmlinuz'));
    const [release] = readdirSync(join(kit, 'modules'));
    for (const content of [kernel, gzipSync(kernel, { level: 1 })]) expect(read(content)).toMatchObject({ architecture: 'arm64', release });
  });
});

test('kernel files by their names and by what boots, each once, sorted; a link or a directory is none', () => {
  const node = memoryNode({
    ...TREES, ...kernels('kernel8.img', 'kernel-6.1.img', 'vmlinuz-6.1', 'a.img'), '/boot/config.txt': '[pi5]\nkernel=a.img\n', '/boot/kernel.txt': 'x', '/boot/config-kernel.inc': 'x', '/boot/kernel9.img': { directory: true },
  });
  expect(kernelImages(node).map(({ path }) => path)).toEqual(['/boot/a.img', '/boot/kernel-6.1.img', '/boot/kernel8.img', '/boot/vmlinuz-6.1']);
  expect(bootedImage(node, boots(node).at(-1)!)?.path).toBe('/boot/a.img');
  const prefixed = memoryNode({ ...kernels('kernel8.img', 'test-kernel8.img', 'other-kernel8.img'), '/boot/config.txt': 'os_prefix=test-\n' });
  expect(kernelImages(prefixed).map(({ path }) => path)).toEqual(['/boot/kernel8.img', '/boot/test-kernel8.img']);
});

test('device trees at the top and under every prefix, with their bootargs and what is wrong with them', () => {
  const node = memoryNode({
    '/boot/config.txt': '[pi4]\nos_prefix=current/\n[pi5]\nos_prefix=gone/\n',
    '/boot/b.dtb': { content: deviceTree('cgroup_disable=memory') }, '/boot/a.DTB': { content: deviceTree() }, '/boot/current/c.dtb': 'text', '/boot/overlays/d.dtb': { content: deviceTree() }, '/boot/e.dtb': { directory: true },
    '/boot/current/f.dtb': { content: Buffer.alloc((2 << 20) + 1) },
  });
  expect(deviceTrees(node)).toEqual([
    { path: '/boot/a.DTB', bootargs: undefined },
    { path: '/boot/b.dtb', bootargs: 'cgroup_disable=memory' },
    { path: '/boot/current/c.dtb', bootargs: undefined, problem: expect.stringMatching(/magic/) as string },
    { path: '/boot/current/f.dtb', bootargs: undefined, problem: expect.stringMatching(/at most 2097152 bytes/) as string },
  ]);
  expect(deviceTrees(node)).toBe(deviceTrees(node));
  const many = memoryNode(Object.fromEntries(Array.from({ length: 260 }, (_, at) => [`/boot/${at}.dtb`, { content: deviceTree() }])));
  expect(deviceTrees(many).filter(({ problem }) => problem !== undefined)).toHaveLength(4);
});
