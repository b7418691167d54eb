/** What the firmware's FAT holds. Firmware is a placeholder; the text files are the real ones' text, device trees and kernels are as far as anybody reads them. */
import { flattened } from './fdt.mjs';
import { kernelConfig, kernelImage } from './kernel.mjs';

const BOARDS = {
  'bcm2710-rpi-2-b': 'Raspberry Pi 2 Model B rev 1.2', 'bcm2710-rpi-3-b': 'Raspberry Pi 3 Model B', 'bcm2710-rpi-3-b-plus': 'Raspberry Pi 3 Model B+', 'bcm2710-rpi-cm3': 'Raspberry Pi Compute Module 3',
  'bcm2710-rpi-zero-2-w': 'Raspberry Pi Zero 2 W', 'bcm2711-rpi-4-b': 'Raspberry Pi 4 Model B', 'bcm2711-rpi-400': 'Raspberry Pi 400', 'bcm2711-rpi-cm4': 'Raspberry Pi Compute Module 4',
};
const PI5 = { 'bcm2712-rpi-5-b': 'Raspberry Pi 5 Model B' };
const placeholder = (name) => `placeholder for ${name}\n`;

/** What raspberrypi/linux's device trees put in front of cmdline.txt; since 6.12 it turns the memory controller off (PR #6439), before that the kernel did. */
function bootArguments(board, isModern) {
  const off = isModern ? ' cgroup_disable=memory' : '';
  if (board.startsWith('bcm2712')) return `reboot=w coherent_pool=1M 8250.nr_uarts=1 pci=pcie_bus_safe${off} numa_policy=interleave`;
  return `coherent_pool=1M 8250.nr_uarts=1 snd_bcm2835.enable_headphones=0${off}${isModern && board.startsWith('bcm2711') ? ' numa_policy=interleave' : ''}`;
}

function deviceTree(board, model, isModern) {
  const chip = board.slice(0, 'bcm2711'.length);
  return flattened({
    '#address-cells': [2], '#size-cells': [1], compatible: [`raspberrypi,${board.slice(chip.length + '-rpi-'.length)}`, `brcm,${chip}`], model,
    aliases: { serial0: '/soc/serial@7e215040', ethernet0: '/scb/ethernet@7d580000' },
    chosen: { bootargs: bootArguments(board, isModern), 'stdout-path': 'serial0:115200n8' },
    'memory@0': { device_type: 'memory', reg: [0, 0, 0] },
  });
}

/** An overlay that changes nothing. */
function overlay() {
  return flattened({ compatible: 'brcm,bcm2835', 'fragment@0': { 'target-path': '/', __overlay__: {} } });
}

function firmware() {
  const files = { 'bootcode.bin': placeholder('bootcode.bin') };
  for (const name of ['start', 'start_cd', 'start_db', 'start_x', 'start4', 'start4cd', 'start4db', 'start4x']) files[`${name}.elf`] = placeholder(`${name}.elf`);
  for (const name of ['fixup', 'fixup_cd', 'fixup_db', 'fixup_x', 'fixup4', 'fixup4cd', 'fixup4db', 'fixup4x']) files[`${name}.dat`] = placeholder(`${name}.dat`);
  files['LICENCE.broadcom'] = placeholder('the licence of the firmware');
  return files;
}

function deviceTrees(isModern, boards = BOARDS) {
  const files = {};
  for (const [board, model] of Object.entries(boards)) files[`${board}.dtb`] = deviceTree(board, model, isModern);
  files['overlays/README'] = 'Introduction\n============\nplaceholder\n';
  for (const name of ['disable-bt', 'disable-wifi', 'miniuart-bt', 'vc4-kms-v3d']) files[`overlays/${name}.dtbo`] = overlay();
  return files;
}

/** The device trees as the older kernel package keeps them on the root filesystem, to copy from. */
export function legacyDeviceTrees() {
  return deviceTrees(false);
}

/** Family A, §3A of the facts: no config.txt. The .inc files are those of raspberrypi2.spec. */
export function legacyBoot(kernel, cmdline) {
  const { release } = kernel;
  const inclusion = `arm_64bit=1\nkernel kernel-${release}.img\ninitramfs initramfs-${release}.img followkernel\n`;
  return {
    ...firmware(),
    'cmdline.txt': cmdline,
    'COPYING.linux-6.1': placeholder('the GNU GPL, version 2'),
    [`kernel-${release}.img`]: kernelImage(kernel),
    'kernel8.img': kernelImage(kernel),
    [`config-${release}`]: kernelConfig(kernel),
    [`config-kernel-${release}.inc`]: inclusion,
    'config-kernel.inc': inclusion,
    [`initramfs-${release}.img`]: placeholder('initramfs'),
    ...deviceTrees(false),
  };
}

/** Family B and its relatives: config.txt, a kernel with pages of 4 KiB and one of 16 for the Pi 5. */
export function modernBoot([small, large], config, cmdline, prefix = '') {
  const kernels = {
    'cmdline.txt': cmdline,
    'kernel8.img': kernelImage(small),
    'kernel_2712.img': kernelImage(large),
    initramfs8: placeholder('initramfs8'),
    ...deviceTrees(true, { ...BOARDS, ...PI5 }),
  };
  const placed = Object.fromEntries(Object.entries(kernels).map(([path, text]) => [`${prefix}${path}`, text]));
  return { ...firmware(), 'config.txt': config, ...placed };
}
