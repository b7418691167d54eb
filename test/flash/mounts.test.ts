import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseMountinfo, parseSwaps } from '../../src/flash/mounts.js';

test('mountinfo: any number of optional fields, escaped places and sources', () => {
  expect(parseMountinfo([
    '26 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard',
    '36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:3 - ext3 /dev/root rw,errors=continue',
    '41 26 8:17 / /media/a\\040b\\011c rw - vfat /dev/disk\\040one rw', '', 'torn line',
  ].join('\n'))).toEqual([
    { number: '254:0', source: '/dev/vda', at: '/' }, { number: '98:0', source: '/dev/root', at: '/mnt2' }, { number: '8:17', source: '/dev/disk one', at: '/media/a b\tc' },
  ]);
});

test('a place can be named anything: what the kernel escapes is read back', () => {
  const escaped = (text: string): string => text.replace(/[ \t\n\\]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`); // mangle() of fs/proc_namespace.c
  fc.assert(fc.property(fc.string({ unit: 'grapheme' }).map((name) => `/${name.replaceAll('\0', '')}`), (at) => {
    expect(parseMountinfo(`1 2 8:1 / ${escaped(at)} rw - ext4 /dev/sda1 rw\n`)).toEqual([{ number: '8:1', source: '/dev/sda1', at }]);
  }));
});

test('swaps: partitions and files', () => {
  expect(parseSwaps('Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/dm-1                               partition\t8257532\t\t0\t\t-2\n/swap\\040file                           file\t\t1048572\t\t0\t\t-3\n')).toEqual(['/dev/dm-1', '/swap file']);
  expect(parseSwaps('')).toEqual([]);
});
