/** Disks of Linux: lsblk's devices, what the kernel and udev add to them, and why a medium counts as fixed. */
import type { Disk } from './disk.js';
import { type Block, listBlocks } from './lsblk.js';
import { type Machine, linksTo } from './machine.js';
import { placesOf } from './mounts.js';
import { withContents } from './probe.js';
import { type FoundPart, judge } from './refuse.js';

/** What lies on a device at any depth; a RAID array that is reached on two ways is one. */
const below = (block: Block): Block[] => block.children.flatMap((child) => [child, ...below(child)]);

/** A disk with all devices that lie on it, by which a path names it. */
export interface LinuxDisk {
  readonly disk: Disk;
  /** What is listed to users; the others are found only when they are asked for. */
  readonly isListed: boolean;
  /** Devices on it that are not disks: kernel path ("/dev/dm-1") → what it is ("lvm"). */
  readonly inside: ReadonlyMap<string, string>;
  /** The path without links: /dev/dm-3 for /dev/mapper/x. */
  readonly kernelPath: string;
}

/** All disks, those that are none for images included. Errors: as listBlocks and withContents. */
export async function linuxDisks(machine: Machine): Promise<readonly LinuxDisk[]> {
  await machine.run('udevadm', ['settle', '--timeout=3']).catch(() => undefined); // a card put in a second ago: lsblk(8) advises it, as udev may still look at it
  const blocks = await withContents(machine, await listBlocks(machine));
  const all = blocks.flatMap((block) => [block, ...below(block)]);
  const places = placesOf(machine, all);
  const isEmmc = new Set(all.flatMap(({ kernelName }) => /^(mmcblk\d+)boot\d+$/.exec(kernelName)?.[1] ?? []));
  // what was made with dmsetup alone is a disk too: tests put their faults there
  const disks = [...new Map([...blocks, ...all.filter(({ type }) => type === 'dm')].map((block) => [block.kernelName, block])).values()];
  return disks.map((block) => {
    const notDisk = notDiskBecause(block);
    const kernelPath = `/dev/${block.kernelName}`;
    const disk = judge({
      disk: factsOf(machine, block), platform: 'linux', notDisk, fixed: fixedBecause(machine, block, isEmmc.has(block.kernelName)), parts: partsOf(block, places),
    });
    const inside = new Map(below(block).map(({ kernelName, type }) => [`/dev/${kernelName}`, type]));
    return { disk, kernelPath, inside, isListed: notDisk === '' && !(disk.size === 0 && /^(?:loop|nbd|dm-)/.test(block.kernelName)) };
  });
}

function partsOf(block: Block, places: (block: Block) => readonly string[]): FoundPart[] {
  const self: FoundPart = { path: block.path, size: block.size, holds: block.holds, label: block.label, mountpoints: places(block), kind: 'whole' };
  const parts = below(block).map((part): FoundPart => ({ path: part.path, size: part.size, holds: part.holds, label: part.label, mountpoints: places(part), kind: part.type }));
  const distinct = [...new Map(parts.map((part) => [part.path, part])).values()];
  return self.holds === '' && self.mountpoints.length === 0 ? distinct : [self, ...distinct];
}

/** sysfs has of native card slots what lsblk before 2.39 has not. */
const mmc = (machine: Machine, { kernelName }: Block, attribute: string): string => machine.text(`/sys/block/${kernelName}/device/${attribute}`).trim();

function factsOf(machine: Machine, block: Block): Omit<Disk, 'refusals' | 'removable' | 'parts'> {
  const isMmc = busOf(block) === 'mmc';
  const vendor = /^(?:ATA|0x[0-9a-f]+|)$/i.test(block.vendor) ? '' : block.vendor; // "ATA" is of the translation, "0x1af4" a PCI number
  const model = block.model.startsWith(vendor) ? block.model : `${vendor} ${block.model}`.trim();
  return {
    path: block.path, ids: idsOf(machine, block), size: block.size, model: model || (isMmc ? mmc(machine, block, 'name') : ''),
    serial: block.serial || (isMmc ? mmc(machine, block, 'serial') : ''), bus: busOf(block), readOnly: block.readOnly, sector: block.sector, discard: block.discard,
  };
}

function busOf({ kernelName, type, transport, subsystems }: Block): string {
  if (type === 'loop' || type === 'dm') return type;
  if (transport !== '') return transport;
  const names = subsystems.split(':');
  return ['usb', 'mmc', 'nvme', 'virtio', 'xen'].find((bus) => names.includes(bus)) ?? (/^(mmc|nvme)/.exec(kernelName)?.[1] ?? '');
}

/**
 * By model and serial before by number alone (World Wide Names, EUI-64, NAA), then by name. An id of a USB reader names the reader's slot, whatever card is in it; one of
 * a native slot names the card.
 */
function idsOf(machine: Machine, { kernelName }: Block): string[] {
  const isNumber = (link: string): number => (/\/(?:wwn-|nvme-(?:eui|nvme|uuid)\.|scsi-[0-9]|dm-uuid-|lvm-pv-)/.test(link) ? 1 : 0);
  return linksTo(machine, '/dev/disk/by-id', `/dev/${kernelName}`).sort((a, b) => isNumber(a) - isNumber(b) || (a < b ? -1 : 1));
}

/** Not for images: optical drives, memory, floppies, the eMMC's own boot areas and NVMe's inner paths. */
function notDiskBecause({ kernelName, type }: Block): string {
  if (type === 'rom') return 'it is an optical drive';
  if (/^(?:zram|ram|pmem)\d/.test(kernelName)) return 'it is memory, not a disk';
  if (/^mmcblk\d+(?:boot|gp|rpmb)/.test(kernelName)) return `it is a hidden area of ${/^mmcblk\d+/.exec(kernelName)![0]}, for its boot loader`;
  if (/^fd\d/.test(kernelName)) return 'it is a floppy';
  if (/^nvme\d+c\d+n\d/.test(kernelName)) return 'it is one path of several to an NVMe disk';
  return type === 'disk' || type === 'loop' || type === 'dm' ? '' : `it is no disk but ${type || 'of an unknown kind'}`;
}

/**
 * Why a medium counts as fixed; '' when it is made to be taken out.
 *
 * USB: the kernel's `rm` says whether the medium can be taken out of the device: 1 for sticks and card readers, 0 for hard disks and SSDs in an enclosure. Such SSDs
 * are common for Pis, but such disks are also where people keep their backups, and outside a desktop nothing mounts them, so nothing else would protect them. Writing
 * to one asks for a word more: wiping a backup cannot be undone, --allow-fixed costs a second. `hotplug` is not asked: it is 1 for every USB disk.
 *
 * MMC: `rm` is 0 for cards too (fwup#154), and `hotplug` was 1 for all up to util-linux 2.38, soldered eMMC included, and 0 for all in 2.39 (util-linux#2379).
 * The card's own type in sysfs says it: SD or MMC. Old removable MMC cards count as fixed: they have not been sold for long.
 */
function fixedBecause(machine: Machine, block: Block, hasBootAreas: boolean): string {
  const bus = busOf(block);
  if (bus === 'loop') return 'it is a loop device: a file in the place of a disk';
  if (bus === 'dm') return 'it is a device-mapper device';
  if (bus === 'mmc') {
    const type = hasBootAreas ? 'MMC' : mmc(machine, block, 'type');
    return type === 'SD' ? '' : type === 'MMC' ? 'it is an eMMC, soldered to its board' : 'the kernel does not say whether it is a card or a soldered eMMC';
  }
  if (block.removable) return '';
  return bus === 'usb' ? 'it is a USB disk whose medium stays in it, a hard disk or SSD as backups are kept on' : `it is not removable${bus === '' ? '' : ` (${bus})`}`;
}
