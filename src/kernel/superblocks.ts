/** Label and UUID of filesystems that only the kernel reads. */
import type { ReadableDevice } from '../device/device.js';

interface Layout {
  /** Bytes from the start of the partition. */
  readonly uuid: number;
  readonly label: number;
  readonly labelLength: number;
}

/** XFS: xfs_dsb, sb_uuid and sb_fname (linux, fs/xfs/libxfs/xfs_format.h). btrfs: btrfs_super_block at 64 KiB, fsid and label (linux, include/uapi/linux/btrfs_tree.h). */
const LAYOUTS: Readonly<Record<string, Layout>> = {
  xfs: { uuid: 32, label: 108, labelLength: 12 },
  btrfs: { uuid: 0x10020, label: 0x1012b, labelLength: 256 },
};

export function namesOf(type: string, device: ReadableDevice): { readonly label: string; readonly uuid: string } {
  const layout = LAYOUTS[type];
  if (!layout) return { label: '', uuid: '' };
  const hex = Buffer.from(device.read(layout.uuid, 16)).toString('hex');
  const label = Buffer.from(device.read(layout.label, layout.labelLength)).toString('utf8').replace(/\0.*$/s, '');
  return { label, uuid: hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5') };
}
