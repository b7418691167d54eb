import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { bootedBoard, ownKernel } from '../../src/boot/kernel.js';
import { memoryNode } from '../verify/node.js';

/** What of a kernel counts here: the names of built-in drivers, as C strings. */
const kernelWith = (...names: readonly string[]): Buffer => Buffer.concat([Buffer.alloc(4096, 0x20), ...names.map((name) => Buffer.from(`\0${name}\0`))]);
const able = kernelWith('virtio_blk', 'virtio-pci', 'ttyAMA');
const PI4 = 'bcm2711-rpi-4-b.dtb';
type Files = Readonly<Record<string, string | Buffer>>;
const node = (files: Files): ReturnType<typeof memoryNode> => memoryNode(Object.fromEntries(Object.entries(files).map(([name, content]) => [`/boot/${name}`, { content }])));

test.each<[what: string, files: Files, kernel: string, initrd: string | undefined]>([
  ['no config.txt', { [PI4]: '', 'kernel8.img': able, initramfs8: 'cpio' }, '/boot/kernel8.img', undefined],
  ['with its initramfs', { [PI4]: '', 'kernel8.img': able, initramfs8: 'cpio', 'config.txt': 'auto_initramfs=1\n' }, '/boot/kernel8.img', '/boot/initramfs8'],
  ['an initramfs that is not there', { [PI4]: '', 'kernel8.img': able, 'config.txt': 'auto_initramfs=1\n' }, '/boot/kernel8.img', undefined],
  ['the kernel of a Pi 4, where the Pi 5 has another', { [PI4]: '', 'bcm2712-rpi-5-b.dtb': '', 'kernel8.img': able, 'kernel_2712.img': 'no' }, '/boot/kernel8.img', undefined],
  ['for a Pi 5 only', { 'bcm2712-rpi-5-b.dtb': '', 'kernel_2712.img': able }, '/boot/kernel_2712.img', undefined],
  ['packed with gzip', { [PI4]: '', 'kernel8.img': gzipSync(able) }, '/boot/kernel8.img', undefined],
])('the image\'s own kernel: %s', (_, files, kernel, initrd) => expect(ownKernel(node(files))).toEqual({ kernel, initrd }));

test('the command line is that of the same board', () => {
  const files = { [PI4]: '', 'bcm2712-rpi-5-b.dtb': '', 'kernel8.img': able, 'kernel_2712.img': able, 'cmdline.txt': 'a', 'four.txt': 'b', 'config.txt': '[pi4]\ncmdline=four.txt\n' };
  expect(bootedBoard(node(files))?.commandLine.path).toBe('/boot/four.txt');
});

describe('refused', () => {
  test.each<[what: string, files: Files, sentence: RegExp]>([
    ['a Pi\'s own', { [PI4]: '', 'kernel8.img': kernelWith('bcm2835-sdhost', 'ttyAMA') }, /found \/boot\/kernel8\.img without virtio_blk, virtio-pci, as kernels/],
    ['no disk', { [PI4]: '', 'kernel8.img': kernelWith('virtio-pci', 'ttyAMA') }, /without virtio_blk, as/],
    ['no bus', { [PI4]: '', 'kernel8.img': kernelWith('virtio_blk', 'ttyAMA') }, /without virtio-pci, as/],
    ['no console', { [PI4]: '', 'kernel8.img': kernelWith('virtio_blk', 'virtio-pci') }, /without the PL011 console, as/],
    ['a name that only begins like the driver\'s', { [PI4]: '', 'kernel8.img': kernelWith('virtio_blk_x', 'virtio-pci', 'ttyAMA') }, /without virtio_blk, as/],
    ['none', { [PI4]: '', 'kernel7.img': able }, /expected a kernel that the firmware loads, found no \/boot\/kernel8\.img/],
    ['no board', { 'kernel8.img': able }, /found no device tree of a 64-bit Raspberry Pi/],
    ['a broken gzip', { [PI4]: '', 'kernel8.img': gzipSync(able).subarray(0, 40) }, /found \/boot\/kernel8\.img that does not unpack/],
    ['a gzip bomb', { [PI4]: '', 'kernel8.img': gzipSync(Buffer.alloc(129 << 20), { level: 1 }) }, /that does not unpack/],
  ])('%s', (_, files, sentence) => expect(() => ownKernel(node(files))).toThrow(sentence));
});
