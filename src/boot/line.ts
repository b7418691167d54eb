/** The image's kernel command line, as far as qemu's virt machine needs another one: its serial console, and its disk's name where root= is a device of the Pi. */
import { RockberryError } from '../errors.js';
import { words } from '../steps/command-line.js';

export interface LineExtras {
  /** Words in front, where the firmware puts what the device tree's bootargs say. */
  readonly prepend?: string;
  /** Words at the end, where they win. */
  readonly append?: string;
}

/** COMMAND_LINE_SIZE of arm64 with its final NUL (arch/arm64/include/uapi/asm/setup.h); the kernel cuts without a word. */
const LINE_SIZE = 2048;
const CONSOLE = 'console=ttyAMA0'; // virt's UART is a PL011; the last console= is the one that init gets
const END_OF_KERNEL = '--';

/** One line for `-append`. Errors: `usage` when it is longer than the kernel takes. */
export function lineForVirt(line: string, { prepend = '', append = '' }: LineExtras = {}): string {
  const own = words(line);
  const end = own.includes(END_OF_KERNEL) ? own.indexOf(END_OF_KERNEL) : own.length;
  const full = [...words(prepend), ...own.slice(0, end).map(onVirt), CONSOLE, ...words(append), ...own.slice(end)].join(' ');
  if (full.length < LINE_SIZE) return full;
  throw new RockberryError('usage', `expected a kernel command line of at most ${LINE_SIZE - 1} bytes, found ${full.length}`, { hint: 'give fewer words with --prepend and --append' });
}

/** An SD card's partition has the same number on the virtio disk. */
function onVirt(word: string): string {
  return word.replace(/^root=\/dev\/mmcblk\d+p(\d+)$/, 'root=/dev/vda$1');
}
