/** The qemu command: a board that qemu has, with the Pi 4's processor, emulated in software, without a network. */

export const QEMU = 'qemu-system-aarch64';

export interface Machine {
  /** Files of the host. */
  readonly kernel: string;
  readonly initrd: string | undefined;
  /** The raw image. */
  readonly disk: string;
  /** The kernel command line. */
  readonly line: string;
  /** MiB. */
  readonly memory: number;
}

/** `snapshot=on`: qemu opens the disk for reading, and what the guest writes goes to a nameless temporary file. A guest that reboots ends, as one that powers off. */
export function qemuArguments({ kernel, initrd, disk, line, memory }: Machine): string[] {
  return [
    '-M', 'virt', '-cpu', 'cortex-a72', '-accel', 'tcg', '-smp', '2', '-m', String(memory), '-nic', 'none', '-nographic', '-no-reboot',
    '-kernel', kernel, ...(initrd === undefined ? [] : ['-initrd', initrd]), '-append', line,
    '-drive', `file=${disk.replaceAll(',', ',,')},format=raw,if=virtio,snapshot=on`, // in a list of options a comma is written twice
  ];
}

/** A command as a POSIX shell reads it. */
export function shellCommand(command: readonly string[]): string {
  return command.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll('\'', '\'\\\'\'')}'`)).join(' ');
}
