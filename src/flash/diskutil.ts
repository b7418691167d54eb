/**
 * Disks of macOS: `diskutil list -plist`, and `diskutil info -plist` of each. Volumes of APFS and CoreStorage are listed as disks of their own (disk1 on disk0s2); here
 * they are parts of the disk that stores them. The XML property lists are read by fast-plist (VS Code's: one file, no dependencies): plutil would be one more process
 * for each, and nothing of it could be tested elsewhere.
 */
import { parse } from 'fast-plist';
import { z } from 'zod';
import { RockberryError } from '../errors.js';
import type { Disk } from './disk.js';
import type { Machine } from './machine.js';
import { type FoundPart, judge } from './refuse.js';

const text = z.string().nullish().transform((value) => value ?? '');
const size = z.number().nullish().transform((value) => value ?? 0);

const volume = z.looseObject({
  DeviceIdentifier: z.string(), Content: text, Size: size, VolumeName: text, MountPoint: text,
  MountedSnapshots: z.array(z.looseObject({ SnapshotMountPoint: text })).nullish(), // the sealed system volume of macOS 11 and newer is mounted as a snapshot of it
});
const listed = volume.extend({
  Partitions: z.array(volume).nullish(), APFSVolumes: z.array(volume).nullish(), APFSPhysicalStores: z.array(z.looseObject({ DeviceIdentifier: z.string() })).nullish(),
});
const list = z.looseObject({ AllDisksAndPartitions: z.array(listed) });
const info = z.looseObject({
  DeviceIdentifier: z.string(), BusProtocol: text, TotalSize: size, Size: size, MediaName: text, IORegistryEntryName: text, DeviceBlockSize: size, WritableMedia: z.boolean().nullish(),
  RemovableMedia: z.boolean().nullish(), Removable: z.boolean().nullish(), Ejectable: z.boolean().nullish(),
  APFSPhysicalStores: z.array(z.looseObject({ APFSPhysicalStore: text })).nullish(), CoreStoragePVs: z.array(z.looseObject({ CoreStoragePVDisk: text })).nullish(),
});
type Volume = z.infer<typeof volume>;
type Listed = z.infer<typeof listed>;
type Info = z.infer<typeof info>;

function readPlist<T>(schema: z.ZodType<T>, output: string, what: string): T {
  try {
    return schema.parse(parse(output));
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? cause.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ') : String(cause);
    throw new RockberryError('io', `expected a property list of ${what}, found something else: ${reason}`, { cause });
  }
}

async function diskutil(machine: Machine, ...args: string[]): Promise<string> {
  const { status, output } = await machine.run('diskutil', args);
  if (status !== 0) throw new RockberryError('io', `expected an answer of diskutil ${args.join(' ')}, found its exit status ${status}`);
  return output;
}

/** A disk with the names of all that is stored on it: "disk0s2", "disk1", "disk1s1". */
export interface MacDisk {
  readonly disk: Disk;
  readonly inside: readonly string[];
}

/** All physical disks and attached images. Errors: `missing-program`, `io`. */
export async function macDisks(machine: Machine): Promise<readonly MacDisk[]> {
  const all = readPlist(list, await diskutil(machine, 'list', '-plist'), 'diskutil list').AllDisksAndPartitions;
  const infos = new Map<string, Info>();
  for (const { DeviceIdentifier: name } of all) infos.set(name, readPlist(info, await diskutil(machine, 'info', '-plist', name), `diskutil info ${name}`));
  const stores = new Map(all.map((entry) => [entry.DeviceIdentifier, storesOf(entry, infos.get(entry.DeviceIdentifier)!)]));
  return all.filter(({ DeviceIdentifier: name }) => stores.get(name)!.length === 0).map((entry) => {
    const on = all.filter(({ DeviceIdentifier: name }) => stores.get(name)!.some((store) => wholeOf(store) === entry.DeviceIdentifier));
    const parts = [...partsOf(entry, 'part'), ...on.flatMap((virtual) => partsOf(virtual, 'volume'))];
    const inside = [...on.map(({ DeviceIdentifier }) => DeviceIdentifier), ...parts.map(({ path }) => path.slice('/dev/'.length))].filter((name) => name !== entry.DeviceIdentifier);
    return { disk: judgeMac(entry, infos.get(entry.DeviceIdentifier)!, parts), inside };
  });
}

/** The partitions that a disk of volumes is stored on; none for a disk of its own. */
function storesOf(entry: Listed, of: Info): string[] {
  return [
    ...(entry.APFSPhysicalStores ?? []).map(({ DeviceIdentifier }) => DeviceIdentifier),
    ...(of.APFSPhysicalStores ?? []).map(({ APFSPhysicalStore }) => APFSPhysicalStore), ...(of.CoreStoragePVs ?? []).map(({ CoreStoragePVDisk }) => CoreStoragePVDisk),
  ].filter((name) => name !== '');
}

/** "disk0s2" → "disk0". */
export const wholeOf = (name: string): string => /^disk\d+/.exec(name)?.[0] ?? name;

function partsOf(entry: Listed, kind: string): FoundPart[] {
  const self = { ...toPart(entry, kind === 'part' ? 'whole' : kind), holds: /_scheme$/.test(entry.Content) ? '' : entry.Content };
  const parts = [...(entry.Partitions ?? []), ...(entry.APFSVolumes ?? [])].map((part) => toPart(part, kind));
  return self.mountpoints.length > 0 || (self.holds !== '' && parts.length === 0) ? [self, ...parts] : parts;
}

const toPart = (part: Volume, kind: string): FoundPart => ({
  path: `/dev/${part.DeviceIdentifier}`, size: part.Size, holds: part.Content, label: part.VolumeName, kind,
  mountpoints: [...new Set([part.MountPoint, ...(part.MountedSnapshots ?? []).map(({ SnapshotMountPoint }) => SnapshotMountPoint)])].filter((place) => place !== ''),
});

const BUS: Readonly<Record<string, string>> = { 'Secure Digital': 'mmc', 'PCI-Express': 'nvme', 'Apple Fabric': 'nvme', 'Disk Image': 'loop', 'Virtual Interface': 'loop' };

function judgeMac(entry: Listed, of: Info, parts: readonly FoundPart[]): Disk {
  const bus = BUS[of.BusProtocol] ?? of.BusProtocol.toLowerCase();
  return judge({
    platform: 'darwin', notDisk: '', fixed: fixedBecause(of, bus), parts,
    disk: {
      path: `/dev/${entry.DeviceIdentifier}`, ids: [], size: of.TotalSize || of.Size || entry.Size, model: of.MediaName || of.IORegistryEntryName, serial: '', bus,
      readOnly: of.WritableMedia === false, sector: of.DeviceBlockSize || 512, discard: { granularity: 0, max: 0 },
    },
  });
}

/** As on Linux: an SSD on USB counts as fixed (RemovableMedia is false, though it can be ejected); macOS before 10.12 says only whether a medium can be ejected. */
function fixedBecause(of: Info, bus: string): string {
  if (bus === 'loop') return 'it is a disk image: a file in the place of a disk';
  if (of.RemovableMedia ?? of.Removable ?? of.Ejectable ?? false) return '';
  return bus === 'usb' ? 'it is a USB disk whose medium stays in it, a hard disk or SSD as backups are kept on' : `it is not removable${bus === '' ? '' : ` (${bus})`}`;
}
