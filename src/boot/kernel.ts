/** The kernel that the firmware would load, and whether it can run on qemu's virt machine: disk and console there are other devices than a Pi's. */
import { RockberryError } from '../errors.js';
import { boots, type Boot } from '../verify/boots.js';
import { kernelPieces } from '../verify/formats/kernel-image.js';
import type { Node } from '../verify/node.js';

export interface OwnKernel {
  /** Paths in the image. */
  readonly kernel: string;
  /** undefined when the firmware would load none. */
  readonly initrd: string | undefined;
}

const OTHER_KERNEL = 'give an arm64 kernel that has them: --kernel FILE, with --initrd FILE where they are modules, such as Debian\'s linux-image-cloud-arm64';

/** What a driver that is built in leaves in the kernel: its name as a C string (drivers/block/virtio_blk.c, drivers/virtio/virtio_pci_common.c, drivers/tty/serial/amba-pl011.c). */
const DRIVERS: readonly (readonly [what: string, name: string])[] = [['virtio_blk', 'virtio_blk\0'], ['virtio-pci', 'virtio-pci\0'], ['the PL011 console', 'ttyAMA\0']];

/** The board with virt's processor, a Pi 4, else the first that the image is for; undefined when it is for none. */
export function bootedBoard(node: Node): Boot | undefined {
  return boots(node).find(({ board }) => board.processor === 'BCM2711') ?? boots(node)[0];
}

/** Errors: `unsupported` when there is no kernel, or one that cannot run on virt. */
export function ownKernel(node: Node): OwnKernel {
  const boot = bootedBoard(node);
  if (!boot?.kernel.present) {
    throw new RockberryError('unsupported', `expected a kernel that the firmware loads, found ${boot ? `no ${boot.kernel.path}` : 'no device tree of a 64-bit Raspberry Pi'}`, { hint: OTHER_KERNEL });
  }
  const { kernel, initramfs } = boot;
  const image = Buffer.concat([...kernelPieces(node.tree, kernel.path)]);
  const missing = DRIVERS.filter(([, name]) => !image.includes(name, 0, 'latin1')).map(([what]) => what);
  if (missing.length === 0) return { kernel: kernel.path, initrd: initramfs?.present ? initramfs.path : undefined };
  const found = image.length === 0 ? 'that does not unpack' : `without ${missing.join(', ')}, as kernels for the Raspberry Pi usually are`;
  throw new RockberryError('unsupported', `expected a kernel that runs on qemu's virt machine, found ${kernel.path} ${found}`, { hint: OTHER_KERNEL });
}
