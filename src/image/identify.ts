/** What a partition holds, by its content: the type byte of a partition table is often wrong (Rocky's FAT16 stands under 0x0c, "FAT32"). */
import { isZero, u32 } from '../bytes/fields.js';
import type { ReadableDevice } from '../device/device.js';

/** A signature: the bytes that stand at an offset, as each format's own documentation has them (compare util-linux libblkid/src/superblocks). */
const SIGNATURES: readonly (readonly [name: string, offset: number, bytes: string])[] = [
  ['xfs', 0, 'XFSB'],
  ['btrfs', 0x10040, '_BHRfS_M'],
  ['luks', 0, 'LUKS\xba\xbe'],
  ['lvm', 512 + 24, 'LVM2 001'],
  ['squashfs', 0, 'hsqs'],
  ['f2fs', 1024, '\x10\x20\xf5\xf2'],
  ['erofs', 1024, '\xe2\xe1\xf5\xe0'],
  ['ntfs', 3, 'NTFS    '],
  ['exfat', 3, 'EXFAT   '],
];

/** A name for content that we cannot edit: "xfs", "luks", "empty", or "unknown". */
export function identify(device: ReadableDevice): string {
  const found = SIGNATURES.find(([, offset, bytes]) => {
    if (offset + bytes.length > device.size) return false;
    return Buffer.from(device.read(offset, bytes.length)).toString('latin1') === bytes;
  });
  if (found) return found[0];
  return isZero(device.read(0, Math.min(device.size, 1 << 16))) ? 'empty' : 'unknown';
}

export interface SwapHeader {
  readonly label: string;
  readonly uuid: string;
}

/** A Linux swap header: "SWAPSPACE2" in the last ten bytes of the first page, whatever the page size (Linux: include/linux/swap.h, union swap_header). */
export function readSwapHeader(device: ReadableDevice): SwapHeader | undefined {
  const pageSize = [4096, 16384, 65536, 8192, 32768].find((size) => size <= device.size
    && Buffer.from(device.read(size - 10, 10)).toString('latin1') === 'SWAPSPACE2');
  if (!pageSize) return undefined;
  const page = device.read(1024, 512);
  if (u32(page, 0) !== 1) return undefined; // the version; big-endian machines are not Pis
  const hex = Buffer.from(page.subarray(12, 28)).toString('hex');
  const label = Buffer.from(page.subarray(28, 44)).toString('utf8').replace(/\0.*$/s, '');
  return { label, uuid: hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5') };
}

