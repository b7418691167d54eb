/** The rules one by one, on a card that breaks none of them. */
import { expect, test } from 'vitest';
import type { Refusal } from '../../src/flash/disk.js';
import { type FoundDisk, type FoundPart, judge } from '../../src/flash/refuse.js';

const part: FoundPart = { path: '/dev/sdb1', size: 1, holds: 'ext4', label: '', mountpoints: [], kind: 'part' };
const card: FoundDisk = {
  disk: { path: '/dev/sdb', ids: [], size: 32 << 20, model: '', serial: '', bus: 'usb', readOnly: false, sector: 512, discard: { granularity: 0, max: 0 } },
  parts: [part], notDisk: '', fixed: '', platform: 'linux',
};
const refusals = (change: Partial<FoundDisk>): readonly Refusal[] => judge({ ...card, ...change }).refusals;
const ids = (change: Partial<FoundDisk>): string[] => refusals(change).map(({ id }) => id);

test('a card that may be written', () => {
  expect(judge(card)).toMatchObject({ removable: true, refusals: [] });
});

test.each(['/', '/boot', '/boot/efi', '/boot/firmware', '/efi', '/usr', '/var', '/var/log', '/home', '/root', '/etc', '/nix/store', '/sysroot', '/System/Volumes/Data'])('%s is of the running system', (place) => {
  expect(ids({ parts: [{ ...part, mountpoints: [place] }] })).toEqual(['system']);
});

test.each(['/mnt', '/media/me/boot', '/home/me/card', '/run/media/me/rootfs', '/bootleg', '/etc/hosts', '/Volumes/bootfs'])('%s is mounted', (place) => {
  expect(ids({ parts: [{ ...part, mountpoints: [place] }] })).toEqual(['mounted']);
});

test.each([
  ['linux_raid_member', 'raid'], ['ddf_raid_member', 'raid'], ['isw_raid_member', 'raid'], ['LVM2_member', 'lvm'], ['LVM1_member', 'lvm'], ['crypto_LUKS', 'luks'], ['BitLocker', 'luks'],
  ['zfs_member', 'zfs'], ['bcache', 'bcache'], ['mpath_member', 'multipath'], ['ceph_bluestore', 'pool'], ['stratis', 'pool'], ['Apple_RAID', 'raid'], ['Apple_CoreStorage', 'lvm'],
])('%s is refused as %s, on a partition and on the disk itself', (holds, id) => {
  expect(ids({ parts: [{ ...part, holds }] })).toEqual([id]);
  expect(ids({ parts: [{ ...part, path: '/dev/sdb', holds, kind: 'whole' }] })).toEqual([id]);
});

test.each(['', 'ext4', 'vfat', 'swap', 'xfs', 'btrfs', 'ntfs', 'iso9660', 'squashfs', 'Linux', 'Windows_FAT_32'])('"%s" is what a card may hold', (holds) => {
  expect(ids({ parts: [{ ...part, holds }] })).toEqual([]);
});

test.each([['raid1', 'raid'], ['raid0', 'raid'], ['md', 'raid'], ['linear', 'raid'], ['lvm', 'lvm'], ['crypt', 'luks'], ['mpath', 'multipath'], ['bcache', 'bcache'], ['dm', 'held'], ['disk', 'held'], ['', 'held']])('a %s on it is refused as %s, even where what it is made of is unknown', (kind, id) => {
  const user: FoundPart = { ...part, path: '/dev/dm-0', holds: '', kind };
  const [refusal, ...others] = refusals({ parts: [{ ...part, holds: '' }, user] });
  expect(others).toEqual([]);
  expect(refusal).toMatchObject({ id, message: expect.stringContaining(`/dev/dm-0 (${kind})`) });
  expect(refusal!.hint ?? '').not.toContain('wipefs');
});

test('hints say how, on each system', () => {
  const mounted = { parts: [{ ...part, mountpoints: ['/mnt'] }, { ...part, path: '/dev/sdb2', mountpoints: ['/mnt/a'] }] };
  expect(refusals(mounted)[0]!.hint).toBe('umount /dev/sdb1 /dev/sdb2');
  expect(refusals({ ...mounted, platform: 'darwin' })[0]!.hint).toBe('diskutil unmountDisk /dev/sdb');
  expect(refusals({ parts: [{ ...part, holds: 'crypto_LUKS' }] })[0]!.hint).toBe('if nothing on it is needed, take it out of use and remove its signatures: wipefs --all /dev/sdb1');
});

test('no medium, read-only, fixed, and what is no disk', () => {
  const empty = { ...card.disk, size: 0 };
  expect(refusals({ disk: { ...empty, readOnly: true } })).toEqual([{ id: 'no-medium', message: 'no card is in it', hint: 'put one in, and look again' }]); // an empty reader may say that it is read-only
  expect(refusals({ disk: empty, fixed: 'it is a loop device' }).map(({ message }) => message)).toEqual(['it has no medium: its size is 0', 'it is a loop device']);
  expect(ids({ disk: { ...card.disk, readOnly: true } })).toEqual(['read-only']);
  expect(judge({ ...card, fixed: 'it is screwed in' })).toMatchObject({ removable: false, refusals: [{ id: 'fixed', message: 'it is screwed in' }] });
  expect(judge({ ...card, notDisk: 'it is memory', fixed: 'it is memory' })).toMatchObject({ removable: false, refusals: [{ id: 'not-a-disk', message: 'it is memory' }] });
});

test('what calls itself removable and has more than 2 TiB is fixed all the same', () => {
  expect(ids({ disk: { ...card.disk, size: 2 ** 41 } })).toEqual([]);
  expect(judge({ ...card, disk: { ...card.disk, size: 2 ** 41 + 512 } })).toMatchObject({ removable: false, refusals: [{ id: 'fixed', message: 'it has more than 2 TiB, as no card has' }] });
});

test('the order is of weight, whatever the order of the parts', () => {
  const parts = [{ ...part, holds: 'LVM2_member' }, { ...part, mountpoints: ['/mnt', '[SWAP]'] }, { ...part, mountpoints: ['/'] }];
  expect(ids({ parts, fixed: 'x' })).toEqual(['system', 'swap', 'mounted', 'lvm', 'fixed']);
  expect(ids({ parts: parts.reverse(), fixed: 'x' })).toEqual(['system', 'swap', 'mounted', 'lvm', 'fixed']);
});
