/** What a FAT volume says about itself: the boot sector's geometry and the label in the root directory. */
import type { ReadableDevice } from '../../device/device.js';
import { volumeLabel } from './directory.js';
import type { FatGeometry } from './geometry.js';
import { readGeometry } from './geometry.js';
import { FatTable } from './table.js';

export interface FatBootSector extends FatGeometry {
  /** The volume's label as blkid says it; "" for none. */
  readonly label: string;
}

/** undefined when the device does not start with a FAT boot sector; 'corrupt' or 'unsupported' when it does, but not with a sound one. */
export function readFatBootSector(device: ReadableDevice): FatBootSector | undefined {
  const geometry = readGeometry(device);
  return geometry && { ...geometry, label: volumeLabel(new FatTable(device, geometry)) };
}
