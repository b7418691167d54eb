import { expect, test } from 'vitest';
import { devicesText } from '../src/devices-text.js';
import { listDisks } from '../src/flash/disks.js';
import { mac, withListing } from './support/captured.js';

const text = async (machine: Parameters<typeof listDisks>[0]): Promise<string> => devicesText(await listDisks(machine));

test('cards, sticks and what must not be written', async () => {
  const links = { '/dev/disk/by-id/usb-SanDisk_Cruzer_Blade_00000000000000000001-0:0': '/dev/sdb' };
  expect(await text({ machine: withListing('archiso-2025.json', { links }) })).toBe([
    '/dev/loop0  2.4 GiB   loop',
    '    refused: it is mounted: /dev/loop0 at /run/archiso/airootfs [mounted]',
    '      hint: umount /dev/loop0',
    '    refused: it is read-only [read-only]',
    '      hint: look for the write-protect switch of the card or its adapter',
    '    refused: it is a loop device: a file in the place of a disk [fixed]',
    '',
    '/dev/sdb    29.8 GiB  usb   SanDisk Cruzer Blade',
    '    /dev/disk/by-id/usb-SanDisk_Cruzer_Blade_00000000000000000001-0:0',
    '    may be written: rockberry flash IMAGE',
    '      /dev/disk/by-id/usb-SanDisk_Cruzer_Blade_00000000000000000001-0:0',
  ].join('\n'));
});

test('a disk that only --allow-fixed is needed for, and one without a stable id', async () => {
  expect(await text({ machine: withListing('sd-slot-ubuntu-18.04.json') })).toContain('\n    only with --allow-fixed: the kernel does not say whether it is a card or a\n      soldered eMMC [fixed]');
  expect(await text({ machine: mac('2024', ['disk0', 'disk3', 'disk4', 'disk5', 'disk6']) })).toContain('may be written: rockberry flash IMAGE /dev/disk5 --yes');
});

test('lines of 80 columns at most, but for words that are longer', async () => {
  const files = ['sd-slot-ubuntu-18.04.json', 'centos-7-lvm-and-empty-reader.json', 'raid6-luks.json', 'written-kinds.json', 'isw-raid-lvm.json'];
  for (const file of files) {
    for (const line of (await text({ machine: withListing(file) })).split('\n')) expect(line.length <= 80 || !line.trim().includes(' '), line).toBe(true);
  }
});

test('what devices call themselves does not steer the terminal', async () => {
  const shown = await text({ machine: withListing('written-kinds.json') });
  expect(shown).toMatch(/^\/dev\/sdh .* Evil\\x1b\[0m Reader$/m);
  expect(shown).toContain('/media/a b\\x1b[2J');
  expect(shown.replaceAll('\n', '')).not.toMatch(/[\0-\x1f\x7f-\x9f\u202a-\u202e]/);
});

test('no disks', () => {
  expect(devicesText([])).toBe('no disks: put a card into a reader, and look again');
});
