/** Files for nodes that boot: device trees, kernels, and the boot partitions of both Rocky families in small. */
import type { Files } from './node.js';

export const RELEASE = '6.1.31-v8.1.el9.altarch';

/** A sound tree of version 17: a root with /chosen, and bootargs in it when given. */
export function deviceTree(bootargs?: string): Uint8Array {
  const words = (...list: number[]): Buffer => {
    const bytes = Buffer.alloc(list.length * 4);
    list.forEach((word, at) => bytes.writeUInt32BE(word, at * 4));
    return bytes;
  };
  const padded = (text: string): Buffer => Buffer.concat([Buffer.from(`${text}\0`, 'latin1'), Buffer.alloc((4 - ((text.length + 1) % 4)) % 4)]);
  const property = bootargs === undefined ? [] : [words(3, bootargs.length + 1, 0), padded(bootargs)];
  const structure = Buffer.concat([words(1, 0, 1), padded('chosen'), ...property, words(2, 2, 9)]);
  const strings = padded('bootargs');
  const total = 56 + structure.length + strings.length;
  return Buffer.concat([words(0xd00dfeed, total, 56, 56 + structure.length, 40, 17, 16, 0, strings.length, structure.length, 0, 0, 0, 0), structure, strings]);
}

/** The header of an arm64 Image, and the banner at a place. */
export function arm64Image(release?: string, at = 4096): Buffer {
  const image = Buffer.alloc(at + 256);
  image.writeUInt32LE(0x644d5241, 56);
  if (release !== undefined) image.write(`Linux version ${release} (mockbuild@builder) (gcc (GCC) 11.3.1) #1 SMP PREEMPT Thu May 4 2023\n\0`, at, 'latin1');
  return image;
}

/** A 32-bit zImage's header. */
export function arm32Image(): Buffer {
  const image = Buffer.alloc(4096);
  image.writeUInt32LE(0x016f2818, 36);
  return image;
}

const firmware = (folder: string): Files => Object.fromEntries(['bootcode.bin', 'start.elf', 'fixup.dat', 'start4.elf', 'fixup4.dat'].map((name) => [`${folder}/${name}`, 'firmware']));
const modules = (release: string): Files => ({ [`/usr/lib/modules/${release}/modules.dep`]: '', '/lib': { target: 'usr/lib' } });

/** The older Rocky 9 image: no config.txt, no initramfs, root by PARTUUID; Pi 3 and Pi 4. */
export const legacy: Files = {
  ...firmware('/boot'),
  '/boot/cmdline.txt': 'console=ttyAMA0,115200 console=tty1 root=PARTUUID=5f2d8c41-03 rootfstype=ext4 elevator=deadline rootwait\n',
  '/boot/kernel8.img': { content: arm64Image(RELEASE) },
  [`/boot/kernel-${RELEASE}.img`]: { content: arm64Image(RELEASE) },
  [`/boot/config-${RELEASE}`]: 'CONFIG_MEMCG=y\n',
  '/boot/bcm2710-rpi-3-b.dtb': { content: deviceTree() },
  '/boot/bcm2711-rpi-4-b.dtb': { content: deviceTree() },
  ...modules(RELEASE),
  '/etc/fstab': 'PARTUUID=5f2d8c41-03 / ext4 defaults,noatime 0 0\nPARTUUID=5f2d8c41-01 /boot vfat defaults 0 0\nPARTUUID=5f2d8c41-02 swap swap defaults 0 0\n',
};

/** The current image: config.txt, an initramfs, Pi 3 to Pi 5; two kernels of one release here. */
export const current: Files = {
  ...firmware('/boot'),
  '/boot/cmdline.txt': 'console=tty1 root=LABEL=_/ rootfstype=ext4 rootwait cgroup_enable=memory\n',
  '/boot/config.txt': 'arm_64bit=1\nauto_initramfs=1\ninclude extra.txt\n\n[pi5]\ndtoverlay=vc4-kms-v3d\n',
  '/boot/extra.txt': 'dtparam=audio=on\n',
  '/boot/kernel8.img': { content: arm64Image(RELEASE) },
  '/boot/kernel_2712.img': { content: arm64Image(RELEASE) },
  '/boot/initramfs8': 'initramfs',
  '/boot/initramfs_2712': 'initramfs',
  '/boot/bcm2710-rpi-3-b.dtb': { content: deviceTree('cgroup_disable=memory') },
  '/boot/bcm2711-rpi-4-b.dtb': { content: deviceTree('cgroup_disable=memory') },
  '/boot/bcm2712-rpi-5-b.dtb': { content: deviceTree('reboot=w cgroup_disable=memory') },
  ...modules(RELEASE),
  [`/boot/config-${RELEASE}`]: 'CONFIG_MEMCG=y\n',
  '/etc/fstab': 'LABEL=_/ / ext4 defaults 0 1\nPARTUUID=5f2d8c41-01 /boot vfat defaults 0 0\n',
};

/** Without these files. */
export function without(files: Files, ...paths: string[]): Files {
  return Object.fromEntries(Object.entries(files).filter(([path]) => !paths.includes(path)));
}
