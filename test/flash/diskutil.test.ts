/** Disks of Macs: what diskutil said there. */
import { expect, test } from 'vitest';
import { type Disk, findDisk, listDisks } from '../../src/flash/disks.js';
import { captured, dataFile, mac } from '../support/captured.js';

const old = mac('2016', ['disk0', 'disk1', 'disk2', 'disk3']);
const recent = mac('2024', ['disk0', 'disk3', 'disk4', 'disk5', 'disk6']);
const verdicts = (disks: readonly Disk[]): Record<string, string[]> => Object.fromEntries(disks.map(({ path, refusals }) => [path, refusals.map(({ id }) => id)]));

test('macOS 10.12: root on CoreStorage is of the disk that stores it; the SSD on USB is fixed; the old reader says only that it ejects', async () => {
  expect(verdicts(await listDisks({ machine: old }))).toEqual({ '/dev/disk0': ['system', 'lvm', 'fixed'], '/dev/disk2': ['mounted', 'fixed'], '/dev/disk3': [] });
});

test('Apple silicon: the sealed system volume is mounted as a snapshot; a card in a USB reader, one in the slot, and an image', async () => {
  expect(verdicts(await listDisks({ machine: recent }))).toEqual({ '/dev/disk0': ['system', 'fixed'], '/dev/disk4': ['mounted'], '/dev/disk5': [], '/dev/disk6': ['mounted', 'read-only', 'fixed'] });
});

test('a container says what it is stored on in the list, or in its own answer', async () => {
  const list = dataFile('mac-2024-list.plist');
  const own = dataFile('mac-2024-disk3.plist');
  for (const change of [{ 'diskutil -plist': list.replace('APFSPhysicalStores', 'Other') }, { 'diskutil disk3': own.replace('APFSPhysicalStores', 'Other') }]) {
    const programs = { 'diskutil -plist': list, 'diskutil disk3': own, ...Object.fromEntries(['disk0', 'disk4', 'disk5', 'disk6'].map((disk) => [`diskutil ${disk}`, dataFile(`mac-2024-${disk}.plist`)])), ...change };
    expect(verdicts(await listDisks({ machine: captured({ platform: 'darwin', programs }) }))).toMatchObject({ '/dev/disk0': ['system', 'fixed'] });
  }
});

test('a card, in full', async () => {
  expect(await findDisk('/dev/rdisk4', { machine: recent })).toEqual({
    path: '/dev/disk4', ids: [], size: 31914983424, model: 'MassStorageClass', serial: '', bus: 'usb', removable: true, readOnly: false, sector: 512, discard: { granularity: 0, max: 0 },
    parts: [
      { path: '/dev/disk4s1', size: 536870912, holds: 'Windows_FAT_32', label: 'bootfs', mountpoints: ['/Volumes/bootfs'] },
      { path: '/dev/disk4s2', size: 31373918208, holds: 'Linux', label: '', mountpoints: [] },
    ],
    refusals: [{ id: 'mounted', message: 'it is mounted: /dev/disk4s1 at /Volumes/bootfs', hint: 'diskutil unmountDisk /dev/disk4' }],
  });
});

test('what was found of the system', async () => {
  const [system] = (await findDisk('/dev/disk0', { machine: recent })).refusals;
  expect(system).toEqual({ id: 'system', message: 'it holds the running system: /dev/disk3s1 at /System/Volumes/Update/mnt1 and /, /dev/disk3s5 at /System/Volumes/Data' });
});

test.each([['/dev/disk4s1', '/dev/disk4'], ['/dev/disk3', '/dev/disk0'], ['/dev/disk3s5', '/dev/disk0'], ['/dev/rdisk0s2', '/dev/disk0']])('%s is a part of %s', async (path, whole) => {
  await expect(findDisk(path, { machine: recent })).rejects.toMatchObject({ code: 'refused', message: `expected a whole disk, found ${path}, a part of ${whole}` });
});

test('a bus decides nothing that the medium does not say', async () => {
  const { model, bus, removable } = await findDisk('/dev/disk5', { machine: recent });
  expect({ model, bus, removable }).toEqual({ model: 'Built In SDXC Reader', bus: 'mmc', removable: true });
});

test('no diskutil, one that fails, and answers that are none', async () => {
  const on = (list: string | { status: number; output: string }): ReturnType<typeof listDisks> => listDisks({ machine: captured({ platform: 'darwin', programs: { 'diskutil -plist': list } }) });
  await expect(listDisks({ machine: captured({ platform: 'darwin' }) })).rejects.toMatchObject({ code: 'missing-program' });
  await expect(on({ status: 1, output: '' })).rejects.toMatchObject({ code: 'io', message: 'expected an answer of diskutil list -plist, found its exit status 1' });
  await expect(on('')).rejects.toMatchObject({ code: 'io' });
  await expect(on(dataFile('mac-2024-list.plist').slice(0, 300))).rejects.toThrow('AllDisksAndPartitions');
  await expect(on('not a plist')).rejects.toThrow('expected a property list of diskutil list');
});
