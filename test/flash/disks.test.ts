/** Disks of captured machines: what is listed, what is found by a path, and why it is refused. */
import { describe, expect, test } from 'vitest';
import { type Disk, type RefusalId, REFUSAL_IDS, findDisk, listDisks } from '../../src/flash/disks.js';
import type { Machine } from '../../src/flash/machine.js';
import { captured, dataFile, withListing } from '../support/captured.js';

const ids = ({ refusals }: Disk): RefusalId[] => refusals.map(({ id }) => id);
const verdicts = async (machine: Machine): Promise<Record<string, RefusalId[]>> => Object.fromEntries((await listDisks({ machine })).map((disk) => [disk.path, ids(disk)]));
const message = (disk: Disk, id: RefusalId): string | undefined => disk.refusals.find((refusal) => refusal.id === id)?.message;

const sd = { '/sys/block/mmcblk0/device/type': 'SD\n', '/sys/block/mmcblk0/device/name': 'SN64G\n', '/sys/block/mmcblk0/device/serial': '0x00000001\n' };

/** Listing → disk → refusals, in order. */
const CASES: readonly (readonly [name: string, machine: Machine, verdicts: Record<string, RefusalId[]>])[] = [
  ['a laptop with a card in its own slot', withListing('sd-slot-ubuntu-18.04.json', { files: sd }), { '/dev/mmcblk0': [], '/dev/sda': ['system', 'swap', 'fixed'] }],
  ['a stick mounted as a whole', withListing('stick-whole-and-nvme.json'), { '/dev/nvme0n1': ['system', 'swap', 'fixed'], '/dev/sda': ['mounted'] }],
  ['root on LVM, and a reader without a card', withListing('centos-7-lvm-and-empty-reader.json'), { '/dev/sda': ['system', 'swap', 'lvm', 'fixed'], '/dev/sdb': ['no-medium'], '/dev/sdc': ['mounted'] }],
  ['LUKS on RAID 6', withListing('raid6-luks.json'), { '/dev/sda': ['mounted', 'raid', 'luks', 'fixed'], '/dev/sdb': ['mounted', 'raid', 'luks', 'fixed'] }],
  ['/boot on RAID 1', withListing('esp-raid1-nvme.json'), { '/dev/nvme0n1': ['system', 'raid', 'fixed'], '/dev/nvme1n1': ['system', 'raid', 'fixed'] }],
  ['root on LVM on Intel RAID', withListing('isw-raid-lvm.json'), { '/dev/sda': ['system', 'raid', 'lvm', 'fixed'], '/dev/sdb': ['system', 'raid', 'lvm', 'fixed'] }],
  ['an eMMC and a card', withListing('emmc-and-sd.json', { files: { '/sys/block/mmcblk0/device/type': 'MMC\n', '/sys/block/mmcblk1/device/type': 'SD\n' } }), { '/dev/mmcblk0': ['mounted', 'fixed'], '/dev/mmcblk1': [] }],
  ['two paths to one disk', withListing('multipath.json'), { '/dev/sdy': ['multipath', 'fixed'], '/dev/sdz': ['multipath', 'fixed'] }],
  ['a pool on a USB disk', withListing('zfs-usb-disk.json'), { '/dev/sdb': ['zfs', 'fixed'] }],
  ['a stick beside a live system', withListing('archiso-2025.json'), { '/dev/loop0': ['mounted', 'read-only', 'fixed'], '/dev/sdb': [] }],
  ['a container without udev', withListing('virtio-no-udev.json', { udev: false, programs: { blkid: { status: 2, output: '' } } }), { '/dev/vda': ['system', 'fixed'] }],
  ['all kinds', withListing('written-kinds.json', { files: { '/sys/fs/btrfs/11111111-2222-3333-4444-555555555555/devices/sdf1': '', '/sys/fs/btrfs/11111111-2222-3333-4444-555555555555/devices/sdg': '' } }), {
    '/dev/mapper/faults': ['fixed'], '/dev/sda': ['bcache', 'held'], '/dev/sdb': ['pool'], '/dev/sdc': ['read-only'], '/dev/sdd': ['held'], '/dev/sde': ['luks'],
    '/dev/sdf': ['mounted'], '/dev/sdg': ['mounted'], '/dev/sdh': ['mounted'],
  }],
];

test.each(CASES)('%s', async (_name, machine, expected) => {
  expect(await verdicts(machine)).toEqual(expected);
});

test('every refusal has a case that brings it about and one that does not', async () => {
  const found = await Promise.all(CASES.map(async ([, machine]) => Object.values(await verdicts(machine))));
  const all = [...found.flat(), ids(await findDisk('/dev/zram0', { machine: withListing('written-kinds.json') }))];
  for (const id of REFUSAL_IDS) {
    expect(all.some((refused) => refused.includes(id)), `nothing brings about ${id}`).toBe(true);
    expect(all.some((refused) => !refused.includes(id)), `all bring about ${id}`).toBe(true);
  }
});

test('a disk, in full', async () => {
  const links = { '/dev/disk/by-id/mmc-SN64G_0x00000001': '/dev/mmcblk0', '/dev/disk/by-id/mmc-SN64G_0x00000001-part1': '/dev/mmcblk0p1' };
  const disk = await findDisk('/dev/disk/by-id/mmc-SN64G_0x00000001', { machine: withListing('sd-slot-ubuntu-18.04.json', { files: sd, links }) });
  expect(disk).toEqual({
    path: '/dev/mmcblk0', ids: ['/dev/disk/by-id/mmc-SN64G_0x00000001'], size: 31914983424, model: 'SN64G', serial: '0x00000001', bus: 'mmc', removable: true, readOnly: false, sector: 512,
    discard: { granularity: 4194304, max: 3741319168 }, refusals: [], parts: expect.any(Array),
  });
  expect(disk.parts).toHaveLength(6);
  expect(disk.parts[0]).toEqual({ path: '/dev/mmcblk0p1', size: 41943040, holds: 'vfat', label: 'resin-boot', mountpoints: [] });
});

describe('what was found is said in one sentence', () => {
  test('of the system, its parts and places; the same array is named once', async () => {
    const sda = await findDisk('/dev/sda', { machine: withListing('sd-slot-ubuntu-18.04.json') });
    expect(sda.refusals).toEqual([
      { id: 'system', message: 'it holds the running system: /dev/sda1 at /boot/efi, /dev/sda4 at /' },
      { id: 'swap', message: 'it has swap in use: /dev/sda5', hint: 'swapoff /dev/sda5' },
      { id: 'fixed', message: 'it is not removable (sata)', hint: 'if it is the one, allow it with --allow-fixed' },
    ]);
    const raid = await findDisk('/dev/sda', { machine: withListing('raid6-luks.json') });
    expect(message(raid, 'mounted')).toBe('it is mounted: /dev/mapper/securehdd at /mnt/secure');
    expect(raid.refusals.find(({ id }) => id === 'raid')).toEqual({
      id: 'raid', message: 'it belongs to a RAID array: /dev/sda1 (linux_raid_member)', hint: 'if nothing on it is needed, take it out of use and remove its signatures: wipefs --all /dev/sda1',
    });
  });

  test('more than three are counted', async () => {
    const row = (n: number): object => ({ name: `sda${n}`, type: 'part', mountpoints: [`/media/${n}`] });
    const machine = captured({ programs: { lsblk: JSON.stringify({ blockdevices: [{ name: 'sda', type: 'disk', size: 1, rm: true, children: [1, 2, 3, 4, 5].map(row) }] }) } });
    expect(message(await findDisk('/dev/sda', { machine }), 'mounted')).toBe('it is mounted: /dev/sda1 at /media/1, /dev/sda2 at /media/2, /dev/sda3 at /media/3 and 2 more');
  });

  test.each([
    ['/dev/sdb', 'zfs-usb-disk.json', 'it is a USB disk whose medium stays in it, a hard disk or SSD as backups are kept on'],
    ['/dev/mmcblk0', 'emmc-and-sd.json', 'it is an eMMC, soldered to its board'],
    ['/dev/mmcblk0', 'sd-slot-ubuntu-18.04.json', 'the kernel does not say whether it is a card or a soldered eMMC'],
    ['/dev/loop0', 'archiso-2025.json', 'it is a loop device: a file in the place of a disk'],
    ['/dev/vda', 'virtio-no-udev.json', 'it is not removable (virtio)'],
  ])('why %s of %s is fixed', async (path, file, expected) => {
    expect(message(await findDisk(path, { machine: withListing(file) }), 'fixed')).toBe(expected);
  });
});

describe('what the kernel says beside lsblk', () => {
  const stick = (files: Readonly<Record<string, string>>): Machine => withListing('archiso-2025.json', { files });
  const mounted = async (mountinfo: string): Promise<RefusalId[]> => ids(await findDisk('/dev/sdb', { machine: stick({ '/proc/self/mountinfo': mountinfo }) }));

  test('root by its number where its source is /dev/root', async () => {
    expect(await mounted('26 1 8:19 / / rw,relatime shared:1 master:2 - ext4 /dev/root rw\n')).toEqual(['system']);
  });
  test('a subvolume of btrfs, whose number is of no device', async () => {
    expect(await mounted('26 1 0:23 /@home /home rw - btrfs /dev/sdb3 rw,subvol=/@home\n')).toEqual(['system']);
  });
  test('a file of the host in a container', async () => {
    expect(await mounted('700 690 8:19 /var/lib/docker/containers/0/hosts /etc/hosts rw - ext4 /dev/sdb3 rw\n')).toEqual(['mounted']);
  });
  test('a place with blanks', async () => {
    const disk = await findDisk('/dev/sdb', { machine: stick({ '/proc/self/mountinfo': '26 1 8:17 / /media/a\\040b\\134c rw - vfat /dev/sdb1 rw\n' }) });
    expect(message(disk, 'mounted')).toBe('it is mounted: /dev/sdb1 at /media/a b\\c');
  });
  test('what only init sees, from a mount namespace of our own', async () => {
    expect(ids(await findDisk('/dev/sdb', { machine: stick({ '/proc/1/mountinfo': '26 1 8:19 / / rw - ext4 /dev/sdb3 rw\n', '/proc/self/mountinfo': '26 1 0:5 / / rw - tmpfs none rw\n' }) }))).toEqual(['system']);
  });
  test('an overlay without a device says nothing', async () => {
    expect(await mounted('26 1 0:30 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w\n')).toEqual([]);
  });
  test('swap, which is not per container', async () => {
    expect(ids(await findDisk('/dev/sdb', { machine: stick({ '/proc/swaps': 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/sdb2                               partition\t16380\t\t0\t\t-2\n' }) }))).toEqual(['swap']);
  });
});

describe('without udev, blkid says what lies on a disk', () => {
  const answer = (blkid: string | { status: number; output: string }): Machine => {
    const listing = JSON.stringify({ blockdevices: [{ name: 'sdb', type: 'disk', size: 1 << 30, rm: true, children: [{ name: 'sdb1', type: 'part', size: 1 << 29, fstype: null }] }] });
    return captured({ udev: false, programs: { lsblk: listing, 'blkid /dev/sdb': { status: 2, output: '' }, 'blkid /dev/sdb1': blkid } });
  };
  test('an encrypted partition, with its label', async () => {
    const disk = await findDisk('/dev/sdb', { machine: answer('DEVNAME=/dev/sdb1\nVERSION=2\nLABEL=a=b\nUUID=0-1\nTYPE=crypto_LUKS\nUSAGE=crypto\n') });
    expect(disk.parts).toEqual([{ path: '/dev/sdb1', size: 1 << 29, holds: 'crypto_LUKS', label: 'a=b', mountpoints: [] }]);
    expect(ids(disk)).toEqual(['luks']);
  });
  test.each([['nothing, or not allowed to read', 2], ['several filesystems', 8]])('%s', async (_name, status) => {
    expect(ids(await findDisk('/dev/sdb', { machine: answer({ status, output: '' }) }))).toEqual([]);
  });
  test('it is not asked where lsblk itself knows', async () => {
    const lsblk = JSON.stringify({ blockdevices: [{ name: 'loop0', type: 'loop', size: 512, fstype: 'ext4' }] });
    expect(await findDisk('/dev/loop0', { machine: captured({ udev: false, programs: { lsblk } }) })).toMatchObject({ parts: [{ holds: 'ext4' }] });
  });
  test('busybox has a blkid that cannot say it, and some have none', async () => {
    const hint = { code: 'missing-program', hint: 'install util-linux, not only busybox' };
    await expect(findDisk('/dev/sdb', { machine: answer({ status: 1, output: '' }) })).rejects.toMatchObject(hint);
    await expect(findDisk('/dev/vda', { machine: withListing('virtio-no-udev.json', { udev: false }) })).rejects.toMatchObject(hint);
  });
});

describe('stable ids', () => {
  test('by model and serial first, by number alone last; those of parts and of other disks are none', async () => {
    const links = {
      '/dev/disk/by-id/nvme-eui.0025385000000001': '/dev/nvme0n1', '/dev/disk/by-id/nvme-Samsung_SSD_980_S0000001': '/dev/nvme0n1', '/dev/disk/by-id/nvme-Samsung_SSD_980_S0000001_1': '/dev/nvme0n1',
      '/dev/disk/by-id/nvme-Samsung_SSD_980_S0000001-part1': '/dev/nvme0n1p1', '/dev/disk/by-id/usb-Generic_Flash_Disk_0001-0:0': '/dev/sda', '/dev/disk/by-id/scsi-350000000000000001': '/dev/sda',
    };
    const disks = await listDisks({ machine: withListing('stick-whole-and-nvme.json', { links }) });
    expect(disks.map((disk) => disk.ids)).toEqual([
      ['/dev/disk/by-id/nvme-Samsung_SSD_980_S0000001', '/dev/disk/by-id/nvme-Samsung_SSD_980_S0000001_1', '/dev/disk/by-id/nvme-eui.0025385000000001'], ['/dev/disk/by-id/usb-Generic_Flash_Disk_0001-0:0', '/dev/disk/by-id/scsi-350000000000000001'],
    ]);
  });
});

test('disks are listed in the order of their numbers', async () => {
  const lsblk = JSON.stringify({ blockdevices: ['loop10', 'sdb', 'loop2', 'sda'].map((name) => ({ name, type: name.startsWith('loop') ? 'loop' : 'disk', size: 512 })) });
  expect((await listDisks({ machine: captured({ programs: { lsblk } }) })).map(({ path }) => path)).toEqual(['/dev/loop2', '/dev/loop10', '/dev/sda', '/dev/sdb']);
});

describe('finding', () => {
  const links = { '/dev/disk/by-id/usb-X-0:0': '/dev/sda', '/dev/disk/by-id/usb-X-0:0-part1': '/dev/sda1', '/home/me/card': '/dev/sda', '/dev/mapper/centos-root': '/dev/dm-0', '/dev/mapper/faults': '/dev/dm-3' };
  const machine = withListing('centos-7-lvm-and-empty-reader.json', { links });

  test('by any link', async () => {
    expect((await findDisk('/home/me/card', { machine })).path).toBe('/dev/sda');
  });
  test('a partition is refused, with the disk it is of', async () => {
    await expect(findDisk('/dev/disk/by-id/usb-X-0:0-part1', { machine })).rejects.toMatchObject({
      code: 'refused', message: 'expected a whole disk, found /dev/disk/by-id/usb-X-0:0-part1, a part of /dev/sda', hint: 'the whole is /dev/disk/by-id/usb-X-0:0; all that is on it would be lost',
    });
  });
  test('so is a volume, by its own name', async () => {
    await expect(findDisk('/dev/mapper/centos-root', { machine })).rejects.toMatchObject({ code: 'refused', message: 'expected a whole disk, found /dev/mapper/centos-root, a part of /dev/sda' });
  });
  test('an array is a part of all its disks', async () => {
    await expect(findDisk('/dev/md127', { machine: withListing('esp-raid1-nvme.json') })).rejects.toThrow('a part of /dev/nvme0n1 and /dev/nvme1n1');
  });
  test('a device made with dmsetup is a disk', async () => {
    expect(await findDisk('/dev/mapper/faults', { machine: withListing('written-kinds.json', { links }) })).toMatchObject({ path: '/dev/mapper/faults', bus: 'dm' });
  });
  test('what is not there, and what is no disk', async () => {
    await expect(findDisk('/dev/nowhere', { machine })).rejects.toMatchObject({ code: 'io', message: 'cannot find the disk /dev/nowhere: it does not exist' });
    await expect(findDisk('/etc/passwd', { machine })).rejects.toMatchObject({ code: 'io', message: 'expected a disk, found that /etc/passwd is none' });
  });
  test.each([['/dev/sr0', 'it is an optical drive'], ['/dev/zram0', 'it is memory, not a disk'], ['/dev/fd0', 'it is a floppy'], ['/dev/nvme0c1n1', 'it is one path of several to an NVMe disk']])('%s is no disk for images', async (path, why) => {
    expect(message(await findDisk(path, { machine: withListing('written-kinds.json') }), 'not-a-disk')).toBe(why);
  });
  test('a boot area of an eMMC is none', async () => {
    expect(message(await findDisk('/dev/mmcblk0boot0', { machine: withListing('emmc-and-sd.json') }), 'not-a-disk')).toBe('it is a hidden area of mmcblk0, for its boot loader');
  });
});

test.each(['win32', 'freebsd'] as const)('%s is not guessed', async (platform) => {
  const machine = captured({ platform, programs: { lsblk: dataFile('virtio-no-udev.json') } });
  const error = { code: 'unsupported', message: `expected Linux or macOS to look for disks, found ${platform}` };
  await expect(listDisks({ machine })).rejects.toMatchObject(error);
  await expect(findDisk('/dev/vda', { machine })).rejects.toMatchObject(error);
});
