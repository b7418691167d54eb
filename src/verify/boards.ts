/** The 64-bit Raspberry Pi boards, as the firmware tells them apart. */

export type Processor = 'BCM2837' | 'BCM2711' | 'BCM2712';

export interface Board {
  readonly name: string;
  readonly processor: Processor;
  /** The model filters of config.txt that hold on it (raspberrypi documentation, config_txt.html, "Model filters"). */
  readonly filters: readonly string[];
  /**
   * Files that the firmware loads for it, without ".dtb": the names of raspberrypi/linux first, then mainline's, which "upstream_kernel=1" prefers
   * (arch/arm64/boot/dts/broadcom in both).
   */
  readonly deviceTrees: readonly string[];
  readonly upstreamDeviceTrees: readonly string[];
}

export const BOARDS: readonly Board[] = [
  { name: 'Pi 2 (v1.2)', processor: 'BCM2837', filters: ['pi2'], deviceTrees: ['bcm2710-rpi-2-b'], upstreamDeviceTrees: ['bcm2837-rpi-2-b'] },
  { name: 'Pi 3', processor: 'BCM2837', filters: ['pi3'], deviceTrees: ['bcm2710-rpi-3-b'], upstreamDeviceTrees: ['bcm2837-rpi-3-b'] },
  { name: 'Pi 3+', processor: 'BCM2837', filters: ['pi3', 'pi3+'], deviceTrees: ['bcm2710-rpi-3-b-plus'], upstreamDeviceTrees: ['bcm2837-rpi-3-b-plus'] },
  { name: 'Compute Module 3', processor: 'BCM2837', filters: ['pi3', 'cm3'], deviceTrees: ['bcm2710-rpi-cm3'], upstreamDeviceTrees: ['bcm2837-rpi-cm3-io3'] },
  {
    name: 'Zero 2 W', processor: 'BCM2837', filters: ['pi0', 'pi0w', 'pi02'],
    deviceTrees: ['bcm2710-rpi-zero-2-w', 'bcm2710-rpi-zero-2'], upstreamDeviceTrees: ['bcm2837-rpi-zero-2-w'],
  },
  { name: 'Pi 4', processor: 'BCM2711', filters: ['pi4'], deviceTrees: ['bcm2711-rpi-4-b'], upstreamDeviceTrees: ['bcm2711-rpi-4-b'] },
  { name: 'Pi 400', processor: 'BCM2711', filters: ['pi4', 'pi400'], deviceTrees: ['bcm2711-rpi-400'], upstreamDeviceTrees: ['bcm2711-rpi-400'] },
  { name: 'Compute Module 4', processor: 'BCM2711', filters: ['pi4', 'cm4'], deviceTrees: ['bcm2711-rpi-cm4'], upstreamDeviceTrees: ['bcm2711-rpi-cm4-io'] },
  { name: 'Compute Module 4S', processor: 'BCM2711', filters: ['pi4', 'cm4s'], deviceTrees: ['bcm2711-rpi-cm4s'], upstreamDeviceTrees: [] },
  {
    name: 'Pi 5', processor: 'BCM2712', filters: ['pi5'],
    deviceTrees: ['bcm2712-rpi-5-b', 'bcm2712d0-rpi-5-b'], upstreamDeviceTrees: ['bcm2712-rpi-5-b', 'bcm2712-d-rpi-5-b'],
  },
  { name: 'Pi 500', processor: 'BCM2712', filters: ['pi5', 'pi500'], deviceTrees: ['bcm2712-rpi-500'], upstreamDeviceTrees: [] },
  {
    name: 'Compute Module 5', processor: 'BCM2712', filters: ['pi5', 'cm5'],
    deviceTrees: ['bcm2712-rpi-cm5-cm5io', 'bcm2712-rpi-cm5-cm4io', 'bcm2712-rpi-cm5l-cm5io', 'bcm2712-rpi-cm5l-cm4io'], upstreamDeviceTrees: [],
  },
];
